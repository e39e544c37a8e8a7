//! What each API's streams are made of.

use super::*;

#[tokio::test(start_paused = true)]
async fn azure_refuses_streamed_responses_with_a_200() {
    let provider = Provider::azure()
        .limits(Limits::none().tokens_per_minute(120))
        .stream(Stream::at_once().created_bytes(20_000))
        .build()
        .unwrap();
    let served = send(&provider, responses_of_azure()).await.unwrap();
    assert!(!served.headers().contains_key("retry-after"));
    let refused = send(&provider, responses_of_azure()).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (200, &"60".parse().unwrap())
    );
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.find("event: error").unwrap() > 16_384);
    let names: Vec<_> = events(text)
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "error",
            "response.failed"
        ]
    );
    let report = provider.report();
    assert_eq!(
        (report.admitted, report.rate_limited, report.status(200)),
        (1, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn responses_stream_in_order_and_complete_with_usage() {
    let provider = in_pieces(Provider::openai().completion(0.5..=0.5), 4);
    let events = events(&said(&provider, responses()).await);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    assert_eq!(events[0]["type"], "response.created");
    let deltas = events
        .iter()
        .filter(|e| e["type"] == "response.output_text.delta");
    let text: String = deltas
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(text, TEXT);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    let usage = &last["response"]["usage"];
    assert_eq!(
        (
            &usage["input_tokens"],
            &usage["output_tokens"],
            &usage["total_tokens"]
        ),
        (&json!(10), &json!(50), &json!(60))
    );
}

#[tokio::test(start_paused = true)]
async fn anthropics_usage_is_a_placeholder_first_and_cumulative_last() {
    let provider = in_pieces(Provider::anthropic().cached(0.4), 3);
    let events = events(&said(&provider, messages()).await);
    let names: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let start = &events[0]["message"]["usage"];
    assert_eq!(
        (&start["input_tokens"], &start["output_tokens"]),
        (&json!(6), &json!(3))
    );
    assert_eq!(start["cache_read_input_tokens"], 4);
    assert_eq!(events[7]["usage"]["output_tokens"], 100);
}

#[tokio::test(start_paused = true)]
async fn geminis_stream_is_an_array_or_events_and_its_usage_grows() {
    let provider = in_pieces(Provider::gemini().reasoning(0.2), 4);
    let array = said(&provider, generate("")).await;
    let array: Vec<Value> = serde_json::from_str(&array).unwrap();
    let sse = events(&said(&provider, generate("?alt=sse")).await);
    for chunks in [array, sse] {
        let totals: Vec<_> = chunks
            .iter()
            .map(|chunk| chunk["usageMetadata"]["totalTokenCount"].as_u64().unwrap())
            .collect();
        assert_eq!(totals, [35, 60, 85, 110, 110]);
        let last = &chunks[4];
        assert_eq!(last["usageMetadata"]["candidatesTokenCount"], 80);
        assert_eq!(last["usageMetadata"]["thoughtsTokenCount"], 20);
        assert_eq!(last["candidates"][0]["finishReason"], "MAX_TOKENS");
    }
}
