//! The whole pipeline, saturated, against providers that count in different ways.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower::{Layer, ServiceExt};
use tower_quota::{
    Cost, Limit, Quota, RateLimitLayer, Settle, TokenBudgetLayer,
    testing::{Provider, ProviderBuilder, Report, Settlement, Shape},
};

const MINUTE: Duration = Duration::from_secs(60);
const TOKENS: u64 = 30_000;

#[derive(Clone, Copy)]
struct Sized(u64);

/// A chat whose prompt and answer take `tokens` together, as the provider counts.
fn chat(tokens: u64) -> Request<Full<Bytes>> {
    let prompt = "word".repeat(tokens.min(100) as usize / 2);
    let max_tokens = tokens - prompt.len() as u64 / 4;
    let body = format!(
        r#"{{"model": "gpt-4.1-mini", "max_tokens": {max_tokens}, "messages": [{{"role": "user", "content": "{prompt}"}}]}}"#
    );
    let mut request = Request::post("/v1/chat/completions")
        .body(Full::from(body))
        .unwrap();
    request.extensions_mut().insert(Sized(tokens));
    request
}

fn cost(request: &Request<Full<Bytes>>) -> Cost {
    Cost::tokens(request.extensions().get::<Sized>().unwrap().0)
}

/// Sizes from 15 tokens to 5 % of the budget, most of them small.
fn size(n: u64) -> u64 {
    let draw = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    match draw % 10 {
        0 => 1_000 + draw % 501,
        1 | 2 => 300 + draw % 500,
        _ => 15 + draw % 200,
    }
}

fn provider(shape: Shape) -> ProviderBuilder {
    Provider::openai()
        .tokens_per_minute(TOKENS)
        .requests_per_minute(500)
        .shape(shape)
        .transit(Duration::ZERO..Duration::from_millis(468))
        .latency(Duration::from_millis(300)..Duration::from_secs(3))
}

/// 300 callers, each asking again as soon as it was answered, for so many minutes.
async fn saturate(
    provider: ProviderBuilder,
    settle: Settle,
    minutes: u32,
    spread: Duration,
) -> Report {
    let provider = provider.build().unwrap();
    let quota = Quota::builder()
        .limit(Limit::tokens_per_minute(TOKENS))
        .limit(Limit::requests_per_minute(500))
        .max_wait(MINUTE * 60)
        .build()
        .unwrap();
    let service = TokenBudgetLayer::new(quota)
        .cost(cost)
        .settle(settle)
        .layer(provider.service());
    let end = Instant::now() + MINUTE * minutes;
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..300u32 {
        let (service, next) = (service.clone(), Arc::clone(&next));
        callers.spawn(async move {
            tokio::time::sleep(spread * caller / 300).await;
            while Instant::now() < end {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let answer = service.clone().oneshot(chat(size(n))).await.unwrap();
                answer.into_body().collect().await.unwrap();
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    provider.report()
}

#[tokio::test(start_paused = true)]
async fn no_provider_refuses_and_at_least_97_percent_is_used() {
    for shape in SHAPES {
        let report = saturate(provider(shape), Settle::Auto, 102, Duration::ZERO).await;
        println!(
            "{shape:?}: {:.4} of the tokens, {} refused",
            report.utilisation(),
            report.rate_limited
        );
        assert_eq!(report.rate_limited, 0, "{shape:?}");
        assert!(
            report.utilisation() >= 0.97,
            "{shape:?}: {}",
            report.utilisation()
        );
    }
}

const SHAPES: [Shape; 3] = [Shape::Rolling, Shape::Bucket, Shape::Fixed];

#[tokio::test(start_paused = true)]
async fn a_provider_that_keeps_what_was_reserved_never_refuses() {
    for shape in SHAPES {
        for completion in [0.2..=0.6, 0.5..=1.0] {
            let provider = provider(shape).completion(completion.clone());
            let provider = provider.settlement(Settlement::Keep);
            let report = saturate(provider, Settle::Auto, 60, MINUTE).await;
            assert_eq!(report.rate_limited, 0, "{shape:?} {completion:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_gives_back_is_used_by_what_is_really_spent() {
    for shape in SHAPES {
        // Automatic settling needs something to see: it is told where it is the harder to find out.
        for (settle, completion) in [
            (Settle::TrueUp, 0.2..=0.6),
            (Settle::TrueUp, 0.5..=1.0),
            (Settle::Auto, 0.2..=0.6),
        ] {
            let provider = provider(shape).completion(completion.clone());
            let provider = provider.settlement(Settlement::TrueUp);
            let report = saturate(provider, settle, 60, MINUTE).await;
            let used = report.utilisation();
            println!("{shape:?}, {settle:?}, {completion:?}: {used:.4} of the real tokens");
            assert_eq!(report.rate_limited, 0, "{shape:?} {settle:?}");
            assert!(used > 0.85, "{shape:?} {settle:?} {completion:?}: {used}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_limits_as_two_layers_or_as_one_quota_are_never_refused() {
    for arrangement in 0..3 {
        let provider = Provider::openai()
            .requests_per_minute(500)
            .tokens_per_minute(TOKENS)
            .shape(Shape::Rolling)
            .transit(Duration::ZERO..Duration::from_millis(468))
            .build()
            .unwrap();
        let patient = |limits: &[Limit]| {
            let builder = Quota::builder().max_wait(MINUTE * 600);
            limits
                .iter()
                .cloned()
                .fold(builder, |b, limit| b.limit(limit))
                .build()
                .unwrap()
        };
        let (requests, tokens) = (
            Limit::requests_per_minute(500),
            Limit::tokens_per_minute(TOKENS),
        );
        let (limiter, budget) = match arrangement {
            2 => {
                let both = patient(&[requests, tokens]);
                (both.clone(), both)
            }
            _ => (patient(&[requests]), patient(&[tokens])),
        };
        let mut tasks = JoinSet::new();
        for n in 0..6_000 {
            let request = chat(if (n / 1_500) % 2 == 0 { 5 } else { 55 });
            let limiter = RateLimitLayer::new(limiter.clone());
            let budget = TokenBudgetLayer::new(budget.clone()).cost(cost);
            let service = provider.service();
            match arrangement {
                0 => tasks.spawn(async move {
                    limiter
                        .layer(budget.layer(service))
                        .oneshot(request)
                        .await
                        .map(|a| a.status())
                }),
                _ => tasks.spawn(async move {
                    budget
                        .layer(limiter.layer(service))
                        .oneshot(request)
                        .await
                        .map(|a| a.status())
                }),
            };
        }
        while let Some(status) = tasks.join_next().await {
            assert_eq!(status.unwrap().unwrap(), 200);
        }
        let report = provider.report();
        assert_eq!((report.admitted, report.rate_limited), (6_000, 0));
        assert!(report.most_requests_in_a_minute <= 500);
        assert!(report.most_tokens_in_a_minute <= TOKENS);
    }
}
