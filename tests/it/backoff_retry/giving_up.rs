//! Whoever isn't tried again learns why.

use std::time::Duration;

use tower::{Layer, ServiceExt};
use tower_quota::{BackoffRetryLayer, BoxError, RetryBudget, Verdict, backoff_retry::GaveUp};

use super::{MS, SECOND, longest};
use crate::support::mock::*;

async fn why(layer: BackoffRetryLayer, steps: &[Step]) -> Option<GaveUp> {
    let mock = Mock::new(steps.iter().copied());
    let answer = layer.layer(mock).oneshot(request()).await.unwrap();
    GaveUp::of(&answer)
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_says_why_there_is_no_other() {
    let day = Duration::from_secs(86_400);
    for (layer, steps, expected) in [
        (longest(), &[DOWN][..], GaveUp::AttemptsUsed),
        (longest(), &[rate_limited(Some(day))], GaveUp::HintTooLong),
        (longest().deadline(MS(100)), &[DOWN], GaveUp::PastDeadline),
        (
            longest().deadline(SECOND),
            &[DOWN, Step::Hang],
            GaveUp::PastDeadline,
        ),
        (
            longest().budget(RetryBudget::percent(0).reserve(0)),
            &[DOWN],
            GaveUp::NoBudget,
        ),
    ] {
        assert_eq!(why(layer, steps).await, Some(expected));
    }
    let mock = Mock::new([Step::Status(502)]);
    let answer = tokio::spawn(longest().layer(mock.clone()).oneshot(request()));
    tokio::task::yield_now().await;
    mock.becomes(Readiness::Broken);
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(GaveUp::of(&answer), Some(GaveUp::NotSent));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_twice_learns_that_too() {
    let mock = Mock::new([DOWN]);
    let once = http::Request::new(Once("{}".into()));
    let answer = longest().layer(mock.taking()).oneshot(once).await.unwrap();
    assert_eq!(GaveUp::of(&answer), Some(GaveUp::NotRepeatable));
    let only = longest().only(|_: &http::Request<bytes::Bytes>| false);
    let answer = only.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert_eq!(GaveUp::of(&answer), Some(GaveUp::NotRepeatable));
    assert_eq!(mock.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn successes_and_final_answers_carry_no_mark() {
    for steps in [
        &[OK][..],
        &[DOWN, OK],
        &[Step::Judged(Verdict::Permanent)],
        &[DOWN, Step::Judged(Verdict::QuotaExhausted)],
        &[Step::Judged(Verdict::TooLarge)],
    ] {
        assert_eq!(why(longest(), steps).await, None, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_other_types_are_given_up_unmarked_and_whole() {
    let layer = longest()
        .opaque()
        .classify(|_: Result<&u32, &BoxError>| Verdict::Transient { sent: true });
    let service = tower::service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) });
    assert_eq!(layer.layer(service).oneshot(1).await.unwrap(), 2);
}
