//! Anthropic's messages, headers and refusals.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_as_anthropic_does() {
    // 2025-10-25T11:59:58.5Z
    let noon = UNIX_EPOCH + Duration::from_millis(1_761_393_598_500);
    let provider = Provider::anthropic()
        .limits(
            Limits::none()
                .requests_per_minute(50)
                .input_tokens_per_minute(30_000)
                .output_tokens_per_minute(8_000),
        )
        .wall_clock(noon)
        .completion(0.5..=0.5)
        .build()
        .unwrap();
    let answer = send(&provider, messages(100)).await.unwrap();
    let headers = answer.headers().clone();
    assert_eq!(said(&headers, "date"), "Sat, 25 Oct 2025 11:59:58 GMT");
    assert_eq!(
        said(&headers, "anthropic-ratelimit-requests-remaining"),
        "49"
    );
    // 1.2 s later, rounded up to the second.
    assert_eq!(
        said(&headers, "anthropic-ratelimit-requests-reset"),
        "2025-10-25T12:00:00Z"
    );
    assert_eq!(
        said(&headers, "anthropic-ratelimit-input-tokens-limit"),
        "30000"
    );
    assert_eq!(
        said(&headers, "anthropic-ratelimit-input-tokens-remaining"),
        "29990"
    );
    assert_eq!(
        said(&headers, "anthropic-ratelimit-output-tokens-remaining"),
        "8000"
    );
    assert_eq!(
        said(&headers, "anthropic-ratelimit-tokens-remaining"),
        "29990"
    );
    let answer = read(answer).await;
    assert_eq!(answer["usage"]["input_tokens"], 10);
    assert_eq!(answer["usage"]["output_tokens"], 50);
    assert_eq!(
        (&answer["type"], &answer["stop_reason"]),
        (&json!("message"), &json!("end_turn"))
    );
    // Now the output that was produced is the tightest.
    let answer = send(&provider, messages(100)).await.unwrap();
    assert_eq!(
        said(answer.headers(), "anthropic-ratelimit-tokens-remaining"),
        "7950"
    );
}

#[tokio::test(start_paused = true)]
async fn anthropics_refusals_name_the_limit_and_money_has_no_wait() {
    let provider = Provider::anthropic()
        .input_tokens_per_minute(20_000)
        .build()
        .unwrap();
    provider.overdraw(provider.started(), &Call::chat("claude", 20_000, 0));
    let answer = send(&provider, messages(5)).await.unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            said(answer.headers(), "retry-after")
        ),
        (429, "1")
    );
    let refused = read(answer).await;
    assert_eq!(refused["error"]["type"], "rate_limit_error");
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("rate limit of 20,000 input tokens per minute")
    );

    provider.faults(|f| f.insufficient_quota(true));
    let answer = send(&provider, messages(5)).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(!answer.headers().contains_key("retry-after"));
    let broke = read(answer).await;
    assert_eq!(
        broke["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );

    provider.faults(|f| f.insufficient_quota(false).outage(true));
    let (status, body) = ask(&provider, messages(5)).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (529, &json!("overloaded_error"))
    );
}
