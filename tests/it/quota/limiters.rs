//! What other limiters get wrong.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use tower_quota::{Cost, Limit, Quota};

use crate::quota::support::{SECOND, advance, patient};

/// The most that any window of this length holds.
fn most(log: &[Duration], window: Duration) -> usize {
    let (mut inside, mut most) = (VecDeque::new(), 0);
    for at in log {
        inside.push_back(*at);
        while inside.front().is_some_and(|first| *first + window <= *at) {
            inside.pop_front();
        }
        most = most.max(inside.len());
    }
    most
}

// governor passes 999 in the first minute; another admits 1,000 in 100 ms.
#[tokio::test(start_paused = true)]
async fn five_hundred_a_minute_are_never_more_in_any_minute() {
    let quota = Quota::new(Limit::requests_per_minute(500)).expect("valid");
    let start = Instant::now();
    let mut log = Vec::new();
    for step in 0..3_000u64 {
        while quota.try_acquire(Cost::request()).is_ok() {
            log.push(start.elapsed());
        }
        advance(Duration::from_millis(1 + step * 7919 % 170)).await;
    }
    assert!(log.len() > 1_500, "{}", log.len());
    assert_eq!(most(&log, 60 * SECOND), 500);
}

// Each `.layer()` of another is a quota of its own.
#[tokio::test(start_paused = true)]
async fn clones_share_one_limit() {
    let quota = Quota::new(Limit::requests_per_minute(10)).expect("valid");
    let clones: Vec<_> = (0..10).map(|_| quota.clone()).collect();
    let admitted = clones
        .iter()
        .flat_map(|quota| (0..10).map(|_| quota.try_acquire(Cost::request())));
    assert_eq!(admitted.filter(Result::is_ok).count(), 10);
}

// A reserved and dropped permit is lost elsewhere; here a cancelled one isn't, and a dropped one counts as sent.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_sent_and_forgotten_counts() {
    let quota = Quota::new(Limit::requests_per_minute(10)).expect("valid");
    assert_eq!(
        (0..1_000)
            .filter(|_| quota.try_acquire(Cost::request()).is_ok())
            .count(),
        10
    );
    let quota = Quota::new(Limit::requests_per_minute(10)).expect("valid");
    for _ in 0..1_000 {
        quota
            .try_acquire(Cost::request())
            .expect("given back")
            .cancel();
    }
}

// governor: a large cost starves behind small ones.
#[tokio::test(start_paused = true)]
async fn small_ones_don_t_starve_a_large_one() {
    let quota = patient(Limit::tokens(100, SECOND)).build().expect("valid");
    let small = quota.clone();
    let stream = tokio::spawn(async move {
        loop {
            drop(small.acquire(Cost::tokens(1)).await.expect("patient"));
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    advance(5 * SECOND).await;
    let start = Instant::now();
    drop(quota.acquire(Cost::tokens(100)).await.expect("its turn"));
    assert!(
        start.elapsed() <= SECOND + Duration::from_millis(10),
        "{:?}",
        start.elapsed()
    );
    stream.abort();
}

// The cookbook's processor: 59,600 tokens in a rolling minute of 30,000.
#[tokio::test(start_paused = true)]
async fn tokens_and_requests_are_inside_any_minute_together() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(500))
        .limit(Limit::tokens_per_minute(30_000))
        .max_wait(3_600 * SECOND)
        .build()
        .expect("valid");
    let start = Instant::now();
    let mut log = Vec::new();
    for k in 0..3_000u64 {
        let n = if k % 7 == 0 { 1_500 } else { 20 + k % 40 };
        drop(quota.acquire(Cost::tokens(n)).await.expect("patient"));
        log.push((start.elapsed(), n));
    }
    for (from, _) in &log {
        let inside = log
            .iter()
            .filter(|(at, _)| at >= from && *at < *from + 60 * SECOND);
        let (count, sum) = inside.fold((0, 0), |(count, sum), (_, n)| (count + 1, sum + n));
        assert!(
            count <= 500 && sum <= 30_000,
            "{count} requests and {sum} tokens from {from:?}"
        );
    }
}

// tower_governor: `per_second(n)` means one per n seconds.
#[tokio::test(start_paused = true)]
async fn twenty_a_second_are_twenty_a_second() {
    let quota = Quota::new(Limit::requests_per_second(20)).expect("valid");
    assert_eq!(
        (0..100)
            .filter(|_| quota.try_acquire(Cost::request()).is_ok())
            .count(),
        20
    );
}

#[tokio::test(start_paused = true)]
async fn sixty_four_threads_get_exactly_what_there_is() {
    let quota = Quota::new(Limit::tokens(100_000, 86_400 * SECOND)).expect("valid");
    let admitted: u64 = std::thread::scope(|scope| {
        let hammer = |seed: u64| {
            let quota = &quota;
            move || {
                (0..1_000)
                    .map(|k| 1 + (seed + k) % 7)
                    .filter(|n| quota.try_acquire(Cost::tokens(*n)).is_ok())
                    .sum::<u64>()
            }
        };
        let threads: Vec<_> = (0..64).map(|seed| scope.spawn(hammer(seed))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    // Whoever asks for one gets the last of it.
    let rest = (0..10)
        .filter(|_| quota.try_acquire(Cost::tokens(1)).is_ok())
        .count() as u64;
    assert_eq!(admitted + rest, 100_000);
    assert_eq!(
        (quota.snapshot().in_flight, quota.snapshot().limits[0].used),
        (0, 100_000)
    );
}
