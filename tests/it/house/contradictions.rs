//! Settings that contradict each other or make no sense are refused where they are made: at the caller's line, by a message
//! that names the setting and the value. All of them, in one list.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, Location, catch_unwind, set_hook, take_hook},
    sync::Once,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::header;
use tower_quota::{
    Alerts, Anchor, Backoff, BackoffRetryLayer, BufferBodyLayer, CircuitBreakerLayer, ConfigError,
    FallbackLayer, Jitter, Limit, Priority, Quota, RateLimitLayer, RetryBudget, Split,
    TokenBudgetLayer,
    backoff_retry::{Cause, IDEMPOTENCY_KEY},
    fallback::swap_model,
    quota::{
        KeyedQuotas, QuotaBuilder, Tier,
        shared::{MemoryStore, OnStoreDown, SharedQuotaBuilder},
    },
    token_budget::Pools,
};

const SECOND: Duration = Duration::from_secs(1);
const NO_TIME: Duration = Duration::ZERO;

thread_local! {
    // Where a panic of this thread came from, as long as somebody wants to know.
    static CAUGHT: RefCell<Option<(String, bool)>> = const { RefCell::new(None) };
    static CATCHES: RefCell<bool> = const { RefCell::new(false) };
}

fn is_here(location: Option<&Location<'_>>) -> bool {
    location.is_some_and(|it| it.file().ends_with("contradictions.rs"))
}

/// Hears panics of threads that want to, and leaves all others as they are.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if CATCHES.with_borrow(|catches| *catches) {
                let fixed = info.payload().downcast_ref::<&str>().copied();
                let message = info.payload().downcast_ref::<String>().map(String::as_str);
                let message = message.or(fixed).unwrap_or_default().to_owned();
                CAUGHT.set(Some((message, is_here(info.location()))));
            } else {
                before(info);
            }
        }));
    });
}

/// What a setting panics with, at this file's line.
fn panics<T>(make: impl FnOnce() -> T) -> String {
    listen();
    CATCHES.set(true);
    let made = catch_unwind(AssertUnwindSafe(make)).is_ok();
    CATCHES.set(false);
    match CAUGHT.take() {
        Some((message, true)) => message,
        Some((message, false)) => format!("elsewhere than at the caller's line: {message}"),
        None => format!("nothing: it was taken: {made}"),
    }
}

fn error<T>(built: Result<T, ConfigError>) -> String {
    match built {
        Ok(_) => "nothing: it was built".to_owned(),
        Err(error) => {
            assert!(error.to_string().starts_with(error.setting()));
            error.to_string()
        }
    }
}

/// What [`QuotaBuilder::build`] says.
fn build(set: impl FnOnce(QuotaBuilder) -> QuotaBuilder) -> String {
    error(set(Quota::builder().limit(minute())).build())
}

fn of(limit: Limit) -> String {
    error(Quota::new(limit))
}

fn minute() -> Limit {
    Limit::tokens_per_minute(1_000)
}

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new()
}

fn retry() -> BackoffRetryLayer {
    BackoffRetryLayer::new()
}

/// A minimum above the maximum.
fn upside_down() -> Backoff {
    Backoff::default().min(SECOND * 10)
}

/// Which setting, which value, and what is said.
type Kinds = Vec<(&'static str, &'static str, String)>;

#[rustfmt::skip]
fn limits() -> Kinds {
    vec![
        ("limit", "at least one", error(Quota::builder().build())),
        ("limit", "0 tokens", of(Limit::tokens_per_minute(0))),
        ("limit", "0 requests", of(Limit::requests_per_second(0))),
        ("limit", "2^53", of(Limit::tokens_per_day(1 << 54))),
        ("limit", "0ns", of(Limit::requests(5, NO_TIME))),
        ("limit", "999µs", of(Limit::requests(5, Duration::from_micros(999)))),
        ("limit", "31708800s", of(Limit::requests(5, SECOND * 86_400 * 367))),
        ("limit", "burst of 0", of(minute().burst(0))),
        ("limit", "burst of 1001", of(minute().burst(1_001))),
        ("limit", "burst of 18014398509481984", of(minute().bucket().burst(1 << 54))),
        ("limit", "transit of 61s", of(minute().transit(SECOND * 61))),
        ("limit", "a unit needs a name", of(Limit::units("", 5, SECOND))),
        ("limit", "the same", build(|q| q.limit(minute().fixed(Anchor::utc())))),
        ("limit: 0 requests", "per second", panics(|| RateLimitLayer::per_second(0))),
        ("limit: 0 requests", "per minute", panics(|| RateLimitLayer::per_minute(0))),
        ("limit: 0 tokens", "per minute", panics(|| TokenBudgetLayer::per_minute(0))),
    ]
}

#[rustfmt::skip]
fn quotas() -> Kinds {
    let quota = Quota::new(minute()).unwrap();
    let kept = |share| build(|q| q.keep_for(Priority::Interactive, share));
    let saved = Quota::builder()
        .limit(minute())
        .named("a")
        .build()
        .unwrap()
        .save();
    let flight = Quota::builder().max_in_flight(9).build().unwrap();
    let discovers = Quota::discover().build().unwrap();
    let number = |n: &u64| *n;
    let keyed = || KeyedQuotas::new(|_: &u64| Tier::unlimited());
    let restored = |q: QuotaBuilder| q.restore_at(saved.clone(), SystemTime::now());
    vec![
        ("headroom", "0 ", build(|q| q.headroom(0.0))),
        ("headroom", "-0.5", build(|q| q.headroom(-0.5))),
        ("headroom", "1.1", build(|q| q.headroom(1.1))),
        ("headroom", "NaN", build(|q| q.headroom(f64::NAN))),
        ("max_in_flight", "0", build(|q| q.max_in_flight(0))),
        ("max_per_request", "0", build(|q| q.max_per_request(0))),
        ("max_per_request", "1001", build(|q| q.max_per_request(1_001))),
        ("max_per_request", "901", build(|q| q.max_per_request(901).headroom(0.9))),
        ("keep_for", "0 ", kept(0.0)),
        ("keep_for", "1 ", kept(1.0)),
        ("keep_for", "NaN", kept(f64::NAN)),
        ("keep_for", "Level(9)", build(|q| q.keep_for(Priority::Level(9), 0.1))),
        ("keep_for", "0.2 for Interactive, for whom 0.1", build(|q| { q.keep_for(Priority::Interactive, 0.1).keep_for(Priority::Interactive, 0.2) })),
        ("keep_for", "1.1 kept in all", build(|q| { q.keep_for(Priority::Interactive, 0.5).keep_for(Priority::Standard, 0.6) })),
        ("named", "\"\"", build(|q| q.named(""))),
        ("of_model", "\"\"", build(|q| q.of_model(""))),
        ("restore", "\"b\"", build(|q| restored(q.named("b")))),
        ("restore", "none of its limits", error(restored(Quota::builder().limit(Limit::requests_per_day(5))).build())),
        ("resize", "tokens per 86400s", error(quota.resize(Limit::tokens_per_day(5)))),
        ("limit", "0 tokens per minute", error(quota.resize(Limit::tokens_per_minute(0)))),
        ("for_keys", "1000 tokens per minute of the layer's own", panics(|| TokenBudgetLayer::new(quota.clone()).for_keys(number, keyed()))),
        ("for_keys", "60 requests per minute of", panics(|| RateLimitLayer::per_minute(60).for_keys(number, keyed()))),
        ("keyed_by", "9 in flight of", panics(|| RateLimitLayer::new(flight.clone()).keyed_by(number, |_| Tier::unlimited()))),
        ("keyed_by", "what answers state of", panics(|| TokenBudgetLayer::new(discovers.clone()).keyed_by(number, |_| Tier::unlimited()))),
        ("resize", "another shape, Bucket", error(quota.resize(minute().bucket()))),
        ("resize", "burst of 2:", error(quota.resize(minute().burst(2)))),
        ("resize", "transit of 5s", error(quota.resize(minute().transit(SECOND * 5)))),
    ]
}

#[rustfmt::skip]
fn shared() -> Kinds {
    let of = |quota: QuotaBuilder, set: fn(SharedQuotaBuilder) -> SharedQuotaBuilder| {
        error(set(quota.shared(MemoryStore::new())).build())
    };
    let named = || Quota::builder().limit(minute()).named("a");
    let saved = named().build().unwrap().save();
    vec![
        ("pool", "needs a name", of(Quota::builder().limit(minute()), |s| s)),
        ("pool", "needs a name", of(named(), |s| s.pool(""))),
        ("shared", "discovers", of(Quota::discover().named("a"), |s| s)),
        ("shared", "at least one limit", of(Quota::builder().max_in_flight(1).named("a"), |s| s)),
        ("restore", "the store keeps", of(named().restore(saved), |s| s)),
        ("expected_processes", "0", of(named(), |s| s.expected_processes(0))),
        ("patience", "999µs", of(named(), |s| s.patience(Duration::from_micros(999)))),
        ("slots", "3", of(named(), |s| s.slots(3))),
        ("slots", "1025", of(named(), |s| s.slots(1_025))),
        ("lease", "8s", of(named(), |s| s.lease(SECOND * 8))),
        ("on_store_down", "0 s", of(named(), |s| s.on_store_down(OnStoreDown::Wait { max: NO_TIME }))),
    ]
}

#[cfg(feature = "redis")]
#[rustfmt::skip]
fn stores() -> Kinds {
    use tower_quota::quota::shared::RedisStore;

    vec![
        ("redis", "not an address", error(RedisStore::connect("no address"))),
        ("redis", "no address was given", error(RedisStore::connect_any([]))),
        ("redis", "\"\"", error(RedisStore::sentinel("", ["redis://a"], "redis://b"))),
    ]
}

fn pools() -> Kinds {
    let quota = || Quota::new(minute()).unwrap();
    let pools = || Pools::new().pool("a", quota());
    vec![
        ("pool", "\"\"", panics(|| Pools::new().pool("", quota()))),
        ("pool", "\"a\"", panics(|| pools().pool("a", quota()))),
        ("alias", "\"b\"", panics(|| pools().alias("c", "b"))),
        ("alias", "\"a\"", panics(|| pools().alias("a", "a"))),
        ("alias", "\"\"", panics(|| pools().alias("", "a"))),
    ]
}

#[rustfmt::skip]
fn circuits() -> Kinds {
    vec![
        ("failure_rate", "0 ", panics(|| breaker().failure_rate(0.0))),
        ("failure_rate", "1.5", panics(|| breaker().failure_rate(1.5))),
        ("failure_rate", "NaN", panics(|| breaker().failure_rate(f64::NAN))),
        ("min_calls", "0", panics(|| breaker().min_calls(0))),
        ("window", "0ns", panics(|| breaker().window(NO_TIME))),
        ("window", "29ns", panics(|| breaker().window(Duration::from_nanos(29)))),
        ("window_in_steps", "0 steps", panics(|| breaker().window_in_steps(SECOND, 0))),
        ("window_in_steps", "10001", panics(|| breaker().window_in_steps(SECOND, 10_001))),
        ("window_in_steps_by_calls", "9ns", panics(|| breaker().window_in_steps_by_calls(Duration::from_nanos(9), 10))),
        ("last_calls", "0", panics(|| breaker().last_calls(0))),
        ("last_calls", "1000001", panics(|| breaker().last_calls(1_000_001))),
        ("last_calls", "6 failures", panics(|| breaker().failures(6).last_calls(5))),
        ("fixed_window", "0ns", panics(|| breaker().fixed_window(NO_TIME))),
        ("consecutive_failures", "0", panics(|| breaker().consecutive_failures(0))),
        ("failures", "0", panics(|| breaker().failures(0))),
        ("failures", "6 failures", panics(|| breaker().last_calls(5).failures(6))),
        ("slow_calls", "1.1", panics(|| breaker().slow_calls(1.1, SECOND))),
        ("slow_calls", "0ns", panics(|| breaker().slow_calls(0.5, NO_TIME))),
        ("open_for", "0ns", panics(|| breaker().open_for(NO_TIME, NO_TIME))),
        ("open_for", "1s at most", panics(|| breaker().open_for(SECOND * 2, SECOND))),
        ("open_backoff", "10s", panics(|| breaker().open_backoff(upside_down()))),
        ("probes", "0", panics(|| breaker().probes(0))),
        ("probes_by_rate", "0", panics(|| breaker().probes_by_rate(0))),
        ("max_half_open", "0ns", panics(|| breaker().max_half_open(NO_TIME))),
        ("extra_probe_every", "0ns", panics(|| breaker().extra_probe_every(NO_TIME))),
        ("named", "\"\"", panics(|| breaker().named(""))),
        ("max_keys", "0", panics(|| breaker().keyed(|n: &u32| *n).max_keys(0))),
    ]
}

#[rustfmt::skip]
fn retries() -> Kinds {
    vec![
        ("attempts", "0", panics(|| retry().attempts(0))),
        ("backoff", "10s", panics(|| retry().backoff(upside_down()))),
        ("backoff_for", "max of 8s", panics(|| retry().backoff_for(Cause::TimedOut, upside_down()))),
        ("jitter", "101 %", panics(|| retry().jitter(Jitter::Proportional(101)))),
        ("jitter", "200 %", panics(|| Backoff::default().jitter(Jitter::Proportional(200)))),
        ("factor", "0.9", panics(|| Backoff::default().factor(0.9))),
        ("factor", "NaN", panics(|| Backoff::default().factor(f64::NAN))),
        ("factor", "2 for Constant(1s)", panics(|| Backoff::constant(SECOND).factor(2.0))),
        ("deadline", "0ns", panics(|| retry().deadline(NO_TIME))),
        ("attempt_header", "idempotency-key", panics(|| retry().idempotency_key().attempt_header(IDEMPOTENCY_KEY))),
        ("idempotency_key_in", "x-try", panics(|| { let x = header::HeaderName::from_static("x-try"); retry().attempt_header(x.clone()).idempotency_key_in(x) })),
        ("attempt_header", "content-length", panics(|| retry().attempt_header(header::CONTENT_LENGTH))),
        ("idempotency_key_in", "authorization", panics(|| retry().idempotency_key_in(header::AUTHORIZATION))),
        ("named", "\"\"", panics(|| retry().named(""))),
    ]
}

#[rustfmt::skip]
fn budgets() -> Kinds {
    let (quota, throttle) = (
        || RetryBudget::quota(500),
        || RetryBudget::throttle(10, 0.5),
    );
    vec![
        ("ratio", "0 requests", panics(|| RetryBudget::ratio(1, 0))),
        ("quota", "0 units", panics(|| RetryBudget::quota(0))),
        ("throttle", "0 tokens", panics(|| RetryBudget::throttle(0, 0.5))),
        ("throttle", "ratio of 0 ", panics(|| RetryBudget::throttle(10, 0.0))),
        ("throttle", "ratio of 11", panics(|| RetryBudget::throttle(10, 11.0))),
        ("throttle", "NaN", panics(|| RetryBudget::throttle(10, f64::NAN))),
        ("of_active", "0 %", panics(|| RetryBudget::of_active(0, 0))),
        ("reserve", "50 for `RetryBudget::quota`", panics(|| quota().reserve(50))),
        ("per_second", "5", panics(|| throttle().per_second(5))),
        ("reward", "-1", panics(|| quota().reward(-1.0))),
        ("reward", "2", panics(|| RetryBudget::percent(10).reward(2.0))),
        ("window", "0ns", panics(|| RetryBudget::percent(10).window(NO_TIME))),
        ("window", "1s", panics(|| quota().window(SECOND))),
        ("max", "0", panics(|| RetryBudget::percent(10).max(0))),
        ("max", "7", panics(|| throttle().max(7))),
        ("throttle_cost", "50", panics(|| quota().throttle_cost(50))),
        ("cost", "3", panics(|| throttle().cost(Cause::TimedOut, 3))),
        ("refund_success", "`RetryBudget::of_active`", panics(|| RetryBudget::of_active(20, 3).refund_success())),
        ("percent_of_active", "30", panics(|| quota().percent_of_active(30))),
    ]
}

#[rustfmt::skip]
fn fallbacks() -> Kinds {
    let to = || FallbackLayer::to("b");
    vec![
        ("chain", "0 links", panics(|| FallbackLayer::chain([] as [&str; 0]))),
        ("name", "\"\"", panics(|| to().name(""))),
        ("name", "\"first\"", panics(|| to().name("first"))),
        ("name", "\"b\"", panics(|| to().name("b").then("c").name("b"))),
        ("memory", "0ns", panics(|| to().memory(NO_TIME))),
        ("swap_model", "\"\"", panics(|| swap_model::<Bytes>(""))),
        ("weights", "[]", panics(|| Split::new([] as [(u32, &str); 0]))),
        ("weights", "[0, 0]", panics(|| Split::new([(0, "a"), (0, "b")]))),
        ("weights", "service 2", error(Split::new([(1, "a"), (1, "b")]).handle().set(2, 1))),
        ("weights", "0 for service 0", error(Split::new([(1, "a")]).handle().set(0, 0))),
    ]
}

#[rustfmt::skip]
fn others() -> Kinds {
    let alerts = || Alerts::new(|_| {});
    vec![
        ("limit", "0 bytes", panics(|| BufferBodyLayer::new().limit(0))),
        ("use_at", "0 ", panics(|| alerts().use_at([0.0]))),
        ("use_at", "1.2", panics(|| alerts().use_at([0.5, 1.2]))),
        ("use_at", "9 thresholds", panics(|| alerts().use_at((1..10).map(|n| f64::from(n) / 10.0)))),
        ("rate_limited_above", "1.5", panics(|| alerts().rate_limited_above(1.5))),
        ("retries_above", "0 ", panics(|| alerts().retries_above(0.0))),
        ("over", "999ms", panics(|| alerts().over(Duration::from_millis(999)))),
        ("over", "86401s", panics(|| alerts().over(SECOND * 86_401))),
    ]
}

#[cfg(feature = "testing")]
#[rustfmt::skip]
fn boxes() -> Kinds {
    use tower_quota::testing::{Limits, Provider, ProviderBuilder};

    let build =
        |set: fn(ProviderBuilder) -> ProviderBuilder| error(set(Provider::openai()).build());
    vec![
        ("minute", "0ns", build(|b| b.minute(NO_TIME))),
        ("day", "0ns", build(|b| b.day(NO_TIME))),
        ("quantum", "0ns", build(|b| b.quantum(NO_TIME))),
        ("quantum", "61s", build(|b| b.quantum(SECOND * 61))),
        ("completion", "NaN", build(|b| b.completion(f64::NAN..=1.0))),
        ("prompt_factor", "-1", build(|b| b.prompt_factor(-1.0))),
        ("cached", "1.5", build(|b| b.cached(1.5))),
        ("reasoning", "-0.5", build(|b| b.reasoning(-0.5))),
        ("pool", "without a model", build(|b| b.pool([] as [&str; 0], Limits::none()))),
        ("pool", "m is in two", build(|b| b.pool(["m"], Limits::none()).pool(["m"], Limits::none()))),
        ("wall_clock", "isn't between 1970", build(|b| b.wall_clock(SystemTime::UNIX_EPOCH - SECOND))),
    ]
}

#[test]
fn settings_that_make_no_sense_are_refused_where_they_are_made() {
    #[allow(unused_mut)]
    let mut rooms = vec![
        ("limits", limits()),
        ("quotas", quotas()),
        ("shared quotas", shared()),
        ("pools", pools()),
        ("circuits", circuits()),
        ("retries", retries()),
        ("retry budgets", budgets()),
        ("fallbacks and splits", fallbacks()),
        ("bodies and alerts", others()),
    ];
    #[cfg(feature = "testing")]
    rooms.push(("provider in a box", boxes()));
    #[cfg(feature = "redis")]
    rooms.push(("stores", stores()));
    let mut wrong = Vec::new();
    for (room, kinds) in &rooms {
        println!("{room}: {}", kinds.len());
        for (setting, value, message) in kinds {
            if !(message.starts_with(setting) && message.contains(value)) {
                wrong.push(format!("{setting} {value}: {message}"));
            }
            println!("    {message}");
        }
    }
    let kinds: usize = rooms.iter().map(|(_, kinds)| kinds.len()).sum();
    println!("{kinds} kinds of settings refused");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(kinds >= 30, "{kinds}");
}

/// What looks odd and is meant.
#[test]
fn settings_that_make_sense_are_taken() -> Result<(), ConfigError> {
    let _ = RetryBudget::ratio(5, 1).reserve(0);
    let _ = RetryBudget::percent(0).per_second(1);
    let _ = RetryBudget::of_active(0, 3);
    let _ = retry().max_hint(NO_TIME).attempts(1);
    let _ = retry().backoff(Backoff::constant(NO_TIME));
    let _ = retry().backoff(Backoff::default().min(SECOND * 10).max(SECOND * 20));
    let _ = breaker()
        .slow_after(NO_TIME)
        .max_hint(NO_TIME)
        .exhausted_for(NO_TIME);
    let _ = breaker()
        .last_calls(5)
        .failures(5)
        .open_backoff(Backoff::constant(NO_TIME));
    let _ = FallbackLayer::to("b")
        .exhausted_for(NO_TIME)
        .name("a")
        .name("a");
    Quota::builder()
        .max_in_flight(1)
        .max_queue(0)
        .max_wait(NO_TIME)
        .build()?;
    Ok(())
}
