//! Hooks that call back.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;
use tower_quota::{
    Alerts, CircuitBreakerLayer, CircuitHandle, Cost, Limit, Quota, RateReading, RateStatus, Usage,
};

use super::{NO_MONEY, SECOND, USAGE, answer, send};

/// Everything that can be called.
pub(super) fn meddle(quota: &Quota, breaker: &CircuitHandle) {
    let _ = quota.snapshot();
    let _ = quota.save();
    let _ = format!("{quota:?}");
    if let Ok(permit) = quota.try_acquire(Cost::tokens(1)) {
        permit.settle(Usage::new(50, 50));
    }
    drop(quota.try_acquire(Cost::tokens(90)));
    for amount in [10, 1_000, 100] {
        let _ = quota.resize(Limit::tokens_per_minute(amount));
    }
    let mut status = RateStatus::new();
    status.tokens = RateReading::new().limit(100).remaining(1);
    quota.observe(&status);
    quota.pause_until(Instant::now() + SECOND);
    quota.resume();
    drop(quota.acquire(Cost::tokens(1)));
    breaker.force_open();
    let _ = (breaker.state(), breaker.counts());
    breaker.force_closed();
    breaker.reset();
}

/// A second of real time is more than enough for what takes microseconds, and a minute for a machine that is busy.
pub(super) fn ends<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || done.send(f()));
    let result = is_done.recv_timeout(Duration::from_secs(60));
    let result = result.expect("it hangs, or has panicked");
    thread.join().unwrap().unwrap();
    result
}

fn nosy() -> (Quota, Arc<AtomicU64>) {
    let told = Arc::new(AtomicU64::new(0));
    let quota = Arc::new(OnceLock::<Quota>::new());
    let breaker = CircuitBreakerLayer::new().handle();
    let hook = {
        let (told, quota) = (Arc::clone(&told), Arc::clone(&quota));
        move |_: &_| {
            told.fetch_add(1, SeqCst);
            meddle(quota.get().expect("made before it tells"), &breaker);
        }
    };
    let made = Quota::builder()
        .limit(Limit::tokens_per_minute(100))
        .limit(Limit::requests_per_minute(1_000_000))
        .max_wait(Duration::from_secs(86_400))
        .alerts(Alerts::new(hook).at_least(1))
        .build()
        .unwrap();
    quota.set(made.clone()).unwrap();
    (made, told)
}

#[test]
fn a_hook_that_calls_back_into_everything_never_deadlocks_and_is_never_called_from_within_itself() {
    let told = ends(|| {
        let (quota, told) = nosy();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..20 {
                drop(quota.try_acquire(Cost::tokens(75)));
                drop(quota.acquire(Cost::tokens(95)).await);
                send(&quota, 10, answer(200, &[], USAGE)).await;
                send(&quota, 10, answer(429, &[("retry-after", "1")], "")).await;
                send(&quota, 10, answer(429, &[], NO_MONEY)).await;
                tokio::time::advance(200 * SECOND).await;
            }
            let snapshot = quota.snapshot();
            assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
        });
        told.load(SeqCst)
    });
    // A few with each request, and not one more for what the hook itself did.
    assert!((40..=20 * 5 * 4).contains(&told), "{told}");
}

#[test]
fn hooks_on_many_threads_never_wait_for_each_other() {
    ends(|| {
        let (quota, told) = nosy();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        drop(quota.try_acquire(Cost::tokens(1)));
                        if let Ok(permit) = quota.try_acquire(Cost::tokens(80)) {
                            permit.cancel();
                        }
                    }
                });
            }
        });
        assert!(told.load(SeqCst) > 0);
    });
}
