//! Requests that are refused at once.

use std::{fmt::Debug, num::NonZeroU32, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http::{Request, StatusCode};
use peers::{
    AxumClient, Client, Failsafe, Governed, Plain, Way, their_breaker, their_rate, tokens_of, walk,
};
use tokio::{runtime::Runtime, sync::Semaphore};
use tower::{
    Layer, Service, ServiceBuilder,
    layer::layer_fn,
    limit::{GlobalConcurrencyLimitLayer, RateLimitLayer as TowersRate},
    load_shed::LoadShedLayer,
};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};
use tower_quota::{CircuitBreakerLayer, Cost, Limit, Quota, RateLimitLayer};

const DAY: Duration = Duration::from_secs(86_400);

/// The second request and all others are refused with an error.
fn refused<L>(name: &'static str, peer: &'static str, layer: L) -> Way
where
    L: Layer<Client, Service: Service<Plain, Error: Debug> + 'static>,
{
    let plain = || Request::new(());
    let mut service = layer.layer(Client);
    spend(&mut service);
    walk(name, peer, service, plain, Result::is_err)
}

/// Sends a first request, whatever comes of it.
fn spend<S: Service<Plain>>(service: &mut S) {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };
    let context = &mut Context::from_waker(Waker::noop());
    if service.poll_ready(context).is_ready() {
        let _ = pin!(service.call(Request::new(()))).poll(context);
    }
}

pub(crate) fn ways(runtime: &Runtime) -> Vec<Way> {
    let once = || governor::Quota::with_period(DAY).expect("not 0");
    let once = || once().allow_burst(NonZeroU32::MIN);
    let mut config = GovernorConfigBuilder::default().key_extractor(GlobalKeyExtractor);
    let config = config.period(DAY).burst_size(1).finish();
    let governor = GovernorLayer::new(config.expect("settings that make sense"));
    let mut theirs = governor.layer(AxumClient);
    spend(&mut theirs);
    let limited = |answer: &Result<Response<Body>, _>| {
        let status = answer.as_ref().map(Response::status);
        status == Ok(StatusCode::TOO_MANY_REQUESTS)
    };
    let daily = |limit| Quota::new(limit).expect("it makes sense");
    let requests = || daily(Limit::requests(1, DAY));
    let full = Quota::builder().max_in_flight(1).build().expect("sense");
    let held = full.try_acquire(Cost::request()).expect("the first");
    // Never given back.
    std::mem::forget(held);
    let (ours, (theirs_open, handle)) = (CircuitBreakerLayer::new(), their_breaker!());
    ours.handle().force_open();
    runtime.block_on(handle.force_open());
    vec![
        refused("rate limit", "", RateLimitLayer::new(requests()).reject()),
        refused("rate limit", "tower-resilience", their_rate(1)),
        walk(
            "rate limit",
            "tower_governor",
            theirs,
            || Request::new(()),
            limited,
        ),
        refused(
            "rate limit",
            "governor, direct",
            layer_fn(move |_| Governed::new(once())),
        ),
        refused(
            "rate limit",
            "tower, behind LoadShed",
            ServiceBuilder::new()
                .layer(LoadShedLayer::new())
                .layer(TowersRate::new(1, DAY)),
        ),
        refused(
            "token budget",
            "",
            tokens_of::<()>(daily(Limit::tokens(120, DAY))).reject(),
        ),
        refused("in flight", "", RateLimitLayer::new(full).reject()),
        // tower-resilience's bulkhead refuses at the next tick of the timer, so that it has no figure here.
        refused(
            "in flight",
            "tower, behind LoadShed",
            ServiceBuilder::new().layer(LoadShedLayer::new()).layer(
                GlobalConcurrencyLimitLayer::with_semaphore(Arc::new(Semaphore::new(0))),
            ),
        ),
        refused("open breaker", "", ours.clone()),
        refused("open breaker", "tower-resilience", theirs_open),
        refused("open breaker", "failsafe", layer_fn(|_| Failsafe::open())),
        refused("gate of an open breaker", "", ours.gate()),
    ]
}
