//! OpenAI's responses, as OpenAI and Azure have them.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    super::{
        Call, Stream,
        answers::{self, Answer, Spent, Stamp, go_duration},
        call::Endpoint,
        complaint::Complaint,
        script::Tale,
        settings::Settings,
    },
    EVENTS, Refused, event, read,
};

pub(super) fn read(body: &Value, settings: &Settings) -> Result<Call, Complaint> {
    let model = read::model(body)?;
    let mut texts = vec![read::text(body.get("instructions"))];
    match body.get("input") {
        None | Some(Value::Null) => return Err(Complaint::missing("input")),
        Some(Value::String(text)) => texts.push(text.clone()),
        Some(Value::Array(items)) => {
            texts.extend(items.iter().map(|item| read::text(item.get("content"))));
        }
        Some(_) => return Err(Complaint::wrong("input", "a string or a list of items")),
    }
    let max_tokens = read::number(body, "max_output_tokens")?;
    let max_tokens = max_tokens.unwrap_or(settings.default_max_tokens);
    Ok(Call {
        endpoint: Endpoint::Responses {
            stream: body.get("stream") == Some(&Value::Bool(true)),
        },
        echo: texts.last().map_or("", String::as_str).into(),
        ..Call::chat(&model, (settings.estimate)(&texts.concat()), max_tokens)
    })
}

/// A response that is under way, with instructions of so many bytes.
fn response(call: &Call, stamp: Stamp, instructions: usize) -> Value {
    json!({
        "id": format!("resp_{:032x}", stamp.id),
        "object": "response",
        "created_at": stamp.created(),
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": (instructions > 0).then(|| "x".repeat(instructions)),
        "max_output_tokens": call.max_tokens,
        "model": &*call.model,
        "output": [],
        "usage": null,
    })
}

fn message(text: &str, status: &str, stamp: Stamp) -> Value {
    json!({
        "id": format!("msg_{:032x}", stamp.id),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part(text)],
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn done(call: &Call, spent: Spent, stamp: Stamp) -> Value {
    let mut response = response(call, stamp, 0);
    let whole = spent.completion < call.most();
    response["status"] = if whole { "completed" } else { "incomplete" }.into();
    if !whole {
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    let status = if whole { "completed" } else { "incomplete" };
    response["output"] = json!([message(&call.echo, status, stamp)]);
    response["usage"] = json!({
        "input_tokens": spent.prompt,
        "input_tokens_details": {"cached_tokens": spent.cached},
        "output_tokens": spent.completion,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning},
        "total_tokens": spent.total(),
    });
    response
}

pub(super) fn whole(call: &Call, spent: Spent, stamp: Stamp) -> Answer {
    answers::json(StatusCode::OK, &done(call, spent, stamp))
}

/// `response.created` and `response.in_progress`: all that comes before anything was decided.
fn opening(call: &Call, stamp: Stamp, created_bytes: usize) -> Vec<String> {
    let of = |number: u64, name: &str| {
        let response = response(call, stamp, created_bytes);
        event(&json!({"type": name, "sequence_number": number, "response": response}))
    };
    vec![of(0, "response.created"), of(1, "response.in_progress")]
}

/// How many events come before the first piece.
const OPENING: u64 = 4;

pub(super) fn stream(call: &Call, spent: Spent, stamp: Stamp, stream: &Stream) -> Tale {
    let item = format!("msg_{:032x}", stamp.id);
    let mut opening = opening(call, stamp, stream.created_bytes);
    let mut begun = message("", "in_progress", stamp);
    begun["content"] = json!([]);
    opening.push(event(&json!({
        "type": "response.output_item.added", "sequence_number": 2, "output_index": 0,
        "item": begun,
    })));
    opening.push(event(&json!({
        "type": "response.content_part.added", "sequence_number": 3, "item_id": item,
        "output_index": 0, "content_index": 0, "part": part(""),
    })));
    let done = done(call, spent, stamp);
    let after = |n: u64| OPENING.saturating_add(stream.pieces).saturating_add(n);
    let closing = vec![
        event(&json!({
            "type": "response.output_text.done", "sequence_number": after(0), "item_id": item,
            "output_index": 0, "content_index": 0, "logprobs": [], "text": &*call.echo,
        })),
        event(&json!({
            "type": "response.output_item.done", "sequence_number": after(1), "output_index": 0,
            "item": done["output"][0],
        })),
        event(&json!({
            "type": format!("response.{}", done["status"].as_str().unwrap_or_default()),
            "sequence_number": after(2), "response": done,
        })),
    ];
    let item: Arc<str> = item.into();
    Tale {
        kind: EVENTS,
        opening,
        piece: Box::new(move |piece| {
            event(&json!({
                "type": "response.output_text.delta", "sequence_number": OPENING + piece.index,
                "item_id": &*item, "output_index": 0, "content_index": 0, "logprobs": [],
                "delta": piece.text,
            }))
        }),
        closing,
    }
}

/// An `error` and the `response.failed` after it, for a limit or for want of capacity.
pub(super) fn failure(
    call: &Call,
    said: Option<Duration>,
    pieces: u64,
    stamp: Stamp,
) -> Vec<String> {
    let number = OPENING + pieces;
    match said {
        Some(wait) => limited(call, Some(wait), number, stamp),
        None => {
            let message = "Our servers are currently overloaded. Please try again later.";
            failed(call, "server_is_overloaded", message, number, stamp)
        }
    }
}

fn limited(call: &Call, said: Option<Duration>, number: u64, stamp: Stamp) -> Vec<String> {
    let model = &call.model;
    let hint = said.map_or(String::new(), |wait| {
        format!(" Please try again in {}.", go_duration(wait))
    });
    let message = format!(
        "Your requests to {model} for {model} in swedencentral have exceeded rate limit.{hint}"
    );
    failed(call, "rate_limit_exceeded", &message, number, stamp)
}

fn failed(call: &Call, code: &str, message: &str, number: u64, stamp: Stamp) -> Vec<String> {
    let mut response = response(call, stamp, 0);
    response["status"] = "failed".into();
    response["error"] = json!({"code": code, "message": message});
    vec![
        event(&json!({
            "type": "error", "sequence_number": number, "code": code, "message": message,
            "param": null,
        })),
        event(&json!({
            "type": "response.failed", "sequence_number": number + 1, "response": response,
        })),
    ]
}

/// A limit's refusal inside of a 200.
pub(super) fn refused(call: &Call, refused: &Refused<'_>, stream: &Stream) -> Tale {
    let opening = opening(call, refused.stamp, stream.created_bytes);
    Tale {
        kind: EVENTS,
        closing: limited(call, None, opening.len() as u64, refused.stamp),
        opening,
        piece: Box::new(|_| String::new()),
    }
}
