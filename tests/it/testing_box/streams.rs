//! Streams over time, and how they fail.

mod shapes;

use std::time::UNIX_EPOCH;

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_quota::testing::{
    Limits, Provider, ProviderBody, ProviderBox, ProviderBuilder, Settlement, Stream, StreamFault,
};

use super::{ms, post, secs, send};

const TEXT: &str = "Grüße aus Köln, 日本 and elsewhere";

fn chat(options: &str) -> Request<Full<bytes::Bytes>> {
    let body = format!(
        r#"{{"model": "m", "max_tokens": 100, "stream": true {options}, "messages": [{{"role": "user", "content": "{TEXT}"}}]}}"#
    );
    post("/v1/chat/completions", body)
}

fn responses() -> Request<Full<bytes::Bytes>> {
    let body = json!({"model": "m", "max_output_tokens": 100, "stream": true, "input": TEXT});
    post("/v1/responses", body.to_string())
}

fn messages() -> Request<Full<bytes::Bytes>> {
    let message = json!({"role": "user", "content": TEXT});
    let body = json!({"model": "m", "max_tokens": 100, "stream": true, "messages": [message]});
    post("/v1/messages", body.to_string())
}

fn generate(how: &str) -> Request<Full<bytes::Bytes>> {
    let contents = json!([{"role": "user", "parts": [{"text": TEXT}]}]);
    let body = json!({"contents": contents, "generationConfig": {"maxOutputTokens": 100}});
    let path = format!("/v1beta/models/m:streamGenerateContent{how}");
    post(&path, body.to_string())
}

/// Every frame and when it came, and whether the stream broke off.
async fn frames(mut body: ProviderBody) -> (Vec<(std::time::Duration, Vec<u8>)>, bool) {
    let began = Instant::now();
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => frames.push((began.elapsed(), frame.into_data().unwrap().to_vec())),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                return (frames, true);
            }
        }
    }
    (frames, false)
}

async fn said(provider: &Provider, request: Request<Full<bytes::Bytes>>) -> String {
    let body = send(provider, request).await.unwrap().into_body();
    let (frames, _) = frames(body).await;
    let bytes = frames.into_iter().flat_map(|(_, bytes)| bytes).collect();
    String::from_utf8(bytes).unwrap()
}

/// The JSON of every event; the name that it has must be its type.
fn events(said: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for event in said.split("\n\n").filter(|event| !event.is_empty()) {
        let mut name = None;
        for line in event.lines() {
            if let Some(said) = line.strip_prefix("event: ") {
                name = Some(said);
            } else if let Some(data) = line.strip_prefix("data: ").filter(|d| *d != "[DONE]") {
                let data: Value = serde_json::from_str(data).unwrap();
                assert!(name.is_none_or(|name| data["type"] == name), "{event}");
                events.push(data);
            } else {
                assert!(line.starts_with(':') || line == "data: [DONE]", "{line}");
            }
        }
    }
    events
}

fn in_pieces(builder: ProviderBuilder, pieces: u64) -> Provider {
    let stream = Stream::at_once().pieces(pieces);
    builder.stream(stream).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn pieces_come_when_they_are_due_and_make_up_the_text() {
    let stream = Stream::at_once().pieces(7).first(ms(400)).pace(ms(50));
    let provider = Provider::openai()
        .latency(ms(100))
        .stream(stream)
        .build()
        .unwrap();
    let before = Instant::now();
    let answer = send(&provider, chat("")).await.unwrap();
    assert_eq!(before.elapsed(), ms(100));
    assert_eq!(provider.report().in_flight, 1);
    let (frames, broken) = frames(answer.into_body()).await;
    assert_eq!((broken, provider.report().in_flight), (false, 0));
    let text = |bytes: &[u8]| {
        let event = events(std::str::from_utf8(bytes).unwrap());
        let content = event.first()?.pointer("/choices/0/delta/content")?;
        content.as_str().map(str::to_owned)
    };
    let pieces: Vec<_> = frames
        .iter()
        .filter_map(|(at, bytes)| Some((*at, text(bytes).filter(|text| !text.is_empty())?)))
        .collect();
    let times: Vec<_> = pieces.iter().map(|(at, _)| *at).collect();
    let due: Vec<_> = (0..7).map(|n| ms(400 + 50 * n)).collect();
    assert_eq!(times, due);
    let whole: String = pieces.into_iter().map(|(_, text)| text).collect();
    assert_eq!(whole, TEXT);
}

#[tokio::test(start_paused = true)]
async fn usage_comes_in_a_chunk_of_its_own_and_is_null_before() {
    let provider = in_pieces(Provider::openai().cached(0.5).reasoning(0.25), 3);
    let said = said(
        &provider,
        chat(r#", "stream_options": {"include_usage": true}"#),
    )
    .await;
    assert!(said.ends_with("data: [DONE]\n\n"));
    let events = events(&said);
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 100);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    assert_eq!(
        last["usage"]["completion_tokens_details"]["reasoning_tokens"],
        25
    );
    for event in before {
        assert_eq!(event.get("usage"), Some(&Value::Null));
        assert_ne!(event["choices"], json!([]));
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_cut_events_anywhere_and_lose_nothing() {
    // Each chunk says in which second it was made.
    let provider = || Provider::openai().wall_clock(UNIX_EPOCH);
    let whole = said(&in_pieces(provider(), 5), chat("")).await;
    for bytes in [1, 7, 64, 100_000] {
        let stream = Stream::at_once().pieces(5).chunk_bytes(bytes);
        let provider = provider().stream(stream).build().unwrap();
        let body = send(&provider, chat("")).await.unwrap().into_body();
        let (frames, _) = frames(body).await;
        let (last, full) = frames.split_last().unwrap();
        assert!(
            full.iter().all(|(_, frame)| frame.len() == bytes),
            "{bytes}"
        );
        assert!(last.1.len() <= bytes);
        let all: Vec<u8> = frames.iter().flat_map(|(_, frame)| frame.clone()).collect();
        assert_eq!(String::from_utf8(all).unwrap(), whole, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_any_size_is_made_as_it_is_read() {
    let stream = Stream::at_once().pieces(1 << 40).piece_bytes(10_000);
    let provider = Provider::openai().stream(stream).build().unwrap();
    let mut body = send(&provider, chat("")).await.unwrap().into_body();
    let mut bytes = 0;
    while bytes < 5_000_000 {
        bytes += body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len();
    }
    drop(body);
    assert_eq!(provider.report().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_silent_for_longer_than_a_keep_alive() {
    let stream = Stream::at_once()
        .pieces(3)
        .first(secs(35))
        .pace(ms(500))
        .keep_alive(secs(10))
        .comments(true);
    let provider = Provider::openai().stream(stream).build().unwrap();
    let body = send(&provider, chat("")).await.unwrap().into_body();
    let (frames, _) = frames(body).await;
    let alive = frames
        .iter()
        .filter(|(_, bytes)| bytes == b": keep-alive\n\n");
    let times: Vec<_> = alive.map(|(at, _)| *at).collect();
    assert_eq!(times, [secs(10), secs(20), secs(30)]);
    let before_pieces = frames
        .iter()
        .filter(|(_, bytes)| bytes.starts_with(b": keep-alive\n\ndata: "));
    assert_eq!(before_pieces.count(), 3);
    // An array has no place for comments.
    let provider = Provider::gemini().stream(stream).build().unwrap();
    let array = said(&provider, generate("")).await;
    assert!(serde_json::from_str::<Value>(&array).is_ok(), "{array}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_ends_in_an_error_and_has_used_what_it_said() {
    let provider = Provider::openai()
        .settlement(Settlement::TrueUp)
        .stream(Stream::at_once().pieces(4))
        .faults(|f| f.streams(1.0, StreamFault::BreakOff, 3))
        .build()
        .unwrap();
    let body = send(&provider, chat("")).await.unwrap().into_body();
    let (frames, broken) = frames(body).await;
    // The role, three of four pieces, and no more.
    assert_eq!((frames.len(), broken), (4, true));
    let report = provider.report();
    assert_eq!((report.tokens_admitted, report.tokens_charged), (110, 85));
    assert_eq!((report.tokens_produced, report.in_flight), (75, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_a_stream_pays_what_was_reserved_and_frees_the_slot() {
    let provider = Provider::openai()
        .settlement(Settlement::TrueUp)
        .completion(0.5..=0.5)
        .stream(Stream::at_once().pieces(10).pace(secs(1)))
        .build()
        .unwrap();
    let mut body = send(&provider, chat("")).await.unwrap().into_body();
    for _ in 0..4 {
        body.frame().await.unwrap().unwrap();
    }
    drop(body);
    let report = provider.report();
    assert_eq!((report.tokens_charged, report.in_flight), (110, 0));
    assert_eq!(report.tokens_produced, 15);
}

#[tokio::test(start_paused = true)]
async fn every_api_fails_inside_of_a_stream_in_its_own_words() {
    let limited = StreamFault::RateLimited(secs(4));
    let overloaded = StreamFault::Overloaded;
    type Ask = fn() -> Request<Full<bytes::Bytes>>;
    let cases: [(ProviderBuilder, Ask, StreamFault, &str, &str); 9] = [
        (
            Provider::openai(),
            || chat(""),
            overloaded,
            "/error/code",
            "server_is_overloaded",
        ),
        (
            Provider::openai(),
            || chat(""),
            limited,
            "/error/code",
            "rate_limit_exceeded",
        ),
        (
            Provider::openai(),
            || chat(""),
            StreamFault::Upstream,
            "/error/code",
            "429",
        ),
        (
            Provider::azure(),
            responses_of_azure,
            limited,
            "/response/error/code",
            "rate_limit_exceeded",
        ),
        (
            Provider::openai(),
            responses,
            overloaded,
            "/response/error/code",
            "server_is_overloaded",
        ),
        (
            Provider::anthropic(),
            messages,
            overloaded,
            "/error/type",
            "overloaded_error",
        ),
        (
            Provider::anthropic(),
            messages,
            limited,
            "/error/type",
            "rate_limit_error",
        ),
        (
            Provider::gemini(),
            || generate("?alt=sse"),
            overloaded,
            "/error/details/0/reason",
            "MODEL_CAPACITY_EXHAUSTED",
        ),
        (
            Provider::gemini(),
            || generate("?alt=sse"),
            limited,
            "/error/details/0/retryDelay",
            "4s",
        ),
    ];
    for (builder, ask, fault, at, wanted) in cases {
        for pieces in [0, 2] {
            let stream = Stream::at_once().pieces(3);
            let builder = builder.clone().stream(stream);
            let provider = builder
                .faults(|f| f.streams(1.0, fault, pieces))
                .build()
                .unwrap();
            let answer = send(&provider, ask()).await.unwrap();
            assert_eq!(answer.status(), 200);
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            let events = events(std::str::from_utf8(&bytes).unwrap());
            let found = events.last().unwrap().pointer(at).unwrap().clone();
            let found = found.as_str().map_or(found.to_string(), str::to_owned);
            assert_eq!(found, wanted, "{fault:?} after {pieces}");
            let content = |event: &&Value| {
                [
                    "/choices/0/delta/content",
                    "/delta",
                    "/delta/text",
                    "/candidates/0/content/parts/0/text",
                ]
                .iter()
                .any(|at| {
                    event
                        .pointer(at)
                        .and_then(Value::as_str)
                        .is_some_and(|text| !text.is_empty())
                })
            };
            assert_eq!(
                events.iter().filter(content).count() as u64,
                pieces,
                "{fault:?}"
            );
        }
    }
}

fn responses_of_azure() -> Request<Full<bytes::Bytes>> {
    let (mut parts, body) = responses().into_parts();
    parts.uri = "/openai/v1/responses".parse().unwrap();
    Request::from_parts(parts, body)
}

#[tokio::test]
async fn streams_go_over_the_wire_and_break_there() {
    let provider = ProviderBox::openai()
        .stream(Stream::at_once().pieces(20).pace(ms(1)).chunk_bytes(33))
        .start()
        .await
        .unwrap();
    let url = format!("{}/chat/completions", provider.base_url());
    let client = reqwest::Client::new();
    let body = chat("").into_body().collect().await.unwrap().to_bytes();
    let answer = client.post(&url).body(body.clone()).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n") && events(&text).len() == 22);

    provider.faults(|f| f.streams(1.0, StreamFault::BreakOff, 5));
    let mut answer = client.post(&url).body(body).send().await.unwrap();
    let mut came = Vec::new();
    let error = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => came.extend(chunk),
            Ok(None) => panic!("a whole stream"),
            Err(error) => break error,
        }
    };
    assert!(!error.is_timeout());
    // What was said before has all arrived: the role and five pieces.
    assert_eq!(events(std::str::from_utf8(&came).unwrap()).len(), 6);
}
