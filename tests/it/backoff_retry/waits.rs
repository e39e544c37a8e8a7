//! How long a retry waits: by schedule, by cause, by hint.

use std::{io, time::Duration};

use http::{Request, Response};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, Jitter, Resource, Verdict,
    backoff_retry::{Cause, GaveUp},
};

use super::{MS, SECOND, longest};
use crate::support::mock::*;

fn exactly(wait: Duration) -> Backoff {
    Backoff::constant(wait).jitter(Jitter::None)
}

/// A wait of its own for each cause.
fn told_apart() -> BackoffRetryLayer {
    BackoffRetryLayer::new()
        .no_budget()
        .backoff(exactly(MS(1)))
        .backoff_for(Cause::RateLimited, exactly(MS(2)))
        .backoff_for(Cause::Overloaded, exactly(MS(9)))
        .backoff_for(Cause::Overloaded, exactly(MS(3)))
        .backoff_for(Cause::TimedOut, exactly(MS(4)))
        .backoff_for(Cause::Connection, exactly(MS(5)))
}

#[tokio::test(start_paused = true)]
async fn each_cause_has_the_schedule_that_was_set_for_it() {
    let answers = [
        (RATE_LIMITED, 2),
        (OVERLOADED, 3),
        (Step::Status(408), 4),
        (Step::Status(504), 4),
        (Step::Status(409), 1),
        (DOWN, 1),
        (Step::Error("anything"), 1),
    ];
    for (step, expected) in answers {
        let mock = Mock::new([step, OK]);
        let start = Instant::now();
        (told_apart().layer(mock.clone()).oneshot(request()).await).unwrap();
        assert_eq!(mock.times(start)[1], MS(expected), "{step:?}");
    }
}

type Failure = fn() -> BoxError;

#[tokio::test(start_paused = true)]
async fn what_the_verdict_does_not_tell_is_found_behind_the_error() {
    let errors: [(Failure, u64); 7] = [
        (|| tower::timeout::error::Elapsed::new().into(), 4),
        (|| io::Error::from(io::ErrorKind::TimedOut).into(), 4),
        (
            || io::Error::other(tower::timeout::error::Elapsed::new()).into(),
            4,
        ),
        (
            || io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            5,
        ),
        (|| io::Error::from(io::ErrorKind::ConnectionReset).into(), 5),
        (|| io::Error::from(io::ErrorKind::UnexpectedEof).into(), 5),
        (
            || io::Error::from(io::ErrorKind::PermissionDenied).into(),
            1,
        ),
    ];
    for (error, expected) in errors {
        let start = Instant::now();
        let service =
            service_fn(move |_: Request<bytes::Bytes>| async move { Err::<Answer, _>(error()) });
        let retry = told_apart().attempts(2);
        let error = retry.layer(service).oneshot(request()).await.unwrap_err();
        assert_eq!(start.elapsed(), MS(expected), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_schedules_of_their_own_all_causes_wait_alike() {
    for step in [RATE_LIMITED, OVERLOADED, Step::Status(504), DOWN] {
        let mock = Mock::new([step]);
        let start = Instant::now();
        longest()
            .layer(mock.clone())
            .oneshot(request())
            .await
            .unwrap();
        assert_eq!(mock.times(start), [MS(0), MS(500), MS(1_500)], "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_a_floor_and_never_a_ceiling() {
    for hinted in [rate_limited(Some(MS(7_660))), overloaded(Some(MS(7_660)))] {
        for (roll, expected) in [(0, 7_660), (u64::MAX, 11_490)] {
            let mock = Mock::new([hinted, OK]);
            let start = Instant::now();
            let retry = BackoffRetryLayer::new().random(move || roll);
            retry.layer(mock.clone()).oneshot(request()).await.unwrap();
            assert_eq!(mock.times(start)[1], MS(expected));
        }
        let mock = Mock::new([hinted, OK]);
        let start = Instant::now();
        let retry = longest().hint_jitter(0);
        retry.layer(mock.clone()).oneshot(request()).await.unwrap();
        assert_eq!(mock.times(start)[1], MS(7_660), "without jitter, exactly");
    }
    let mock = Mock::new([rate_limited(Some(MS(10))), OK]);
    let start = Instant::now();
    (longest().layer(mock.clone()).oneshot(request()).await).unwrap();
    assert_eq!(mock.times(start)[1], MS(500), "the back-off is longer");
}

#[tokio::test(start_paused = true)]
async fn a_long_hint_is_spread_by_no_more_than_the_schedules_maximum() {
    let mock = Mock::new([rate_limited(Some(60 * SECOND)), OK]);
    let start = Instant::now();
    (longest().layer(mock.clone()).oneshot(request()).await).unwrap();
    assert_eq!(mock.times(start)[1], 68 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_with_one_hint_come_back_spread_and_none_too_early() {
    let mock = Mock::new([rate_limited(Some(2 * SECOND))]);
    let service = BackoffRetryLayer::new()
        .attempts(2)
        .no_budget()
        .layer(mock.clone());
    let start = Instant::now();
    let calls: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(service.clone().oneshot(request())))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let mut times = mock.times(start).split_off(1_000);
    times.sort();
    assert!(times[0] >= 2 * SECOND && times[999] <= 3 * SECOND + MS(1));
    // An even spread puts 100 into a tenth of the second; 170 is seven deviations off.
    for from in 0..times.len() {
        let crowd = (times[from..].iter()).take_while(|at| **at < times[from] + MS(100));
        assert!(crowd.count() <= 170);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_an_hour_or_more_without_a_hint_is_not_waited_for() {
    let limited = |window: u64, retry_after| {
        Step::Judged(Verdict::RateLimited {
            resource: Some(Resource::Requests),
            window: Some(Duration::from_secs(window)),
            retry_after,
        })
    };
    for (step, calls) in [
        (limited(86_400, None), 1),
        (limited(3_600, None), 1),
        (limited(3_599, None), 3),
        (limited(60, None), 3),
        // Whoever says when to come back is believed.
        (limited(86_400, Some(SECOND)), 3),
    ] {
        let mock = Mock::new([step]);
        let answer = longest().layer(mock.clone()).oneshot(request()).await;
        assert_eq!(mock.calls(), calls, "{step:?}");
        let why = GaveUp::of(&answer.unwrap()).unwrap();
        assert_eq!(why == GaveUp::WindowTooLong, calls == 1, "{why}");
    }
}

/// A service that answers as the provider does, read by the layer itself.
async fn calls_of(status: u16, headers: &[(&str, &str)], body: &'static str) -> usize {
    let calls = std::cell::Cell::new(0);
    let count = &calls;
    let service = service_fn(move |_: Request<bytes::Bytes>| async move {
        count.set(count.get() + 1);
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        Ok::<_, std::convert::Infallible>(answer.body(String::from(body)).unwrap())
    });
    longest().layer(service).oneshot(request()).await.unwrap();
    calls.get()
}

#[tokio::test(start_paused = true)]
async fn the_servers_word_on_coming_back_outranks_its_status() {
    let no = &[("x-should-retry", "false")][..];
    let yes = &[("x-should-retry", "true")][..];
    for status in [500, 503, 429, 408] {
        assert_eq!(calls_of(status, no, "").await, 1, "{status}");
        assert_eq!(calls_of(status, yes, "").await, 3, "{status}");
    }
    for status in [400, 404, 422] {
        assert_eq!(calls_of(status, yes, "").await, 3, "{status}");
        assert_eq!(calls_of(status, &[], "").await, 1, "{status}");
    }
    assert_eq!(calls_of(200, yes, "").await, 1, "a success is one");
    assert_eq!(
        calls_of(402, yes, "").await,
        1,
        "money doesn't come by waiting"
    );
    assert_eq!(
        calls_of(
            429,
            &[("x-should-retry", "true"), ("retry-after", "90")],
            ""
        )
        .await,
        1,
        "too long is too long"
    );
}

#[tokio::test(start_paused = true)]
async fn providers_that_speak_of_a_day_are_asked_once() {
    for (headers, body) in [
        (
            &[("x-amzn-errortype", "ThrottlingException")][..],
            r#"{"message": "Too many tokens per day, please wait before trying again."}"#,
        ),
        (
            &[],
            r#"{"type": "error", "error": {"type": "rate_limit_error", "message": "Number of request tokens has exceeded your daily rate limit (https://docs.anthropic.com/en/api/rate-limits)."}}"#,
        ),
        (
            &[],
            r#"{"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "18s"}]}}"#,
        ),
    ] {
        assert_eq!(calls_of(429, headers, body).await, 1, "{body}");
    }
    let minute = r#"{"type": "error", "error": {"type": "rate_limit_error", "message": "This request would exceed your organization's rate limit of 8,000 output tokens per minute."}}"#;
    assert_eq!(calls_of(429, &[], minute).await, 3);
}
