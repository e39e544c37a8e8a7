//! What a request that is admitted pays: `cargo bench --bench admission`, in nanoseconds.
//!
//! The service inside answers at once with an empty body; what it takes alone is the first line.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use divan::{Bencher, black_box};
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service, ServiceBuilder, layer::util::Identity};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, Cost, FallbackLayer, Limit, Quota, RateLimitLayer,
    TokenBudgetLayer,
};

fn main() {
    let divan = divan::Divan::from_args();
    divan.sample_size(1_000).sample_count(300).main();
}

/// More than any run takes.
const PLENTY: u64 = 1 << 50;

#[derive(Clone)]
struct Client;

impl Service<Request<()>> for Client {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::requests_per_minute(PLENTY))
        .limit(Limit::tokens_per_minute(PLENTY))
        .build()
        .unwrap()
}

fn tokens() -> TokenBudgetLayer<impl tower_quota::admission::Charge<Request<()>> + Clone> {
    TokenBudgetLayer::new(quota()).cost(|_: &Request<()>| Cost::input_output(100, 20))
}

/// Readies, calls, waits and lets go of the answer.
fn send<L>(bencher: Bencher<'_, '_>, layer: L)
where
    L: Layer<Client, Service: Service<Request<()>>>,
{
    let mut service = layer.layer(Client);
    let context = &mut Context::from_waker(Waker::noop());
    bencher.bench_local(|| {
        assert!(service.poll_ready(context).is_ready());
        let answer = pin!(service.call(black_box(Request::new(())))).poll(context);
        assert!(answer.is_ready());
    });
}

#[divan::bench]
fn a_bare_service(bencher: Bencher<'_, '_>) {
    send(bencher, Identity::new());
}

#[divan::bench]
fn b_rate_limit(bencher: Bencher<'_, '_>) {
    send(bencher, RateLimitLayer::per_minute(PLENTY));
}

#[divan::bench]
fn c_token_budget(bencher: Bencher<'_, '_>) {
    send(bencher, tokens());
}

#[divan::bench]
fn d_circuit_breaker(bencher: Bencher<'_, '_>) {
    send(bencher, CircuitBreakerLayer::new());
}

#[divan::bench]
fn e_circuit_gate(bencher: Bencher<'_, '_>) {
    send(bencher, CircuitBreakerLayer::new().gate());
}

#[divan::bench]
fn f_backoff_retry(bencher: Bencher<'_, '_>) {
    send(bencher, BackoffRetryLayer::new());
}

#[divan::bench]
fn g_fallback(bencher: Bencher<'_, '_>) {
    send(bencher, FallbackLayer::to(Client));
}

#[divan::bench]
fn h_all_five(bencher: Bencher<'_, '_>) {
    let stack = ServiceBuilder::new()
        .layer(FallbackLayer::to(Client))
        .layer(BackoffRetryLayer::new())
        .layer(RateLimitLayer::per_minute(PLENTY))
        .layer(tokens())
        .layer(CircuitBreakerLayer::new());
    send(bencher, stack);
}

/// A permit of a quota with so many limits, taken and counted as sent.
#[divan::bench(args = [1, 2, 4])]
fn i_try_acquire(bencher: Bencher<'_, '_>, limits: usize) {
    let all = [
        Limit::requests_per_minute(PLENTY),
        Limit::tokens_per_minute(PLENTY),
        Limit::requests_per_day(PLENTY),
        Limit::input_tokens(PLENTY, std::time::Duration::from_secs(60)),
    ];
    let builder = all[..limits].iter().cloned();
    let quota = builder.fold(Quota::builder(), |quota, limit| quota.limit(limit));
    let quota = quota.build().unwrap();
    bencher.bench_local(|| {
        let permit = quota.try_acquire(black_box(Cost::input_output(100, 20)));
        drop(permit.unwrap());
    });
}
