//! A million waiters. Figures: `cargo test --release --all-features --test it -- --ignored --nocapture scale`.

use std::{
    task::Poll,
    time::{Duration, Instant},
};

use tower_quota::{Cost, Limit};

use crate::quota::support::{Counting, SECOND, patient, poll};

const MILLION: u64 = 1_000_000;

/// CPU time of this thread, where the system says it; else the wall clock's.
fn cpu(start: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|stat| stat.split(' ').next().and_then(|n| n.parse().ok()));
    nanos.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

fn micros(spent: Duration, n: u64) -> f64 {
    spent.as_secs_f64() * 1e6 / n as f64
}

#[tokio::test(start_paused = true)]
#[ignore = "measures; only a release build says anything"]
async fn scale_draining_at_once_costs_a_microsecond() {
    for n in [MILLION / 10, MILLION] {
        let quota = patient(Limit::requests(1, SECOND))
            .max_wait(Duration::MAX)
            .build()
            .expect("valid");
        drop(quota.try_acquire(Cost::request()).expect("fits"));
        let (count, waker) = Counting::new();
        let mut waiters: Vec<_> = (0..n).map(|_| quota.acquire(Cost::request())).collect();
        let start = Instant::now();
        let began = cpu(start);
        for acquire in &mut waiters {
            assert!(poll(acquire, &waker).is_pending());
        }
        let queued = cpu(start);
        quota
            .resize(Limit::requests(2 * n, SECOND))
            .expect("same window");
        for acquire in &mut waiters {
            assert!(matches!(poll(acquire, &waker), Poll::Ready(Ok(_))));
        }
        let drained = cpu(start);
        assert_eq!(count.count() as u64, n, "one wake each");
        let (queue, drain) = (micros(queued - began, n), micros(drained - queued, n));
        println!(
            "{n} waiters: {queue:.3} µs to queue, {drain:.3} µs CPU an admission when draining"
        );
        assert!(drain <= 1.0, "{drain:.3} µs");
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "measures; only a release build says anything"]
async fn scale_an_admission_at_each_tick_costs_three_microseconds() {
    let n = MILLION;
    // What the runtime itself takes to fire a timer and to run the task that waits for it.
    let start = Instant::now();
    let began = cpu(start);
    let floor = tokio::spawn(async move {
        for _ in 0..n {
            tokio::time::sleep(SECOND / 100).await;
        }
    });
    floor.await.expect("runs");
    let floor = micros(cpu(start) - began, n);
    let one_by_one = Limit::requests(1_000, 10 * SECOND).bucket().burst(1);
    let quota = patient(one_by_one)
        .max_wait(Duration::MAX)
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let mut last = None;
    for _ in 0..n {
        last = Some(tokio::spawn(quota.acquire(Cost::request())));
    }
    tokio::task::yield_now().await;
    let start = Instant::now();
    let began = cpu(start);
    // First come, first served.
    let last = last.expect("somebody waits").await;
    drop(last.expect("runs").expect("patient"));
    let tick = micros(cpu(start) - began, n);
    println!(
        "{n} admitted one at each timer tick: {tick:.3} µs CPU each, the runtime alone {floor:.3} µs"
    );
    // Three where the runtime alone takes 1.4, and as many times as much where everything is slower.
    assert!(tick <= 3.0 || tick / floor <= 3.0 / 1.4, "{tick:.3} µs");
}
