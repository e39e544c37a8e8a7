//! What operators are told once, when it begins.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_quota::{Alert, Alerts, Cost, Limit, Quota, RateReading, RateStatus, Usage};

use super::{NO_MONEY, SECOND, USAGE, answer, send};

type Told = Arc<Mutex<Vec<String>>>;

fn hook() -> (Told, impl Fn(&Alert) + Send + Sync + 'static) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    (told, move |alert: &Alert| {
        heard.lock().unwrap().push(alert.to_string());
    })
}

fn take(told: &Told) -> Vec<String> {
    std::mem::take(&mut *told.lock().unwrap())
}

fn spend(quota: &Quota, tokens: u64) {
    drop(quota.try_acquire(Cost::tokens(tokens)).unwrap());
}

#[tokio::test(start_paused = true)]
async fn use_of_a_limit_is_told_at_70_and_90_percent_and_again_after_it_fell() {
    let (told, hook) = hook();
    let quota = Quota::builder()
        .limit(Limit::tokens(100, 10 * SECOND).transit(Duration::ZERO))
        .limit(Limit::requests_per_day(1_000_000))
        .named("openai")
        .on_alert(hook)
        .build()
        .unwrap();
    spend(&quota, 69);
    assert!(take(&told).is_empty());
    spend(&quota, 1);
    assert_eq!(
        take(&told),
        ["openai: 70 % of 100 tokens per 10s are used: 70"]
    );
    spend(&quota, 10);
    assert!(take(&told).is_empty(), "told once");
    spend(&quota, 12);
    assert_eq!(
        take(&told),
        ["openai: 90 % of 100 tokens per 10s are used: 92"]
    );
    tokio::time::advance(11 * SECOND).await;
    spend(&quota, 95);
    let both = take(&told);
    assert_eq!(
        both.len(),
        2,
        "it fell meanwhile, though nobody looked: {both:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_level_about_a_threshold_is_told_once() {
    let (told, hook) = hook();
    let quota = Quota::builder()
        .limit(
            Limit::tokens(100, 100 * SECOND)
                .transit(Duration::ZERO)
                .bucket(),
        )
        .on_alert(hook)
        .build()
        .unwrap();
    spend(&quota, 70);
    for _ in 0..50 {
        tokio::time::advance(3 * SECOND).await;
        spend(&quota, 3);
    }
    assert_eq!(take(&told).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_raises_use_is_noticed() {
    let (told, hook) = hook();
    let quota = Quota::builder()
        .limit(Limit::tokens_per_minute(100))
        .alerts(Alerts::new(hook).use_at([1.0, 0.5, 0.5]))
        .build()
        .unwrap();
    let permit = quota.try_acquire(Cost::tokens(20)).unwrap();
    permit.settle(Usage::new(40, 11));
    assert_eq!(take(&told), ["50 % of 100 tokens per minute are used: 51"]);
    quota.resize(Limit::tokens_per_minute(51)).unwrap();
    assert_eq!(take(&told), ["100 % of 51 tokens per minute are used: 51"]);
    quota.resize(Limit::tokens_per_minute(1_000)).unwrap();
    let mut others = RateStatus::new();
    others.tokens = RateReading::new().limit(1_000).remaining(400);
    quota.observe(&others);
    assert_eq!(take(&told).len(), 1, "others use it too");
    // And one that waited.
    let quota = Quota::builder()
        .limit(Limit::requests(2, SECOND))
        .max_in_flight(1);
    let (told, hook) = self::hook();
    let quota = quota.on_alert(hook).build().unwrap();
    let place = quota.try_acquire(Cost::request()).unwrap();
    let mut waits = Box::pin(quota.acquire(Cost::request()));
    assert!(futures_util::poll!(&mut waits).is_pending());
    drop(place);
    drop(waits.await.unwrap());
    assert_eq!(take(&told).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn more_than_one_percent_of_429s_in_five_minutes_are_told_once() {
    let (told, hook) = hook();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(1_000_000))
        .cool_down(Duration::ZERO)
        .on_alert(hook)
        .build()
        .unwrap();
    let refused = || answer(429, &[("retry-after", "0")], "");
    for _ in 0..150 {
        send(&quota, 1, answer(200, &[], USAGE)).await;
    }
    send(&quota, 1, refused()).await;
    assert!(take(&told).is_empty(), "1 of 151");
    send(&quota, 1, refused()).await;
    let text = "the provider has refused 2 of 152 requests with 429 in 300s";
    assert_eq!(take(&told), [text]);
    for _ in 0..5 {
        send(&quota, 1, refused()).await;
    }
    assert!(take(&told).is_empty(), "told once");
    // They are forgotten, and begin anew.
    tokio::time::advance(301 * SECOND).await;
    for _ in 0..30 {
        send(&quota, 1, answer(200, &[], USAGE)).await;
    }
    send(&quota, 1, refused()).await;
    assert_eq!(
        take(&told),
        ["the provider has refused 1 of 31 requests with 429 in 300s"]
    );
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_money_is_told_once_until_there_is() {
    let (told, hook) = hook();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(1_000))
        .named("openai")
        .on_alert(hook)
        .build()
        .unwrap();
    for _ in 0..3 {
        send(&quota, 1, answer(429, &[], NO_MONEY)).await;
    }
    assert_eq!(take(&told), ["openai: the provider wants money"]);
    send(&quota, 1, answer(200, &[], USAGE)).await;
    send(&quota, 1, answer(429, &[], NO_MONEY)).await;
    assert_eq!(take(&told).len(), 1);
}

/// With quotas of keys, each would tell; what they are made from does.
#[tokio::test(start_paused = true)]
async fn quotas_of_keys_tell_of_the_provider_and_not_of_their_use() {
    use tower::{Layer, ServiceExt};
    use tower_quota::TokenBudgetLayer;

    use crate::support::probe::{Probe, request};

    let (told, hook) = hook();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(10))
        .on_alert(hook)
        .build()
        .unwrap();
    let probe = Probe::new();
    let service = TokenBudgetLayer::new(quota)
        .cost(|_: &http::Request<_>| Cost::tokens(1))
        .keyed(|_: &_| 7u8)
        .layer(probe.clone());
    for _ in 0..9 {
        probe.answer(Ok(answer(200, &[], USAGE)));
        let _ = service.clone().oneshot(request()).await.unwrap();
    }
    assert!(take(&told).is_empty());
    probe.answer(Ok(answer(429, &[], NO_MONEY)));
    let _ = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(take(&told), ["the provider wants money"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_leaks_nothing_and_spares_the_request() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(10))
        .max_in_flight(2)
        .on_alert(|alert| panic!("{alert}"))
        .build()
        .unwrap();
    let events = crate::support::events::Events::new();
    for _ in 0..10 {
        drop(quota.try_acquire(Cost::request()).unwrap());
    }
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.limits[0].used), (0, 10));
    let told = events.called("the hook for alerts panicked");
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].target, "tower_quota::alert");
    assert_eq!(
        told[0].of("alert"),
        "70 % of 10 requests per minute are used: 7"
    );
}

#[test]
fn thresholds_that_make_no_sense_are_refused_where_they_are_given() {
    let alerts = || Alerts::new(|_| ());
    let refused = |f: &dyn Fn() -> Alerts, says: &str| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains(says), "{text}");
    };
    refused(&|| alerts().use_at([0.5, 0.0]), "use_at: 0 is not a share");
    refused(&|| alerts().use_at([1.1]), "use_at: 1.1 is not a share");
    refused(
        &|| alerts().use_at([f64::NAN]),
        "use_at: NaN is not a share",
    );
    let many = |n: u32| alerts().use_at((1..=n).map(|n| f64::from(n) / 100.0));
    refused(&|| many(9), "use_at: 9 thresholds are more than 8");
    let _ = many(8);
    refused(
        &|| alerts().rate_limited_above(0.0),
        "rate_limited_above: 0",
    );
    refused(&|| alerts().retries_above(-0.1), "retries_above: -0.1");
    refused(&|| alerts().over(Duration::ZERO), "over: 0ns");
    refused(&|| alerts().over(86_401 * SECOND), "over: 86401s");
}
