//! The stack of the README while one model is dead: as many circuits as there are models.

use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BufferBodyLayer, CircuitBreakerLayer, CircuitState, FallbackLayer, Limit,
    Quota, TokenBudgetLayer,
    edge::ReqwestLayer,
    fallback::{Causes, ServedBy, swap_model},
    testing::Provider,
    tokens::model_of,
};

const DEAD: &str = "gpt-4.1";
const ALIVE: &str = "gpt-4.1-mini";

fn request(model: &str) -> reqwest::Request {
    let body = format!(
        r#"{{"model": "{model}", "max_tokens": 50, "messages": [{{"role": "user", "content": "Hello"}}]}}"#
    );
    let client = reqwest::Client::new();
    let request = client.post("http://provider.test/v1/chat/completions");
    request.body(body).build().unwrap()
}

/// All at once, and one after the other.
#[tokio::test(start_paused = true)]
async fn a_dead_model_takes_nobody_else_down() {
    for at_once in [true, false] {
        let provider = Provider::openai().build().unwrap();
        provider.faults(|f| f.dead_model_as(DEAD, StatusCode::INTERNAL_SERVER_ERROR));
        let quota = Quota::builder()
            .limit(Limit::requests_per_minute(500))
            .limit(Limit::tokens_per_minute(30_000))
            .build()
            .unwrap();
        let breaker = CircuitBreakerLayer::new().keyed(model_of);
        let circuits = breaker.handle();
        let stack = ServiceBuilder::new()
            .layer(ReqwestLayer::new())
            .layer(BufferBodyLayer::new())
            .layer(FallbackLayer::rewrite(swap_model(ALIVE)))
            .layer(BackoffRetryLayer::new())
            .layer(breaker.gate())
            .layer(TokenBudgetLayer::new(quota))
            .layer(breaker)
            .timeout(Duration::from_secs(60))
            .service(provider.service());
        let mut calls = JoinSet::new();
        let (mut served, mut passed_over) = (0, 0);
        for _ in 0..100 {
            calls.spawn(stack.clone().oneshot(request(DEAD)));
            let some = if at_once { 0 } else { 1 };
            for _ in 0..some.max(calls.len() / 100 * 100) {
                let answer = calls.join_next().await.unwrap().unwrap().unwrap();
                assert_eq!(answer.status(), 200);
                served += u32::from(ServedBy::of(&answer).is_some());
                let causes = Causes::of(&answer).unwrap();
                passed_over += u32::from(causes.last().was_skipped());
            }
        }
        assert_eq!((served, provider.report_of(ALIVE).admitted), (100, 100));
        let of = |model: &str| circuits.key(&Some(model.to_owned())).counts();
        assert_eq!((of(DEAD).opened, of(ALIVE).opened), (1, 0));
        if !at_once {
            assert!(passed_over > 50, "{passed_over}");
        }
        // Whoever asks for the other model from the first is served by it.
        circuits.key(&Some(DEAD.to_owned())).force_open();
        let state = circuits.key(&Some(ALIVE.to_owned())).state();
        assert_eq!(state, CircuitState::Closed);
    }
}
