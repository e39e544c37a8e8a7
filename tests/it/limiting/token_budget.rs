//! Charged before sending, settled by what the provider counted.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_quota::{Cost, Limit, Quota, Reason, Rejected, Settle, TokenBudgetLayer};

use crate::support::probe::{Probe, request};

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::requests_per_minute(100))
        .limit(Limit::tokens_per_minute(1_000))
        .build()
        .unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::from(body.to_owned())).unwrap()
}

const USAGE: &str =
    r#"{"usage": {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}}"#;

async fn spent_after(settle: Settle, reserved: u64) -> u64 {
    let (quota, probe) = (quota(), Probe::new());
    probe.answer(Ok(answer(200, &[], USAGE)));
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(move |_: &_| Cost::tokens(reserved))
        .settle(settle)
        .layer(probe);
    let body = service.oneshot(request()).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), USAGE);
    quota.snapshot().limits[1].used
}

#[tokio::test(start_paused = true)]
async fn a_charge_is_settled_up_always_and_down_by_policy() {
    assert_eq!(spent_after(Settle::Keep, 400).await, 400);
    assert_eq!(spent_after(Settle::Auto, 400).await, 400);
    assert_eq!(spent_after(Settle::TrueUp, 400).await, 50);
    for settle in [Settle::Keep, Settle::Auto, Settle::TrueUp] {
        assert_eq!(spent_after(settle, 10).await, 50);
    }
}

#[tokio::test(start_paused = true)]
async fn a_servers_own_budget_learns_nothing_from_the_provider_behind_it_and_charges_what_was_used()
{
    let (quota, probe) = (quota(), Probe::new());
    let said = [
        ("x-ratelimit-limit-tokens", "500"),
        ("x-ratelimit-remaining-tokens", "10"),
        ("x-ratelimit-reset-tokens", "58s"),
        ("retry-after", "30"),
    ];
    probe.answer(Ok(answer(200, &said, USAGE)));
    let refusal =
        r#"{"error": {"message": "wait", "code": "rate_limit_exceeded", "type": "tokens"}}"#;
    probe.answer(Ok(answer(429, &said, refusal)));
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(400))
        .on_arrival()
        .layer(probe);
    for (status, requests) in [(200, 1), (429, 2)] {
        let answer = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), status);
        answer.into_body().collect().await.unwrap();
        let snapshot = quota.snapshot();
        assert_eq!(
            (snapshot.limits[0].used, snapshot.limits[1].used),
            (requests, 50)
        );
        let paused = snapshot.limits.iter().any(|limit| !limit.paused.is_zero());
        assert!(!paused && snapshot.paused.is_zero(), "{snapshot:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_dropped_early_keeps_its_charge() {
    let (quota, probe) = (quota(), Probe::new());
    probe.answer(Ok(answer(200, &[], USAGE)));
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(400))
        .settle(Settle::TrueUp)
        .layer(probe);
    drop(service.oneshot(request()).await.unwrap());
    assert_eq!(quota.snapshot().limits[1].used, 400);
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_the_quota_for_its_hint() {
    let (quota, probe) = (quota(), Probe::new());
    let body = r#"{"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}"#;
    probe.answer(Ok(answer(429, &[("retry-after", "7")], body)));
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(10))
        .layer(probe.clone());
    let refused = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        refused.into_body().collect().await.unwrap().to_bytes(),
        body
    );
    let start = Instant::now();
    service.oneshot(request()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_is_left_lowers_what_is_left_here() {
    let (quota, probe) = (quota(), Probe::new());
    let headers = [
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-tokens", "300"),
    ];
    probe.answer(Ok(answer(200, &headers, "{}")));
    let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(10));
    layer.layer(probe).oneshot(request()).await.unwrap();
    // And a little less: the others go on while the answer is on its way.
    let left = quota.snapshot().limits[1].left;
    assert!((250..=300).contains(&left), "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_never_fit_fails_at_once_and_says_so() {
    let (quota, probe) = (quota(), Probe::new());
    let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(1_001));
    let error = layer
        .layer(probe.clone())
        .oneshot(request())
        .await
        .unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(
        (rejected.reason, rejected.retry_after),
        (Reason::TooLarge, None)
    );
    assert_eq!((rejected.asked, rejected.left), (1_001, 1_000));
    assert_eq!(probe.count(), 0);
    assert_eq!(quota.snapshot().limits[0].used, 0);
}
