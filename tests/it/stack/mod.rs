//! All layers together, attacked.

mod busy;
mod contract;
#[cfg(feature = "reqwest")]
mod dead_model;
mod departure;
mod drops;
mod further;
mod hostile;
mod letting_go;
mod meddling;
mod one_quota;
mod orders;
#[path = "../../support/stacks.rs"]
mod stacks;
mod traits;
mod turns;
mod whole;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tower_quota::{BufferedBody, Cost, Limit, Quota};

use self::stacks::{Answer, Stack, books, stack};

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

/// A request as it is inside of the door.
fn inside(request: Request<Full<Bytes>>) -> Request<BufferedBody> {
    let (parts, mut body) = request.into_parts();
    let data = futures_util::FutureExt::now_or_never(BodyExt::frame(&mut body)).flatten();
    let data = data.and_then(|frame| frame.unwrap().into_data().ok());
    Request::from_parts(parts, data.unwrap_or_default().into())
}

/// Numbers that look like chance (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
