//! Limits that nobody told: learnt from answers, or from refusals alone.

use std::time::Duration;

use http::StatusCode;
use http_body_util::Full;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt};
use tower_quota::{
    Limit, Quota, RateReading, RateStatus, Settle, TokenBudgetLayer,
    testing::{Hint, Outcome, Provider, RateHeaders, Report, Shape},
};

use crate::support::probe::Probe;

use super::utilisation::{MINUTE, SHAPES, TOKENS, call_on, chat, cost, provider};

fn patient(builder: tower_quota::quota::QuotaBuilder) -> Quota {
    builder.max_wait(MINUTE * 600).build().unwrap()
}

async fn saturate(provider: &Provider, quota: &Quota, minutes: u32) -> Report {
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(cost)
        .settle(Settle::Keep)
        .layer(provider.service());
    call_on(service, 300, MINUTE * minutes, Duration::ZERO).await;
    provider.report()
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_teaches_the_limits_and_nothing_is_refused_after_it() {
    for shape in SHAPES {
        let provider = provider(shape).build().unwrap();
        let quota = patient(Quota::discover());
        let report = saturate(&provider, &quota, 20).await;
        assert_eq!(report.rate_limited, 0, "{shape:?}");
        let used = report.utilisation();
        assert!(used > 0.95, "{shape:?}: {used}");
        // Within the first minute all of a minute's worth has left.
        let first = provider.arrivals().into_iter();
        let first = first.filter(|a| a.at < MINUTE).map(|a| a.reserved);
        let first: u64 = first.sum();
        assert!(first > TOKENS * 95 / 100, "{shape:?}: {first}");
        let known: Vec<_> = (quota.snapshot().limits.iter())
            .map(|l| l.limit.amount)
            .collect();
        assert_eq!(known, [500, TOKENS], "{shape:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn until_the_first_answer_one_request_is_in_flight() {
    let provider = provider(Shape::Rolling).build().unwrap();
    let quota = patient(Quota::discover());
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(cost)
        .layer(provider.service());
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        tasks.spawn(service.clone().oneshot(chat(20)));
    }
    sleep(Duration::from_millis(299)).await;
    assert_eq!(
        (quota.snapshot().in_flight, quota.snapshot().waiting),
        (1, 49)
    );
    sleep(Duration::from_secs(5)).await;
    assert_eq!(provider.report().requests, 50);
}

#[tokio::test(start_paused = true)]
async fn without_rate_headers_it_grows_until_the_first_refusal_and_stays_useful() {
    for shape in SHAPES {
        let provider = provider(shape).headers(RateHeaders::None).build().unwrap();
        let quota = patient(Quota::discover());
        let report = saturate(&provider, &quota, 60).await;
        let refused = report.rate_limited as f64 / report.requests as f64;
        let used = report.utilisation();
        println!("{shape:?}: {refused:.4} refused, {used:.4} used");
        let first = provider.arrivals().into_iter();
        let before = first.take_while(|a| a.outcome == Outcome::Admitted).count();
        assert!(before > 60, "{shape:?}: {before} before the first refusal");
        assert!(refused < 0.1, "{shape:?}: {refused}");
        assert!(used > 0.6, "{shape:?}: {used}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_change_are_adopted_where_that_is_asked_for_and_else_only_smaller_ones() {
    for (adopts, (num, den)) in [
        (true, (1, 2)),
        (true, (2, 1)),
        (false, (1, 2)),
        (false, (2, 1)),
    ] {
        let provider = provider(Shape::Rolling).build().unwrap();
        let mut builder = Quota::builder()
            .limit(Limit::requests_per_minute(500))
            .limit(Limit::tokens_per_minute(TOKENS));
        if adopts {
            builder = builder.adopt();
        }
        let quota = patient(builder);
        let service = TokenBudgetLayer::new(quota.clone())
            .cost(cost)
            .layer(provider.service());
        service.clone().oneshot(chat(20)).await.unwrap();
        provider.limits(Instant::now(), |limits| {
            limits
                .requests_per_minute(500 * num / den)
                .tokens_per_minute(TOKENS * num / den)
        });
        service.oneshot(chat(20)).await.unwrap();
        let amounts: Vec<_> = (quota.snapshot().limits.iter())
            .map(|l| l.limit.amount)
            .collect();
        let (num, den) = if adopts { (num, den) } else { (1, den) };
        assert_eq!(amounts, [500 * num / den, TOKENS * num / den]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_told_too_large_is_served_at_the_rate_that_the_provider_states() {
    let told = [
        Limit::requests_per_minute(500),
        Limit::tokens_per_minute(TOKENS * 20),
    ];
    for shape in SHAPES {
        for (limit, (requests, tokens)) in told.iter().zip([(20, 1 << 30), (1 << 30, TOKENS)]) {
            let provider = provider(shape)
                .requests_per_minute(requests)
                .tokens_per_minute(tokens)
                .build()
                .unwrap();
            let quota = patient(Quota::builder().limit(limit.clone()));
            let service = TokenBudgetLayer::new(quota.clone())
                .cost(cost)
                .settle(Settle::Keep)
                .layer(provider.service());
            let callers = if requests == 20 { 25 } else { 300 };
            call_on(service, callers, MINUTE * 40, Duration::ZERO).await;
            // By then the first answer has been read.
            let late = provider.arrivals().into_iter();
            let late = late.filter(|a| a.at > Duration::from_secs(4));
            let refused = late.filter(|a| a.outcome != Outcome::Admitted).count();
            let used = match requests {
                20 => provider.report().admitted as f64 / (20.0 * 40.0),
                _ => provider.report().utilisation(),
            };
            println!("{shape:?}, {limit}: {refused} refused, {used:.3} used");
            assert_eq!(refused, 0, "{shape:?}, {limit}");
            assert!(used > 0.9, "{shape:?}, {limit}: {used}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_planned_than_the_provider_states_and_than_was_given() {
    let day = Duration::from_secs(86_400);
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(500))
        .limit(Limit::requests(10_000, day))
        .limit(Limit::tokens(100_000, day))
        .headroom(0.5)
        .build()
        .unwrap();
    let state = |requests, tokens| {
        let mut status = RateStatus::new();
        status.requests = requests;
        status.tokens = tokens;
        quota.observe(&status);
        let limits = quota.snapshot().limits;
        [0, 1, 2].map(|n: usize| (limits[n].limit.amount, limits[n].left))
    };
    let (of, none) = (|limit| RateReading::new().limit(limit), RateReading::new());
    let day_of = |limit| of(limit).window(day);
    // Half of what is stated; what others have spent of it is held against ours.
    let others = state(of(20).remaining(14), none);
    assert_eq!(others[0].0, 10);
    assert!(others[0].1 <= 4, "{others:?}");
    assert_eq!(others[1..], [(5_000, 5_000), (50_000, 50_000)]);
    // It says no window: of a day it would leave nothing.
    assert_eq!(state(of(100), of(200))[2], (50_000, 50_000));
    assert_eq!(state(day_of(100), day_of(200)).map(|l| l.0), [50, 50, 100]);
    // More, and as much as was given, and what can't be.
    assert_eq!(state(of(400), none).map(|l| l.0), [200, 50, 100]);
    assert_eq!(state(of(900), day_of(300)).map(|l| l.0), [250, 50, 150]);
    assert_eq!(state(day_of(20_000), of(0)).map(|l| l.0), [250, 5_000, 150]);
    // Whoever changes it by hand gives it anew.
    quota.resize(Limit::requests_per_minute(800)).unwrap();
    assert_eq!(state(of(900), none)[0].0, 400);
    assert_eq!(state(of(600), none)[0].0, 300);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_answered_request_itself_exceeds_is_not_believed() {
    let probe = Probe::new();
    for limit in ["0", "1", "19"] {
        let answer = http::Response::builder()
            .header("x-ratelimit-limit-tokens", limit)
            .header("x-ratelimit-remaining-tokens", "0");
        probe.answer(Ok(answer.body(Full::from("{}")).unwrap()));
    }
    let quota = patient(Quota::discover());
    let service = TokenBudgetLayer::new(quota.clone()).cost(cost).layer(probe);
    for _ in 0..3 {
        service.clone().oneshot(chat(20)).await.unwrap();
    }
    assert!(quota.snapshot().limits.is_empty(), "{quota:?}");
    service.oneshot(chat(20)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_hint_pauses_for_a_cool_down_that_shortens() {
    let provider = provider(Shape::Rolling).latency(Duration::ZERO);
    let provider = provider.transit(Duration::ZERO).build().unwrap();
    let quota = patient(
        Quota::builder()
            .limit(Limit::requests_per_minute(500))
            .limit(Limit::tokens_per_minute(TOKENS)),
    );
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(cost)
        .layer(provider.service());
    for pause in [15, 7, 3] {
        provider.then_answer(
            http::Response::builder()
                .status(429)
                .body("slow down")
                .unwrap(),
        );
        let refused = service.clone().oneshot(chat(20)).await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let start = Instant::now();
        let served = service.clone().oneshot(chat(20)).await.unwrap();
        assert_eq!(served.status(), StatusCode::OK);
        // Once its body has ended it is known to have been served.
        http_body_util::BodyExt::collect(served.into_body())
            .await
            .unwrap();
        assert_eq!(start.elapsed().as_secs(), pause);
        sleep(MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_that_is_enforced_by_the_second_is_hardly_refused() {
    let provider = Provider::openai()
        .requests_per_minute(600)
        .shape(Shape::Bucket)
        .quantum(Duration::from_secs(1))
        .transit(Duration::ZERO..Duration::from_millis(200))
        .latency(Duration::from_millis(100)..Duration::from_secs(1));
    for hint in [Hint::Exact, Hint::Silent] {
        let provider = provider.clone().faults(|f| f.hint(hint)).build().unwrap();
        let quota = patient(Quota::builder().limit(Limit::requests_per_minute(600)));
        let service = TokenBudgetLayer::new(quota)
            .cost(cost)
            .layer(provider.service());
        call_on(service, 600, MINUTE * 60, Duration::ZERO).await;
        let arrivals = provider.arrivals();
        let late: Vec<_> = arrivals.iter().filter(|a| a.at > MINUTE * 10).collect();
        let refused = late.iter().filter(|a| a.outcome != Outcome::Admitted);
        let refused = refused.count() as f64 / late.len() as f64;
        println!("{hint:?}: {refused:.4} refused after ten minutes");
        assert!(refused < 0.05, "{hint:?}: {refused}");
        assert!(late.len() > 15_000, "{hint:?}: {}", late.len());
    }
}
