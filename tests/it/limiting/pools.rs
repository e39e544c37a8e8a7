//! A quota for every pool of models.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_quota::{
    Cost, Limit, Quota, Rejected, Scope, TokenBudgetLayer,
    token_budget::{Pooled, Pools},
};

use crate::support::probe::Probe;

fn quota(requests: u64) -> Quota {
    Quota::new(Limit::requests_per_minute(requests)).unwrap()
}

fn pools() -> Pools {
    Pools::new()
        .pool("gpt-4o", quota(2))
        .pool("gemini-2.0-flash", quota(2))
        .pool("anthropic.claude-v2:1", quota(2))
        .alias("ours", "gpt-4o")
}

fn to(path: &str, model: &str) -> Request<Full<Bytes>> {
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    Request::post(path).body(Full::from(body)).unwrap()
}

fn chat(model: &str) -> Request<Full<Bytes>> {
    to("/v1/chat/completions", model)
}

/// Whether it goes at once, and whose limit it is where it doesn't.
async fn asks<C>(layer: &TokenBudgetLayer<C>, request: Request<Full<Bytes>>) -> Result<(), Scope>
where
    TokenBudgetLayer<C>: Layer<Probe>,
    <TokenBudgetLayer<C> as Layer<Probe>>::Service:
        tower::Service<Request<Full<Bytes>>, Error = tower_quota::BoxError>,
{
    match layer.layer(Probe::new()).oneshot(request).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Rejected::find(error.as_ref()).unwrap().scope),
    }
}

#[tokio::test(start_paused = true)]
async fn one_models_exhaustion_holds_up_no_other() {
    let layer: TokenBudgetLayer<Pooled<_>> =
        TokenBudgetLayer::new(quota(3)).reject().pools(pools());
    for _ in 0..2 {
        assert_eq!(asks(&layer, chat("gpt-4o")).await, Ok(()));
    }
    assert_eq!(asks(&layer, chat("gpt-4o")).await, Err(Scope::Shared));
    // Unknown ones share the layer's own.
    for model in ["gpt-4o-mini", "o3", "some"] {
        assert_eq!(asks(&layer, chat(model)).await, Ok(()), "{model}");
    }
    assert_eq!(asks(&layer, chat("other")).await, Err(Scope::Shared));
    let gemini = || to("/v1beta/models/gemini-2.0-flash:generateContent", "");
    assert_eq!(asks(&layer, gemini()).await, Ok(()));
    let bedrock = || to("/model/anthropic.claude-v2%3A1/converse", "gpt-4o");
    assert_eq!(asks(&layer, bedrock()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn aliases_and_snapshots_share_their_pool() {
    let layer = TokenBudgetLayer::new(quota(9)).reject().pools(pools());
    assert_eq!(asks(&layer, chat("gpt-4o-2024-08-06")).await, Ok(()));
    let azure = || to("/openai/deployments/ours/chat/completions", "gpt-4o-mini");
    assert_eq!(asks(&layer, azure()).await, Ok(()));
    for request in [chat("gpt-4o"), chat("gpt-4o-2024-11-20"), azure()] {
        assert_eq!(asks(&layer, request).await, Err(Scope::Shared));
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_its_pool_alone() {
    let (layer, probe) = (TokenBudgetLayer::new(quota(9)).pools(pools()), Probe::new());
    let refused = Response::builder().status(429).header("retry-after", "7");
    probe.answer(Ok(refused.body(Full::default()).unwrap()));
    let service = layer.layer(probe);
    let start = Instant::now();
    service.clone().oneshot(chat("gpt-4o")).await.unwrap();
    service.clone().oneshot(chat("o3")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    service.oneshot(chat("gpt-4o-2024-08-06")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_pool_takes_from_its_keys_quota() {
    let layer = TokenBudgetLayer::new(quota(1))
        .cost(|_: &_| Cost::request())
        .keyed(|request: &Request<Full<Bytes>>| request.uri().path().to_owned())
        .pools(pools())
        .reject();
    assert_eq!(asks(&layer, to("/a", "o3")).await, Ok(()));
    assert_eq!(asks(&layer, to("/a", "o3")).await, Err(Scope::Caller));
    assert_eq!(asks(&layer, to("/b", "o3")).await, Ok(()));
    assert_eq!(asks(&layer, to("/a", "gpt-4o")).await, Ok(()));
}

#[test]
#[should_panic(expected = "there is no pool called \"gpt-5\"")]
fn an_alias_of_nothing_is_refused() {
    let _ = pools().alias("ours", "gpt-5");
}
