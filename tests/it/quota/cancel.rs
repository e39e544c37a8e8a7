//! Futures dropped anywhere.

use std::{
    sync::Arc,
    task::{Poll, Wake, Waker},
};

use tower_quota::{Cost, Limit, Permit, Priority, Quota, quota::Acquire};

use crate::quota::support::{Counting, Random, SECOND, advance, patient, poll};

fn quota() -> Quota {
    patient(Limit::tokens(1_000, 3_600 * SECOND))
        .limit(Limit::requests(400, SECOND))
        .max_in_flight(20)
        .build()
        .expect("valid")
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_drops_at_random_leave_nothing_behind() {
    let seed = 42;
    println!("seed {seed}");
    let mut random = Random(seed);
    let quota = patient(Limit::tokens(20_000, 86_400 * SECOND))
        .limit(Limit::requests(400, SECOND))
        .max_in_flight(20)
        .build()
        .expect("valid");
    let (_, waker) = Counting::new();
    let mut waiting: Vec<Acquire> = Vec::new();
    let mut permits: Vec<(Permit, u64)> = Vec::new();
    let (mut kept, mut dropped) = (0, 0);
    while dropped < 100_000 {
        match random.upto(9) {
            0..=3 => {
                let cost = Cost::tokens(1 + random.upto(40));
                let mut acquire = quota.acquire_as(cost, Priority::Level(random.upto(7) as u8));
                // Some are dropped before they were ever polled.
                if random.upto(9) > 0 {
                    match poll(&mut acquire, &waker) {
                        Poll::Ready(Ok(permit)) => {
                            let n = permit.cost().of(tower_quota::Resource::Tokens);
                            permits.push((permit, n));
                        }
                        Poll::Ready(Err(refused)) => panic!("seed {seed}: {refused}"),
                        Poll::Pending => waiting.push(acquire),
                    }
                } else {
                    dropped += 1;
                }
            }
            4..=6 if !waiting.is_empty() => {
                drop(waiting.swap_remove(random.upto(waiting.len() as u64 - 1) as usize));
                dropped += 1;
            }
            7 if !waiting.is_empty() => {
                let which = random.upto(waiting.len() as u64 - 1) as usize;
                if let Poll::Ready(Ok(permit)) = poll(&mut waiting[which], &waker) {
                    drop(waiting.swap_remove(which));
                    let n = permit.cost().of(tower_quota::Resource::Tokens);
                    permits.push((permit, n));
                }
            }
            8 if !permits.is_empty() => {
                let (permit, n) =
                    permits.swap_remove(random.upto(permits.len() as u64 - 1) as usize);
                // Few are kept, so that the day's tokens don't run out.
                if random.upto(50) == 0 {
                    kept += n;
                    drop(permit);
                } else {
                    permit.cancel();
                }
            }
            _ => {
                if random.upto(9) == 0 {
                    advance(SECOND / 10).await;
                }
            }
        }
        while waiting.len() > 200 {
            drop(waiting.swap_remove(random.upto(200) as usize));
            dropped += 1;
        }
    }
    drop(waiting);
    permits.into_iter().for_each(|(permit, _)| permit.cancel());
    let end = quota.snapshot();
    assert_eq!((end.in_flight, end.waiting), (0, 0), "seed {seed}");
    assert_eq!(
        (end.limits[0].used, end.limits[0].held, end.limits[1].held),
        (kept, 0, 0),
        "seed {seed}"
    );
    assert!(kept > 0 && kept <= 20_000);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_delays_nobody() {
    let quota = patient(Limit::requests(1, 10 * SECOND))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let (first_count, waker) = Counting::new();
    let mut first = quota.acquire(Cost::request());
    assert!(poll(&mut first, &waker).is_pending());
    let (count, waker) = Counting::new();
    let mut second = quota.acquire(Cost::request());
    assert!(poll(&mut second, &waker).is_pending());
    advance(21 * SECOND / 2).await;
    assert_eq!((first_count.count(), count.count()), (1, 0));
    // With its offer in hand.
    drop(first);
    assert_eq!(count.count(), 1);
    assert!(matches!(poll(&mut second, &waker), Poll::Ready(Ok(_))));
}

/// Asks the quota whenever anything happens to it.
struct Nosy(Quota);

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.ask();
    }
}

impl Nosy {
    fn ask(&self) {
        let _ = self.0.snapshot();
        if let Ok(permit) = self.0.try_acquire(Cost::tokens(1)) {
            permit.cancel();
        }
        self.0.resume();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.ask();
    }
}

#[tokio::test(start_paused = true)]
async fn wakers_may_call_back_and_die_anywhere() {
    let quota = quota();
    let permit = quota.try_acquire(Cost::tokens(1_000)).expect("fits");
    let mut waiting: Vec<_> = (0..10).map(|_| quota.acquire(Cost::tokens(90))).collect();
    for acquire in &mut waiting {
        // Each poll replaces the waker, and the last handle on the old one dies.
        for _ in 0..3 {
            let waker = Waker::from(Arc::new(Nosy(quota.clone())));
            assert!(poll(acquire, &waker).is_pending());
        }
    }
    drop(waiting.remove(3));
    permit.cancel();
    for acquire in &mut waiting {
        let waker = Waker::from(Arc::new(Nosy(quota.clone())));
        assert!(matches!(poll(acquire, &waker), Poll::Ready(Ok(_))));
    }
    advance(SECOND).await;
    assert_eq!(
        (quota.snapshot().waiting, quota.snapshot().in_flight),
        (0, 0)
    );
}
