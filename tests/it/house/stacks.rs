//! All five layers on the clients and servers that people have, as short as one would write it.

use axum::{Router, routing::post};
use http::{Request, StatusCode};
use tower::ServiceBuilder;
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota,
    RateLimitLayer, RespondLayer, TokenBudgetLayer,
};

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::requests_per_minute(500))
        .limit(Limit::tokens_per_minute(30_000))
        .build()
        .unwrap()
}

#[cfg(all(feature = "reqwest", feature = "testing"))]
mod clients {
    use async_openai::{
        Client,
        config::OpenAIConfig,
        error::OpenAIError,
        middleware::HttpRequestFactory,
        types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
    };
    use tower::{ServiceExt, service_fn};
    use tower_quota::{
        edge::{ReqwestLayer, ReqwestService},
        fallback::swap_model,
        testing::ProviderBox,
        tokens::model_of,
    };

    use super::*;

    async fn provider() -> ProviderBox {
        let provider = ProviderBox::openai().requests_per_minute(500);
        provider.start().await.unwrap()
    }

    #[tokio::test]
    async fn reqwest_takes_all_five() {
        let provider = provider().await;
        let client = reqwest::Client::new();
        let breaker = CircuitBreakerLayer::new().keyed(model_of);
        let stack = ServiceBuilder::new()
            .layer(ReqwestLayer::new())
            .layer(BufferBodyLayer::new())
            .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")))
            .layer(BackoffRetryLayer::new())
            .layer(breaker.gate())
            .layer(RateLimitLayer::per_minute(400))
            .layer(TokenBudgetLayer::new(quota()))
            .layer(breaker)
            .service(ReqwestService::new(client.clone()));

        let request = client
            .post(format!("{}/chat/completions", provider.base_url()))
            .body(r#"{"model":"gpt-4.1","max_tokens":9,"messages":[{"role":"user","content":"Hello?"}]}"#)
            .build()
            .unwrap();
        let response: reqwest::Response = stack.oneshot(request).await.unwrap();
        let answer: serde_json::Value = response.json().await.unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "Hello?");
    }

    #[tokio::test]
    async fn async_openai_takes_all_five() {
        let provider = provider().await;
        let breaker = CircuitBreakerLayer::new().keyed(model_of);
        let quota = quota();
        let stack = ServiceBuilder::new()
            .layer(ReqwestLayer::new())
            .layer(BufferBodyLayer::new())
            .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")))
            .layer(BackoffRetryLayer::new())
            .layer(breaker.gate())
            .layer(RateLimitLayer::per_minute(400))
            .layer(TokenBudgetLayer::new(quota.clone()))
            .layer(breaker)
            .service(ReqwestService::default());
        let config = OpenAIConfig::new()
            .with_api_base(provider.base_url())
            .with_api_key("sk-box");
        let client = Client::with_config(config).with_http_service(service_fn(
            move |factory: HttpRequestFactory| {
                let stack = stack.clone();
                async move {
                    let request = factory.build().await?;
                    stack.oneshot(request).await.map_err(OpenAIError::Boxed)
                }
            },
        ));

        let message = ChatCompletionRequestUserMessageArgs::default()
            .content("Hello?")
            .build()
            .unwrap();
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4.1")
            .max_completion_tokens(9_u32)
            .messages([message.into()])
            .build()
            .unwrap();
        let answer = client.chat().create(request).await.unwrap();
        assert_eq!(answer.choices[0].message.content.as_deref(), Some("Hello?"));
        // Never less than what the provider counts.
        let report = provider.report();
        assert_eq!(report.admitted, 1);
        assert!(quota.snapshot().limits[1].used >= report.tokens_admitted);
    }
}

/// Around the routes of a server: what a whole upstream may take, and each tenant of it.
#[tokio::test]
async fn axum_takes_all_five() {
    let breaker = CircuitBreakerLayer::new();
    let tenant = |request: &Request<_>| request.headers().get("x-tenant").cloned();
    let closed = |_: Request<_>| async {
        let answer = (StatusCode::SERVICE_UNAVAILABLE, "come back later");
        Ok::<_, BoxError>(axum::response::IntoResponse::into_response(answer))
    };
    let layers = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(RateLimitLayer::per_minute(1).keyed(tenant).reject())
        .layer(FallbackLayer::to(tower::service_fn(closed)))
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(TokenBudgetLayer::new(quota()))
        .layer(breaker);
    let app: Router = Router::new()
        .route("/chat", post(|body: String| async { body }))
        .layer(layers);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/chat", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let ask = |tenant: &str| {
        let request = reqwest::Client::new().post(&url).header("x-tenant", tenant);
        request.body(r#"{"max_tokens":9,"messages":[]}"#).send()
    };
    let first = ask("a").await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(
        first.text().await.unwrap(),
        r#"{"max_tokens":9,"messages":[]}"#
    );
    let second = ask("a").await.unwrap();
    assert_eq!(second.status(), 429);
    assert!(second.headers().contains_key("retry-after"));
    assert_eq!(ask("b").await.unwrap().status(), 200);
    server.abort();
}
