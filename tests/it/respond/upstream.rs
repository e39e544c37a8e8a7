//! A provider's own limits are nobody's business but the operator's.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{Cost, Limit, Quota, Scope, Verdict};
use tower_quota::{Rejected, RespondLayer, TokenBudgetLayer};

use crate::{
    observe::{NO_MONEY, answer},
    support::probe::{Probe, request},
};

const TOLD: [(&str, &str); 8] = [
    ("x-ratelimit-limit-requests", "500"),
    ("anthropic-ratelimit-tokens-remaining", "7"),
    ("ratelimit", "\"r\";r=1;t=2"),
    ("x-tokenlimit-limit", "9"),
    ("anthropic-priority-input-tokens-limit", "9"),
    ("x-tokenlimit-remaining-dynamic", "9"),
    ("x-trial-endpoint-call-remaining", "9"),
    ("x-request-id", "req_1"),
];

const LIMITED: &str = r#"{"error": {"message": "Rate limit reached for gpt-4o in organization org-secret on tokens per min (TPM): Limit 30000, Used 30000.", "type": "tokens", "code": "rate_limit_exceeded"}}"#;

async fn told(
    layer: RespondLayer,
    status: u16,
    more: &[(&str, &str)],
    body: &str,
) -> (Response<()>, String) {
    let probe = Probe::new();
    let headers: Vec<_> = TOLD.iter().chain(more).copied().collect();
    probe.answer(Ok(answer(status, &headers, body)));
    let quota = Quota::new(Limit::requests_per_minute(9)).unwrap();
    let budget = TokenBudgetLayer::new(quota).cost(|_: &Request<Full<Bytes>>| Cost::tokens(1));
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(budget)
        .service(probe);
    let (head, body) = service.oneshot(request()).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (Response::from_parts(head, ()), text)
}

#[tokio::test(start_paused = true)]
async fn a_providers_429_is_a_503_that_keeps_its_wait_and_nothing_else() {
    let hidden = RespondLayer::new().hide_upstream();
    let (answer, text) = told(hidden.clone(), 429, &[("retry-after-ms", "1200")], LIMITED).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers().len(), 2, "{:?}", answer.headers());
    assert!(text.contains("temporary-reduced-capacity"), "{text}");
    assert!(
        !text.contains("secret") && !text.contains("30000"),
        "{text}"
    );
    assert!(matches!(
        Verdict::of(&answer),
        Some(Verdict::RateLimited { .. })
    ));

    let (answer, text) = told(hidden, 429, &[], NO_MONEY).await;
    assert_eq!(answer.status(), 503);
    assert!(!answer.headers().contains_key("retry-after"));
    assert!(!text.contains("money"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn other_answers_lose_what_they_say_of_limits_alone() {
    for status in [200, 400, 500, 503] {
        let hidden = RespondLayer::new().hide_upstream();
        let (answer, text) = told(hidden, status, &[("retry-after", "7")], "hello").await;
        assert_eq!((answer.status().as_u16(), &*text), (status, "hello"));
        let mut names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "retry-after", "x-request-id"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_hidden_passes_as_it_is() {
    let (answer, text) = told(RespondLayer::new(), 429, &[("retry-after", "7")], LIMITED).await;
    assert_eq!((answer.status().as_u16(), &*text), (429, LIMITED));
    assert_eq!(answer.headers()["x-ratelimit-limit-requests"], "500");
}

#[tokio::test(start_paused = true)]
async fn a_form_of_ones_own_is_given_to_hidden_refusals_too() {
    let form = |rejected: &Rejected| {
        assert_eq!(rejected.scope, Scope::Shared);
        Response::new(format!("later: {}", rejected.detail()))
    };
    let layer = RespondLayer::new().with(form).hide_upstream();
    let (_, text) = told(layer, 429, &[("retry-after", "7")], LIMITED).await;
    assert_eq!(text, "later: the service is busy, come back in 7s");
}
