//! The documented stack: a deadline, the retry, a limiter, an attempt's time-out.

use std::time::Duration;

use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, timeout::error::Elapsed};
use tower_quota::{BackoffRetryLayer, Limit, Quota, RateLimitLayer};

use super::{MS, SECOND, longest};
use crate::support::mock::*;

/// Deadline 30 s ▷ retry ▷ two requests in ten seconds ▷ two seconds for an attempt ▷ `mock`.
fn stack(
    retry: BackoffRetryLayer,
    mock: Mock,
) -> impl tower::Service<
    http::Request<bytes::Bytes>,
    Response = http::Response<impl http_body::Body>,
    Error = tower_quota::BoxError,
> + Clone {
    let limit = Limit::requests(2, 10 * SECOND).transit(Duration::ZERO);
    let quota = Quota::builder().limit(limit).build().unwrap();
    ServiceBuilder::new()
        .timeout(30 * SECOND)
        .layer(retry)
        .layer(RateLimitLayer::new(quota))
        .timeout(2 * SECOND)
        .service(mock)
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cut_and_tried_again() {
    let mock = Mock::new([Step::Hang, OK]);
    let start = Instant::now();
    let answer = stack(longest(), mock.clone()).oneshot(request()).await;
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(mock.times(start), [MS(0), MS(2_500)]);
    assert_eq!(mock.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_is_not_the_attempts() {
    let mock = Mock::new([Step::Hang, Step::Hang, Step::Slow(SECOND)]);
    let start = Instant::now();
    let answer = stack(longest(), mock.clone()).oneshot(request()).await;
    assert_eq!(answer.unwrap().status(), 200);
    // The third waits in the queue for eight seconds and has two of its own all the same.
    let times = mock.times(start);
    assert_eq!(times[..2], [MS(0), MS(2_500)]);
    assert!(
        times[2] >= 10 * SECOND && times[2] < 11 * SECOND,
        "{times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_outside_ends_all_attempts_and_waits() {
    let mock = Mock::new([Step::Hang]);
    let start = Instant::now();
    let retry = longest().attempts(99);
    let error = (stack(retry, mock.clone()).oneshot(request()).await)
        .err()
        .unwrap();
    assert!(error.is::<Elapsed>());
    assert_eq!((start.elapsed(), mock.in_flight()), (30 * SECOND, 0));
    assert!(mock.calls() <= 6, "{} calls in three windows", mock.calls());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_layer_leaves_the_last_real_outcome() {
    let mock = Mock::new([Step::Status(502), Step::Hang]);
    let start = Instant::now();
    let retry = longest().deadline(2 * SECOND);
    let answer = stack(retry, mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), start.elapsed()),
        (502, 2 * SECOND)
    );
}
