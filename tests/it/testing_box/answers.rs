//! Bodies and headers.

use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use tower_quota::testing::{Provider, Shape};

use super::{ask, chat, post, read, secs, send};

fn provider() -> Provider {
    Provider::openai().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_chat_is_answered_as_openai_does() {
    let provider = Provider::openai().completion(0.5..=0.5).build().unwrap();
    let body = json!({
        "model": "gpt-4.1",
        "n": 2,
        "max_completion_tokens": 100,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "up?"}]},
        ],
    });
    let (status, answer) = ask(&provider, post("/v1/chat/completions", body.to_string())).await;
    assert_eq!(status, 200);
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "gpt-4.1");
    assert!(answer["created"].as_u64().unwrap() > 1_700_000_000);
    let choices = answer["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2);
    assert_eq!(choices[1]["index"], 1);
    assert_eq!(choices[1]["message"]["content"], "What is up?");
    assert_eq!(choices[1]["finish_reason"], "stop");
    // 20 bytes of text are 5 tokens; half of 2 x 100 is what was said.
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens"], 5);
    assert_eq!(usage["completion_tokens"], 100);
    assert_eq!(usage["total_tokens"], 105);
    assert_eq!(provider.arrivals()[0].reserved, 205);
}

#[tokio::test(start_paused = true)]
async fn a_missing_max_reserves_the_default_for_every_choice() {
    let provider = Provider::openai()
        .default_max_tokens(40)
        .estimate(|text| text.len() as u64)
        .build()
        .unwrap();
    let body = r#"{"model": "m", "n": 3, "messages": [{"role": "user", "content": "four"}]}"#;
    assert_eq!(
        ask(&provider, post("/v1/chat/completions", body)).await.0,
        200
    );
    assert_eq!(provider.arrivals()[0].reserved, 124);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_usage_where_that_was_asked_for() {
    let provider = provider();
    let ask = async |options: &str| {
        let body = format!(
            r#"{{"model": "m", "max_tokens": 7, "stream": true {options},
                "messages": [{{"role": "user", "content": "Hello"}}]}}"#
        );
        let request = post("/v1/chat/completions", body);
        let answer = send(&provider, request).await.unwrap();
        assert_eq!(
            answer.headers()["content-type"],
            "text/event-stream; charset=utf-8"
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let plain = ask("").await;
    assert!(plain.contains(r#""content":"Hello""#) && plain.ends_with("data: [DONE]\n\n"));
    assert!(!plain.contains("usage"));
    let stated = ask(r#", "stream_options": {"include_usage": true}"#).await;
    assert!(stated.contains(r#""usage":null"#));
    assert!(stated.contains(r#""total_tokens":9"#), "{stated}");
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_as_many_as_inputs() {
    let provider = Provider::openai().dimensions(4).build().unwrap();
    let cases = [
        (json!("twelve bytes"), 1, 3),
        (json!(["twelve bytes", "five!"]), 2, 5),
        (json!([1, 2, 3]), 1, 3),
        (json!([[1, 2, 3], [4]]), 2, 4),
    ];
    for (input, count, tokens) in cases {
        let body = json!({"model": "text-embedding-3-small", "input": input}).to_string();
        let (status, answer) = ask(&provider, post("/v1/embeddings", body)).await;
        assert_eq!((status, &answer["object"]), (200, &json!("list")));
        let data = answer["data"].as_array().unwrap();
        assert_eq!(data.len(), count, "{input}");
        assert_eq!(data[0]["embedding"], json!([0.5, 0.5, 0.5, 0.5]));
        assert_eq!(data[count - 1]["index"], count - 1);
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        assert_eq!(answer["usage"], usage);
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_and_cost_nothing() {
    let provider = Provider::openai()
        .requests_per_minute(1)
        .models(["a", "b"])
        .build()
        .unwrap();
    for _ in 0..3 {
        let request = Request::get("/v1/models").body(Default::default()).unwrap();
        let (status, list) = ask(&provider, request).await;
        assert_eq!((status, &list["data"][1]["id"]), (200, &json!("b")));
    }
    assert_eq!(provider.report().admitted, 0);
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_not_counted() {
    let provider = provider();
    let cases = [
        ("/v1/nothing", "{}", 404, json!(null), json!(null)),
        (
            "/v1/models",
            "{}",
            405,
            json!(null),
            json!("method_not_supported"),
        ),
        ("/v1/chat/completions", "{", 400, json!(null), json!(null)),
        (
            "/v1/chat/completions",
            r#"{"messages": []}"#,
            400,
            json!(null),
            json!(null),
        ),
        (
            "/v1/chat/completions",
            r#"{"model": "m"}"#,
            400,
            json!("messages"),
            json!("missing_required_parameter"),
        ),
        (
            "/v1/chat/completions",
            r#"{"model": "m", "n": 0, "messages": [{}]}"#,
            400,
            json!("n"),
            json!("invalid_type"),
        ),
        (
            "/v1/chat/completions",
            r#"{"model": "m", "max_tokens": -1, "messages": [{}]}"#,
            400,
            json!("max_tokens"),
            json!("invalid_type"),
        ),
        (
            "/v1/embeddings",
            r#"{"model": "m"}"#,
            400,
            json!("input"),
            json!("missing_required_parameter"),
        ),
    ];
    for (path, body, wanted, param, code) in cases {
        let (status, answer) = ask(&provider, post(path, body)).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["param"], &error["code"]),
            (wanted, &param, &code)
        );
        assert_eq!(error["type"], "invalid_request_error");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(provider.report().admitted, 0);
    assert_eq!(provider.report().uncounted, 8);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_checked_where_one_is_set() {
    let provider = Provider::openai().api_key("sk-1").build().unwrap();
    let with = |key: &'static str| {
        let mut request = chat();
        request
            .headers_mut()
            .insert("authorization", key.parse().unwrap());
        request
    };
    assert_eq!(ask(&provider, chat()).await.0, 401);
    let (status, answer) = ask(&provider, with("Bearer sk-2")).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    assert_eq!(ask(&provider, with("Bearer sk-1")).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn every_answer_states_the_limits() {
    let provider = Provider::openai()
        .requests_per_minute(500)
        .tokens_per_minute(30_000)
        .build()
        .unwrap();
    let answer = send(&provider, chat()).await.unwrap();
    let said = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(said("x-ratelimit-limit-requests"), "500");
    assert_eq!(said("x-ratelimit-remaining-requests"), "499");
    assert_eq!(said("x-ratelimit-reset-requests"), "120ms");
    assert_eq!(said("x-ratelimit-limit-tokens"), "30000");
    assert_eq!(said("x-ratelimit-remaining-tokens"), "29900");
    assert_eq!(said("x-ratelimit-reset-tokens"), "200ms");
    assert!(said("x-request-id").starts_with("req_"));
    assert_eq!(said("content-type"), "application/json");

    let wrong = send(&provider, post("/v1/nothing", "")).await.unwrap();
    assert_eq!(wrong.headers()["x-ratelimit-remaining-tokens"], "29900");
    assert_ne!(wrong.headers()["x-request-id"], said("x-request-id"));

    let silent = Provider::openai()
        .requests_per_minute(5)
        .rate_headers(false)
        .build()
        .unwrap();
    let answer = send(&silent, chat()).await.unwrap();
    assert!(!answer.headers().contains_key("x-ratelimit-limit-requests"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_speaks_openais_words() {
    // The figures of a message that was seen in the wild.
    let provider = Provider::openai()
        .tokens_per_minute(30_000)
        .organization("org-x")
        .build()
        .unwrap();
    let body = |max: u64| {
        let body = json!({
            "model": "gpt-4o",
            "max_tokens": max,
            "messages": [{"role": "user", "content": ""}],
        });
        post("/v1/chat/completions", body.to_string())
    };
    assert_eq!(ask(&provider, body(14_567)).await.0, 200);
    let answer = send(&provider, body(24_754)).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "19");
    assert_eq!(answer.headers()["retry-after-ms"], "18642");
    assert_eq!(
        read(answer).await,
        json!({"error": {
            "message": "Rate limit reached for gpt-4o in organization org-x on tokens per min \
                (TPM): Limit 30000, Used 14567, Requested 24754. Please try again in 18.642s. \
                Visit https://platform.openai.com/account/rate-limits to learn more.",
            "type": "tokens",
            "param": null,
            "code": "rate_limit_exceeded",
        }})
    );

    let answer = send(&provider, body(35_000)).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(!answer.headers().contains_key("retry-after"));
    assert_eq!(
        read(answer).await["error"]["message"],
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, \
         Requested 35000. The input or output tokens must be reduced in order to run \
         successfully. Visit https://platform.openai.com/account/rate-limits to learn more."
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_refused_by_the_minute_and_by_the_day() {
    let provider = Provider::openai()
        .requests_per_minute(3)
        .requests_per_day(200)
        .build()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&provider, chat()).await.0, 200);
    }
    let (_, body) = ask(&provider, chat()).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(
            "on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s."
        ),
        "{message}"
    );
    assert_eq!(body["error"]["type"], "requests");

    let provider = Provider::openai()
        .requests_per_day(200)
        .day_shape(Shape::Bucket)
        .build()
        .unwrap();
    for _ in 0..200 {
        ask(&provider, chat()).await;
    }
    let (_, body) = ask(&provider, chat()).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s."),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_the_headers_round_up_is_enough() {
    for shape in [Shape::Rolling, Shape::Bucket, Shape::Fixed] {
        let provider = Provider::openai()
            .tokens_per_minute(777)
            .shape(shape)
            .build()
            .unwrap();
        for _ in 0..30 {
            let answer = send(&provider, chat()).await.unwrap();
            if answer.status() == 429 {
                let wait = answer.headers()["retry-after-ms"].to_str().unwrap();
                let wait: u64 = wait.parse().unwrap();
                assert!(wait > 0);
                tokio::time::advance(super::ms(wait)).await;
                assert_eq!(ask(&provider, chat()).await.0, 200, "{shape:?}");
            }
            tokio::time::advance(secs(1)).await;
        }
    }
}
