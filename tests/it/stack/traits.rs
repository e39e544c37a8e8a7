//! What may be inside of a layer, and what a layer then is: `Send` and `Sync` where the inner service is, and nothing asked
//! of it that isn't needed.

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    marker::PhantomPinned,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, Cost, FallbackLayer,
    RateLimitLayer, TokenBudgetLayer,
    answers::{CopyRequest, Http},
    backoff_retry::{Always, BackoffRetry, BackoffRetryFuture},
    body::{BufferBody, BufferBodyFuture, MeteredBody},
    circuit_breaker::{CircuitBreaker, CircuitBreakerFuture, CircuitGate, CircuitGateFuture},
    fallback::{Fallback, Rewritten, To},
    rate_limit::{InFlight, RateLimit, RateLimitFuture},
    token_budget::{Settling, TokenBudget, TokenBudgetFuture},
};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn unpin<T: Unpin>() {}

/// Compiles: that is the test.
fn services_are_what_the_inner_service_is<S, T>()
where
    S: Send + Sync + Unpin,
    T: Send + Sync,
{
    macro_rules! all {
        ($($service:ty),*) => {$(
            send::<$service>();
            sync::<$service>();
        )*};
    }
    all![
        RateLimit<S>, TokenBudget<S>, BackoffRetry<S>, CircuitBreaker<S>, CircuitGate<S>,
        BufferBody<S>, Fallback<S, To<T>>, Fallback<S, Rewritten<S, T>>
    ];
    unpin::<RateLimit<S>>();
    unpin::<TokenBudget<S>>();
    unpin::<BackoffRetry<S>>();
    unpin::<CircuitBreaker<S>>();
}

/// Compiles: that is the test.
fn futures_are_sent_where_the_inner_ones_are<S, Req, B>()
where
    S: Service<Req, Response = Response<B>, Future: Send> + Send,
    S: Service<Request<BufferedBody>, Future: Send>,
    Req: Send,
    Http: CopyRequest<Req, Kept: Send>,
    B: Body<Error: Send> + Send,
{
    send::<RateLimitFuture<S, Req>>();
    send::<TokenBudgetFuture<S, Req>>();
    send::<BackoffRetryFuture<S, Req, Http>>();
    send::<CircuitBreakerFuture<S, Req, Http>>();
    send::<CircuitGateFuture<<S as Service<Req>>::Future>>();
    send::<BufferBodyFuture<S, B>>();
    send::<MeteredBody<B, InFlight>>();
    send::<MeteredBody<B, Settling>>();
}

/// Compiles: that is the test.
fn bodies_are_shared_where_the_inner_one_is<B: Body<Error: Sync> + Sync>() {
    sync::<MeteredBody<B, InFlight>>();
    sync::<MeteredBody<B, Settling>>();
}

#[test]
fn auto_traits_are_the_inner_services_own() {
    type S =
        tower::util::BoxCloneSyncService<Request<BufferedBody>, Response<Full<Bytes>>, Infallible>;
    services_are_what_the_inner_service_is::<S, S>();
    futures_are_sent_where_the_inner_ones_are::<S, Request<BufferedBody>, Full<Bytes>>();
    bodies_are_shared_where_the_inner_one_is::<Full<Bytes>>();
}

/// Neither `Send` nor `Sync` nor `'static`, and its future isn't `Unpin`.
#[derive(Clone)]
struct Local<'a> {
    calls: &'a Cell<u32>,
    here: Rc<()>,
}

struct LocalFuture<'a> {
    calls: &'a Cell<u32>,
    _here: Rc<()>,
    _pinned: PhantomPinned,
}

impl Future for LocalFuture<'_> {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.calls.set(self.calls.get() + 1);
        Poll::Ready(Ok(Response::new(Full::from("{}"))))
    }
}

impl<'a, Req> Service<Req> for Local<'a> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = LocalFuture<'a>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Req) -> LocalFuture<'a> {
        LocalFuture {
            calls: self.calls,
            _here: Rc::clone(&self.here),
            _pinned: PhantomPinned,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_inside_may_stay_on_its_thread_borrow_and_refuse_to_move() {
    let calls = Cell::new(0);
    let local = Local {
        calls: &calls,
        here: Rc::new(()),
    };
    let breaker = CircuitBreakerLayer::new();
    let key = Rc::new("tenant".to_owned());
    let inner = breaker.gate().layer(
        RateLimitLayer::per_second(1)
            .keyed(move |_: &Request<_>| key.to_string())
            .layer(
                TokenBudgetLayer::per_minute(1_000)
                    .cost(|_: &Request<BufferedBody>| Cost::tokens(calls.get().into()))
                    .layer(breaker.layer(local.clone())),
            ),
    );
    let service = BufferBodyLayer::new()
        .layer(FallbackLayer::to(local.clone()).layer(BackoffRetryLayer::new().layer(inner)));
    for _ in 0..3 {
        let answer = service
            .clone()
            .oneshot(Request::new(Full::<Bytes>::from("{}")));
        let body = answer.await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "{}");
    }
    assert_eq!(calls.get(), 3);
    let _: BackoffRetry<Local<'_>, Always> = BackoffRetryLayer::new().layer(local);
}
