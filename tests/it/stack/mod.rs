//! All layers together, attacked.

mod departure;
mod one_quota;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_quota::{Cost, Limit, Quota};

const MINUTE: Duration = Duration::from_secs(60);

/// A quota in whose line everybody is patient.
fn patient(limits: impl IntoIterator<Item = Limit>) -> Quota {
    patient_with(limits, usize::MAX)
}

fn patient_with(limits: impl IntoIterator<Item = Limit>, in_flight: usize) -> Quota {
    let builder = Quota::builder()
        .max_wait(MINUTE * 600)
        .max_queue(1_000_000)
        .max_in_flight(in_flight);
    let builder = limits.into_iter().fold(builder, |b, limit| b.limit(limit));
    builder.build().unwrap()
}

#[derive(Clone, Copy)]
struct Tokens(u64);

/// A chat that the provider in a box counts as exactly so many tokens, at least 5.
fn chat(tokens: u64) -> Request<Full<Bytes>> {
    let max_tokens = tokens - 1;
    let body = format!(
        r#"{{"model": "gpt-4.1-mini", "max_tokens": {max_tokens}, "messages": [{{"role": "user", "content": "word"}}]}}"#
    );
    let mut request = Request::post("/v1/chat/completions")
        .body(Full::from(body))
        .unwrap();
    request.extensions_mut().insert(Tokens(tokens));
    request
}

/// What [`chat`] costs.
fn cost<B>(request: &Request<B>) -> Cost {
    Cost::tokens(request.extensions().get::<Tokens>().map_or(0, |t| t.0))
}

/// Used and held of each limit, in flight, waiting.
fn books(quota: &Quota) -> (Vec<(u64, u64)>, usize, usize) {
    let snapshot = quota.snapshot();
    let limits = snapshot.limits.iter().map(|l| (l.used, l.held));
    (limits.collect(), snapshot.in_flight, snapshot.waiting)
}
