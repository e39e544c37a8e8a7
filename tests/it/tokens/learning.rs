//! The layer learns from every answer what a model's tokens weigh.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_quota::{Limit, Quota, Settle, TokenBudgetLayer, tokens::Calibration};

use crate::support::probe::Probe;

const TEXT: &str = "It takes some words to say what this is about, and some more to say why. ";

fn quota() -> Quota {
    Quota::new(Limit::input_tokens(
        1_000_000,
        std::time::Duration::from_secs(60),
    ))
    .unwrap()
}

fn chat() -> Request<Full<Bytes>> {
    let content = TEXT.repeat(10);
    let body =
        format!(r#"{{"model":"some","messages":[{{"role":"user","content":"{content}"}}]}}"#);
    Request::new(Full::from(body))
}

fn answer(input: u64) -> Response<Full<Bytes>> {
    let usage = format!(r#"{{"usage":{{"prompt_tokens":{input},"completion_tokens":1}}}}"#);
    Response::new(Full::from(usage))
}

/// What a chat reserves.
async fn reserves<L>(layer: &L, quota: &Quota) -> u64
where
    L: Layer<Probe>,
    L::Service: tower::Service<Request<Full<Bytes>>>,
    <L::Service as tower::Service<Request<Full<Bytes>>>>::Error: std::fmt::Debug,
{
    let before = quota.snapshot().limits[0].used;
    // Says nothing of its usage.
    layer.layer(Probe::new()).oneshot(chat()).await.unwrap();
    quota.snapshot().limits[0].used - before
}

#[tokio::test(start_paused = true)]
async fn answers_teach_all_services_of_a_layer() {
    let (quota, probe) = (quota(), Probe::new());
    let layer = TokenBudgetLayer::new(quota.clone()).settle(Settle::TrueUp);
    let first = reserves(&layer, &quota).await;
    let counted = first * 3 / 2;
    let service = layer.layer(probe.clone());
    for _ in 0..10 {
        probe.answer(Ok(answer(counted)));
        let answer = service.clone().oneshot(chat()).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let learnt = reserves(&layer, &quota).await;
    assert!(
        learnt.abs_diff(counted) * 20 < counted,
        "{learnt} for {counted}"
    );
    let models = layer.calibration().unwrap().models();
    assert_eq!((&*models[0].model, models[0].answers), ("some", 10));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_off_or_fails_teaches_nothing() {
    let (quota, probe) = (quota(), Probe::new());
    let layer = TokenBudgetLayer::new(quota);
    let service = layer.layer(probe.clone());
    probe.answer(Ok(answer(99)));
    drop(service.clone().oneshot(chat()).await.unwrap());
    let mut failed = answer(99);
    *failed.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    probe.answer(Ok(failed));
    let failed = service.oneshot(chat()).await.unwrap();
    failed.into_body().collect().await.unwrap();
    assert!(layer.calibration().unwrap().models().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_calibration_is_shared_or_switched_off() {
    let (calibration, quota) = (Calibration::new(), quota());
    let teaching = TokenBudgetLayer::new(quota.clone()).calibrate(calibration.clone());
    let first = reserves(&teaching, &quota).await;
    for _ in 0..10 {
        let probe = Probe::new();
        probe.answer(Ok(answer(first * 2)));
        let answer = teaching.layer(probe).oneshot(chat()).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let sharing = TokenBudgetLayer::new(quota.clone()).calibrate(calibration);
    assert!(reserves(&sharing, &quota).await > first * 3 / 2);
    let without = TokenBudgetLayer::new(quota.clone()).uncalibrated();
    assert!(without.calibration().is_none());
    assert_eq!(reserves(&without, &quota).await, first);
    assert_eq!(
        reserves(&TokenBudgetLayer::new(quota.clone()), &quota).await,
        first
    );
}

#[cfg(feature = "tiktoken")]
#[tokio::test(start_paused = true)]
async fn exact_counts_are_what_is_reserved() {
    let quota = quota();
    let layer = TokenBudgetLayer::new(quota.clone()).exact();
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"content":"{TEXT}"}}]}}"#);
    let request = Request::new(Full::from(body));
    layer.layer(Probe::new()).oneshot(request).await.unwrap();
    let exact = tower_quota::tokens::exact::count_text("gpt-4o", TEXT).unwrap();
    assert_eq!(quota.snapshot().limits[0].used, exact + 4 + 3);
}
