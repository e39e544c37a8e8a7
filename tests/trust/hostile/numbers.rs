//! Numbers that make no sense, and are taken all the same.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant as Wall},
};

use http::{HeaderMap, HeaderValue};
use tokio::time::{advance, timeout};
use tower::{Layer, ServiceExt};
use tower_quota::{
    Backoff, BackoffRetryLayer, CircuitBreakerLayer, Cost, FallbackLayer, Jitter, Limit, Quota,
    RateLimitLayer, RateReading, RateStatus, Reason, RetryBudget, Settle, Split, TokenBudgetLayer,
    Usage,
    backoff_retry::Cause,
    provider::{UsageScanner, rate_status, retry_after},
    quota::{KeyedQuotas, QuotaBuilder, Tier},
    tokens::estimate,
};

use super::{answering, request, run};

const YEARS: Duration = Duration::from_secs(100 * 31_557_600);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const NO_TIME: Duration = Duration::ZERO;
/// Whatever is done with a number takes no longer, not even where nothing is optimised.
const AT_MOST: Duration = Duration::from_secs(5);

type Row = (&'static str, fn());

fn quota(set: impl FnOnce(QuotaBuilder) -> QuotaBuilder) -> Quota {
    set(Quota::builder().limit(Limit::tokens_per_minute(1_000)))
        .build()
        .unwrap()
}

/// Nothing is asked of it that it doesn't do, and a minute or two later it is as new.
fn works(quota: &Quota) {
    run(async {
        advance(MINUTE * 3).await;
        let permit = quota.try_acquire(Cost::tokens(5)).unwrap();
        permit.cancel();
    });
}

fn refused(cost: Cost) {
    let quota = quota(|q| q.limit(Limit::requests_per_minute(10)));
    run(async {
        let refused = quota.try_acquire(cost.clone()).unwrap_err();
        assert_eq!(refused.reason, Reason::TooLarge);
        let refused = quota.acquire(cost).await.unwrap_err();
        assert_eq!(refused.reason, Reason::TooLarge);
        assert_eq!(quota.snapshot().limits[0].held, 0);
        quota.try_acquire(Cost::tokens(1_000)).unwrap().cancel();
    });
}

fn settled(usage: Usage) {
    let quota = quota(|q| q);
    run(async {
        for _ in 0..3 {
            if let Ok(permit) = quota.try_acquire(Cost::tokens(10)) {
                permit.settle(usage);
            }
        }
        let _ = quota.snapshot();
        advance(MINUTE * 3).await;
        assert_eq!(quota.snapshot().limits[0].left, 1_000);
    });
}

fn observed(reading: RateReading) {
    let quota = quota(|q| q);
    run(async {
        let mut status = RateStatus::new();
        (status.tokens, status.requests) = (reading, reading);
        for _ in 0..5 {
            quota.observe(&status);
            advance(SECOND).await;
        }
        let snapshot = quota.snapshot();
        assert!(snapshot.limits[0].left <= 1_000);
        advance(MINUTE * 20).await;
        assert!(quota.try_acquire(Cost::tokens(1)).is_ok());
    });
}

/// Takes what it can, twice, and waits for a while.
fn limited(limit: Limit) {
    let unit = limit.resource();
    let amount = limit.amount();
    run(async {
        let quota = Quota::builder().limit(limit).max_wait(YEARS).build();
        let quota = quota.unwrap();
        let cost = match unit {
            tower_quota::Resource::Requests => Cost::none().requests(amount),
            _ => Cost::tokens(amount),
        };
        drop(quota.try_acquire(cost.clone()));
        let _ = timeout(MINUTE, quota.acquire(cost)).await;
        let _ = quota.snapshot();
        assert_eq!(quota.snapshot().waiting, 0);
    });
}

fn header(name: &'static str, value: &str) {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_str(value).unwrap());
    let _ = (rate_status(&headers), retry_after(&headers));
    for status in [200, 429, 503] {
        let quota = quota(|q| q.max_wait(SECOND));
        let (name, value) = (name, value.to_owned());
        run(async move {
            let layer = TokenBudgetLayer::new(quota.clone()).settle(Settle::Auto);
            let inner = answering(status, &[(name, &value)], "{}");
            let service = BackoffRetryLayer::new()
                .max_hint(SECOND)
                .layer(layer.cost(|_: &_| Cost::tokens(1)).layer(inner));
            drop(timeout(YEARS, service.oneshot(request("{}"))).await);
            quota.resume();
            advance(MINUTE * 20).await;
            assert!(quota.try_acquire(Cost::tokens(1)).is_ok());
        });
    }
}

fn usage(body: &'static str) {
    let mut scanner = UsageScanner::new();
    scanner.push(body.as_bytes());
    if let Some(usage) = scanner.finish() {
        assert!(usage.total_tokens >= usage.output_tokens.min(usage.input_tokens));
        settled(usage);
    }
}

fn body(body: &'static str) {
    if let Some(found) = estimate(body.as_bytes()) {
        let _ = format!("{found:?}");
    }
    let quota = quota(|q| q);
    run(async move {
        let layer = TokenBudgetLayer::new(quota.clone());
        let service = layer.layer(answering(200, &[], "{}"));
        drop(timeout(MINUTE * 10, service.oneshot(request(body))).await);
        let snapshot = quota.snapshot();
        assert_eq!((snapshot.limits[0].held, snapshot.in_flight), (0, 0));
    });
}

fn waits(backoff: Backoff) {
    for retry in [0, 1, 2, 1_000, u32::MAX] {
        for before in [None, Some(NO_TIME), Some(Duration::MAX)] {
            for roll in [0, 1, u64::MAX / 2, u64::MAX] {
                let _ = backoff.wait(retry, before, roll);
            }
        }
    }
    run(async move {
        let service = BackoffRetryLayer::new()
            .backoff(backoff)
            .layer(answering(500, &[], "{}"));
        let _ = timeout(YEARS * 3, service.oneshot(request("{}"))).await;
    });
}

fn budget(budget: RetryBudget) {
    run(async {
        for _ in 0..50 {
            budget.deposit();
            let _ongoing = budget.begin();
            if let Some(mut paid) = budget.withdraw(Cause::TimedOut) {
                paid.sent();
                paid.succeeded();
            }
            budget.failed();
            advance(YEARS / 40).await;
        }
        let _ = (budget.balance(), budget.balance_thousandths());
    });
}

/// A circuit that opens, and lets somebody pass again if it ever does.
fn circuit(layer: CircuitBreakerLayer) {
    run(async move {
        let handle = layer.handle();
        let service = layer.layer(answering(503, &[("retry-after", "31536000")], "{}"));
        for _ in 0..40 {
            let _ = service.clone().oneshot(request("{}")).await;
        }
        advance(YEARS).await;
        let _ = (
            service.clone().oneshot(request("{}")).await,
            handle.counts(),
        );
        handle.reset();
        service.oneshot(request("{}")).await.unwrap();
    });
}

const MAX: u64 = u64::MAX;

#[rustfmt::skip]
const COSTS: &[Row] = &[
    ("u64::MAX tokens", || refused(Cost::tokens(MAX))),
    ("u64::MAX and u64::MAX", || refused(Cost::input_output(MAX, MAX))),
    ("u64::MAX requests", || refused(Cost::request().requests(MAX))),
    ("one token too many", || refused(Cost::tokens(1_001))),
    ("u64::MAX of a unit that nobody counts", || works(&{ let q = quota(|q| q); q.try_acquire(Cost::request().unit("gpu", MAX)).unwrap().cancel(); q })),
    ("nothing", || works(&{ let q = quota(|q| q); q.try_acquire(Cost::none()).unwrap().settle(Usage::new(0, 0)); q })),
    ("used u64::MAX", || settled(Usage::new(MAX, 0))),
    ("used u64::MAX twice", || settled(Usage::new(MAX, MAX))),
    ("used nothing", || settled(Usage::new(0, 0))),
    ("used less input and u64::MAX output", || settled(Usage::new(0, MAX))),
    ("used 2^53", || settled(Usage::new(1 << 53, 1))),
];

#[rustfmt::skip]
const SAID: &[Row] = &[
    ("u64::MAX left", || observed(RateReading::new().remaining(MAX))),
    ("nothing left", || observed(RateReading::new().remaining(0))),
    ("a limit of nothing", || observed(RateReading::new().limit(0).remaining(0))),
    ("a limit of u64::MAX", || observed(RateReading::new().limit(MAX).remaining(MAX))),
    ("a limit of u64::MAX, nothing left", || observed(RateReading::new().limit(MAX).remaining(0))),
    ("more left than the limit", || observed(RateReading::new().limit(1).remaining(MAX))),
    ("a reset in Duration::MAX", || observed(RateReading::new().remaining(0).reset(Duration::MAX))),
    ("a reset now", || observed(RateReading::new().remaining(0).reset(NO_TIME))),
    ("a window of nothing", || observed(RateReading::new().limit(5).remaining(0).window(NO_TIME))),
    ("a window of Duration::MAX", || observed(RateReading::new().limit(5).remaining(0).window(Duration::MAX))),
];

#[rustfmt::skip]
const LIMITS: &[Row] = &[
    ("one in a millisecond", || limited(Limit::requests(1, Duration::from_millis(1)))),
    ("2^53 in a millisecond", || limited(Limit::tokens(1 << 53, Duration::from_millis(1)))),
    ("2^53 in a year", || limited(Limit::tokens(1 << 53, SECOND * 86_400 * 365))),
    ("one in a year", || limited(Limit::requests(1, SECOND * 86_400 * 365))),
    ("a bucket of one in a year", || limited(Limit::requests(1, SECOND * 86_400 * 365).bucket())),
    ("a bucket of 2^53 in a millisecond", || limited(Limit::tokens(1 << 53, Duration::from_millis(1)).bucket())),
    ("a burst of 1 of 2^53", || limited(Limit::tokens(1 << 53, SECOND).burst(1))),
    ("no transit", || limited(Limit::tokens(7, SECOND).transit(NO_TIME))),
    ("a whole window in transit", || limited(Limit::tokens(7, SECOND).transit(SECOND))),
    ("a headroom of next to nothing", || works(&{ quota(|q| q.headroom(f64::MIN_POSITIVE).limit(Limit::requests_per_minute(3))); quota(|q| q) })),
    ("no line", || works(&quota(|q| q.max_queue(0)))),
    ("a line of usize::MAX", || works(&quota(|q| q.max_queue(usize::MAX)))),
    ("usize::MAX in flight", || works(&quota(|q| q.max_in_flight(usize::MAX)))),
    ("no patience", || works(&quota(|q| q.max_wait(NO_TIME)))),
    ("patience of Duration::MAX", || works(&quota(|q| q.max_wait(Duration::MAX)))),
    ("a cool-down of Duration::MAX", || { let q = quota(|q| q.cool_down(Duration::MAX)); header_for(&q, 429); q.resume(); works(&q) }),
    ("no cool-down", || { let q = quota(|q| q.cool_down(NO_TIME)); header_for(&q, 429); works(&q) }),
    ("resized to 2^53 and to 1", || run(async { let q = quota(|q| q); for n in [1 << 53, 1, 1_000] { q.resize(Limit::tokens_per_minute(n)).unwrap(); let _ = q.snapshot(); } })),
    ("resized to u64::MAX", || assert!(quota(|q| q).resize(Limit::tokens_per_minute(MAX)).is_err())),
    ("a tier resized to nothing", || assert!(Tier::new(Quota::builder().limit(Limit::requests_per_minute(5))).unwrap().resize(Limit::requests_per_minute(0)).is_err())),
    ("a thousand made-up keys where there is room for 64", || { let q = KeyedQuotas::<u64>::new(|_: &u64| quota(|q| q)).max_keys(64); run(async { for key in 0..1_000 { q.get(&key).try_acquire(Cost::tokens(1)).unwrap().cancel(); } assert!(q.len() <= 64); }) }),
];

#[rustfmt::skip]
const WORDS: &[Row] = &[
    ("retry-after NaN", || header("retry-after", "NaN")),
    ("retry-after -1", || header("retry-after", "-1")),
    ("retry-after inf", || header("retry-after", "inf")),
    ("retry-after 1e400", || header("retry-after", "1e400")),
    ("retry-after 20 digits", || header("retry-after", "99999999999999999999")),
    ("retry-after 0.0000000000001", || header("retry-after", "0.0000000000001")),
    ("retry-after in the year 9999", || header("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")),
    ("retry-after in 1970", || header("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")),
    ("retry-after-ms 18446744073709551616", || header("retry-after-ms", "18446744073709551616")),
    ("retry-after 99999h", || header("retry-after", "99999h")),
    ("a reset of 584 years", || header("x-ratelimit-reset-tokens", "5124095h34m33s")),
    ("a reset of nothing", || header("x-ratelimit-reset-tokens", "0s")),
    ("a negative remainder", || header("x-ratelimit-remaining-tokens", "-9223372036854775808")),
    ("a remainder of 40 digits", || header("x-ratelimit-remaining-tokens", "9999999999999999999999999999999999999999")),
    ("a limit of 0", || header("x-ratelimit-limit-tokens", "0")),
    ("a limit of 2^64 - 1", || header("x-ratelimit-limit-tokens", "18446744073709551615")),
    ("the draft's field with nonsense", || header("ratelimit", "\"a\";r=-1;t=99999999999999999999")),
    ("used 2^64 - 1", || usage(r#"{"usage": {"prompt_tokens": 18446744073709551615, "completion_tokens": 18446744073709551615}}"#)),
    ("used 1e308", || usage(r#"{"usage": {"prompt_tokens": 1e308, "completion_tokens": -1e308}}"#)),
    ("used -1", || usage(r#"{"usage": {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -2}}"#)),
    ("used 40 digits", || usage(r#"{"usage": {"total_tokens": 9999999999999999999999999999999999999999}}"#)),
    ("max_tokens 2^64 - 1", || body(r#"{"max_tokens": 18446744073709551615, "messages": []}"#)),
    ("max_tokens -1", || body(r#"{"max_tokens": -1, "messages": []}"#)),
    ("max_tokens 1e400", || body(r#"{"max_tokens": 1e400, "messages": []}"#)),
    ("n of 2^64 - 1", || body(r#"{"n": 18446744073709551615, "max_tokens": 18446744073709551615, "messages": []}"#)),
    ("best_of 2^63 and max_tokens 2", || body(r#"{"best_of": 9223372036854775808, "max_tokens": 2, "prompt": "a"}"#)),
];

#[rustfmt::skip]
const WAITS: &[Row] = &[
    ("Duration::MAX", || waits(Backoff::constant(Duration::MAX))),
    ("no time", || waits(Backoff::constant(NO_TIME).jitter(Jitter::None))),
    ("linear by Duration::MAX", || waits(Backoff::linear(Duration::MAX, Duration::MAX))),
    ("exponential to Duration::MAX by a million", || waits(Backoff::exponential(SECOND, Duration::MAX).factor(1e6))),
    ("one that says Duration::MAX", || waits(Backoff::custom(|_| Duration::MAX))),
    ("one that says nothing", || waits(Backoff::custom(|_| NO_TIME))),
    ("above by u32::MAX %", || waits(Backoff::default().jitter(Jitter::Above(u32::MAX)))),
    ("additive by Duration::MAX", || waits(Backoff::default().jitter(Jitter::Additive(Duration::MAX)))),
    ("decorrelated from Duration::MAX", || waits(Backoff::constant(Duration::MAX).jitter(Jitter::Decorrelated))),
    ("u32::MAX tries in Duration::MAX", || run(async { let layer = BackoffRetryLayer::new().attempts(u32::MAX).deadline(Duration::MAX).max_hint(Duration::MAX).hint_jitter(u32::MAX); let _ = timeout(YEARS, layer.layer(answering(429, &[("retry-after", "1")], "{}")).oneshot(request("{}"))).await; })),
    ("u32::MAX retries for a request", || budget(RetryBudget::ratio(u32::MAX, 1))),
    ("a retry for u32::MAX requests", || budget(RetryBudget::ratio(1, u32::MAX))),
    ("u32::MAX in reserve, and by the second", || budget(RetryBudget::percent(10).reserve(u32::MAX).per_second(u32::MAX).max(u32::MAX))),
    ("a window of Duration::MAX", || budget(RetryBudget::percent(10).window(Duration::MAX))),
    ("a window of a nanosecond", || budget(RetryBudget::percent(10).window(Duration::from_nanos(1)))),
    ("a stock of u32::MAX", || budget(RetryBudget::quota(u32::MAX).cost(Cause::TimedOut, u32::MAX))),
    ("u32::MAX tokens", || budget(RetryBudget::throttle(u32::MAX, f64::from(u32::MAX)))),
    ("u32::MAX % of those under way", || budget(RetryBudget::of_active(u32::MAX, u32::MAX))),
];

#[rustfmt::skip]
const CIRCUITS: &[Row] = &[
    ("u32::MAX calls at least", || circuit(CircuitBreakerLayer::new().min_calls(u32::MAX).max_hint(Duration::MAX))),
    ("a window of Duration::MAX", || circuit(CircuitBreakerLayer::new().window(Duration::MAX))),
    ("a fixed window of Duration::MAX", || circuit(CircuitBreakerLayer::new().fixed_window(Duration::MAX))),
    ("a fixed window of a nanosecond", || circuit(CircuitBreakerLayer::new().fixed_window(Duration::from_nanos(1)))),
    ("a million calls", || circuit(CircuitBreakerLayer::new().last_calls(1_000_000).min_calls(1))),
    ("ten thousand steps of a nanosecond", || circuit(CircuitBreakerLayer::new().window_in_steps(Duration::from_nanos(10_000), 10_000))),
    ("open for Duration::MAX", || circuit(CircuitBreakerLayer::new().consecutive_failures(1).open_for(Duration::MAX, Duration::MAX))),
    ("open by hand for Duration::MAX", || { let layer = CircuitBreakerLayer::new(); layer.handle().open_for(Duration::MAX); circuit(layer) }),
    ("half-open for Duration::MAX", || circuit(CircuitBreakerLayer::new().consecutive_failures(1).max_half_open(Duration::MAX))),
    ("half-open for a nanosecond", || circuit(CircuitBreakerLayer::new().consecutive_failures(1).max_half_open(Duration::from_nanos(1)))),
    ("u32::MAX probes", || circuit(CircuitBreakerLayer::new().consecutive_failures(1).probes(u32::MAX))),
    ("an extra probe every nanosecond", || circuit(CircuitBreakerLayer::new().consecutive_failures(1).extra_probe_every(Duration::from_nanos(1)))),
    ("slow after Duration::MAX", || circuit(CircuitBreakerLayer::new().slow_calls(1.0, Duration::MAX))),
    ("exhausted for Duration::MAX", || circuit(CircuitBreakerLayer::new().exhausted_for(Duration::MAX).max_hint(Duration::MAX))),
    ("a schedule that panics", || circuit(CircuitBreakerLayer::new().consecutive_failures(1).open_backoff(Backoff::custom(|_| panic!("never"))))),
    ("remembered for Duration::MAX", || run(async { let layer = FallbackLayer::to(answering(200, &[], "{}")).memory(Duration::MAX).exhausted_for(Duration::MAX); let service = layer.layer(answering(503, &[("retry-after", "31536000")], "{}")); for _ in 0..3 { service.clone().oneshot(request("{}")).await.unwrap(); advance(YEARS).await; } })),
    ("weights of u32::MAX", || run(async { let one = answering(200, &[], "{}"); let split = Split::new([(u32::MAX, one.clone()), (u32::MAX, one.clone()), (1, one)]); for _ in 0..9 { split.clone().oneshot(request("{}")).await.unwrap(); } })),
    ("2^53 a second, refused or not", || run(async { RateLimitLayer::per_second(1 << 53).reject().layer(answering(200, &[], "{}")).oneshot(request("{}")).await.unwrap(); })),
];

/// A refusal that says nothing of how long to wait.
fn header_for(quota: &Quota, status: u16) {
    run(async {
        let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(1));
        let service = layer.layer(answering(status, &[], "{}"));
        service.oneshot(request("{}")).await.unwrap();
    });
}

#[test]
fn whatever_the_number_nothing_panics_overflows_loops_or_is_lost() {
    let rows = [COSTS, SAID, LIMITS, WORDS, WAITS, CIRCUITS].concat();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    for (name, row) in &rows {
        println!("{name}");
        let start = Wall::now();
        let done = catch_unwind(AssertUnwindSafe(row));
        assert!(done.is_ok(), "{name} panics");
        assert!(start.elapsed() < AT_MOST, "{name}: {:?}", start.elapsed());
    }
    println!("{} numbers", rows.len());
}
