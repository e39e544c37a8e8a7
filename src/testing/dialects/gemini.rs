//! Gemini's `generateContent`.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        Call,
        answers::{self, Answer, Spent, Stamp, go_duration},
        call::{Endpoint, Streamed},
        complaint::Complaint,
        limits::{Kind, Unit},
        script::Tale,
        settings::Settings,
    },
    EVENTS, Refused, data, read,
};

pub(super) fn read(
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &[u8],
    settings: &Settings,
) -> Result<Call, Complaint> {
    let unknown = || Complaint::unknown_path(method, path);
    let below = path.strip_prefix("/v1beta/models");
    let below = below.or_else(|| path.strip_prefix("/v1/models"));
    let below = below.ok_or_else(unknown)?;
    if below.is_empty() {
        return match *method {
            Method::GET => Ok(Call::models()),
            _ => Err(Complaint::wrong_method(method, path)),
        };
    }
    let named = below.strip_prefix('/').and_then(|of| of.rsplit_once(':'));
    let (model, verb) = named.ok_or_else(unknown)?;
    let sse = query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    let stream = match verb {
        "generateContent" => None,
        "streamGenerateContent" if sse => Some(Streamed::Events),
        "streamGenerateContent" => Some(Streamed::Array),
        _ => return Err(unknown()),
    };
    if *method != Method::POST {
        return Err(Complaint::wrong_method(method, path));
    }
    let body = read::json(body)?;
    let mut texts = vec![read::text(body.pointer("/systemInstruction/parts"))];
    let contents = read::list(&body, "contents")?;
    texts.extend(
        contents
            .iter()
            .map(|content| read::text(content.get("parts"))),
    );
    let config = body.get("generationConfig").unwrap_or(&Value::Null);
    let max_tokens = read::number(config, "maxOutputTokens")?;
    let choices = match read::number(config, "candidateCount")? {
        None => 1,
        Some(n @ 1..=8) => n as u32,
        Some(_) => return Err(Complaint::wrong("candidateCount", "an integer from 1 to 8")),
    };
    Ok(Call {
        endpoint: Endpoint::Chat { stream },
        choices,
        echo: texts.last().map_or("", String::as_str).into(),
        ..Call::chat(
            model,
            (settings.estimate)(&texts.concat()),
            max_tokens.unwrap_or(settings.default_max_tokens),
        )
    })
}

/// The total has the thoughts as well, the candidates haven't.
fn usage(spent: Spent, completion: u64) -> Value {
    let thoughts = spent.reasoning.min(completion);
    let mut usage = json!({
        "promptTokenCount": spent.prompt,
        "candidatesTokenCount": completion - thoughts,
        "totalTokenCount": spent.prompt + completion,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": spent.prompt}],
    });
    if spent.reasoning > 0 {
        usage["thoughtsTokenCount"] = thoughts.into();
    }
    if spent.cached > 0 {
        usage["cachedContentTokenCount"] = spent.cached.into();
    }
    usage
}

fn candidate(index: u32, text: &str, finish: Option<&str>) -> Value {
    let mut candidate =
        json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": index});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    candidate
}

fn answer(model: &str, stamp: Stamp, candidates: &[Value], usage: &Value) -> Value {
    json!({
        "candidates": candidates,
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": format!("{:032x}", stamp.id),
    })
}

fn finish(call: &Call, spent: Spent) -> &'static str {
    if spent.completion < call.most() {
        "STOP"
    } else {
        "MAX_TOKENS"
    }
}

pub(super) fn whole(call: &Call, spent: Spent, stamp: Stamp) -> Answer {
    let end = Some(finish(call, spent));
    let candidates: Vec<Value> = (0..call.choices)
        .map(|index| candidate(index, &call.echo, end))
        .collect();
    let usage = usage(spent, spent.completion);
    answers::json(
        StatusCode::OK,
        &answer(&call.model, stamp, &candidates, &usage),
    )
}

pub(super) fn stream(call: &Call, spent: Spent, stamp: Stamp, how: Streamed) -> Tale {
    let model = Arc::clone(&call.model);
    let array = how == Streamed::Array;
    let ends: Vec<Value> = (0..call.choices)
        .map(|index| candidate(index, "", Some(finish(call, spent))))
        .collect();
    let last = answer(&model, stamp, &ends, &usage(spent, spent.completion));
    let (kind, opening, closing) = if array {
        // Even the brackets come in parts.
        ("application/json", "[", format!(",\r\n{last}\n]\n"))
    } else {
        (EVENTS, "", data(&last))
    };
    Tale {
        kind,
        opening: vec![opening.to_owned()],
        piece: Box::new(move |piece| {
            let said = candidate(piece.choice, piece.text, None);
            let said = answer(&model, stamp, &[said], &usage(spent, piece.produced));
            match (array, piece.index) {
                (false, _) => data(&said),
                (true, 0) => said.to_string(),
                (true, _) => format!(",\r\n{said}"),
            }
        }),
        closing: vec![closing],
    }
}

/// An error in the place of an answer, which ends the stream.
pub(super) fn failure(how: Streamed, said: Option<Duration>) -> Vec<String> {
    let error = match said {
        None => overloaded(StatusCode::SERVICE_UNAVAILABLE),
        Some(wait) => {
            let message = "Resource has been exhausted (e.g. check quota).";
            error(
                StatusCode::TOO_MANY_REQUESTS,
                message,
                vec![retry_info(wait)],
            )
        }
    };
    vec![match how {
        Streamed::Array => format!("{error}\n]\n"),
        Streamed::Events | Streamed::EventsAndUsage => data(&error),
    }]
}

fn error(status: StatusCode, message: &str, details: Vec<Value>) -> Value {
    let name = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    let mut error = json!({"code": status.as_u16(), "message": message, "status": name});
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json!({"error": error})
}

pub(super) fn overloaded(status: StatusCode) -> Value {
    let reason = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "MODEL_CAPACITY_EXHAUSTED",
        "domain": "googleapis.com",
    });
    let message = "The model is overloaded. Please try again later.";
    error(status, message, vec![reason])
}

/// Decimal seconds, to the nanosecond.
fn retry_info(wait: Duration) -> Value {
    let seconds = format!("{}.{:09}", wait.as_secs(), wait.subsec_nanos());
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    json!({
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": format!("{seconds}s"),
    })
}

pub(super) fn complain(complaint: &Complaint) -> Answer {
    let body = match complaint.status {
        StatusCode::SERVICE_UNAVAILABLE => overloaded(complaint.status),
        status if status.is_server_error() => error(
            status,
            "An internal error has occurred. Please retry.",
            Vec::new(),
        ),
        status => error(status, &complaint.message, Vec::new()),
    };
    answers::json(complaint.status, &body)
}

const QUOTA: &str = "You exceeded your current quota, please check your plan and billing details. \
    For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.";

fn quota_id(kind: Kind) -> (&'static str, &'static str) {
    match (kind.unit(), kind.is_daily()) {
        (Unit::Requests, false) => (
            "generate_requests_per_model",
            "GenerateRequestsPerMinutePerProjectPerModel",
        ),
        (Unit::Requests, true) => (
            "generate_requests_per_model_per_day",
            "GenerateRequestsPerDayPerProjectPerModel",
        ),
        (_, false) => (
            "generate_content_input_token_count",
            "GenerateContentInputTokensPerMinutePerProjectPerModel",
        ),
        (_, true) => (
            "generate_content_input_token_count",
            "GenerateContentInputTokensPerDayPerProjectPerModel",
        ),
    }
}

fn exhausted(model: &str, violated: &[(Kind, u64)], said: Option<Duration>) -> Answer {
    let mut message = QUOTA.to_owned();
    let mut violations = Vec::new();
    for (kind, limit) in violated {
        let (metric, id) = quota_id(*kind);
        let metric = format!("generativelanguage.googleapis.com/{metric}");
        message +=
            &format!("\n* Quota exceeded for metric: {metric}, limit: {limit}, model: {model}");
        violations.push(json!({
            "quotaMetric": metric,
            "quotaId": id,
            "quotaDimensions": {"location": "global", "model": model},
            "quotaValue": limit.to_string(),
        }));
    }
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": violations,
    })];
    if let Some(wait) = said {
        message += &format!("\nPlease retry in {}.", go_duration(wait));
        details.push(retry_info(wait));
    }
    let status = StatusCode::TOO_MANY_REQUESTS;
    answers::json(status, &error(status, &message, details))
}

/// What is said where coming back can't help.
const LIE: Duration = Duration::from_nanos(45_578_569_677);

/// The delay of a day's limit is a lie, as the real one's is: never as long as a minute.
pub(super) fn refused(refused: &Refused<'_>) -> Answer {
    let refusal = refused.refusal;
    let honest = refused.said == refusal.wait;
    let said = match refused.said {
        None if refusal.wait.is_none() => Some(LIE),
        Some(wait) if honest && refusal.kind.is_daily() => {
            Some(Duration::new(wait.as_secs() % 60, wait.subsec_nanos()))
        }
        said => said,
    };
    exhausted(refused.model, &refusal.violations, said)
}

/// No plan at all: `limit: 0`, with a delay that means nothing.
pub(super) fn no_quota(model: &str) -> Answer {
    let violated = [(Kind::RequestsPerMinute, 0), (Kind::InputPerMinute, 0)];
    exhausted(model, &violated, Some(LIE))
}

pub(super) fn models(models: &[&str]) -> Answer {
    let models: Vec<Value> = models
        .iter()
        .map(|id| {
            json!({
                "name": format!("models/{id}"),
                "displayName": id,
                "supportedGenerationMethods": ["generateContent"],
            })
        })
        .collect();
    answers::json(StatusCode::OK, &json!({"models": models}))
}
