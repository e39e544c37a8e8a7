//! Tenants with quotas of their own in front of one that they share.

use std::{sync::Arc, time::Duration};

use http::Request;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BoxError, BufferedBody, Limit, Quota, RateLimitLayer, TokenBudgetLayer, testing::Provider,
};

const MINUTE: Duration = Duration::from_secs(60);
const TENANTS: u64 = 10;

/// Three tiers: how many requests a minute a tenant has.
fn tier(tenant: u64) -> u64 {
    [6, 12, 30][tenant as usize % 3]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Tenant(u64);

fn of(request: &Request<BufferedBody>) -> Option<Tenant> {
    request.extensions().get().copied()
}

type Service = BoxCloneSyncService<Request<BufferedBody>, u16, BoxError>;

fn chat(tenant: u64) -> Request<BufferedBody> {
    const BODY: &str =
        r#"{"model": "gpt-4.1", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}"#;
    let mut request = Request::post("/v1/chat/completions")
        .body(BODY.into())
        .unwrap();
    request.extensions_mut().insert(Tenant(tenant));
    request
}

/// The provider takes as much as all tenants may have together.
fn gateway() -> (Provider, Service) {
    let all: u64 = (0..TENANTS).map(tier).sum();
    let provider = Provider::openai().requests_per_minute(all).build().unwrap();
    let own = |tenant: &Option<Tenant>| {
        let requests = tier(tenant.expect("everybody says who they are").0);
        let quota = Quota::builder()
            .limit(Limit::requests_per_minute(requests).bucket().burst(2))
            .max_wait(600 * MINUTE);
        quota.build().unwrap()
    };
    let shared = Quota::builder()
        .limit(Limit::requests_per_minute(all))
        .max_wait(10 * MINUTE)
        .build()
        .unwrap();
    let service = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.status().as_u16())
        .layer(RateLimitLayer::unlimited().keyed_by(of, own))
        .layer(TokenBudgetLayer::new(shared).in_turn(of))
        .service(provider.service());
    (provider, Service::new(service))
}

/// How long the requests of each tenant took, the 99th of a hundred, over 20 minutes in which each asks for four fifths of what
/// it may have, in threes. In the fifth minute the first may ask for a thousand more.
async fn p99s(burst: bool) -> Vec<Duration> {
    let (provider, service) = gateway();
    let begin = Instant::now();
    let mut tenants = JoinSet::new();
    for tenant in 0..TENANTS {
        let service = service.clone();
        tenants.spawn(async move {
            let mut asked = JoinSet::new();
            // Not all in the same instant.
            sleep(Duration::from_millis(137 * tenant)).await;
            let start = Instant::now();
            for third in 0..20 * tier(tenant) * 4 / 5 / 3 {
                let at = start + MINUTE * (third as u32) * 15 / 4 / (tier(tenant) as u32);
                sleep_until(at).await;
                for _ in 0..3 {
                    let answer = service.clone().oneshot(chat(tenant));
                    asked.spawn(async move {
                        let asked = Instant::now();
                        assert_eq!(answer.await.unwrap(), 200);
                        asked.elapsed()
                    });
                }
            }
            let mut took = asked.join_all().await;
            took.sort();
            (tenant, took[took.len() * 99 / 100])
        });
    }
    let flood = Arc::new(service);
    let mut others = JoinSet::new();
    if burst {
        sleep_until(begin + 5 * MINUTE).await;
        for _ in 0..1_000 {
            others.spawn(Service::clone(&flood).oneshot(chat(0)));
        }
    }
    let mut p99s = vec![Duration::ZERO; TENANTS as usize];
    // Of the first, those who came after the flood wait behind it, in its own line.
    while p99s[1..].iter().any(Duration::is_zero) {
        let (tenant, p99) = tenants.join_next().await.unwrap().unwrap();
        p99s[tenant as usize] = p99;
    }
    others.shutdown().await;
    assert_eq!(provider.report().rate_limited, 0);
    p99s
}

#[tokio::test(start_paused = true)]
async fn no_tenants_burst_raises_anothers_wait_by_a_tenth() {
    let (quiet, loud) = (p99s(false).await, p99s(true).await);
    for tenant in 1..TENANTS as usize {
        let (quiet, loud) = (quiet[tenant], loud[tenant]);
        println!("tenant {tenant}: p99 {quiet:?}, beside a burst {loud:?}");
        assert!(
            quiet > Duration::from_millis(500),
            "tenant {tenant}: {quiet:?}"
        );
        assert!(
            loud <= quiet * 11 / 10,
            "tenant {tenant}: {quiet:?} -> {loud:?}"
        );
    }
}
