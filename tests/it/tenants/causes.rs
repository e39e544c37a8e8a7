//! Whose fault it is, as a client sees it: 429 for its own limit, 503 for what it shares with others.

use std::{future::pending, time::Duration};

use axum::{Router, body::Body, routing::post};
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::Value;
use tower::ServiceBuilder;
use tower_quota::{
    CircuitBreakerLayer, Cost, Limit, Quota, RateLimitLayer, RespondLayer, TokenBudgetLayer,
};

use super::{number, tenant};
use crate::servers::Server;

const HOUR: Duration = Duration::from_secs(3_600);

/// Does as it is told.
async fn provider(headers: HeaderMap) -> Response<Body> {
    let answer = Response::builder();
    let answer = match headers.get("x-do").map(|value| value.as_bytes()) {
        Some(b"hang") => pending().await,
        Some(b"fail") => answer.status(500),
        Some(b"refuse") => answer
            .status(429)
            .header("retry-after", "7")
            .header("x-ratelimit-limit-requests", "4711"),
        _ => answer.header("x-ratelimit-remaining-requests", "4710"),
    };
    answer.body(Body::from("4711 of org-secret")).unwrap()
}

/// Two requests an hour for each tenant, 1,000 tokens an hour for all.
async fn server() -> Server {
    let limit = |limit: Limit| Quota::new(limit.transit(Duration::ZERO)).unwrap();
    let own = RateLimitLayer::new(limit(Limit::requests(2, HOUR)));
    let shared = TokenBudgetLayer::new(limit(Limit::tokens(1_000, HOUR)));
    let cost =
        |request: &Request<Body>| Cost::tokens(number(request.headers(), "x-cost").unwrap_or(1));
    let layers = ServiceBuilder::new()
        .layer(RespondLayer::new().hide_upstream())
        .layer(own.keyed(tenant::<Body>).on_arrival().reject().tell())
        .layer(shared.cost(cost).reject())
        .layer(CircuitBreakerLayer::new().consecutive_failures(2))
        .timeout(Duration::from_millis(100));
    Server::of(Router::new().route("/", post(provider)).layer(layers)).await
}

struct Client(reqwest::Client, Server);

struct Told {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Told {
    fn wait(&self) -> Option<u64> {
        number(&self.headers, "retry-after")
    }

    /// Anything of a limit, but when to come back.
    fn tells_of_limits(&self) -> bool {
        self.headers
            .keys()
            .any(|name| name.as_str().contains("ratelimit"))
    }

    fn problem(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Client {
    async fn new() -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self(client, server().await)
    }

    async fn ask(&self, tenant: &str, headers: &[(&str, &str)]) -> Told {
        let url = format!("http://{}/", self.1.0);
        let request = self.0.post(url).header("x-api-key", tenant);
        let request = (headers.iter()).fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let answer = request.send().await.unwrap();
        Told {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_tenants_own_limit_is_a_429_that_tells_all_of_it() {
    let client = Client::new().await;
    for left in ["1", "0"] {
        let told = client.ask("alice", &[]).await;
        assert_eq!(told.status, 200);
        assert_eq!(told.headers["x-ratelimit-remaining"], left);
        assert!(!told.headers.contains_key("x-ratelimit-remaining-requests"));
    }
    let told = client.ask("alice", &[]).await;
    assert_eq!(told.status, 429);
    assert!(
        told.wait()
            .is_some_and(|wait| (1_790..=1_800).contains(&wait))
    );
    let policy = &told.headers["ratelimit-policy"];
    assert_eq!(policy, "\"requests-per-3600s\";q=2;w=3600");
    let problem = told.problem();
    assert_eq!(problem["violated-policies"][0], "requests-per-3600s");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("limit reached: asks for 1 of 2 requests")
    );
    assert_eq!(client.ask("bob", &[]).await.status, 200);
}

#[tokio::test]
async fn what_tenants_share_is_a_503_that_tells_nothing_of_it() {
    let client = Client::new().await;
    let told = client.ask("alice", &[("x-cost", "600")]).await;
    assert_eq!(told.status, 200);
    let told = client.ask("bob", &[("x-cost", "600")]).await;
    assert_eq!((told.status, told.tells_of_limits()), (503, false));
    assert!(
        told.wait()
            .is_some_and(|wait| (3_590..=3_610).contains(&wait))
    );
    let detail = told.problem()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.starts_with("the service is busy, come back in "),
        "{detail}"
    );
    // What it can never have.
    let told = client.ask("carol", &[("x-cost", "1001")]).await;
    assert_eq!(
        (told.status, told.wait(), told.tells_of_limits()),
        (413, None, false)
    );
    assert!(
        !told.text.contains("1000") && !told.text.contains("1001"),
        "{}",
        told.text
    );
}

#[tokio::test]
async fn a_providers_own_limit_is_a_503_with_its_wait() {
    let client = Client::new().await;
    let told = client.ask("alice", &[("x-do", "refuse")]).await;
    assert_eq!(
        (told.status, told.wait(), told.tells_of_limits()),
        (503, Some(7), false)
    );
    assert!(
        !told.text.contains("4711") && !told.text.contains("secret"),
        "{}",
        told.text
    );
}

#[tokio::test]
async fn an_open_circuit_is_a_503_and_what_opened_it_is_what_it_was() {
    let client = Client::new().await;
    assert_eq!(client.ask("alice", &[("x-do", "fail")]).await.status, 500);
    let told = client.ask("bob", &[("x-do", "hang")]).await;
    assert_eq!(
        (told.status, told.wait()),
        (StatusCode::GATEWAY_TIMEOUT.as_u16(), None)
    );
    let told = client.ask("carol", &[]).await;
    assert_eq!((told.status, told.tells_of_limits()), (503, false));
    assert!(
        told.wait().is_some_and(|wait| (4..=6).contains(&wait)),
        "{:?}",
        told.wait()
    );
}
