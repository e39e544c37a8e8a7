//! What the peers' retries get wrong, each as a law for ours.

use std::{
    cell::Cell,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Backoff, BackoffRetryLayer, BoxError, Jitter, RetryBudget};

use super::{MS, SECOND, longest};
use crate::support::mock::*;

/// How often, and for how long, an answer with these headers and body is tried, with hints taken exactly.
async fn tried(status: u16, headers: &[(&str, &str)], body: &'static str) -> (u32, Duration) {
    let calls = Cell::new(0);
    let count = &calls;
    let service = service_fn(move |_: Request<Bytes>| async move {
        count.set(count.get() + 1);
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        Ok::<_, BoxError>(answer.body(String::from(body)).unwrap())
    });
    let start = Instant::now();
    let retry = longest().attempts(2).hint_jitter(0);
    retry.layer(service).oneshot(request()).await.unwrap();
    (calls.get(), start.elapsed())
}

/// tower clones its generator with every request.
#[tokio::test(start_paused = true)]
async fn no_two_requests_draw_the_same_jitter_because_they_share_a_layer() {
    let mock = Mock::new([DOWN]);
    let layer = BackoffRetryLayer::new().no_budget().attempts(2);
    let start = Instant::now();
    // A fresh service for each, as a connection's would be.
    let calls: Vec<_> = (0..100)
        .map(|_| tokio::spawn(layer.layer(mock.clone()).oneshot(request())))
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let mut times = mock.times(start).split_off(100);
    times.dedup();
    assert!(times.len() > 50, "{} different instants", times.len());
}

/// tower's `TpsBudget` rounds 0.6 up to 1.0.
#[tokio::test(start_paused = true)]
async fn a_ratio_of_three_fifths_is_three_fifths() {
    let mock = Mock::new([DOWN]);
    let budget = RetryBudget::ratio(3, 5).reserve(0);
    let service = longest().attempts(2).budget(budget).layer(mock.clone());
    for _ in 0..100 {
        service.clone().oneshot(request()).await.unwrap();
        advance(MS(10)).await;
    }
    assert_eq!(mock.calls(), 160);
}

/// tower-resilience can't see the answer.
#[tokio::test(start_paused = true)]
async fn retry_after_is_read_from_the_answer_and_never_cut_short() {
    assert_eq!(
        tried(429, &[("retry-after", "20")], "").await,
        (2, 20 * SECOND)
    );
    assert_eq!(
        tried(503, &[("retry-after", "20")], "").await,
        (2, 20 * SECOND)
    );
}

/// tower-resilience adds jitter after the cap.
#[tokio::test(start_paused = true)]
async fn no_jitter_overshoots_the_cap() {
    for jitter in [
        Jitter::Proportional(25),
        Jitter::Above(50),
        Jitter::Additive(5 * SECOND),
        Jitter::Decorrelated,
    ] {
        let mock = Mock::new([DOWN]);
        let start = Instant::now();
        let retry = longest()
            .attempts(9)
            .backoff(Backoff::exponential(SECOND, 4 * SECOND))
            .jitter(jitter);
        retry.layer(mock.clone()).oneshot(request()).await.unwrap();
        let times = mock.times(start);
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert_eq!(longest, Some(4 * SECOND), "{jitter:?}");
    }
}

/// async-openai ignores fractions of a second and dates.
#[tokio::test(start_paused = true)]
async fn hints_in_fractions_and_dates_are_honoured() {
    assert_eq!(
        tried(429, &[("retry-after", "7.66")], "").await,
        (2, MS(7_660))
    );
    let date = |secs| httpdate_of(UNIX_EPOCH + Duration::from_secs(secs));
    let (now, then) = (date(1_800_000_000), date(1_800_000_030));
    let headers = [("date", now.as_str()), ("retry-after", then.as_str())];
    assert_eq!(tried(429, &headers, "").await, (2, 30 * SECOND));
}

/// One of the two fixed days that the test speaks of, as headers write it.
fn httpdate_of(at: std::time::SystemTime) -> String {
    let second = at.duration_since(UNIX_EPOCH).unwrap().as_secs() % 60;
    // 1,800,000,000 s is 2027-01-15 08:00:00 UTC.
    format!("Fri, 15 Jan 2027 08:00:{second:02} GMT")
}

/// async-openai sleeps a day where it is asked to.
#[tokio::test(start_paused = true)]
async fn a_hint_of_a_day_is_not_slept_out() {
    let day = [("retry-after", "86400")];
    assert_eq!(tried(429, &day, "").await, (1, Duration::ZERO));
}

/// async-openai gives up on a 429 that isn't JSON.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_is_not_json_is_retried() {
    let page = "<html><body>429 Too Many Requests</body></html>";
    assert_eq!(tried(429, &[("retry-after", "1")], page).await, (2, SECOND));
    assert_eq!(tried(429, &[], "slow down").await.0, 2);
}

/// The cookbook's processor sends every request five times without money.
#[tokio::test(start_paused = true)]
async fn exhausted_money_is_not_retried() {
    let body = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    assert_eq!(tried(429, &[], body).await, (1, Duration::ZERO));
}

/// reqwest-retry refuses a body that streams before it was sent once.
#[tokio::test(start_paused = true)]
async fn a_body_that_streams_is_sent_once_and_its_answer_returned() {
    for (step, status) in [(OK, 200), (DOWN, 500)] {
        let mock = Mock::new([step]);
        let once = Request::new(Once("{}".into()));
        let answer = longest().layer(mock.taking()).oneshot(once).await.unwrap();
        assert_eq!((answer.status().as_u16(), mock.calls()), (status, 1));
    }
}
