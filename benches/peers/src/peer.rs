//! Peers that come without a layer, put in front of the client as their users would; and settings of the others.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use failsafe::{
    Any, FailurePolicy, StateMachine,
    backoff::{Constant, EqualJittered, constant},
    failure_policy::{
        ConsecutiveFailures, OrElse, SuccessRateOverTimeWindow, consecutive_failures,
    },
    futures::{CircuitBreaker, ResponseFuture},
};
use governor::{DefaultDirectRateLimiter, RateLimiter, clock::QuantaInstant};
use http::{Request, Response};
use tower::{
    Service,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};
use tower_resilience::{
    bulkhead::BulkheadLayer, fallback::FallbackLayer, ratelimiter::RateLimiterLayer,
    retry::RetryLayer,
};

use crate::{Answer, Client};

/// Answers at once with the only body that tower_governor takes.
#[derive(Clone, Debug)]
pub struct AxumClient;

impl<B> Service<Request<B>> for AxumClient {
    type Response = Response<axum::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

/// governor's limiter, asked before each call.
#[derive(Clone, Debug)]
pub struct Governed {
    limiter: Arc<DefaultDirectRateLimiter>,
}

impl Governed {
    /// As often as `quota` allows.
    pub fn new(quota: governor::Quota) -> Self {
        let limiter = Arc::new(RateLimiter::direct(quota));
        Self { limiter }
    }
}

impl<B> Service<Request<B>> for Governed {
    type Response = Answer;
    type Error = governor::NotUntil<QuantaInstant>;
    type Future = Ready<Result<Answer, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(self.limiter.check().map(|()| {
            let Ok(answer) = Client.call(request).into_inner();
            answer
        }))
    }
}

/// failsafe's default policy.
pub type Windowed =
    OrElse<SuccessRateOverTimeWindow<EqualJittered>, ConsecutiveFailures<EqualJittered>>;

/// failsafe's breaker.
#[derive(Debug)]
pub struct Failsafe<P = Windowed> {
    breaker: StateMachine<P, ()>,
}

impl<P: FailurePolicy> Clone for Failsafe<P> {
    fn clone(&self) -> Self {
        let breaker = self.breaker.clone();
        Self { breaker }
    }
}

impl Failsafe {
    /// Closed, with the default policy.
    pub fn closed() -> Self {
        let breaker = failsafe::Config::new().build();
        Self { breaker }
    }
}

impl Failsafe<ConsecutiveFailures<Constant>> {
    /// Open for a day.
    pub fn open() -> Self {
        let policy = consecutive_failures(1, constant(Duration::from_secs(86_400)));
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        breaker.on_error();
        Self { breaker }
    }
}

impl<P: FailurePolicy + Send + Sync, B> Service<Request<B>> for Failsafe<P> {
    type Response = Answer;
    type Error = failsafe::Error<Infallible>;
    type Future = ResponseFuture<Ready<Result<Answer, Infallible>>, P, (), Any>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.breaker.call(Client.call(request))
    }
}

/// tower's policy of trying errors again, as often as its budget allows.
#[derive(Clone, Debug)]
pub struct Budgeted {
    budget: Arc<TpsBudget>,
}

impl Default for Budgeted {
    fn default() -> Self {
        let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.1));
        Self { budget }
    }
}

impl<Req: Clone, Res, E> Policy<Req, Res, E> for Budgeted {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        match result {
            Ok(_) => {
                self.budget.deposit();
                None
            }
            Err(_) => self.budget.withdraw().then(|| ready(())),
        }
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// tower-resilience's limiter: so many a day, and nobody waits.
pub fn their_rate(requests: usize) -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(requests)
        .refresh_period(Duration::from_secs(86_400))
        .timeout_duration(Duration::ZERO)
        .build()
        .expect("settings that make sense")
}

/// tower-resilience's limit on what is in flight.
pub fn their_bulkhead(calls: usize) -> BulkheadLayer {
    BulkheadLayer::builder()
        .max_concurrent_calls(calls)
        .build()
        .expect("settings that make sense")
}

/// tower-resilience's retry, of three attempts.
pub fn their_retry<B, E>() -> RetryLayer<Request<B>, Answer, E>
where
    B: Clone + Send + Sync + 'static,
    E: Send + 'static,
{
    RetryLayer::<Request<B>, Answer, E>::builder()
        .max_attempts(3)
        .build()
}

/// tower-resilience's fallback, to an empty answer.
pub fn their_fallback<B, E>() -> FallbackLayer<Request<B>, Answer, E> {
    FallbackLayer::value_fn(Answer::default)
}

/// tower-resilience's breaker, with its handle.
#[macro_export]
macro_rules! their_breaker {
    () => {
        tower_resilience::circuitbreaker::CircuitBreakerLayer::builder()
            .sliding_window_size(100)
            // It stays open for all of a run, where it is opened.
            .wait_duration_in_open(std::time::Duration::from_secs(86_400))
            .build_with_handle()
            .expect("settings that make sense")
    };
}

/// Five of tower-resilience's layers, for the same jobs but that what is in flight is limited in place of tokens.
#[macro_export]
macro_rules! their_five {
    () => {
        tower::ServiceBuilder::new()
            .layer($crate::their_fallback())
            .layer($crate::their_retry())
            .layer($crate::their_rate(1 << 40))
            .layer($crate::their_bulkhead(64))
            .layer($crate::their_breaker!().0)
    };
}
