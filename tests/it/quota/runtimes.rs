//! Several runtimes, none, and those that go away. Real time, short windows.

use std::{
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};
use tower_quota::{Cost, Limit, Permit, Quota, quota::Acquire};

use crate::quota::support::{Counting, patient, poll};

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

const WINDOW: Duration = Duration::from_millis(200);

fn full() -> Quota {
    let quota = patient(Limit::requests(1, WINDOW)).build().expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    quota
}

/// What `f` gives, if that takes no longer than `limit`.
fn within<T: Send + 'static>(limit: Duration, f: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = tell.send(f());
    });
    let result = told.recv_timeout(limit).expect("it stalls");
    thread.join().expect("no panic");
    result
}

#[test]
fn a_runtime_that_shuts_down_doesn_t_stall_a_waiter_on_another() {
    for multi in [false, true] {
        within(Duration::from_secs(10), move || {
            let quota = full();
            let dying = match multi {
                false => runtime(),
                true => Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_time()
                    .build()
                    .expect("a runtime"),
            };
            // The first in line sets the timer, on the runtime that goes away.
            let first = quota.clone();
            let task = dying.spawn(async move { first.acquire(Cost::request()).await.map(drop) });
            dying.block_on(async { tokio::time::sleep(WINDOW / 10).await });
            let (waits, ready) = mpsc::channel();
            let second = quota;
            let survivor = thread::spawn(move || {
                runtime().block_on(async {
                    let mut acquire = Box::pin(second.acquire(Cost::request()));
                    let (_, waker) = Counting::new();
                    assert!(poll(&mut acquire, &waker).is_pending());
                    waits.send(()).expect("somebody listens");
                    acquire.await.map(drop)
                })
            });
            ready.recv().expect("it waits");
            drop(dying);
            drop(task);
            survivor.join().expect("no panic").expect("its turn");
        });
    }
}

#[test]
fn a_static_quota_outlives_its_runtimes() {
    static QUOTA: OnceLock<Quota> = OnceLock::new();
    within(Duration::from_secs(20), || {
        for _ in 0..5 {
            let quota = QUOTA.get_or_init(full);
            let runtime = runtime();
            drop(
                runtime
                    .block_on(quota.acquire(Cost::request()))
                    .expect("its turn"),
            );
            // One that is still in line when the runtime ends.
            let left = quota.clone();
            drop(runtime.spawn(async move { left.acquire(Cost::request()).await.map(drop) }));
            runtime.block_on(async { tokio::task::yield_now().await });
        }
        assert_eq!(QUOTA.get().expect("made").snapshot().waiting, 0);
    });
}

#[test]
fn outside_of_any_runtime_everything_but_waiting_works() {
    within(Duration::from_secs(10), || {
        let quota = patient(Limit::requests(2, 5 * WINDOW))
            .build()
            .expect("valid");
        let permits: Vec<Permit> = (0..2)
            .map(|_| quota.try_acquire(Cost::request()).expect("fits"))
            .collect();
        let runtime = runtime();
        let (_, waker) = Counting::new();
        let mut waiting: Vec<Acquire> = (0..4).map(|_| quota.acquire(Cost::request())).collect();
        runtime.block_on(async {
            for acquire in &mut waiting {
                assert!(poll(acquire, &waker).is_pending());
            }
        });
        assert!(quota.try_acquire(Cost::request()).is_err());
        // The line moves on, and whoever has to set a timer is woken to.
        permits.into_iter().for_each(Permit::cancel);
        drop(waiting.remove(1));
        quota.pause_until(tokio::time::Instant::now() + WINDOW / 2);
        let start = Instant::now();
        runtime.block_on(async {
            for acquire in waiting {
                drop(acquire.await.expect("its turn"));
            }
        });
        assert!(start.elapsed() < 20 * WINDOW, "{:?}", start.elapsed());
    });
}

#[test]
fn to_wait_outside_of_a_runtime_says_what_is_missing() {
    let quota = full();
    let panic = thread::spawn(move || {
        let (_, waker) = Counting::new();
        let _ = poll(&mut quota.acquire(Cost::request()), &waker);
    });
    let message = panic.join().expect_err("it panics");
    let message = message.downcast_ref::<&str>().expect("a message");
    assert!(
        message.contains("tokio runtime with its time driver"),
        "{message}"
    );
}

#[test]
fn a_runtime_without_timers_may_give_back_but_not_wait() {
    within(Duration::from_secs(10), || {
        let quota = patient(Limit::requests(1, 5 * WINDOW))
            .build()
            .expect("valid");
        let permit = quota.try_acquire(Cost::request()).expect("fits");
        let (runtime, without) = (
            runtime(),
            Builder::new_current_thread().build().expect("a runtime"),
        );
        let mut waiting: Vec<_> = (0..2).map(|_| quota.acquire(Cost::request())).collect();
        let (_, waker) = Counting::new();
        runtime.block_on(async {
            assert!(
                waiting
                    .iter_mut()
                    .all(|acquire| poll(acquire, &waker).is_pending())
            );
        });
        without.block_on(async { permit.cancel() });
        runtime.block_on(async {
            for acquire in waiting {
                drop(acquire.await.expect("its turn"));
            }
        });
    });
}

#[test]
fn two_threads_drop_and_acquire_without_losing_anybody() {
    within(Duration::from_secs(60), || {
        let quota = patient(Limit::requests(50, Duration::from_millis(20)))
            .max_in_flight(8)
            .build()
            .expect("valid");
        let threads: Vec<_> = (0..4u64)
            .map(|seed| {
                let quota = quota.clone();
                thread::spawn(move || {
                    let mut random = crate::quota::support::Random(seed);
                    runtime().block_on(async {
                        for _ in 0..300 {
                            let patience = Duration::from_micros(random.upto(12_000));
                            let acquire = quota.acquire(Cost::request());
                            match tokio::time::timeout(patience, acquire).await {
                                Ok(permit) if random.upto(1) == 0 => {
                                    permit.expect("patient").cancel();
                                }
                                Ok(permit) => drop(permit.expect("patient")),
                                Err(_) => {}
                            }
                        }
                        // Whoever is patient gets there.
                        drop(quota.acquire(Cost::request()).await.expect("patient"));
                    });
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"));
        let end = quota.snapshot();
        assert_eq!((end.in_flight, end.waiting, end.limits[0].held), (0, 0, 0));
    });
}

#[test]
fn auto_traits_are_what_they_seem() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<Quota>();
    shared::<Permit>();
    shared::<Acquire>();
    shared::<Arc<Quota>>();
    shared::<tower_quota::Rejected>();
    shared::<tower_quota::ConfigError>();
    assert!(size_of::<Quota>() <= 32);
}
