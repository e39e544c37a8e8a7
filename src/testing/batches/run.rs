//! What becomes of a batch's requests.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    super::{
        answers::{Answer, Stamp},
        complaint::Complaint,
        dialects::{Dialect, Told},
        state::spend,
    },
    Visit,
};

/// OpenAI takes as many requests in one batch.
const MOST_LINES: usize = 50_000;

/// So many errors of a file are told.
const MOST_ERRORS: usize = 100;

/// What can be batched.
pub(super) fn is_served(endpoint: &str) -> bool {
    matches!(
        endpoint,
        "/v1/chat/completions" | "/v1/embeddings" | "/v1/responses"
    )
}

/// A batch that runs: a line of results for each request.
pub(super) struct Ran {
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) failed: bool,
    /// With its line break.
    pub(super) text: String,
}

/// What is wrong with a file that can't be run.
pub(super) struct Wrong {
    pub(super) code: &'static str,
    pub(super) message: &'static str,
    /// From 1 on.
    pub(super) line: Option<usize>,
}

impl Wrong {
    const fn new(code: &'static str, message: &'static str, line: Option<usize>) -> Self {
        Self {
            code,
            message,
            line,
        }
    }
}

struct Order {
    custom_id: String,
    body: Value,
}

/// Runs all of a file, or says what is wrong with it.
pub(super) fn run(file: &[u8], endpoint: &str, visit: &mut Visit<'_>) -> Result<Ran, Vec<Wrong>> {
    let mut seen = HashSet::new();
    let mut wrongs = Vec::new();
    let mut orders = Vec::new();
    let lines = file.split(|byte| *byte == b'\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        match order(line, endpoint, number + 1) {
            Ok(order) if !seen.insert(order.custom_id.clone()) => wrongs.push(Wrong::new(
                "duplicate_custom_id",
                "The custom_id of this line was used before.",
                Some(number + 1),
            )),
            Ok(order) => orders.push(order),
            Err(wrong) => wrongs.push(wrong),
        }
        if wrongs.len() >= MOST_ERRORS {
            break;
        }
    }
    if orders.len() > MOST_LINES {
        wrongs.push(Wrong::new(
            "too_many_requests",
            "A batch has at most 50,000 requests.",
            None,
        ));
    } else if orders.is_empty() && wrongs.is_empty() {
        wrongs.push(Wrong::new("empty_file", "The file has no requests.", None));
    }
    if !wrongs.is_empty() {
        return Err(wrongs);
    }
    let lines = orders.iter().zip(1..);
    let lines = lines.map(|(order, number)| serve(order, number, endpoint, visit));
    Ok(Ran {
        lines: lines.collect(),
    })
}

fn order(line: &[u8], endpoint: &str, number: usize) -> Result<Order, Wrong> {
    let wrong = |code, message| Wrong::new(code, message, Some(number));
    let line: Value = serde_json::from_slice(line).map_err(|_| {
        wrong(
            "invalid_json_line",
            "This line is not parseable as valid JSON.",
        )
    })?;
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let Some(custom_id) = text("custom_id") else {
        return Err(wrong(
            "missing_required_parameter",
            "This line has no custom_id.",
        ));
    };
    if text("method") != Some("POST") {
        return Err(wrong(
            "invalid_method",
            "The method of this line isn't POST.",
        ));
    }
    if text("url") != Some(endpoint) {
        return Err(wrong(
            "invalid_url",
            "The url of this line isn't the batch's endpoint.",
        ));
    }
    match line.get("body") {
        Some(body @ Value::Object(_)) => Ok(Order {
            custom_id: custom_id.to_owned(),
            body: body.clone(),
        }),
        _ => Err(wrong(
            "missing_required_parameter",
            "This line has no body.",
        )),
    }
}

fn serve(order: &Order, number: u128, endpoint: &str, visit: &mut Visit<'_>) -> Line {
    let stamp = Stamp {
        id: visit.stamp.id.wrapping_add(number << 64),
        ..visit.stamp
    };
    let answer = answer(&order.body, endpoint, visit, stamp);
    let dialect = visit.settings.dialect;
    let answer = answer.unwrap_or_else(|complaint| dialect.complain(complaint, stamp));
    let failed = answer.status() != StatusCode::OK;
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let line = json!({
        "id": format!("batch_req_{:032x}", stamp.id),
        "custom_id": order.custom_id,
        "response": {
            "status_code": answer.status().as_u16(),
            "request_id": format!("{:032x}", stamp.id),
            "body": body,
        },
        "error": null,
    });
    Line {
        failed,
        text: format!("{line}\n"),
    }
}

fn answer(
    body: &Value,
    endpoint: &str,
    visit: &mut Visit<'_>,
    stamp: Stamp,
) -> Result<Answer, Complaint> {
    let (settings, faults) = (visit.settings, visit.faults);
    // Both are drawn, whether they are needed or not.
    let (error, part) = (visit.dice.fraction(), visit.dice.fraction());
    let body = body.to_string();
    let call = Dialect::read_batched(endpoint, body.as_bytes(), settings)?;
    if let Some(status) = faults.dead(&call.model) {
        return Err(Complaint::dead_model(&call.model, status));
    }
    if let Some((_, status)) = faults.errors.filter(|(chance, _)| error < *chance) {
        return Err(Complaint::fault(status));
    }
    let spent = spend(settings, &call, part);
    match settings
        .dialect
        .served(&call, spent, stamp, settings, &faults.stream)
    {
        Told::Whole(answer) => Ok(answer),
        Told::Parts(_) => Err(Complaint::wrong("stream", "no stream in a batch")),
    }
}
