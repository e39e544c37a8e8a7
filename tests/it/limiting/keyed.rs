//! Each tenant's own quota, in front of one that they share.

use std::time::Duration;

use http::Request;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    BoxError, Cost, Limit, Priority, Quota, Rejected, Scope, TokenBudgetLayer,
    key::{self, Key},
    quota::{KeyedQuotas, Tier},
};

use crate::support::probe::Probe;

const MINUTE: Duration = Duration::from_secs(60);

type Body = http_body_util::Full<bytes::Bytes>;
type Tenants = KeyedQuotas<Option<Key>>;
type Service = BoxCloneSyncService<Request<Body>, (), BoxError>;

fn tier(requests: u64) -> Tier {
    let limit = Limit::requests_per_minute(requests);
    Tier::new(Quota::builder().limit(limit).max_wait(60 * MINUTE)).unwrap()
}

/// Whoever is called `vip` is of another tier.
fn tenants(usual: &Tier, vip: &Tier) -> Tenants {
    let (usual, vip, first) = (usual.clone(), vip.clone(), Some(Key::of("vip")));
    KeyedQuotas::new(move |key: &Option<Key>| {
        if *key == first {
            vip.clone()
        } else {
            usual.clone()
        }
    })
}

fn shared(requests: u64, wait: Duration) -> Quota {
    let limit = Limit::requests(requests, MINUTE)
        .bucket()
        .transit(Duration::ZERO);
    Quota::builder()
        .limit(limit)
        .max_wait(wait)
        .build()
        .unwrap()
}

/// The stack that the page shows.
fn stack(tenants: &Tenants, shared: Quota, probe: &Probe) -> Service {
    let cost = |_: &Request<Body>| Cost::request();
    let own = TokenBudgetLayer::unlimited().cost(cost);
    let common = TokenBudgetLayer::new(shared).cost(cost);
    let layers = ServiceBuilder::new()
        .map_response(drop)
        .layer(own.for_keys(key::api_key(), tenants.clone()))
        .layer(common.shared_by(key::api_key(), tenants.clone()));
    Service::new(layers.service(probe.clone()))
}

fn of(tenant: &str) -> Request<Body> {
    let request = Request::builder().header("authorization", format!("Bearer {tenant}"));
    request.body(Body::default()).unwrap()
}

fn scope(answer: Result<(), BoxError>) -> Option<Scope> {
    let error = answer.err()?;
    Some(Rejected::find(error.as_ref()).expect("ours").scope)
}

fn spent(tenants: &Tenants, tenant: &str) -> (u64, u64) {
    let limit = tenants.get(&Some(Key::of(tenant))).snapshot().limits[0];
    (limit.used, limit.held)
}

#[tokio::test(start_paused = true)]
async fn what_the_shared_quota_refuses_is_given_back_to_the_tenant() {
    let (usual, probe) = (tier(5), Probe::new());
    let tenants = tenants(&usual, &usual);
    let service = stack(&tenants, shared(1, Duration::ZERO), &probe);
    assert_eq!(scope(service.clone().oneshot(of("a")).await), None);
    for _ in 0..9 {
        let refused = service.clone().oneshot(of("b")).await;
        assert_eq!(scope(refused), Some(Scope::Shared));
    }
    assert_eq!(
        (spent(&tenants, "a"), spent(&tenants, "b")),
        ((1, 0), (0, 0))
    );
    assert_eq!(probe.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tenants_own_limit_comes_first_and_takes_nothing_of_what_is_shared() {
    let own = Limit::requests_per_minute(2);
    let own = Tier::new(Quota::builder().limit(own).max_wait(Duration::ZERO)).unwrap();
    let (shared, probe) = (shared(100, MINUTE), Probe::new());
    let tenants = tenants(&own, &own);
    let service = stack(&tenants, shared.clone(), &probe);
    let scopes = [None, None, Some(Scope::Caller), Some(Scope::Caller)];
    for expected in scopes {
        assert_eq!(scope(service.clone().oneshot(of("a")).await), expected);
    }
    assert_eq!(shared.snapshot().limits[0].used, 2);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_in_the_shared_line_leaves_nothing_in_either() {
    let (usual, probe) = (tier(5), Probe::new());
    let (tenants, shared) = (tenants(&usual, &usual), shared(1, 60 * MINUTE));
    let service = stack(&tenants, shared.clone(), &probe);
    service.clone().oneshot(of("a")).await.unwrap();
    let waits = tokio::spawn(service.clone().oneshot(of("b")));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        (spent(&tenants, "b"), shared.snapshot().waiting),
        ((0, 1), 1)
    );
    waits.abort();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        (spent(&tenants, "b"), shared.snapshot().waiting),
        ((0, 0), 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_of_one_tenants_delay_anothers_by_one() {
    let (usual, probe) = (tier(100_000), Probe::new());
    let tenants = tenants(&usual, &usual);
    // One a second, and all that may go at once has gone.
    let one = Limit::requests(60, MINUTE)
        .bucket()
        .burst(1)
        .transit(Duration::ZERO);
    let one = Quota::builder()
        .limit(one)
        .max_wait(60 * MINUTE)
        .build()
        .unwrap();
    let service = stack(&tenants, one, &probe);
    for _ in 0..1_000 {
        tokio::spawn(service.clone().oneshot(of("a")));
    }
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    service.oneshot(of("b")).await.unwrap();
    assert!(
        start.elapsed() <= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_shared_line_goes_by_the_tiers_priority() {
    let usual = tier(100).priority(Priority::Background);
    let vip = tier(100).priority(Priority::Interactive);
    let (tenants, probe) = (tenants(&usual, &vip), Probe::new());
    let service = stack(&tenants, shared(1, 60 * MINUTE), &probe);
    service.clone().oneshot(of("a")).await.unwrap();
    for tenant in ["b", "c", "d"] {
        tokio::spawn(service.clone().oneshot(of(tenant)));
    }
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    service.oneshot(of("vip")).await.unwrap();
    assert!(start.elapsed() <= MINUTE, "{:?}", start.elapsed());
}

/// Its limits are its own: what the provider says of its limits isn't about them.
#[tokio::test(start_paused = true)]
async fn a_tenants_quota_takes_no_lesson_from_the_provider() {
    let (usual, probe) = (tier(5), Probe::new());
    let refused = http::Response::builder()
        .status(429)
        .header("retry-after", "30");
    probe.answer(Ok(refused.body(Body::default()).unwrap()));
    let left = http::Response::builder()
        .header("x-ratelimit-limit-requests", "5")
        .header("x-ratelimit-remaining-requests", "0");
    probe.answer(Ok(left.body(Body::default()).unwrap()));
    let tenants = tenants(&usual, &usual);
    let own = TokenBudgetLayer::unlimited().cost(|_: &Request<Body>| Cost::request());
    let service = own.for_keys(key::api_key(), tenants.clone()).layer(probe);
    let start = Instant::now();
    for _ in 0..5 {
        service.clone().oneshot(of("a")).await.unwrap();
    }
    assert_eq!(
        (start.elapsed(), spent(&tenants, "a")),
        (Duration::ZERO, (5, 0))
    );
}
