//! What the layers stand on: charges that are held until the request leaves.

use std::{
    sync::Arc as StdArc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use super::*;
use crate::{
    core::settlement::Settle,
    verdict::{RateReading, Usage},
};

const SECOND: Duration = Duration::from_secs(1);

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::tokens(100, 10 * SECOND).transit(Duration::ZERO))
        .max_in_flight(3)
        .build()
        .expect("valid")
}

fn held(quota: &Quota) -> (u64, u64, usize) {
    let snapshot = quota.snapshot();
    (
        snapshot.limits[0].used,
        snapshot.limits[0].held,
        snapshot.in_flight,
    )
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: StdArc<Self>) {}
}

fn look(waiting: &mut Waiting) -> std::task::Poll<Result<Grant, Rejected>> {
    let waker = Waker::from(StdArc::new(Nobody));
    waiting.poll_turn(&mut Context::from_waker(&waker))
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_given_back_and_what_left_is_kept() {
    let quota = quota();
    let grant = quota
        .reserve_now(&Cost::tokens(60), false, Rank::DEFAULT)
        .expect("fits");
    assert_eq!(held(&quota), (0, 60, 1));
    drop(grant);
    assert_eq!(held(&quota), (0, 0, 0));
    let mut grant = quota
        .reserve_now(&Cost::tokens(60), false, Rank::DEFAULT)
        .expect("fits");
    grant.depart();
    grant.depart();
    assert_eq!(held(&quota), (60, 0, 1));
    grant.land();
    grant.land();
    assert_eq!(held(&quota), (60, 0, 0));
    drop(grant);
    assert_eq!(held(&quota), (60, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_window_runs_from_the_departure_not_from_the_grant() {
    let quota = quota();
    let mut grant = quota
        .reserve_now(&Cost::tokens(100), false, Rank::DEFAULT)
        .expect("fits");
    tokio::time::advance(50 * SECOND).await;
    assert!(
        quota.try_acquire(Cost::tokens(1)).is_err(),
        "held without a date"
    );
    grant.depart();
    let refused = quota.try_acquire(Cost::tokens(1)).expect_err("just left");
    assert!(
        refused.retry_after.is_some_and(|wait| wait >= 10 * SECOND),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_settled_up_always_and_down_by_policy() {
    for (used, policy, counts) in [
        (70, Settle::Keep, 70),
        (40, Settle::Keep, 50),
        (80, Settle::TrueUp, 80),
        (10, Settle::TrueUp, 10),
    ] {
        let quota = quota();
        let grant = quota
            .reserve_now(&Cost::tokens(50), false, Rank::DEFAULT)
            .expect("fits");
        let used = grant.used(&Usage::new(used, 0));
        grant.settle(&used, policy);
        assert_eq!(held(&quota), (counts, 0, 0), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_after_departure_gives_everything_back() {
    let quota = quota();
    let mut grant = quota
        .reserve_now(&Cost::tokens(50), false, Rank::DEFAULT)
        .expect("fits");
    grant.depart();
    tokio::time::advance(SECOND).await;
    grant.refund();
    assert_eq!(held(&quota), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_doesn_t_know_of_what_left_after_its_request() {
    let quota = quota();
    let mut first = quota
        .reserve_now(&Cost::tokens(30), false, Rank::DEFAULT)
        .expect("fits");
    first.depart();
    tokio::time::advance(SECOND).await;
    let mut second = quota
        .reserve_now(&Cost::tokens(30), false, Rank::DEFAULT)
        .expect("fits");
    second.depart();
    let mut status = RateStatus::new();
    status.tokens = RateReading::new().remaining(70);
    first.observe(&status);
    assert_eq!(quota.snapshot().limits[0].left, 40);
    status.tokens = RateReading::new().remaining(50);
    first.observe(&status);
    // And a sixth more, by the time that we are told.
    assert_eq!(quota.snapshot().limits[0].left, 17, "others spend twenty");
    status.tokens = RateReading::new().remaining(20);
    second.observe(&status);
    assert_eq!(quota.snapshot().limits[0].left, 17, "the same twenty");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_place_goes_when_one_lands() {
    let quota = Quota::builder().max_in_flight(1).build().expect("valid");
    let mut grant = quota
        .reserve_now(&Cost::request(), false, Rank::DEFAULT)
        .expect("fits");
    grant.depart();
    let Reserved::Queued(mut waiting) = quota.reserve(&Cost::request(), false, Rank::DEFAULT)
    else {
        panic!("it waits");
    };
    assert!(look(&mut waiting).is_pending());
    grant.land();
    assert!(look(&mut waiting).is_ready());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_what_another_holds_goes_when_it_is_given_back() {
    let quota = quota();
    let grant = quota
        .reserve_now(&Cost::tokens(100), false, Rank::DEFAULT)
        .expect("fits");
    let Reserved::Queued(mut waiting) = quota.reserve(&Cost::tokens(1), false, Rank::DEFAULT)
    else {
        panic!("it waits");
    };
    assert!(look(&mut waiting).is_pending());
    drop(grant);
    assert!(look(&mut waiting).is_ready());
    assert_eq!(held(&quota), (0, 0, 0));
}
