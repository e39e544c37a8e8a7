//! What other providers than OpenAI say.

mod anthropic;

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_quota::testing::{
    Call, Hint, Limits, Odd, Outcome, Provider, ProviderBox, ProviderBuilder, RateHeaders, Shape,
};

use super::{ask, chat, post, read, secs, send};

fn messages(max_tokens: u64) -> Request<Full<bytes::Bytes>> {
    let message = json!({"role": "user", "content": [{"type": "text", "text": "x".repeat(40)}]});
    let body = json!({"model": "claude", "max_tokens": max_tokens, "messages": [message]});
    post("/v1/messages", body.to_string())
}

fn generate() -> Request<Full<bytes::Bytes>> {
    let contents = json!([{"role": "user", "parts": [{"text": "x".repeat(40)}]}]);
    let body = json!({"contents": contents, "generationConfig": {"maxOutputTokens": 90}});
    post(
        "/v1beta/models/gemini-2.5-flash:generateContent",
        body.to_string(),
    )
}

fn said<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

/// The answers to as many calls at once, the last one.
fn last(provider: ProviderBuilder, call: &Call, calls: u32) -> Response<bytes::Bytes> {
    let provider = provider.build().unwrap();
    let now = provider.started();
    let mut answer = None;
    for _ in 0..calls {
        answer = provider.handle(now, call).finish(now);
    }
    answer.unwrap()
}

fn body(answer: &Response<bytes::Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_in_every_envelope() {
    let provider = Provider::anthropic().api_key("sk-ant").build().unwrap();
    assert_eq!(
        ask(&provider, messages(1)).await.1["error"]["type"],
        "authentication_error"
    );
    let with_key = |body: &'static str| {
        let mut request = post("/v1/messages", body);
        request
            .headers_mut()
            .insert("x-api-key", "sk-ant".parse().unwrap());
        request
    };
    for body in [
        "{",
        "{}",
        r#"{"model": "m", "messages": [{}]}"#,
        r#"{"model": "m", "max_tokens": 1}"#,
    ] {
        let (status, said) = ask(&provider, with_key(body)).await;
        assert_eq!(
            (status, &said["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{body}"
        );
    }
    let provider = Provider::gemini().api_key("AI").build().unwrap();
    let path = "/v1beta/models/m:generateContent?key=AI";
    assert_eq!(
        ask(&provider, generate()).await.1["error"]["status"],
        "UNAUTHENTICATED"
    );
    for body in [
        "{",
        "{}",
        r#"{"contents": "x"}"#,
        r#"{"contents": [{}], "generationConfig": {"candidateCount": 99}}"#,
    ] {
        let (status, said) = ask(&provider, post(path, body)).await;
        assert_eq!(
            (status, &said["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{body}"
        );
    }
    for path in [
        "/v1beta/models/m:embedContent?key=AI",
        "/v1beta/models/m?key=AI",
        "/v1/chat/completions?key=AI",
    ] {
        assert_eq!(
            ask(&provider, post(path, "{}")).await.1["error"]["status"],
            "NOT_FOUND",
            "{path}"
        );
    }
    assert_eq!(provider.report().admitted, 0);
}

#[tokio::test(start_paused = true)]
async fn gemini_counts_input_alone_and_says_nothing_in_headers() {
    let provider = Provider::gemini()
        .tokens_per_minute(20)
        .completion(0.5..=0.5)
        .build()
        .unwrap();
    let answer = send(&provider, generate()).await.unwrap();
    let limits = answer
        .headers()
        .keys()
        .any(|name| name.as_str().contains("ratelimit"));
    assert!(!limits);
    let served = read(answer).await;
    assert_eq!(served["candidates"][0]["finishReason"], "STOP");
    assert_eq!(served["usageMetadata"]["promptTokenCount"], 10);
    assert_eq!(served["usageMetadata"]["totalTokenCount"], 55);
    assert_eq!(ask(&provider, generate()).await.0, 200);
    let (status, refused) = ask(&provider, generate()).await;
    let details = &refused["error"]["details"];
    assert_eq!(
        (status, &refused["error"]["status"]),
        (429, &json!("RESOURCE_EXHAUSTED"))
    );
    let violation = &details[0]["violations"][0];
    assert_eq!(
        violation["quotaId"],
        "GenerateContentInputTokensPerMinutePerProjectPerModel"
    );
    assert_eq!(violation["quotaValue"], "20");
    assert_eq!(details[1]["retryDelay"], "30s");
}

#[test]
fn gemini_lists_every_limit_and_lies_about_the_day() {
    let limits = Limits::none().requests_per_minute(2).requests_per_day(2);
    let call = Call::chat("gemini", 10, 5);
    let provider = Provider::gemini().limits(limits).shape(Shape::Bucket);
    let refused = body(&last(provider.clone(), &call, 3));
    let details = &refused["error"]["details"];
    let ids: Vec<_> = details[0]["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["quotaId"].clone())
        .collect();
    assert_eq!(
        ids,
        [
            "GenerateRequestsPerMinutePerProjectPerModel",
            "GenerateRequestsPerDayPerProjectPerModel"
        ]
    );
    // Half a day is the truth.
    assert_eq!(details[1]["retryDelay"], "0s");
    let provider = provider.build().unwrap();
    let now = provider.started();
    for _ in 0..2 {
        let _ = provider.handle(now, &call);
    }
    assert_eq!(
        provider.handle(now, &call).retry_after(),
        Some(secs(43_200))
    );

    let none = Provider::gemini().limits(Limits::none().requests_per_minute(0));
    let refused = body(&last(none, &call, 1));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("limit: 0, model: gemini")
            && message.ends_with("Please retry in 45.578569677s."),
        "{message}"
    );
}

#[test]
fn an_overloaded_gemini_is_out_of_capacity() {
    let provider = Provider::gemini().faults(|f| f.errors(1.0, StatusCode::SERVICE_UNAVAILABLE));
    let answer = last(provider, &Call::chat("gemini", 1, 1), 1);
    assert_eq!(answer.status(), 503);
    assert_eq!(
        body(&answer)["error"]["details"][0]["reason"],
        "MODEL_CAPACITY_EXHAUSTED"
    );
}

#[test]
fn azure_states_whole_seconds_and_what_never_fits_in_a_day() {
    let provider = Provider::azure().tokens_per_minute(1_000);
    let answer = last(provider.clone(), &Call::chat("gpt", 100, 500), 2);
    let headers = answer.headers();
    assert_eq!(
        (
            said(headers, "retry-after"),
            said(headers, "retry-after-ms")
        ),
        ("60", "60000")
    );
    assert_eq!(said(headers, "x-ratelimit-reset-tokens"), "60");
    assert_eq!(said(headers, "x-ratelimit-renewalperiod-tokens"), "60");
    assert_eq!(said(headers, "x-ratelimit-type"), "Tokens");
    let message = body(&answer)["error"]["message"].to_string();
    assert!(
        message.contains("exceeded token rate limit") && message.contains("retry after 60 seconds"),
        "{message}"
    );
    let never = last(provider, &Call::chat("gpt", 100, 5_000), 1);
    assert_eq!(said(never.headers(), "retry-after"), "86400");
}

#[test]
fn hints_can_lie_and_can_be_missing() {
    let call = Call::chat("gpt", 100, 500);
    for provider in [Provider::openai(), Provider::azure(), Provider::groq()] {
        let provider = provider.tokens_per_minute(1_000);
        let silent = last(provider.clone().faults(|f| f.hint(Hint::Silent)), &call, 2);
        assert_eq!(silent.status(), 429);
        assert!(!silent.headers().contains_key("retry-after"));
        let message = body(&silent)["error"]["message"].to_string();
        assert!(
            !message.contains("try again in") && !message.contains("retry after"),
            "{message}"
        );
        let lie = last(provider.faults(|f| f.hint(Hint::Lie(secs(1)))), &call, 2);
        assert_eq!(said(lie.headers(), "retry-after"), "1");
    }
    let lie = last(
        Provider::azure()
            .tokens_per_minute(1_000)
            .faults(|f| f.hint(Hint::Lie(secs(1)))),
        &call,
        2,
    );
    assert_eq!(said(lie.headers(), "retry-after-ms"), "0");
}

#[test]
fn groq_counts_requests_by_the_day_and_waits_in_fractions() {
    let limits = Limits::none()
        .requests_per_day(14_400)
        .tokens_per_minute(6_000);
    let provider = Provider::groq().limits(limits);
    let answer = last(provider.clone(), &Call::chat("llama", 3_000, 1_443), 2);
    let headers = answer.headers();
    assert_eq!(said(headers, "x-ratelimit-limit-requests"), "14400");
    assert_eq!(said(headers, "x-ratelimit-reset-requests"), "6s");
    assert_eq!(said(headers, "retry-after"), "28.86");
    let large = last(provider, &Call::chat("llama", 12_000, 328), 1);
    assert_eq!(large.status(), 413);
    let error = &body(&large)["error"];
    assert_eq!(error["code"], "rate_limit_exceeded");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Request too large for model `llama`")
    );
}

#[test]
fn headers_are_spelt_as_anybody_spells_them() {
    let limits = Limits::none()
        .requests_per_minute(600)
        .tokens_per_minute(60_000)
        .output_tokens_per_minute(36_000);
    let noon = UNIX_EPOCH + secs(1_788_220_800);
    let cases = [
        (RateHeaders::Mistral, "ratelimitbysize-query-cost", "600"),
        (
            RateHeaders::Mistral,
            "x-ratelimit-remaining-tokens-minute",
            "59400",
        ),
        (RateHeaders::Together, "x-tokenlimit-limit", "1000"),
        (
            RateHeaders::Fireworks,
            "x-ratelimit-limit-tokens-generated",
            "36000",
        ),
        (
            RateHeaders::OpenRouter,
            "x-ratelimit-reset",
            "1788220800100",
        ),
        (RateHeaders::Azure, "x-ratelimit-reset-tokens", "1"),
    ];
    for (headers, name, value) in cases {
        let provider = Provider::openai()
            .limits(limits)
            .headers(headers)
            .wall_clock(noon);
        let answer = last(provider, &Call::chat("m", 100, 500), 1);
        assert_eq!(said(answer.headers(), name), value, "{headers:?}");
    }
}

#[test]
fn every_odd_answer_is_odd_in_its_own_way() {
    let provider = Provider::openai().build().unwrap();
    let now = provider.started();
    let mut seen = std::collections::HashSet::new();
    for odd in Odd::ALL {
        provider.then_answer(odd.answer());
        let reply = provider.handle(now, &Call::chat("m", 1, 1));
        assert_eq!(reply.outcome(), Outcome::Uncounted);
        let answer = reply.finish(now).unwrap();
        assert!(answer.status().as_u16() >= 400, "{odd:?}");
        let mut headers: Vec<_> = answer
            .headers()
            .iter()
            .map(|(n, v)| format!("{n}: {v:?}"))
            .collect();
        headers.sort();
        assert!(
            seen.insert((answer.status(), headers, answer.into_body())),
            "{odd:?}"
        );
    }
}

#[tokio::test]
async fn every_provider_answers_over_the_wire() {
    let cases: [(ProviderBuilder, &str, Request<Full<bytes::Bytes>>); 5] = [
        (ProviderBox::openai(), "/chat/completions", chat()),
        (ProviderBox::azure(), "/chat/completions", chat()),
        (ProviderBox::groq(), "/chat/completions", chat()),
        (ProviderBox::anthropic(), "/messages", messages(90)),
        (
            ProviderBox::gemini(),
            "/models/gemini-2.5-flash:generateContent",
            generate(),
        ),
    ];
    let client = reqwest::Client::new();
    for (builder, path, request) in cases {
        let provider = builder.start().await.unwrap();
        let url = format!("{}{path}", provider.base_url());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let answer = client.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let answer: Value = answer.json().await.unwrap();
        let usage = answer.get("usage").or_else(|| answer.get("usageMetadata"));
        assert!(usage.is_some(), "{path}");
    }
    // A deployment is a model that stands in the path.
    let azure = ProviderBox::azure().api_key("k").start().await.unwrap();
    let url = format!(
        "http://{}/openai/deployments/mine/chat/completions?api-version=1",
        azure.addr()
    );
    let body = r#"{"messages": [{"role": "user", "content": "Hello"}]}"#;
    let answer = client
        .post(url)
        .header("api-key", "k")
        .body(body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["model"], "mine");
}
