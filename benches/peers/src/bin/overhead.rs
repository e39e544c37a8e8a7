//! What an admitted and a refused request pay in each layer, ours and the peers': `cargo run --release --bin overhead`.
//!
//! All wrap one service that answers at once, and are timed in turn, round after round; each figure is the least of its rounds.
//! `count NAME N` sends N requests through one of them and prints nothing, for a tool that counts instructions.

use std::{
    env,
    error::Error,
    future::Future,
    hint::black_box,
    mem::size_of,
    pin::pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use http::Request;
use peers::{Answer, AxumClient, Client, PLENTY, tokens};
use tower::{
    Layer, Service, ServiceBuilder,
    layer::{layer_fn, util::Identity},
};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota, RateLimitLayer,
};
use tower_resilience::{
    bulkhead::BulkheadLayer, circuitbreaker::CircuitBreakerLayer as TheirBreaker,
    fallback::FallbackLayer as TheirFallback, ratelimiter::RateLimiterLayer, retry::RetryLayer,
};

const CALLS: u32 = 20_000;
const ROUNDS: usize = 15;

type Plain = Request<()>;

/// One thing that is measured.
struct Case {
    name: &'static str,
    // A peer's name, or "" for ours.
    peer: &'static str,
    send: Box<dyn FnMut(u32)>,
    future: usize,
    least: f64,
}

/// Readies, calls, waits and lets go of the answer.
fn case<L>(name: &'static str, peer: &'static str, layer: L) -> Case
where
    L: Layer<Client, Service: Service<Plain, Error: std::fmt::Debug> + 'static>,
{
    let mut service = layer.layer(Client);
    Case {
        name,
        peer,
        future: size_of::<<L::Service as Service<Plain>>::Future>(),
        least: f64::INFINITY,
        send: Box::new(move |calls| {
            let context = &mut Context::from_waker(Waker::noop());
            for _ in 0..calls {
                assert!(service.poll_ready(context).is_ready(), "{name} isn't ready");
                let answer = pin!(service.call(black_box(Request::new(())))).poll(context);
                assert!(black_box(answer).is_ready(), "{name} waits");
            }
        }),
    }
}

fn rate() -> RateLimiterLayer {
    let builder = RateLimiterLayer::builder().limit_for_period(1 << 40);
    builder
        .refresh_period(Duration::from_secs(60))
        .build()
        .expect("settings that make sense")
}

fn bulkhead() -> BulkheadLayer {
    BulkheadLayer::builder()
        .max_concurrent_calls(64)
        .build()
        .expect("settings that make sense")
}

macro_rules! breaker {
    () => {
        TheirBreaker::builder()
            .sliding_window_size(100)
            .build()
            .expect("settings that make sense")
    };
}

fn cases() -> Vec<Case> {
    let mut config = GovernorConfigBuilder::default().key_extractor(GlobalKeyExtractor);
    let config = config.per_nanosecond(1).burst_size(u32::MAX).finish();
    let governor = GovernorLayer::new(config.expect("settings that make sense"));
    vec![
        case("bare service", "", Identity::new()),
        case("rate limit", "", RateLimitLayer::per_minute(PLENTY)),
        case("rate limit", "tower-resilience", rate()),
        case(
            "rate limit",
            "tower_governor",
            layer_fn(move |_| governor.layer(AxumClient)),
        ),
        case(
            "rate limit",
            "tower",
            tower::limit::RateLimitLayer::new(u64::MAX, Duration::from_secs(60)),
        ),
        case(
            "in flight",
            "",
            RateLimitLayer::new(
                Quota::builder()
                    .limit(Limit::requests_per_minute(PLENTY))
                    .max_in_flight(64)
                    .build()
                    .expect("sense"),
            ),
        ),
        case("in flight", "tower-resilience", bulkhead()),
        case(
            "in flight",
            "tower",
            tower::limit::ConcurrencyLimitLayer::new(64),
        ),
        case("token budget", "", tokens::<()>()),
        case("breaker", "", CircuitBreakerLayer::new()),
        case("breaker", "tower-resilience", breaker!()),
        case("retry", "", BackoffRetryLayer::new()),
        case(
            "retry",
            "tower-resilience",
            RetryLayer::<Plain, Answer, _>::builder()
                .max_attempts(3)
                .build(),
        ),
        case("fallback", "", FallbackLayer::to(Client)),
        case(
            "fallback",
            "tower-resilience",
            TheirFallback::<Plain, Answer, _>::value_fn(Answer::default),
        ),
        case(
            "five layers",
            "",
            ServiceBuilder::new()
                .layer(FallbackLayer::to(Client))
                .layer(BackoffRetryLayer::new())
                .layer(RateLimitLayer::per_minute(PLENTY))
                .layer(tokens::<()>())
                .layer(CircuitBreakerLayer::new()),
        ),
        case(
            "five layers",
            "tower-resilience",
            ServiceBuilder::new()
                .layer(TheirFallback::<Plain, Answer, _>::value_fn(Answer::default))
                .layer(
                    RetryLayer::<Plain, Answer, _>::builder()
                        .max_attempts(3)
                        .build(),
                )
                .layer(rate())
                .layer(bulkhead())
                .layer(breaker!()),
        ),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _entered = runtime.enter();
    let mut cases = cases();
    let args: Vec<String> = env::args().skip(1).collect();
    if let [word, name, calls] = &args[..]
        && word == "count"
    {
        let (of, peer) = name.split_once('/').unwrap_or((name, ""));
        let case = cases
            .iter_mut()
            .find(|case| case.name == of && case.peer == peer);
        (case.ok_or("no such name")?.send)(calls.parse()?);
        return Ok(());
    }
    for _ in 0..ROUNDS {
        for case in &mut cases {
            let start = Instant::now();
            (case.send)(CALLS);
            let nanos = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
            case.least = case.least.min(nanos);
        }
    }
    let bare = cases[0].least;
    println!("the bare service: {bare:.0} ns; above it, per call:");
    println!(
        "{:<14} {:<18} {:>7} {:>12} {:>7} {:>6}",
        "", "", "ns", "allocations", "future", "ratio"
    );
    let ours: Vec<(&str, f64)> = (cases.iter().filter(|case| case.peer.is_empty()))
        .map(|case| (case.name, case.least - bare))
        .collect();
    for case in &mut cases[1..] {
        let counted = allocation_counter::measure(|| (case.send)(1_000)).count_total;
        let above = case.least - bare;
        let mine = ours
            .iter()
            .find(|(name, _)| *name == case.name)
            .map_or(f64::NAN, |mine| mine.1);
        let who = if case.peer.is_empty() {
            "tower-quota"
        } else {
            case.peer
        };
        let allocations = counted as f64 / 1_000.0;
        println!(
            "{:<14} {who:<18} {above:>7.0} {allocations:>12.1} {:>7} {:>6.2}",
            case.name,
            case.future,
            above / mine
        );
    }
    Ok(())
}
