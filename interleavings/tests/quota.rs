//! A quota's lock, line and permits.
#![cfg(any(tower_quota_loom, tower_quota_shuttle))]

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use tower_quota::{Cost, Limit, Quota, Usage};
use tower_quota_interleavings::{AtomicUsize, FEW, TASKS, block_on, poll_once, spawn, try_all};

const HOUR: Duration = Duration::from_secs(3_600);

fn quota(in_flight: usize, requests: u64) -> Quota {
    let builder = Quota::builder()
        .limit(Limit::requests(requests, HOUR))
        .max_in_flight(in_flight);
    builder.max_wait(Duration::MAX).build().expect("a quota")
}

/// Used, held, in flight, waiting.
fn books(quota: &Quota) -> (u64, u64, usize, usize) {
    let snapshot = quota.snapshot();
    let limit = snapshot.limits[0];
    (limit.used, limit.held, snapshot.in_flight, snapshot.waiting)
}

#[test]
fn all_have_their_turn_one_at_a_time_and_no_wake_up_is_lost() {
    try_all("turns", 3, || {
        let quota = quota(1, 100);
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|index| {
                let (quota, inside) = (quota.clone(), Arc::clone(&inside));
                spawn(move || {
                    let permit = block_on(quota.acquire(Cost::request())).expect("its turn");
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "two at a time");
                    inside.fetch_sub(1, SeqCst);
                    match index % 3 {
                        0 => permit.settle(Usage::new(0, 0)),
                        1 => drop(permit),
                        _ => permit.cancel(),
                    }
                })
            })
            .collect();
        tasks
            .into_iter()
            .for_each(|task| task.join().expect("no panic"));
        let sent = TASKS - TASKS / 3;
        assert_eq!(books(&quota), (sent as u64, 0, 0, 0));
    });
}

#[test]
fn who_goes_away_at_any_moment_leaves_no_trace_and_delays_nobody() {
    try_all("leaving", 3, || {
        let quota = quota(1, 100);
        let first = quota.try_acquire(Cost::request()).expect("room");
        let leaves = {
            let quota = quota.clone();
            spawn(move || {
                let mut waiting = quota.acquire(Cost::request());
                // In line, or granted: it goes away without having looked again.
                let looked = poll_once(&mut waiting);
                match looked {
                    std::task::Poll::Ready(permit) => permit.expect("its turn").cancel(),
                    std::task::Poll::Pending => drop(waiting),
                }
            })
        };
        let stays = {
            let quota = quota.clone();
            spawn(move || {
                block_on(quota.acquire(Cost::request()))
                    .expect("its turn")
                    .cancel()
            })
        };
        first.cancel();
        leaves.join().expect("no panic");
        stays.join().expect("no panic");
        assert_eq!(books(&quota), (0, 0, 0, 0));
    });
}

#[test]
fn never_more_are_granted_than_there_are() {
    try_all("grants", 2, || {
        let quota = quota(usize::MAX, TASKS as u64 - 1);
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let quota = quota.clone();
                spawn(move || quota.try_acquire(Cost::request()).is_ok())
            })
            .collect();
        let granted = tasks.into_iter().map(|task| task.join().expect("no panic"));
        assert_eq!(granted.filter(|granted| *granted).count(), TASKS - 1);
        assert_eq!(books(&quota), (TASKS as u64 - 1, 0, 0, 0));
    });
}

#[test]
fn what_is_cancelled_is_anybody_s() {
    try_all("cancelling", 3, || {
        let quota = quota(usize::MAX, 1);
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let quota = quota.clone();
                spawn(move || match quota.try_acquire(Cost::request()) {
                    Ok(permit) => permit.cancel(),
                    Err(refused) => assert!(refused.limit.is_some()),
                })
            })
            .collect();
        tasks
            .into_iter()
            .for_each(|task| task.join().expect("no panic"));
        assert_eq!(books(&quota), (0, 0, 0, 0));
        quota
            .try_acquire(Cost::request())
            .expect("whole again")
            .cancel();
    });
}

#[test]
fn whoever_waits_in_a_pause_is_woken_when_it_ends_by_hand() {
    try_all("pausing", 3, || {
        let quota = quota(2, 100);
        let now = tokio::time::Instant::now();
        quota.pause_until(now + HOUR);
        let tasks: Vec<_> = (0..FEW)
            .map(|_| {
                let quota = quota.clone();
                spawn(move || {
                    block_on(quota.acquire(Cost::request()))
                        .expect("its turn")
                        .cancel()
                })
            })
            .collect();
        quota.resume();
        tasks
            .into_iter()
            .for_each(|task| task.join().expect("no panic"));
        assert_eq!(books(&quota), (0, 0, 0, 0));
    });
}

#[test]
fn whoever_waits_is_woken_when_there_is_more() {
    try_all("resizing", 3, || {
        let quota = quota(usize::MAX, 1);
        quota
            .try_acquire(Cost::request())
            .expect("room")
            .settle(Usage::new(0, 0));
        let tasks: Vec<_> = (0..FEW)
            .map(|_| {
                let quota = quota.clone();
                spawn(move || drop(block_on(quota.acquire(Cost::request())).expect("its turn")))
            })
            .collect();
        quota.resize(Limit::requests(100, HOUR)).expect("a limit");
        tasks
            .into_iter()
            .for_each(|task| task.join().expect("no panic"));
        assert_eq!(books(&quota), (1 + FEW as u64, 0, 0, 0));
    });
}
