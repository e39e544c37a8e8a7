//! What is told by `tracing`.

use std::time::Duration;

use tower::{Layer, ServiceExt};
use tower_quota::{Cost, Limit, Priority, Quota, RateLimitLayer, RateReading, RateStatus};
use tracing::{Instrument, Level, field::Empty, info_span};

use super::{SECOND, USAGE, answer, send};
use crate::support::{
    events::Events,
    probe::{Probe, request},
};

fn quota(window: Duration) -> Quota {
    Quota::builder()
        .limit(Limit::requests(1, window).transit(Duration::ZERO).bucket())
        .named("openai")
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_a_second_is_told_with_its_limit_and_cause_and_a_shorter_one_to_who_debugs() {
    for (window, level) in [
        (SECOND, Level::INFO),
        // A timer has a step of a millisecond.
        (SECOND - Duration::from_millis(2), Level::DEBUG),
    ] {
        let (events, quota) = (Events::new(), quota(window));
        drop(quota.acquire(Cost::request()).await.unwrap());
        assert!(events.take().is_empty(), "who doesn't wait is no news");
        let turn = quota.acquire_as(Cost::request(), Priority::Background);
        drop(turn.await.unwrap());
        let told = events.take();
        let [starts, ends] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(
            (starts.message(), starts.level),
            ("waits for the quota", Level::DEBUG)
        );
        assert_eq!(
            (ends.message(), ends.level),
            ("waited for the quota", level)
        );
        for event in [starts, ends] {
            assert_eq!(event.target, "tower_quota::wait");
            assert_eq!(event.of("pool"), "openai");
            assert!(
                event.of("limit").starts_with("1 requests per "),
                "{event:?}"
            );
            assert_eq!((event.of("cause"), event.of("priority")), ("limit", "6"));
            assert_eq!(event.of("wait"), format!("{window:?}"));
        }
        assert!(ends.of("waited").ends_with('s'), "{ends:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_that_asks_is_told_how_long_its_request_waited_and_for_what() {
    let (events, quota) = (Events::new(), quota(5 * SECOND));
    drop(quota.try_acquire(Cost::request()).unwrap());
    let span = info_span!(
        "chat",
        tower_quota.waited_ms = Empty,
        tower_quota.limit = Empty
    );
    let service = RateLimitLayer::new(quota.clone()).layer(Probe::new());
    service.oneshot(request()).instrument(span).await.unwrap();
    let spans = events.spans();
    assert_eq!(spans[0].0["tower_quota.waited_ms"], "5000");
    assert_eq!(spans[0].0["tower_quota.limit"], "1 requests per 5s");

    let span = info_span!("refused", tower_quota.limit = Empty);
    span.in_scope(|| quota.try_acquire(Cost::request()).unwrap_err());
    assert_eq!(
        events.spans()[1].0["tower_quota.limit"],
        "1 requests per 5s"
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_are_for_who_debugs_and_say_what_was_asked_and_left() {
    let events = Events::new();
    let quota = Quota::new(Limit::tokens_per_minute(100)).unwrap();
    drop(quota.try_acquire(Cost::tokens(70)).unwrap());
    let _ = quota.try_acquire(Cost::tokens(40)).unwrap_err();
    let told = events.called("refused by the quota");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].level, told[0].target),
        (Level::DEBUG, "tower_quota::wait")
    );
    let fields = ["reason", "limit", "asked", "left", "pool"].map(|field| told[0].of(field));
    assert_eq!(
        fields,
        ["LimitReached", "100 tokens per minute", "40", "30", ""]
    );
    assert!(told[0].of("wait").starts_with("60.9"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_refuses_and_how_limits_change_is_told() {
    let events = Events::new();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(10))
        .adopt()
        .named("groq")
        .build()
        .unwrap();
    send(&quota, 5, answer(429, &[("retry-after", "7")], "")).await;
    let told = events.called("the provider has refused");
    assert_eq!((told.len(), told[0].level), (1, Level::INFO));
    assert_eq!((told[0].of("pool"), told[0].of("wait")), ("groq", "7s"));
    assert_eq!(told[0].target, "tower_quota::limit");

    let mut stated = RateStatus::new();
    stated.requests = RateReading::new().limit(20).remaining(19);
    for _ in 0..3 {
        quota.observe(&stated);
    }
    let told = events.called("the provider states another limit");
    assert_eq!(told.len(), 1, "once");
    assert_eq!(told[0].of("limit"), "20 requests per minute");

    quota.resize(Limit::requests_per_minute(30)).unwrap();
    quota.pause_until(tokio::time::Instant::now() + 9 * SECOND);
    quota.resume();
    let told: Vec<_> = events
        .take()
        .iter()
        .map(|e| e.message().to_owned())
        .collect();
    assert_eq!(told, ["the limit was changed", "paused", "resumed"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_told_too_large_is_told_once() {
    let events = Events::new();
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(500))
        .named("groq")
        .build()
        .unwrap();
    for limit in [20, 20, 900, 30, 20] {
        let mut stated = RateStatus::new();
        stated.requests = RateReading::new().limit(limit).remaining(limit);
        quota.observe(&stated);
        quota.observe(&stated);
    }
    let told = events.called("plans with the limit that the provider states");
    let told: Vec<_> = told
        .iter()
        .map(|told| (told.level, told.target, told.of("limit")))
        .collect();
    let of = |level, limit| (level, "tower_quota::limit", limit);
    assert_eq!(
        told,
        [
            of(Level::INFO, "20 requests per minute"),
            of(Level::DEBUG, "500 requests per minute"),
            of(Level::DEBUG, "30 requests per minute"),
            of(Level::DEBUG, "20 requests per minute"),
        ]
    );
}

/// Keys of callers, what they say, and what headers hold.
#[tokio::test(start_paused = true)]
async fn secrets_are_told_to_nobody() {
    const SECRET: &str = "sk-nobody-may-read-this";
    let events = Events::new();
    let quota = quota(3 * SECOND);
    let layer = RateLimitLayer::new(quota).keyed(|_: &http::Request<_>| SECRET.to_owned());
    let probe = Probe::new();
    let service = layer.layer(probe.clone());
    for status in [200, 429, 500] {
        probe.answer(Ok(answer(
            status,
            &[("x-secret", SECRET)],
            &format!("{SECRET}{USAGE}"),
        )));
        let mut request = request();
        let value = format!("Bearer {SECRET}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let _ = service.clone().oneshot(request).await;
    }
    let told = events.take();
    assert!(told.len() >= 4, "{told:?}");
    assert!(!format!("{told:?}").contains("nobody"), "{told:?}");
}
