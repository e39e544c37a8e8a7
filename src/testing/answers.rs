//! What the provider says when it serves: OpenAI's bodies and headers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    accounts::Reading,
    call::{Call, Endpoint, StreamUsage},
};

pub(super) type Answer = Response<Bytes>;

/// What a request that was served really used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) prompt: u64,
    pub(super) completion: u64,
}

impl Spent {
    pub(super) fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// What names and dates an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Different for every answer.
    pub(super) id: u128,
    /// Seconds since 1970.
    pub(super) created: u64,
}

pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// The answer to a request that is served.
pub(super) fn served(call: &Call, spent: Spent, stamp: Stamp, dimensions: usize) -> Answer {
    match call.endpoint {
        Endpoint::Chat { stream: None } => chat(call, spent, stamp),
        Endpoint::Chat {
            stream: Some(usage),
        } => chat_stream(call, spent, stamp, usage),
        Endpoint::Embeddings { inputs } => embeddings(call, spent, inputs, dimensions),
        Endpoint::Models => models(&[], stamp),
    }
}

fn usage(spent: Spent) -> Value {
    json!({
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "total_tokens": spent.total(),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    })
}

fn finish(call: &Call, spent: Spent) -> &'static str {
    let most = call.max_tokens.saturating_mul(u64::from(call.choices));
    if spent.completion < most {
        "stop"
    } else {
        "length"
    }
}

fn chat(call: &Call, spent: Spent, stamp: Stamp) -> Answer {
    let choices: Vec<Value> = (0..call.choices)
        .map(|index| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": call.echo, "refusal": null},
                "logprobs": null,
                "finish_reason": finish(call, spent),
            })
        })
        .collect();
    json(
        StatusCode::OK,
        &json!({
            "id": format!("chatcmpl-{:032x}", stamp.id),
            "object": "chat.completion",
            "created": stamp.created,
            "model": &*call.model,
            "choices": choices,
            "usage": usage(spent),
            "system_fingerprint": "fp_box",
        }),
    )
}

fn chat_stream(call: &Call, spent: Spent, stamp: Stamp, stated: StreamUsage) -> Answer {
    let mut body = String::new();
    let mut say = |choices: Value, used: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{:032x}", stamp.id),
            "object": "chat.completion.chunk",
            "created": stamp.created,
            "model": &*call.model,
            "choices": choices,
            "system_fingerprint": "fp_box",
        });
        if stated == StreamUsage::Stated {
            chunk["usage"] = used;
        }
        body.push_str(&format!("data: {chunk}\n\n"));
    };
    for index in 0..call.choices {
        let text = json!({"role": "assistant", "content": call.echo});
        let first = json!([{"index": index, "delta": text, "finish_reason": null}]);
        say(first, Value::Null);
        let end = finish(call, spent);
        let last = json!([{"index": index, "delta": {}, "finish_reason": end}]);
        say(last, Value::Null);
    }
    if stated == StreamUsage::Stated {
        say(json!([]), usage(spent));
    }
    body.push_str("data: [DONE]\n\n");
    let mut answer = Response::new(Bytes::from(body));
    let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, events);
    answer
}

fn embeddings(call: &Call, spent: Spent, inputs: usize, dimensions: usize) -> Answer {
    // A unit vector, as the real ones are.
    let embedding = vec![1.0 / (dimensions as f64).sqrt(); dimensions];
    let data: Vec<Value> = (0..inputs)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": embedding}))
        .collect();
    json(
        StatusCode::OK,
        &json!({
            "object": "list",
            "data": data,
            "model": &*call.model,
            "usage": {"prompt_tokens": spent.prompt, "total_tokens": spent.prompt},
        }),
    )
}

/// The list of these models.
pub(super) fn models(models: &[&str], stamp: Stamp) -> Answer {
    let created = stamp.created;
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": created, "owned_by": "box"}))
        .collect();
    json(StatusCode::OK, &json!({"object": "list", "data": data}))
}

/// What a limit's headers are called, and what they say.
pub(super) fn rate_headers(headers: &mut HeaderMap, resource: &str, reading: &Reading) {
    let mut say = |what: &str, value: String| {
        put(headers, &format!("x-ratelimit-{what}-{resource}"), &value);
    };
    say("limit", reading.limit.to_string());
    say("remaining", reading.remaining.to_string());
    say("reset", go_duration(reading.reset));
}

/// The headers that every answer has.
pub(super) fn common_headers(headers: &mut HeaderMap, stamp: Stamp, organization: &str) {
    put(headers, "x-request-id", &format!("req_{:032x}", stamp.id));
    put(headers, "openai-organization", organization);
    put(headers, "openai-version", "2020-10-01");
}

/// Sets a header, unless the value can't stand in one.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(value),
    ) {
        headers.insert(name, value);
    }
}

/// A duration as Go prints it, to the nanosecond: `6m0s`, `1.5s`, `120ms`. Under a millisecond a
/// fraction of one, as `µs` can't stand in a header.
pub(super) fn go_duration(duration: Duration) -> String {
    let fraction = |whole: u64, part: u32, digits: usize| {
        let text = format!("{whole}.{part:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 && nanos > 0 {
        let millis = fraction(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6);
        return format!("{millis}ms");
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let rest = fraction(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (1, "0.000001ms"),
            (120_000_000, "120ms"),
            (1_500_000_000, "1.5s"),
            (1_984_999_999, "1.984999999s"),
            (60_000_000_000, "1m0s"),
            (360_000_000_000, "6m0s"),
            (432_000_000_000, "7m12s"),
            (578_016_000_000, "9m38.016s"),
            (4_576_667_000_000, "1h16m16.667s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }
}
