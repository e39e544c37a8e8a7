//! OpenAI's chat completions and embeddings, and its errors, word for word.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        Call,
        answers::{self, Answer, Spent, Stamp, go_duration, put, seconds},
        call::{Endpoint, Streamed},
        complaint::Complaint,
        script::Tale,
        settings::Settings,
    },
    EVENTS, Refused, data, read, responses,
};

/// Reads a request for what stands below the address; the model may stand in the path.
pub(super) fn read(
    method: &Method,
    path: &str,
    below: &str,
    model: Option<&str>,
    body: &[u8],
    settings: &Settings,
) -> Result<Call, Complaint> {
    let wanted = match below {
        "/v1/chat/completions" | "/v1/embeddings" | "/v1/responses" => Method::POST,
        "/v1/models" => Method::GET,
        _ => return Err(Complaint::unknown_path(method, path)),
    };
    if *method != wanted {
        return Err(Complaint::wrong_method(method, path));
    }
    if wanted == Method::GET {
        return Ok(Call::models());
    }
    let mut body = read::json(body)?;
    if let (Some(model), Some(body)) = (model, body.as_object_mut()) {
        body.insert("model".to_owned(), model.into());
    }
    match below {
        "/v1/embeddings" => read_embeddings(&body, settings),
        "/v1/responses" => responses::read(&body, settings),
        _ => read_chat(&body, settings),
    }
}

fn read_chat(body: &Value, settings: &Settings) -> Result<Call, Complaint> {
    let model = read::model(body)?;
    let messages = read::list(body, "messages")?;
    let texts: Vec<String> = messages
        .iter()
        .map(|message| read::text(message.get("content")))
        .collect();
    let max_tokens = match read::number(body, "max_completion_tokens")? {
        Some(max) => max,
        None => read::number(body, "max_tokens")?.unwrap_or(settings.default_max_tokens),
    };
    let choices = match read::number(body, "n")? {
        None => 1,
        Some(n @ 1..=128) => n as u32,
        Some(_) => return Err(Complaint::wrong("n", "an integer from 1 to 128")),
    };
    let stream = body.get("stream") == Some(&Value::Bool(true));
    let how = match body.pointer("/stream_options/include_usage") {
        Some(Value::Bool(true)) => Streamed::EventsAndUsage,
        _ => Streamed::Events,
    };
    Ok(Call {
        endpoint: Endpoint::Chat {
            stream: stream.then_some(how),
        },
        choices,
        echo: texts.last().map_or("", String::as_str).into(),
        ..Call::chat(&model, (settings.estimate)(&texts.concat()), max_tokens)
    })
}

fn read_embeddings(body: &Value, settings: &Settings) -> Result<Call, Complaint> {
    let model = read::model(body)?;
    let estimate = |text: &str| (settings.estimate)(text);
    let wrong = || Complaint::wrong("input", "a string, a list of strings, or tokens");
    let (inputs, tokens) = match body.get("input") {
        None | Some(Value::Null) => return Err(Complaint::missing("input")),
        Some(Value::String(text)) => (1, estimate(text)),
        Some(Value::Array(list)) if list.is_empty() => return Err(wrong()),
        Some(Value::Array(list)) if list.iter().all(Value::is_u64) => (1, list.len() as u64),
        Some(Value::Array(list)) => {
            let mut tokens: u64 = 0;
            for input in list {
                tokens = tokens.saturating_add(match input {
                    Value::String(text) => estimate(text),
                    Value::Array(ids) if ids.iter().all(Value::is_u64) => ids.len() as u64,
                    _ => return Err(wrong()),
                });
            }
            (list.len(), tokens)
        }
        Some(_) => return Err(wrong()),
    };
    Ok(Call {
        endpoint: Endpoint::Embeddings { inputs },
        ..Call::embeddings(&model, tokens)
    })
}

fn usage(spent: Spent) -> Value {
    json!({
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "total_tokens": spent.total(),
        "prompt_tokens_details": {"cached_tokens": spent.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning, "audio_tokens": 0},
    })
}

fn finish(call: &Call, spent: Spent) -> &'static str {
    if spent.completion < call.most() {
        "stop"
    } else {
        "length"
    }
}

pub(super) fn chat(call: &Call, spent: Spent, stamp: Stamp) -> Answer {
    let choices: Vec<Value> = (0..call.choices)
        .map(|index| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": &*call.echo, "refusal": null},
                "logprobs": null,
                "finish_reason": finish(call, spent),
            })
        })
        .collect();
    answers::json(
        StatusCode::OK,
        &json!({
            "id": format!("chatcmpl-{:032x}", stamp.id),
            "object": "chat.completion",
            "created": stamp.created(),
            "model": &*call.model,
            "choices": choices,
            "usage": usage(spent),
            "system_fingerprint": "fp_box",
        }),
    )
}

/// One event of a streamed chat; with usage, `null` or not, where that was asked for.
fn chunk(model: &str, stamp: Stamp, how: Streamed, choices: Value, used: Value) -> String {
    let mut chunk = json!({
        "id": format!("chatcmpl-{:032x}", stamp.id),
        "object": "chat.completion.chunk",
        "created": stamp.created(),
        "model": model,
        "choices": choices,
        "system_fingerprint": "fp_box",
    });
    if how == Streamed::EventsAndUsage {
        chunk["usage"] = used;
    }
    data(&chunk)
}

pub(super) fn stream(call: &Call, spent: Spent, stamp: Stamp, how: Streamed) -> Tale {
    let model = Arc::clone(&call.model);
    let say = move |choices: Value, used: Value| chunk(&model, stamp, how, choices, used);
    let indices = 0..call.choices;
    let opening = indices.clone().map(|index| {
        let role = json!({"role": "assistant", "content": "", "refusal": null});
        let first = json!([{"index": index, "delta": role, "finish_reason": null}]);
        say(first, Value::Null)
    });
    let opening = opening.collect();
    let mut closing: Vec<String> = indices
        .map(|index| {
            let end = finish(call, spent);
            let last = json!([{"index": index, "delta": {}, "finish_reason": end}]);
            say(last, Value::Null)
        })
        .collect();
    if how == Streamed::EventsAndUsage {
        closing.push(say(json!([]), usage(spent)));
    }
    closing.push("data: [DONE]\n\n".to_owned());
    Tale {
        kind: EVENTS,
        opening,
        piece: Box::new(move |piece| {
            let delta = json!({"content": piece.text});
            let choices = json!([{"index": piece.choice, "delta": delta, "finish_reason": null}]);
            say(choices, Value::Null)
        }),
        closing,
    }
}

/// An error inside of a stream, which ends it.
pub(super) fn failure(call: &Call, said: Option<Duration>) -> Vec<String> {
    let error = match said {
        None => error(&Complaint::fault(StatusCode::SERVICE_UNAVAILABLE)),
        Some(wait) => json!({"error": {
            "message": format!(
                "Rate limit reached for {}. Please try again in {}.",
                call.model,
                go_duration(wait)
            ),
            "type": "tokens",
            "param": null,
            "code": "rate_limit_exceeded",
        }}),
    };
    vec![data(&error)]
}

/// The 429 of a gateway's upstream as a chunk, as OpenRouter has it.
pub(super) fn upstream(call: &Call, stamp: Stamp) -> Vec<String> {
    let model = &*call.model;
    let chunk = json!({
        "id": format!("gen-{:032x}", stamp.id),
        "object": "chat.completion.chunk",
        "created": stamp.created(),
        "model": model,
        "provider": "box",
        "error": {
            "code": 429,
            "message": format!("{model} is temporarily rate-limited upstream."),
            "metadata": {"error_type": "rate_limit_exceeded"},
        },
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    });
    vec![data(&chunk), "data: [DONE]\n\n".to_owned()]
}

pub(super) fn embeddings(call: &Call, spent: Spent, inputs: usize, dimensions: usize) -> Answer {
    // A unit vector, as the real ones are.
    let embedding = vec![1.0 / (dimensions as f64).sqrt(); dimensions];
    let data: Vec<Value> = (0..inputs)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": embedding}))
        .collect();
    answers::json(
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
    let created = stamp.created();
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": created, "owned_by": "box"}))
        .collect();
    answers::json(StatusCode::OK, &json!({"object": "list", "data": data}))
}

fn error(complaint: &Complaint) -> Value {
    json!({"error": {
        "message": complaint.message,
        "type": complaint.kind,
        "param": complaint.param,
        "code": complaint.code,
    }})
}

pub(super) fn complain(complaint: &Complaint) -> Answer {
    answers::json(complaint.status, &error(complaint))
}

pub(super) fn refused(refused: &Refused<'_>) -> Answer {
    let mut answer = complain(&Complaint::limit(
        refused.refusal.kind.resource(),
        message(refused),
    ));
    if let Some(wait) = refused.said {
        let headers = answer.headers_mut();
        let millis = wait.as_nanos().div_ceil(1_000_000);
        put(headers, "retry-after", seconds(wait));
        put(headers, "retry-after-ms", millis);
    }
    answer
}

fn message(refused: &Refused<'_>) -> String {
    let refusal = refused.refusal;
    let (limit, used, asked) = (refusal.limit, refusal.used, refusal.asked);
    let pool = refused.pool.filter(|pool| *pool != refused.model);
    let pool = pool.map_or(String::new(), |pool| format!(" (for limit {pool})"));
    let place = format!(
        "for {}{pool} in organization {} on {}",
        refused.model,
        refused.organization,
        refusal.kind.text()
    );
    let more = "Visit https://platform.openai.com/account/rate-limits to learn more.";
    match (refusal.wait, refused.said) {
        (None, None) => format!(
            "Request too large {place}: Limit {limit}, Requested {asked}. The input or output \
             tokens must be reduced in order to run successfully. {more}"
        ),
        (_, Some(said)) => format!(
            "Rate limit reached {place}: Limit {limit}, Used {used}, Requested {asked}. \
             Please try again in {}. {more}",
            go_duration(said)
        ),
        (Some(_), None) => format!(
            "Rate limit reached {place}: Limit {limit}, Used {used}, Requested {asked}. {more}"
        ),
    }
}
