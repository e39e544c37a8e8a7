//! Laws of `BackoffRetryLayer`.

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_quota::{
    Backoff, BackoffRetryLayer, Jitter, Rejected, RetryBudget, Verdict, backoff_retry::GaveUp,
};

mod budget;
mod events;
mod giving_up;
mod letting_go;
mod models;
mod outage;
mod peers;
mod requests;
mod time_outs;
mod waits;
mod whole;

use crate::support::mock::*;

const SECOND: Duration = Duration::from_secs(1);
const MS: fn(u64) -> Duration = Duration::from_millis;

/// Always waits as long as the schedule allows, and has no budget.
fn longest() -> BackoffRetryLayer {
    BackoffRetryLayer::new().random(|| u64::MAX).no_budget()
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_three_tries_with_full_jitter_from_half_a_second() {
    let mock = Mock::new([DOWN]);
    let start = Instant::now();
    let retry = BackoffRetryLayer::new().random(|| u64::MAX);
    let answer = retry.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), 500);
    let times = mock.times(start);
    assert_eq!(times, [MS(0), MS(500), MS(1_500)]);

    let none = BackoffRetryLayer::new().random(|| 0);
    let start = Instant::now();
    none.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert!(start.elapsed() <= MS(2), "full jitter reaches down to 0");
}

#[tokio::test(start_paused = true)]
async fn only_what_may_work_next_time_is_tried_again() {
    for (step, again) in ALL {
        let mock = Mock::new([step]);
        let _ = longest().layer(mock.clone()).oneshot(request()).await;
        assert_eq!(mock.calls(), if again { 3 } else { 1 }, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_success_is_the_answer() {
    let mock = Mock::new([DOWN, Step::Error("reset"), OK]);
    let answer = longest().layer(mock.clone()).oneshot(request()).await;
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(
        mock.bodies(),
        [request().body(), request().body(), request().body()]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_sleeps_past_the_deadline() {
    let mock = Mock::new([DOWN]);
    let start = Instant::now();
    let retry = longest().attempts(10).deadline(MS(3_400));
    retry.layer(mock.clone()).oneshot(request()).await.unwrap();
    // 500 ms and 1 s; the next 2 s would end at 3.5 s.
    assert_eq!((mock.calls(), start.elapsed()), (3, MS(1_500)));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_has_no_answer_at_the_deadline_leaves_the_outcome_before() {
    let mock = Mock::new([Step::Status(502), Step::Hang]);
    let start = Instant::now();
    let retry = longest().deadline(SECOND);
    let answer = retry.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!((mock.calls(), start.elapsed()), (2, SECOND));
    assert_eq!(mock.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_a_first_try_as_well_and_says_that_the_time_was_up() {
    for attempts in [1, 3] {
        let mock = Mock::new([Step::Hang]);
        let start = Instant::now();
        let retry = longest().attempts(attempts).deadline(SECOND);
        let error = retry.layer(mock.clone()).oneshot(request()).await;
        assert!(error.unwrap_err().is::<tower::timeout::error::Elapsed>());
        assert_eq!((mock.calls(), mock.in_flight()), (1, 0));
        assert_eq!(start.elapsed(), SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_past_the_deadline_returns_at_once() {
    let mock = Mock::new([rate_limited(Some(5 * SECOND))]);
    let start = Instant::now();
    let retry = longest().deadline(5 * SECOND);
    let answer = retry.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!((mock.calls(), start.elapsed()), (1, Duration::ZERO));
    assert_eq!(GaveUp::of(&answer), Some(GaveUp::PastDeadline));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_cannot_be_readied_leaves_the_outcome_before() {
    for readiness in [Readiness::Broken, Readiness::Stuck] {
        let mock = Mock::new([Step::Status(502)]);
        let start = Instant::now();
        let service = longest().deadline(2 * SECOND).layer(mock.clone());
        let answer = tokio::spawn(service.oneshot(request()));
        tokio::task::yield_now().await;
        mock.becomes(readiness);
        assert_eq!(answer.await.unwrap().unwrap().status(), 502);
        let expected = if readiness == Readiness::Broken {
            MS(500)
        } else {
            2 * SECOND
        };
        assert_eq!(
            (mock.calls(), start.elapsed()),
            (1, expected),
            "{readiness:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_retry_holds_no_slot_of_the_inner_service() {
    let mock = Mock::new([DOWN, OK]);
    let service = ConcurrencyLimitLayer::new(1).layer(mock.clone());
    let service = longest().layer(service);
    let sleeper = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    assert_eq!((mock.calls(), mock.in_flight()), (1, 0));
    let start = Instant::now();
    service.oneshot(request()).await.unwrap();
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "passed while the other sleeps"
    );
    sleeper.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_copied_is_tried_once() {
    let mock = Mock::new([DOWN]);
    let once = Request::new(Once("{}".into()));
    let answer = longest().layer(mock.taking()).oneshot(once).await.unwrap();
    assert_eq!((answer.status().as_u16(), mock.calls()), (500, 1));
}

#[tokio::test(start_paused = true)]
async fn only_requests_that_pass_the_gate_are_sent_twice() {
    let mock = Mock::new([DOWN]);
    let service = longest()
        .only(|request: &Request<bytes::Bytes>| request.method() == Method::GET)
        .layer(mock.clone());
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!(mock.calls(), 1);
    let mut get = request();
    *get.method_mut() = Method::GET;
    service.oneshot(get).await.unwrap();
    assert_eq!(mock.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn requests_that_fail_together_do_not_come_back_together() {
    let mock = Mock::new([DOWN]);
    let service = BackoffRetryLayer::new()
        .no_budget()
        .attempts(2)
        .layer(mock.clone());
    let start = Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|_| tokio::spawn(service.clone().oneshot(request())))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let mut times = mock.times(start);
    times.sort();
    times.dedup();
    assert!(times.len() > 50, "{} different instants", times.len());
}

#[tokio::test(start_paused = true)]
async fn one_attempt_copies_nothing() {
    #[derive(Debug)]
    struct Dear(Rc<Cell<u32>>);
    impl Clone for Dear {
        fn clone(&self) -> Self {
            self.0.set(self.0.get() + 1);
            Self(Rc::clone(&self.0))
        }
    }
    let copies = Rc::new(Cell::new(0));
    let service = service_fn(|_: Dear| async { Err::<(), _>("down") });
    for (attempts, expected) in [(1, 0), (2, 1), (3, 2)] {
        copies.set(0);
        let layer = longest().attempts(attempts).opaque();
        let call = layer.layer(service).oneshot(Dear(Rc::clone(&copies)));
        call.await.unwrap_err();
        assert_eq!(copies.get(), expected, "{attempts} attempts");
    }
}

#[tokio::test(start_paused = true)]
async fn any_types_do_and_the_users_own_judgement_counts() {
    let calls = Cell::new(0);
    let count = &calls;
    let service = service_fn(|n: u32| {
        count.set(count.get() + 1);
        let outcome = n + count.get();
        async move { Ok::<_, std::convert::Infallible>(outcome) }
    });
    let layer =
        longest().opaque().classify(
            |outcome: Result<&u32, &tower_quota::BoxError>| match outcome {
                Ok(n) if *n < 12 => Verdict::Transient { sent: true },
                _ => Verdict::Success,
            },
        );
    assert_eq!(layer.layer(service).oneshot(10).await.unwrap(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_further_in_is_returned_and_found() {
    let mock = Mock::new([Step::Refuse]);
    let error = longest()
        .layer(mock.clone())
        .oneshot(request())
        .await
        .unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    assert_eq!(mock.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_refusal_of_a_retry_is_returned_and_costs_nothing() {
    let mock = Mock::new([Step::Status(502), Step::Refuse]);
    let budget = RetryBudget::percent(0).reserve(5);
    let retry = longest().attempts(9).budget(budget.clone());
    let error = (retry.layer(mock.clone()).oneshot(request()).await).unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
    assert_eq!((mock.calls(), budget.balance()), (2, Some(5)));
}

#[tokio::test(start_paused = true)]
async fn every_schedule_and_jitter_can_be_set() {
    let mock = Mock::new([DOWN]);
    let start = Instant::now();
    let layer = longest()
        .attempts(4)
        .backoff(Backoff::linear(SECOND, SECOND))
        .jitter(Jitter::None);
    layer.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(mock.times(start), [MS(0), MS(1_000), MS(3_000), MS(6_000)]);
}

#[test]
fn constructors_layers_and_calls_need_no_runtime() {
    let mock = Mock::new([OK]);
    let mut service = BackoffRetryLayer::new().deadline(SECOND).layer(mock);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut call = pin!(service.call(request()));
    assert!(matches!(poll(call.as_mut()), Poll::Ready(Ok(_))));
}

#[test]
fn what_is_send_stays_send() {
    let layer = BackoffRetryLayer::new();
    let mut service = layer.layer(Mock::new([OK]));
    assert_send(&layer);
    assert_sync(&layer);
    assert_send(&service);
    assert_sync(&service);
    assert_clone(&service);
    assert_send(&std::future::poll_fn(|cx| {
        Service::<Request<bytes::Bytes>>::poll_ready(&mut service, cx)
    }));
    let mut service = layer.layer(Mock::new([OK]));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let _ = Service::<Request<bytes::Bytes>>::poll_ready(&mut service, &mut cx);
    assert_send(&service.call(request()));
}
