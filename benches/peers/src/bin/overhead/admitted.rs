//! Requests that are admitted at once.

use std::{num::NonZeroU32, time::Duration};

use http::Request;
use peers::{
    AxumClient, Budgeted, Client, Failsafe, Governed, PLENTY, Plain, Way, ours, their_breaker,
    their_bulkhead, their_fallback, their_five, their_rate, their_retry, way,
};
use tower::{
    Layer, Service, ServiceBuilder,
    buffer::BufferLayer,
    layer::layer_fn,
    limit::{ConcurrencyLimitLayer, RateLimitLayer as TowersRate},
    retry::RetryLayer as TowersRetry,
};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};
use tower_quota::{Limit, Quota, RateLimitLayer};

const RESILIENCE: &str = "tower-resilience";

/// A service whose worker has a runtime of its own: readies, calls and waits there.
fn buffered<L>(name: &'static str, peer: &'static str, layer: L) -> Way
where
    L: Layer<Client, Service: Service<Plain, Error: std::fmt::Debug> + 'static>,
{
    use tower::ServiceExt;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut service = {
        let _entered = runtime.enter();
        layer.layer(Client)
    };
    Way {
        name,
        peer,
        future: size_of::<<L::Service as Service<Plain>>::Future>(),
        send: Box::new(move |calls| {
            runtime.block_on(async {
                for _ in 0..calls {
                    let ready = service.ready().await.expect("it is ready");
                    ready.call(Request::new(())).await.expect("it answers");
                }
            });
        }),
    }
}

fn towers_rate() -> TowersRate {
    TowersRate::new(u64::MAX, Duration::from_secs(60))
}

pub(crate) fn governed() -> Governed {
    Governed::new(governor::Quota::per_second(NonZeroU32::MAX))
}

pub(crate) fn ways() -> Vec<Way> {
    let mut config = GovernorConfigBuilder::default().key_extractor(GlobalKeyExtractor);
    let config = config.per_nanosecond(1).burst_size(u32::MAX).finish();
    let governor = GovernorLayer::new(config.expect("settings that make sense"));
    let in_flight = Quota::builder()
        .limit(Limit::requests_per_minute(PLENTY))
        .max_in_flight(64);
    let mut ways = ours();
    ways.extend([
        way("rate limit", RESILIENCE, their_rate(1 << 40)),
        way(
            "rate limit",
            "tower_governor",
            layer_fn(move |_| governor.layer(AxumClient)),
        ),
        way("rate limit", "governor, direct", layer_fn(|_| governed())),
        way("rate limit", "tower, for one caller alone", towers_rate()),
        buffered(
            "rate limit",
            "tower, behind Buffer",
            ServiceBuilder::new()
                .layer(BufferLayer::new(64))
                .layer(towers_rate()),
        ),
        way(
            "in flight",
            "",
            RateLimitLayer::new(in_flight.build().expect("it makes sense")),
        ),
        way("in flight", RESILIENCE, their_bulkhead(64)),
        way("in flight", "tower", ConcurrencyLimitLayer::new(64)),
        way("breaker", RESILIENCE, their_breaker!().0),
        way("breaker", "failsafe", layer_fn(|_| Failsafe::closed())),
        way("retry", RESILIENCE, their_retry()),
        way("retry", "tower", TowersRetry::new(Budgeted::default())),
        way("fallback", RESILIENCE, their_fallback()),
        way("five layers", RESILIENCE, their_five!()),
        buffered(
            "five layers",
            "tower: Retry, Buffer, RateLimit, ConcurrencyLimit",
            ServiceBuilder::new()
                .layer(TowersRetry::new(Budgeted::default()))
                .layer(BufferLayer::new(64))
                .layer(towers_rate())
                .layer(ConcurrencyLimitLayer::new(64)),
        ),
    ]);
    // Those of one job together, ours first.
    let jobs: Vec<&str> = ways.iter().map(|way| way.name).collect();
    ways.sort_by_key(|way| jobs.iter().position(|job| *job == way.name));
    ways
}
