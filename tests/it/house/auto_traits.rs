//! Which types can be sent, shared, moved and cloned. Adding a field must not take that away.

use std::{collections::HashSet, fmt::Debug, future::Ready, rc::Rc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use tower::{
    BoxError, ServiceBuilder, ServiceExt, service_fn,
    util::{BoxCloneService, ServiceFn},
};
use tower_quota::{
    Alert, Alerts, Allowance, Anchor, Backoff, BackoffRetryLayer, BodyTooLarge, BufferBodyLayer,
    BufferedBody, CircuitBreakerLayer, CircuitCounts, CircuitEvent, CircuitHandle, CircuitState,
    ConfigError, Cost, FallbackLayer, Jitter, Limit, LimitId, Permit, Priority, Provider, Quota,
    RateLimitLayer, RateReading, RateStatus, Reason, Rejected, RejectedError, Resource,
    RespondLayer, RetryBudget, Scope, Settle, TokenBudgetLayer, Usage, Verdict,
    admission::{CostOf, InTurn, Keyed, OneRequest, Prioritised, SharedBy},
    answers::{Http, Judged, KeptRequest, Opaque},
    backoff_retry::{
        Always, Attempt, BackoffRetry, BackoffRetryFuture, GaveUp, Idempotent, Ongoing, Withdrawal,
    },
    body::{BufferBody, BufferBodyFuture, Depth, MeteredBody, Peek, Read},
    circuit_breaker::{
        ByKey, CircuitBreaker, CircuitBreakerFuture, CircuitEvents, CircuitGate, CircuitGateFuture,
        CircuitGateLayer, KeyedCircuitBreaker, KeyedCircuitBreakerFuture, KeyedCircuitBreakerLayer,
        KeyedCircuitGate, KeyedCircuitGateFuture, KeyedCircuitGateLayer, KeyedCircuitHandle,
    },
    fallback::{
        Cause, Causes, Computed, ComputedAsync, Fallback, FallbackBody, FallbackError,
        FallbackFuture, Links, Rewritten, ServedBy, To, Unserved,
    },
    headroom::{Fullness, Headroom, HeadroomLayer},
    key::Key,
    provider::UsageScanner,
    quota::{
        Acquire, KeyedQuotas, Left, LimitSnapshot, Percentiles, QuotaBuilder, SavedState, Snapshot,
        Tier,
    },
    rate_limit::{InFlight, RateLimit, RateLimitFuture},
    respond::{Answered, Fields, Passed, Respond, RespondBody, RespondFuture},
    split::{Split, SplitFuture, SplitHandle},
    token_budget::{Estimated, Pooled, Pools, Settling, TokenBudget, TokenBudgetFuture},
    tokens::{Calibrated, Calibration, Estimate, Lesson},
};

/// Asserts that types have traits: `have!(Send, Sync => A, B)`.
macro_rules! have {
    ($($bound:path),+ => $($type:ty),+ $(,)?) => {{
        fn has<T: ?Sized $(+ $bound)+>() {}
        $(has::<$type>();)+
    }};
}

type Req = Request<BufferedBody>;
type Answer = Response<Full<Bytes>>;
/// An inner service and its future that can be sent, shared and moved.
type Inner = ServiceFn<fn(Req) -> Ready<Result<Answer, BoxError>>>;
type Future = Ready<Result<Answer, BoxError>>;
/// One that can be sent alone: what clients have.
type Boxed = BoxCloneService<Req, Answer, BoxError>;
type BoxedFuture = BoxFuture<'static, Result<Answer, BoxError>>;
/// A closure's stand-in.
type F<A, B> = fn(A) -> B;

#[test]
fn data_are_plain() {
    have!(Copy, Debug, Send, Sync, Unpin, Eq, std::hash::Hash => Key);
    have!(Copy, Debug, Send, Sync, Unpin, PartialEq => Attempt, tower_quota::backoff_retry::Cause, CircuitCounts, CircuitState, Fields, Fullness, GaveUp, Jitter, Left, LimitId, LimitSnapshot, Percentiles, Priority, Reason, Resource, Scope, Settle, Usage, Verdict);
    have!(Clone, Debug, Send, Sync, Unpin => Anchor, Backoff, Cost, Limit, QuotaBuilder, RateReading, RateStatus, Rejected, SavedState, Snapshot);
    have!(Clone, Debug, Send, Sync, Unpin => Alert, Alerts, Allowance);
    have!(Clone, Debug, Send, Sync, Unpin => Cause, Causes, Estimate<'_>, ServedBy, Unserved<Req>);
    have!(Debug, Send, Sync, Unpin => UsageScanner);
    have!(std::error::Error, Send, Sync, Unpin => BodyTooLarge, ConfigError, FallbackError, RejectedError);
}

#[test]
fn handles_are_shared_freely() {
    have!(Clone, Debug, Send, Sync, Unpin => CircuitHandle, KeyedCircuitHandle<String>, Quota, RetryBudget, SplitHandle);
    have!(Debug, Send, Sync, Unpin => Acquire, CircuitEvents<String>, Ongoing, Permit, Withdrawal);
    have!(Clone, Debug, Send, Sync, Unpin => CircuitEvent<String>);
}

#[test]
fn layers_are_shared_freely() {
    have!(Clone, Debug, Send, Sync, Unpin => BackoffRetryLayer, BufferBodyLayer, CircuitBreakerLayer, CircuitGateLayer, FallbackLayer<Links<Inner>>, FallbackLayer<To<Inner>>, HeadroomLayer, RateLimitLayer, RespondLayer, TokenBudgetLayer);
    have!(Copy, Debug, Send, Sync, Unpin => Always, Http, Idempotent, OneRequest, Opaque, Provider);
    have!(Clone, Debug, Send, Sync, Unpin => Calibration, Calibrated, Estimated, Lesson, Pools, Pooled<Estimated>);
    have!(Clone, Debug, Send, Sync, Unpin => CostOf<F<&'static Req, Cost>>, InTurn<OneRequest, F<(), String>>, KeyedQuotas<str>, SharedBy<OneRequest, F<(), String>, String>, Tier, Judged<Http, F<(), Verdict>>, Keyed<OneRequest, F<(), String>, String>, Prioritised<OneRequest, F<(), Priority>>, Rewritten<(), F<Req, Option<Req>>>);
    have!(Clone, Debug, Send, Sync, Unpin => Computed<F<Unserved<Req>, Answer>>, ComputedAsync<F<Unserved<Req>, Future>>);
}

/// Circuits by key: as sharable as the key.
#[test]
fn circuits_by_key_are_shared_freely() {
    type Host = ByKey<String, F<Req, String>>;
    have!(Clone, Debug, Send, Sync, Unpin => Host, KeyedCircuitBreakerLayer<Host>, KeyedCircuitGateLayer<Host>);
    have!(Clone, Debug, Send, Sync, Unpin => KeyedCircuitBreaker<Inner, Host>, KeyedCircuitGate<Inner, Host>);
    have!(Clone, Debug, Send, Unpin => KeyedCircuitBreaker<Boxed, Host>, KeyedCircuitGate<Boxed, Host>);
    have!(Debug, Send, Sync => KeyedCircuitBreakerFuture<Inner, Req>, KeyedCircuitGateFuture<Inner, Req>);
    have!(Debug, Send => KeyedCircuitBreakerFuture<Boxed, Req>, KeyedCircuitGateFuture<Boxed, Req>);
}

/// What is made of a service can be what that can be.
#[test]
fn services_are_what_the_inner_one_is() {
    have!(Clone, Debug, Send, Sync, Unpin => BackoffRetry<Inner>, BufferBody<Inner>, CircuitBreaker<Inner>, CircuitGate<Inner>, Fallback<Inner, Links<Inner>>, Fallback<Inner, To<Inner>>, Headroom<Inner>, RateLimit<Inner>, Respond<Inner>, Split<Inner>, TokenBudget<Inner>);
    have!(Clone, Debug, Send, Unpin => BackoffRetry<Boxed>, BufferBody<Boxed>, CircuitBreaker<Boxed>, CircuitGate<Boxed>, Fallback<Boxed, To<Boxed>>, Headroom<Boxed>, RateLimit<Boxed>, Respond<Boxed>, Split<Boxed>, TokenBudget<Boxed>);
}

#[test]
fn futures_are_what_the_inner_one_is() {
    have!(Debug, Send, Sync => BackoffRetryFuture<Inner, Req>, BufferBodyFuture<Inner, Full<Bytes>>, CircuitBreakerFuture<Inner, Req>, CircuitGateFuture<Future>, FallbackFuture<Fallback<Inner, Links<Inner>>, Req>, FallbackFuture<Fallback<Inner, To<Inner>>, Req>, RateLimitFuture<Inner, Req>, RespondFuture<Future, Answered>, SplitFuture<Inner, Req>, TokenBudgetFuture<Inner, Req>);
    have!(Debug, Send => BackoffRetryFuture<Boxed, Req>, BufferBodyFuture<Boxed, Full<Bytes>>, CircuitBreakerFuture<Boxed, Req>, CircuitGateFuture<BoxedFuture>, FallbackFuture<Fallback<Boxed, To<Boxed>>, Req>, RateLimitFuture<Boxed, Req>, RespondFuture<BoxedFuture, Answered>, SplitFuture<Boxed, Req>, TokenBudgetFuture<Boxed, Req>);
    have!(Debug, Send, Sync, Unpin => Peek<Full<Bytes>>, Read<(), ()>);
    have!(Clone, Debug, Send, Sync, Unpin => Depth);
}

/// reqwest asks for bodies that are `Sync`, axum for bodies that are `Send`.
#[test]
fn bodies_are_what_the_inner_one_is() {
    have!(Clone, Debug, Send, Sync, Unpin => BufferedBody);
    have!(Debug, Send, Sync, Unpin => FallbackBody<Full<Bytes>, Full<Bytes>>, MeteredBody<Full<Bytes>>, MeteredBody<Full<Bytes>, InFlight>, MeteredBody<Full<Bytes>, Settling>, RespondBody<Full<Bytes>>);
    have!(Debug, Send, Sync, Unpin => Answered, Passed, InFlight, Settling);
    have!(Debug, Send, Sync, Unpin => KeptRequest<BufferedBody>);
}

/// Nothing asks for `Send`: they also work on a `LocalSet`.
#[tokio::test(start_paused = true)]
async fn services_of_one_thread_are_served() {
    let local = Rc::new(());
    let service = service_fn(move |_: Req| {
        let local = local.clone();
        async move {
            drop(local);
            Ok::<_, BoxError>(Answer::default())
        }
    });
    let breaker = CircuitBreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(FallbackLayer::to(service.clone()))
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(RateLimitLayer::per_minute(1))
        .layer(TokenBudgetLayer::per_minute(9_000))
        .layer(breaker)
        .service(service);
    stack.oneshot(Req::default()).await.unwrap();
}

#[cfg(feature = "reqwest")]
#[test]
fn edges_are_what_reqwest_is() {
    use tower_quota::edge::{
        ReqwestDoor, ReqwestDoorFuture, ReqwestFuture, ReqwestLayer, ReqwestService,
        UnsendableRequest,
    };
    have!(Clone, Debug, Send, Sync, Unpin => ReqwestDoor<Inner>, ReqwestLayer, ReqwestService);
    have!(Debug, Send => ReqwestDoorFuture<BoxedFuture>, ReqwestFuture);
    have!(std::error::Error, Send, Sync, Unpin => UnsendableRequest);
}

#[cfg(feature = "testing")]
#[test]
fn providers_in_boxes_are_shared_freely() {
    use tower_quota::testing::{
        Arrival, Call, Delay, Faults, Hint, Limits, Odd, Outage, Outcome, Provider, ProviderBody,
        ProviderBox, ProviderBuilder, ProviderFuture, ProviderService, RateHeaders, Reply, Report,
        Settlement, Shape, Stream, StreamFault, Upstream, When,
    };
    have!(Copy, Debug, Send, Sync, Unpin, PartialEq => Hint, Limits, Odd, RateHeaders, StreamFault);
    have!(Copy, Debug, Send, Sync, Unpin => Stream);
    have!(Copy, Debug, Send, Sync, Unpin, PartialEq => Delay, Outage, Outcome, Settlement, Shape, When);
    have!(Clone, Debug, Send, Sync, Unpin => Arrival, Call, Faults, Provider, ProviderBuilder, ProviderService, Report);
    have!(Debug, Send, Sync, Unpin => ProviderBody, ProviderBox, Reply, Upstream);
    have!(Debug, Send, Unpin => ProviderFuture);
}

#[test]
fn what_is_shared_among_processes_is_shared_among_threads() {
    use tower_quota::quota::shared::{
        Adjust, Ask, Call, Change, Decision, Driver, MemoryStore, OnStoreDown, PoolId, PoolLimit,
        PoolShape, Reply, SharedQuotaBuilder, Stamp, StoreError,
    };
    have!(Copy, Debug, Send, Sync, Unpin, PartialEq => Change, Decision, OnStoreDown, PoolLimit, PoolShape, Stamp);
    have!(Clone, Debug, Send, Sync, Unpin, PartialEq => Adjust, Ask, Call, PoolId, Reply, StoreError);
    have!(Debug, Send, Sync, Unpin => MemoryStore, SharedQuotaBuilder);
    have!(Debug, Send, Unpin => Driver);
    #[cfg(feature = "redis")]
    have!(Clone, Debug, Send, Sync, Unpin => tower_quota::quota::shared::RedisStore);
}

#[test]
fn no_public_type_is_forgotten() {
    let here = include_str!("auto_traits.rs");
    let words: HashSet<&str> = here.split(|c: char| !c.is_alphanumeric()).collect();
    for (path, text) in super::rooms::sources() {
        for line in text.lines().map(str::trim_start) {
            let declared = line.strip_prefix("pub struct ");
            let Some(name) = declared.or_else(|| line.strip_prefix("pub enum ")) else {
                continue;
            };
            let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            assert!(words.contains(name), "{name} of {}", path.display());
        }
    }
}
