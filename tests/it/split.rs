//! Laws of `Split`.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::Request;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_quota::{Cost, FallbackLayer, Limit, Quota, RateLimitLayer, Split, fallback::ServedBy};

use crate::support::mock::*;

fn mocks<const N: usize>() -> [Mock; N] {
    [(); N].map(|()| Mock::new([OK]))
}

fn split<const N: usize>(weights: [u32; N], mocks: &[Mock; N]) -> Split<Mock> {
    Split::new(weights.into_iter().zip(mocks.iter().cloned()))
}

async fn ask(split: &Split<Mock>) {
    split.clone().oneshot(request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_any_hundred_requests_in_a_row_each_gets_its_weight() {
    for weights in [[60, 40], [99, 1], [50, 50], [1, 99], [0, 100], [100, 0]] {
        let mocks = mocks::<2>();
        let split = split(weights, &mocks);
        let (mut last, mut so_far) = (VecDeque::new(), [0; 2]);
        for n in 1..=350_u64 {
            ask(&split).await;
            let calls = [mocks[0].calls(), mocks[1].calls()];
            last.push_back(calls[0] - so_far[0]);
            so_far = calls;
            if last.len() > 100 {
                last.pop_front();
            }
            if last.len() == 100 {
                assert_eq!(
                    last.iter().sum::<usize>(),
                    weights[0] as usize,
                    "{weights:?}"
                );
            }
            // Less than one request away from the share, at any moment.
            let share = n * u64::from(weights[0]);
            assert!(
                (calls[0] as u64 * 100).abs_diff(share) < 100,
                "{weights:?} {n}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_services_each_gets_its_weight_and_nobody_bunches() {
    let mocks = mocks::<4>();
    let split = split([5, 1, 1, 3], &mocks);
    for n in 1..=50 {
        ask(&split).await;
        if n % 10 == 0 {
            let calls = [0, 1, 2, 3].map(|at| mocks[at].calls());
            assert_eq!(calls, [5, 1, 1, 3].map(|weight| weight * n / 10));
        }
    }
}

#[test]
fn clones_share_whose_turn_it_is_from_any_thread() {
    let mocks = mocks::<2>();
    let split = split([60, 40], &mocks);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let split = split.clone();
            scope.spawn(move || {
                for _ in 0..250 {
                    let call = split.clone().oneshot(request());
                    assert!(poll(std::pin::pin!(call)).is_ready());
                }
            });
        }
    });
    assert_eq!([mocks[0].calls(), mocks[1].calls()], [600, 400]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stuck_or_broken_concerns_its_own_requests_alone() {
    let mocks = mocks::<2>();
    let mut split = split([1, 1], &mocks);
    mocks[0].becomes(Readiness::Stuck);
    let stuck = split.ready().await.unwrap().call(request());
    let mut stuck = Box::pin(stuck);
    assert!(poll(stuck.as_mut()).is_pending());
    ask(&split).await;
    assert_eq!((mocks[0].calls(), mocks[1].calls()), (0, 1));
    mocks[0].becomes(Readiness::Ready);
    assert!(poll(stuck.as_mut()).is_ready());
    mocks[0].becomes(Readiness::Broken);
    let error = split.clone().oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    ask(&split).await;
    mocks[0].becomes(Readiness::Ready);
    ask(&split).await;
    assert_eq!((mocks[0].calls(), mocks[1].calls()), (2, 2));
    // Dropped while it isn't ready, it calls nobody.
    ask(&split).await;
    mocks[0].becomes(Readiness::Stuck);
    let mut stuck = Box::pin(split.oneshot(request()));
    assert!(poll(stuck.as_mut()).is_pending());
    drop(stuck);
    mocks[0].becomes(Readiness::Ready);
    assert_eq!((mocks[0].calls(), mocks[1].calls()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn weights_change_while_it_runs_and_somebody_is_always_there() {
    let mocks = mocks::<3>();
    let split = split([2, 1, 0], &mocks);
    let handle = split.handle();
    for _ in 0..6 {
        ask(&split).await;
    }
    handle.set(0, 0).unwrap();
    handle.clone().set(2, 1).unwrap();
    assert_eq!(handle.weights(), [0, 1, 1]);
    for _ in 0..6 {
        ask(&split).await;
    }
    assert_eq!([0, 1, 2].map(|at| mocks[at].calls()), [4, 5, 3]);
    handle.set(1, 0).unwrap();
    let error = handle.set(2, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "weights: 0 for service 2 leaves nobody to call"
    );
    let error = handle.set(3, 1).unwrap_err();
    assert_eq!(error.to_string(), "weights: there is no service 3 among 3");
    assert_eq!(handle.weights(), [0, 0, 1]);
    ask(&split).await;
    assert_eq!(mocks[2].calls(), 4);
}

#[test]
#[should_panic(expected = "weights: [0, 0] leave nobody to call")]
fn no_weight_at_all_is_refused() {
    let _ = split([0, 0], &mocks());
}

#[test]
#[should_panic(expected = "weights: [] leave nobody to call")]
fn no_service_at_all_is_refused() {
    let _ = split([], &mocks());
}

#[tokio::test(start_paused = true)]
async fn a_fallback_around_a_service_helps_out_where_it_fails() {
    let [a, b] = mocks();
    a.does(DOWN);
    let helped = |one: &Mock, other: &Mock| FallbackLayer::to(other.clone()).layer(one.clone());
    let split = Split::new([(1, helped(&a, &b)), (1, helped(&b, &a))]);
    for by in [Some("fallback"), None] {
        let answer = split.clone().oneshot(request()).await.unwrap();
        assert_eq!(ServedBy::of(&answer).map(ServedBy::name), by);
    }
    assert_eq!((a.calls(), b.calls()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_limit_around_it_counts_what_is_sent_when_it_is() {
    let quota = Quota::new(Limit::requests_per_minute(2)).unwrap();
    let mocks = mocks::<1>();
    mocks[0].becomes(Readiness::Stuck);
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(quota.clone()))
        .service(split([1], &mocks));
    let books = || {
        let limit = quota.snapshot().limits[0];
        (limit.used, limit.held)
    };
    let mut call = Box::pin(service.clone().oneshot(request()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(books(), (0, 1));
    tokio::time::advance(Duration::from_secs(100)).await;
    drop(call);
    assert_eq!(books(), (0, 0));
    mocks[0].becomes(Readiness::Ready);
    service.oneshot(request()).await.unwrap();
    assert_eq!(books(), (1, 0));
    assert!(quota.try_acquire(Cost::request()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn of_any_types() {
    let double = |by: u32| tower::service_fn(move |n: u32| async move { Ok::<_, ()>(n * by) });
    let split = Split::new([(1, double(2)), (1, double(3))]);
    assert_eq!(split.clone().oneshot(5).await, Ok(10));
    assert_eq!(split.oneshot(5).await, Ok(15));
}

#[test]
fn it_is_ready_without_a_runtime() {
    let mut split = split([1], &mocks());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(Service::<Request<Bytes>>::poll_ready(&mut split, &mut cx).is_ready());
    assert_send(&split.call(request()));
    assert_sync(&split);
}
