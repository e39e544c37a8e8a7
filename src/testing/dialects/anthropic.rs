//! Anthropic's messages.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        Call,
        answers::{self, Answer, Spent, Stamp, put, seconds},
        call::{Endpoint, Streamed},
        complaint::Complaint,
        limits::Kind,
        script::Tale,
        settings::Settings,
    },
    EVENTS, Refused, event,
    headers::rfc3339,
    read,
};

pub(super) fn read(
    method: &Method,
    path: &str,
    body: &[u8],
    settings: &Settings,
) -> Result<Call, Complaint> {
    match (path, method) {
        ("/v1/messages", &Method::POST) => {}
        ("/v1/models", &Method::GET) => return Ok(Call::models()),
        ("/v1/messages" | "/v1/models", _) => return Err(Complaint::wrong_method(method, path)),
        _ => return Err(Complaint::unknown_path(method, path)),
    }
    let body = read::json(body)?;
    let model = read::model(&body)?;
    let mut texts = vec![read::text(body.get("system"))];
    let messages = read::list(&body, "messages")?;
    texts.extend(
        messages
            .iter()
            .map(|message| read::text(message.get("content"))),
    );
    let Some(max_tokens) = read::number(&body, "max_tokens")? else {
        return Err(Complaint::missing("max_tokens"));
    };
    let stream = body.get("stream") == Some(&Value::Bool(true));
    Ok(Call {
        endpoint: Endpoint::Chat {
            stream: stream.then_some(Streamed::Events),
        },
        echo: texts.last().map_or("", String::as_str).into(),
        ..Call::chat(&model, (settings.estimate)(&texts.concat()), max_tokens)
    })
}

/// Input is what wasn't read from the cache.
fn usage(spent: Spent, output: u64) -> Value {
    json!({
        "input_tokens": spent.prompt - spent.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": spent.cached,
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn message(call: &Call, stamp: Stamp, content: Value, stop: Value, usage: Value) -> Value {
    json!({
        "id": format!("msg_{:032x}", stamp.id),
        "type": "message",
        "role": "assistant",
        "model": &*call.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": usage,
    })
}

fn stop(call: &Call, spent: Spent) -> &'static str {
    if spent.completion < call.most() {
        "end_turn"
    } else {
        "max_tokens"
    }
}

pub(super) fn whole(call: &Call, spent: Spent, stamp: Stamp) -> Answer {
    let content = json!([{"type": "text", "text": &*call.echo}]);
    let usage = usage(spent, spent.completion);
    let message = message(call, stamp, content, stop(call, spent).into(), usage);
    answers::json(StatusCode::OK, &message)
}

pub(super) fn stream(call: &Call, spent: Spent, stamp: Stamp) -> Tale {
    // What is said of the output at the start is no more than a placeholder.
    let begun = usage(spent, spent.completion.min(3));
    let begun = message(call, stamp, json!([]), Value::Null, begun);
    Tale {
        kind: EVENTS,
        opening: vec![
            event(&json!({"type": "message_start", "message": begun})),
            event(&json!({
                "type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""},
            })),
            event(&json!({"type": "ping"})),
        ],
        piece: Box::new(|piece| {
            event(&json!({
                "type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": piece.text},
            }))
        }),
        closing: vec![
            event(&json!({"type": "content_block_stop", "index": 0})),
            // Cumulative: not what came since the last one.
            event(&json!({
                "type": "message_delta",
                "delta": {"stop_reason": stop(call, spent), "stop_sequence": null},
                "usage": usage(spent, spent.completion),
            })),
            event(&json!({"type": "message_stop"})),
        ],
    }
}

pub(super) fn failure(said: Option<Duration>, stamp: Stamp) -> Vec<String> {
    let (kind, message) = match said {
        None => ("overloaded_error", "Overloaded"),
        Some(_) => (
            "rate_limit_error",
            "This request would exceed your organization's output tokens per minute rate limit",
        ),
    };
    vec![event(&error(kind, message, stamp))]
}

fn error(kind: &str, message: &str, stamp: Stamp) -> Value {
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": format!("req_{:032x}", stamp.id),
    })
}

pub(super) fn complain(complaint: Complaint, stamp: Stamp) -> Answer {
    let kind = match complaint.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let message = match complaint.status.as_u16() {
        503 | 529 => "Overloaded",
        500.. => "Internal server error",
        _ => &complaint.message,
    };
    answers::json(complaint.status, &error(kind, message, stamp))
}

pub(super) fn refused(refused: &Refused<'_>) -> Answer {
    let refusal = refused.refusal;
    let what = match refusal.kind {
        Kind::RequestsPerMinute => "requests per minute",
        Kind::TokensPerMinute => "tokens per minute",
        Kind::InputPerMinute => "input tokens per minute",
        Kind::OutputPerMinute => "output tokens per minute",
        Kind::RequestsPerDay => "requests per day",
        Kind::TokensPerDay => "tokens per day",
    };
    let message = format!(
        "This request would exceed your organization's rate limit of {} {what} (org: {}, model: \
         {}). For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the \
         response headers for current usage. Please reduce the prompt length or the maximum \
         tokens requested, or try again later.",
        thousands(refusal.limit),
        refused.organization,
        refused.model,
    );
    let body = error("rate_limit_error", &message, refused.stamp);
    let mut answer = answers::json(StatusCode::TOO_MANY_REQUESTS, &body);
    if let Some(wait) = refused.said {
        put(answer.headers_mut(), "retry-after", seconds(wait));
    }
    answer
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A limit on money looks like one on requests, but it states no wait.
pub(super) fn spend_limit(stamp: Stamp) -> Answer {
    let month = stamp.wall + Duration::from_secs(30 * 86_400);
    let until = rfc3339(month);
    let day = until.split('T').next().unwrap_or_default();
    let message = format!(
        "You have reached your API usage limits: your organization has crossed its monthly API \
         usage threshold, set based on your organization's API tier. You will regain access on \
         {day} at 00:00 UTC."
    );
    let mut body = error("rate_limit_error", &message, stamp);
    body["error"]["details"] = json!({"error_code": "enforced_spend_limit_reached"});
    answers::json(StatusCode::TOO_MANY_REQUESTS, &body)
}

pub(super) fn models(models: &[&str], stamp: Stamp) -> Answer {
    let created = rfc3339(stamp.wall);
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({"type": "model", "id": id, "display_name": id, "created_at": created}))
        .collect();
    let body = json!({
        "data": data, "has_more": false, "first_id": models.first(), "last_id": models.last(),
    });
    answers::json(StatusCode::OK, &body)
}
