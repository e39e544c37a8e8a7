//! Answers that aren't `http::Response`, as those of a bare `reqwest::Client`.
//~ `Http` doesn't know answers of type `Answer`
//~ call `.opaque()` on the layer
//~ the innermost service is `ReqwestService::new(client)`

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use tower::{BoxError, Service, ServiceBuilder};
use tower_quota::RateLimitLayer;

#[derive(Clone)]
struct Client;

struct Answer;

impl Service<u32> for Client {
    type Response = Answer;
    type Error = BoxError;
    type Future = Ready<Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        ready(Ok(Answer))
    }
}

fn serve(_: impl Service<u32>) {}

fn main() {
    serve(ServiceBuilder::new().layer(RateLimitLayer::per_minute(500)).service(Client));
}
