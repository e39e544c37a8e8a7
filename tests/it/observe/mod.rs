//! What operators see.

mod alerts;
mod circuits;
mod events;
mod hooks;
#[cfg(feature = "metrics")]
mod metrics;
mod reentrant;
mod retries;
mod snapshots;
mod state;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_quota::{Cost, Quota, TokenBudgetLayer};

use crate::support::probe::{Probe, request};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const USAGE: &str =
    r#"{"usage": {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50}}"#;
pub(crate) const NO_MONEY: &str = r#"{"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "no money"}}"#;

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::from(body.to_owned())).unwrap()
}

/// Sends one request of so many tokens through a budget, and reads such an answer to its end.
pub(crate) async fn send(quota: &Quota, tokens: u64, answered: Response<Full<Bytes>>) {
    let probe = Probe::new();
    probe.answer(Ok(answered));
    let mut service = TokenBudgetLayer::new(quota.clone())
        .cost(move |_: &_| Cost::tokens(tokens))
        .layer(probe);
    let answer = service.ready().await.unwrap().call(request()).await;
    let _ = answer.unwrap().into_body().collect().await;
}

/// What is there at once.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    use futures_util::FutureExt;

    future.now_or_never().expect("it should be there at once")
}

/// A metric's name and those of its labels that aren't empty: `name{label=value}`.
#[cfg(feature = "metrics")]
pub(crate) fn shown(key: &::metrics::Key) -> String {
    let labels = key.labels().filter(|label| !label.value().is_empty());
    let labels: Vec<_> = labels
        .map(|label| format!("{}={}", label.key(), label.value()))
        .collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}
