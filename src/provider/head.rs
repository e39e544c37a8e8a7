//! The head of a stream of events: what comes before the first content, and whether that is an error.

use std::{borrow::Cow, collections::BTreeMap};

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    classify_as,
    events::{Events, Part},
};
use crate::verdict::{Provider, Verdict};

/// Events that say no more than that there will be some, by their names or their `type`.
const SILENT: &[&str] = &[
    "response.created",
    "response.in_progress",
    "response.queued",
    "message_start",
    "messageStart",
    "ping",
    "keepalive",
];

/// A longer name is none that matters.
const NAME: usize = 64;

/// Reads a stream up to the event that decides what it is.
///
/// Keeps the data of one event; how much that may be is the caller's to bound.
#[derive(Debug, Default)]
pub(crate) struct StreamHead {
    events: Events,
    name: Vec<u8>,
    data: Vec<u8>,
    begun: bool,
    // Whose it is, where that is known beforehand.
    provider: Option<Provider>,
}

impl StreamHead {
    pub(crate) fn new(provider: Option<Provider>) -> Self {
        Self {
            provider,
            ..Self::default()
        }
    }

    /// Looks at the next bytes: the verdict, once there is content or an error.
    pub(crate) fn push(&mut self, headers: &HeaderMap, mut chunk: &[u8]) -> Option<Verdict> {
        if !self.begun {
            let blank = |b: &u8| b.is_ascii_whitespace() || matches!(b, 0xef | 0xbb | 0xbf);
            let first = chunk.iter().find(|byte| !blank(byte));
            self.begun = first.is_some();
            // No events, whatever the headers say.
            if matches!(first, Some(b'{' | b'[' | b'<')) {
                return Some(Verdict::Success);
            }
        }
        while let Some(part) = self.events.next(&mut chunk) {
            match part {
                Part::Name(part) => {
                    let room = NAME.saturating_sub(self.name.len());
                    self.name.extend_from_slice(&part[..part.len().min(room)]);
                }
                Part::Data(part) => self.data.extend_from_slice(part),
                Part::End => {
                    let verdict = self.judge(headers);
                    self.name.clear();
                    self.data.clear();
                    if verdict.is_some() {
                        return verdict;
                    }
                }
            }
        }
        None
    }

    /// The stream has ended without any content, or enough was read; the last event may lack its end.
    pub(crate) fn finish(&self, headers: &HeaderMap) -> Verdict {
        self.judge(headers).unwrap_or(Verdict::Success)
    }

    /// What the event means; `None` where it says nothing yet.
    fn judge(&self, headers: &HeaderMap) -> Option<Verdict> {
        let failed = self.name == b"error";
        let data = self.data.trim_ascii();
        if data.is_empty() && !failed {
            return None;
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            // `[DONE]`, or another's idea of content.
            return Some(if failed {
                self.judge_error(headers, data)
            } else {
                Verdict::Success
            });
        };
        let name = std::str::from_utf8(&self.name).unwrap_or_default();
        let kind = event.kind.as_deref().unwrap_or(name);
        let says = event.response.and_then(|response| response.error);
        let error = [event.error, says].into_iter().flatten().find(holds);
        match error {
            Some(error) => {
                let body = json!({ "error": error }).to_string();
                Some(self.judge_error(headers, body.as_bytes()))
            }
            None if kind == "response.failed" => Some(Verdict::Transient { sent: true }),
            // All of it is the error.
            None if failed || kind == "error" => {
                let body = [b"{\"error\":", data, b"}"].concat();
                Some(self.judge_error(headers, &body))
            }
            None if SILENT.contains(&kind) || SILENT.contains(&name) => None,
            None if event
                .choices
                .is_some_and(|all| all.iter().all(Choice::is_empty)) =>
            {
                None
            }
            None => Some(Verdict::Success),
        }
    }

    /// What an error means: there is one, whatever else is known.
    fn judge_error(&self, headers: &HeaderMap, error: &[u8]) -> Verdict {
        match classify_as(self.provider, StatusCode::OK, headers, error) {
            Verdict::Success => Verdict::Transient { sent: true },
            verdict => verdict,
        }
    }
}

/// What of an event matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    error: Option<Value>,
    response: Option<Response>,
    choices: Option<Vec<Choice>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    error: Option<Value>,
}

/// OpenAI's chat and completions.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Option<BTreeMap<String, Value>>,
    text: Option<String>,
    finish_reason: Option<String>,
}

impl Choice {
    /// Names a role at most.
    fn is_empty(&self) -> bool {
        let nothing = |(name, value): (&String, &Value)| name == "role" || !holds(value);
        self.finish_reason.is_none()
            && self.text.as_deref().is_none_or(str::is_empty)
            && (self.delta.iter().flatten()).all(nothing)
    }
}

/// Whether there is anything in it.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::cost::Resource;
    use proptest::prelude::*;

    fn read<'a>(
        chunks: impl IntoIterator<Item = &'a [u8]>,
        headers: &HeaderMap,
    ) -> Option<Verdict> {
        let mut head = StreamHead::default();
        chunks
            .into_iter()
            .find_map(|chunk| head.push(headers, chunk))
    }

    /// The verdict on a stream that goes on after this.
    fn verdict(stream: &str) -> Option<Verdict> {
        let headers = HeaderMap::new();
        let whole = read([stream.as_bytes()], &headers);
        let bytes = read(stream.as_bytes().chunks(1), &headers);
        assert_eq!(whole, bytes, "{stream}");
        whole
    }

    fn data(data: &str) -> Option<Verdict> {
        verdict(&format!("data: {data}\n\n"))
    }

    #[test]
    fn what_carries_no_content_decides_nothing() {
        for event in [
            r#"{"type":"response.created","response":{"id":"r","error":null,"instructions":"error"}}"#,
            r#"{"type":"response.in_progress","response":{}}"#,
            r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":1}}}"#,
            r#"{"type": "ping"}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null,"tool_calls":[]},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[],"prompt_filter_results":[{}]}"#,
            "",
        ] {
            assert_eq!(data(event), None, "{event}");
        }
        assert_eq!(
            verdict("\u{feff}event: ping\ndata: {}\n\n: OPENROUTER PROCESSING\n\n\n"),
            None
        );
        assert_eq!(
            verdict("event: messageStart\ndata: {\"role\":\"assistant\"}\n\n"),
            None
        );
        assert_eq!(
            verdict("data: {\"choices\":[{\"delta\":{\"content\":\"not over"),
            None
        );
    }

    #[test]
    fn content_is_a_success() {
        for event in [
            r#"{"choices":[{"delta":{"content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"text":"a"}]}"#,
            r#"{"type":"response.output_text.delta","delta":"{\"error\":1}"}"#,
            r#"{"type":"content_block_delta","delta":{"text":"a"},"error":null}"#,
            r#"{"candidates":[{}]}"#,
            r#"{"type":5}"#,
            "[DONE]",
            "a tick",
        ] {
            assert_eq!(data(event), Some(Verdict::Success), "{event}");
        }
        assert_eq!(verdict("{\"error\":{}}"), Some(Verdict::Success));
    }

    #[test]
    fn an_error_before_the_content_is_what_it_says() {
        let limited = |resource, millis| {
            let verdict = data(resource).unwrap();
            assert!(
                matches!(verdict, Verdict::RateLimited { .. }),
                "{verdict:?}"
            );
            assert_eq!(verdict.retry_after(), millis);
        };
        limited(
            r#"{"error":{"message":"Rate limit reached: Limit 9, Used 9, Requested 1. Please try again in 2s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Some(Duration::from_secs(2)),
        );
        // OpenRouter, in the middle of a chunk.
        limited(
            r#"{"id":"g","choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":429,"message":"Rate limited"}}"#,
            None,
        );
        limited(
            r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#,
            None,
        );
        limited(
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"3s"}]}}"#,
            Some(Duration::from_secs(3)),
        );
        for (event, expected) in [
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Verdict::Overloaded { retry_after: None },
            ),
            (
                r#"{"type":"response.failed","response":{"error":{"code":"server_is_overloaded"},"tools":[{"type":"insufficient_quota"}]}}"#,
                Verdict::Overloaded { retry_after: None },
            ),
            (
                r#"{"type":"response.failed","response":{}}"#,
                Verdict::Transient { sent: true },
            ),
            (
                r#"{"error":{"type":"api_error","message":"x"}}"#,
                Verdict::Transient { sent: true },
            ),
            (
                r#"{"error":"Something broke"}"#,
                Verdict::Transient { sent: true },
            ),
            (
                r#"{"error":{"code":"insufficient_quota"}}"#,
                Verdict::QuotaExhausted,
            ),
            (
                r#"{"error":{"code":"rate_limit_exceeded","message":"Request too large: Limit 10, Requested 20."}}"#,
                Verdict::TooLarge,
            ),
            (
                r#"{"error":{"code":"context_length_exceeded"}}"#,
                Verdict::TooLarge,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"x"}}"#,
                Verdict::Permanent,
            ),
        ] {
            assert_eq!(data(event), Some(expected), "{event}");
        }
        let error = "event: error\ndata: gone\n\n";
        assert_eq!(verdict(error), Some(Verdict::Transient { sent: true }));
    }

    #[test]
    fn azure_refuses_after_a_large_begin_and_says_how_long_in_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        let long = "x".repeat(20_000);
        let stream = format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"instructions\":\"{long}\"}}}}\n\n\
             event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}}}\n\n"
        );
        let verdict = read(stream.as_bytes().chunks(1_000), &headers).unwrap();
        assert_eq!(verdict.retry_after(), Some(Duration::from_secs(7)));
        let Verdict::RateLimited { resource, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(resource, Some(Resource::Tokens));
    }

    #[test]
    fn the_last_event_counts_without_its_end() {
        let mut head = StreamHead::default();
        let headers = HeaderMap::new();
        assert_eq!(
            head.push(&headers, b"data: {\"error\":{\"code\":\"slow_down\"}}\n"),
            None
        );
        assert_eq!(
            head.finish(&headers),
            Verdict::Overloaded { retry_after: None }
        );
        assert_eq!(StreamHead::default().finish(&headers), Verdict::Success);
    }

    proptest! {
        #[test]
        fn any_cuts_give_the_same_and_nothing_panics(
            stream in "(data: |event: error|\n\n|\n|: x|\\{\"error\":|\\{\"code\":|[0-9{}\\[\\]\",:]|\"type\":\"ping\"|\u{feff}){0,30}",
            size in 1_usize..9,
        ) {
            let stream = format!("data: {stream}");
            let headers = HeaderMap::new();
            prop_assert_eq!(
                read(stream.as_bytes().chunks(size), &headers),
                read([stream.as_bytes()], &headers)
            );
        }
    }
}
