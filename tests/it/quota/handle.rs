//! One quota on a clock that only moves when told to.

use std::{task::Poll, time::Duration};

use tokio::time::Instant;
use tower_quota::{Anchor, Cost, Limit, Quota, RateReading, RateStatus, Reason, Usage};

use crate::quota::support::{Counting, SECOND, advance, patient, poll};

fn left(quota: &Quota) -> u64 {
    quota.snapshot().limits[0].left
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_changes_nothing() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(10))
        .limit(Limit::tokens_per_minute(100))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::tokens(60)).expect("fits"));
    let before = quota.snapshot();
    let refused = quota
        .try_acquire(Cost::tokens(41))
        .expect_err("41 of 40 left");
    assert_eq!(quota.snapshot(), before);
    assert_eq!(
        (refused.reason, refused.asked, refused.left),
        (Reason::LimitReached, 41, 40)
    );
    drop(quota.try_acquire(Cost::tokens(40)).expect("fits"));
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_exact_and_never_nothing() {
    for limit in [
        Limit::requests_per_second(3),
        Limit::requests_per_minute(3).bucket(),
        Limit::requests_per_minute(3).fixed(Anchor::utc()),
        Limit::requests_per_minute(3).fixed(Anchor::first_use()),
        Limit::requests_per_minute(300).burst(3),
    ] {
        let quota = Quota::new(limit.clone()).expect("valid");
        for _ in 0..3 {
            drop(quota.try_acquire(Cost::request()).expect("fits"));
        }
        let refused = quota.try_acquire(Cost::request()).expect_err("full");
        let wait = refused.retry_after.expect("known");
        assert!(wait > Duration::ZERO, "{limit}");
        tokio::time::advance(wait - Duration::from_nanos(1)).await;
        assert!(
            quota.try_acquire(Cost::request()).is_err(),
            "{limit}: a nanosecond early"
        );
        tokio::time::advance(Duration::from_nanos(1)).await;
        assert!(
            quota.try_acquire(Cost::request()).is_ok(),
            "{limit}: {wait:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_limit_and_when() {
    let quota = patient(Limit::tokens(100, 10 * SECOND))
        .max_per_request(80)
        .build()
        .expect("valid");
    let too_large = quota
        .try_acquire(Cost::tokens(81))
        .expect_err("too large")
        .to_string();
    assert_eq!(
        too_large,
        "request too large: asks for 81 of 80 tokens per request, can never fit"
    );
    drop(quota.try_acquire(Cost::tokens(70)).expect("fits"));
    let full = quota
        .try_acquire(Cost::tokens(40))
        .expect_err("full")
        .to_string();
    assert!(
        full.starts_with(
            "limit reached: asks for 40 of 100 tokens per 10s, 30 left, come back in 10"
        ),
        "{full}"
    );
    quota.pause_until(Instant::now() + 30 * SECOND);
    let paused = quota.try_acquire(Cost::tokens(1)).expect_err("paused");
    assert_eq!(paused.reason, Reason::Paused);
    assert_eq!(paused.to_string(), "the quota is paused, come back in 30s");
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_fails_at_once() {
    let quota = patient(Limit::tokens(100, SECOND)).build().expect("valid");
    let refused = quota.acquire(Cost::tokens(101)).await.expect_err("never");
    assert_eq!(
        (refused.reason, refused.retry_after),
        (Reason::TooLarge, None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_known_to_be_too_long_is_refused_at_once_and_an_exact_one_is_not() {
    let start = Instant::now();
    for (max_wait, waits) in [
        (10 * SECOND, true),
        (10 * SECOND - Duration::from_nanos(1), false),
    ] {
        let quota = patient(Limit::requests(1, 10 * SECOND).bucket())
            .max_wait(max_wait)
            .build()
            .expect("valid");
        drop(quota.acquire(Cost::request()).await.expect("fits"));
        let asked = Instant::now();
        let outcome = quota.acquire(Cost::request()).await;
        assert_eq!(outcome.is_ok(), waits);
        match outcome {
            Ok(_) => assert_eq!(asked.elapsed(), 10 * SECOND),
            Err(refused) => {
                assert_eq!(
                    (refused.reason, refused.retry_after),
                    (Reason::WaitTooLong, Some(10 * SECOND))
                );
                assert_eq!(asked.elapsed(), Duration::ZERO);
            }
        }
    }
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses() {
    let quota = patient(Limit::requests(1, SECOND))
        .max_queue(2)
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let (_, waker) = Counting::new();
    let mut waiting: Vec<_> = (0..3).map(|_| quota.acquire(Cost::request())).collect();
    assert!(
        poll(&mut waiting[0], &waker).is_pending() && poll(&mut waiting[1], &waker).is_pending()
    );
    let Poll::Ready(Err(refused)) = poll(&mut waiting[2], &waker) else {
        panic!("no room")
    };
    assert_eq!(refused.reason, Reason::QueueFull);
    assert!(
        refused.retry_after.is_some_and(|wait| wait > SECOND),
        "{refused}"
    );
    drop(waiting.remove(0));
    assert!(poll(&mut quota.acquire(Cost::request()), &waker).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_pause_moves_the_line_and_refuses_who_can_t_make_it() {
    let quota = patient(Limit::requests(1, 10 * SECOND))
        .max_wait(30 * SECOND)
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let start = Instant::now();
    let (a, b) = (
        quota.acquire(Cost::request()),
        quota.acquire(Cost::request()),
    );
    let (a, b) = (tokio::spawn(a), tokio::spawn(b));
    advance(SECOND).await;
    quota.pause_until(start + 25 * SECOND);
    // An earlier pause doesn't shorten a later one.
    quota.pause_until(start + 5 * SECOND);
    drop(a.await.expect("runs").expect("within 30 s"));
    assert!(start.elapsed() >= 25 * SECOND && start.elapsed() < 26 * SECOND);
    let refused = b.await.expect("runs").expect_err("35 s");
    assert_eq!(refused.reason, Reason::WaitTooLong);
    assert!(start.elapsed() < 26 * SECOND, "told when it was known");
}

#[tokio::test(start_paused = true)]
async fn resume_ends_a_pause_at_once() {
    let quota = patient(Limit::requests(5, SECOND)).build().expect("valid");
    quota.pause_until(Instant::now() + 3_600 * SECOND);
    let waiting = tokio::spawn(quota.acquire(Cost::request()));
    advance(SECOND).await;
    let start = Instant::now();
    quota.resume();
    drop(waiting.await.expect("runs").expect("resumed"));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_larger_amount_lets_those_go_who_fit_now_and_a_smaller_one_tells_those_who_never_will() {
    let quota = patient(Limit::tokens(100, 3_600 * SECOND))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::tokens(100)).expect("fits"));
    let small = tokio::spawn(quota.acquire(Cost::tokens(10)));
    let large = tokio::spawn(quota.acquire(Cost::tokens(90)));
    advance(SECOND).await;
    quota
        .resize(Limit::tokens(110, 3_600 * SECOND))
        .expect("same window");
    drop(small.await.expect("runs").expect("fits now"));
    quota
        .resize(Limit::tokens(50, 3_600 * SECOND))
        .expect("same window");
    assert_eq!(
        large.await.expect("runs").expect_err("never").reason,
        Reason::TooLarge
    );
}

#[tokio::test(start_paused = true)]
async fn a_permit_says_what_became_of_its_request() {
    let quota = Quota::builder()
        .limit(Limit::tokens(1_000, 60 * SECOND).transit(Duration::ZERO))
        .max_in_flight(5)
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::tokens(100)).expect("fits"));
    assert_eq!(left(&quota), 900, "dropped: sent");
    quota.try_acquire(Cost::tokens(100)).expect("fits").cancel();
    assert_eq!(left(&quota), 900, "cancelled: given back");
    quota
        .try_acquire(Cost::tokens(100))
        .expect("fits")
        .settle(Usage::new(30, 10));
    assert_eq!(left(&quota), 860, "settled down");
    quota
        .try_acquire(Cost::tokens(100))
        .expect("fits")
        .settle(Usage::new(1_000, 500));
    assert_eq!(left(&quota), 0, "settled up: owed");
    assert_eq!(quota.snapshot().limits[0].used, 1_640);
    assert_eq!(quota.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_in_flight_is_taken_as_long_as_the_permit_lives() {
    let quota = Quota::builder().max_in_flight(2).build().expect("valid");
    let a = quota.try_acquire(Cost::request()).expect("fits");
    let _b = quota.try_acquire(Cost::request()).expect("fits");
    let refused = quota.try_acquire(Cost::request()).expect_err("full");
    assert_eq!(
        (refused.reason, refused.retry_after),
        (Reason::InFlightFull, None)
    );
    let c = tokio::spawn(quota.acquire(Cost::request()));
    advance(50 * SECOND).await;
    assert!(!c.is_finished());
    let refused = quota
        .try_acquire(Cost::request())
        .expect_err("full, and somebody waits");
    assert_eq!(
        (refused.reason, refused.retry_after),
        (Reason::InFlightFull, None),
        "{refused}"
    );
    drop(a);
    drop(c.await.expect("runs").expect("a place is free"));
    assert_eq!(
        (quota.snapshot().in_flight, quota.snapshot().peak_in_flight),
        (1, 2)
    );
    // One that waits for a place gives up after `max_wait`.
    let _c = quota.try_acquire(Cost::request()).expect("fits");
    let start = Instant::now();
    let refused = quota
        .acquire(Cost::request())
        .await
        .expect_err("nobody lands");
    assert_eq!(
        (refused.reason, start.elapsed()),
        (Reason::WaitTooLong, 60 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn headroom_plans_with_a_share() {
    let quota = patient(Limit::tokens(1_000, SECOND))
        .headroom(0.9)
        .build()
        .expect("valid");
    assert_eq!(left(&quota), 900);
    assert_eq!(
        quota
            .try_acquire(Cost::tokens(901))
            .expect_err("too large")
            .reason,
        Reason::TooLarge
    );
    // 50 of 1,000 are somebody else's, and a few more by the time that we are told.
    quota.observe(&status(950));
    assert!((840..=850).contains(&left(&quota)), "{}", left(&quota));
    quota
        .resize(Limit::tokens(100, SECOND))
        .expect("same window");
    assert_eq!(quota.snapshot().limits[0].limit.amount, 90);
}

fn status(remaining: u64) -> RateStatus {
    let mut status = RateStatus::new();
    status.tokens = RateReading::new().remaining(remaining);
    status
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_lowers_and_never_raises() {
    let quota = patient(Limit::tokens(1_000, SECOND))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::tokens(100)).expect("fits"));
    quota.observe(&status(950));
    assert_eq!(left(&quota), 900);
    quota.observe(&status(300));
    // A little less: others go on while the answer is on its way.
    let lowered = left(&quota);
    assert!((250..=300).contains(&lowered), "{lowered}");
    quota.observe(&status(600));
    assert_eq!(left(&quota), lowered);
    quota.observe(&RateStatus::new());
    // Others who spend don't stop where a window ends; whoever isn't seen any more is forgotten by and by.
    advance(SECOND).await;
    let still = left(&quota);
    assert!(still < 500, "{still}");
    advance(2 * SECOND).await;
    assert_eq!(left(&quota), 1_000);
}

#[tokio::test(start_paused = true)]
async fn one_wake_an_admission() {
    let quota = patient(Limit::requests(10, SECOND)).build().expect("valid");
    let n = 20_000;
    let mut waiters: Vec<_> = (0..n)
        .map(|_| (quota.acquire(Cost::request()), Counting::new()))
        .collect();
    let mut admitted = 0;
    for (future, (_, waker)) in &mut waiters {
        admitted += usize::from(poll(future, waker).is_ready());
    }
    assert_eq!(admitted, 10);
    quota
        .resize(Limit::requests(n as u64 + 10, SECOND))
        .expect("same window");
    for (future, (count, waker)) in waiters.iter_mut().skip(10) {
        assert_eq!(count.count(), 1);
        assert!(matches!(poll(future, waker), Poll::Ready(Ok(_))));
        assert_eq!(count.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_never_polled_again_delays_the_others_once() {
    let quota = patient(Limit::requests(1, 10 * SECOND))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let (_, waker) = Counting::new();
    let mut parked = quota.acquire(Cost::request());
    assert!(poll(&mut parked, &waker).is_pending());
    let start = Instant::now();
    for turn in 1..4u32 {
        drop(quota.acquire(Cost::request()).await.expect("its turn"));
        let late = start.elapsed() - turn * 10 * SECOND;
        assert!(
            late <= SECOND + Duration::from_millis(50),
            "turn {turn}: {late:?}"
        );
    }
    assert!(poll(&mut parked, &waker).is_pending());
    assert_eq!(quota.snapshot().waiting, 1);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_nobody_takes_isn_t_kept_from_those_who_don_t_wait() {
    let quota = patient(Limit::requests(1, 10 * SECOND))
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::request()).expect("fits"));
    let (count, waker) = Counting::new();
    let mut parked = quota.acquire(Cost::request());
    assert!(poll(&mut parked, &waker).is_pending());
    advance(21 * SECOND / 2).await;
    assert_eq!((count.count(), quota.snapshot().limits[0].held), (1, 1));
    advance(SECOND).await;
    drop(quota.try_acquire(Cost::request()).expect("it has lapsed"));
    assert!(poll(&mut parked, &waker).is_pending());
    advance(21 * SECOND / 2).await;
    assert!(matches!(poll(&mut parked, &waker), Poll::Ready(Ok(_))));
}
