//! Azure OpenAI: OpenAI's API under other paths, with words and waits of its own.

use http::Method;
use serde_json::json;

use super::{
    super::{
        Call,
        answers::{self, Answer, put, seconds},
        complaint::Complaint,
        limits::Unit,
        settings::Settings,
    },
    Refused, openai,
};

/// Reads `/openai/deployments/{deployment}/…` as well as `/openai/v1/…`.
pub(super) fn read(
    method: &Method,
    path: &str,
    body: &[u8],
    settings: &Settings,
) -> Result<Call, Complaint> {
    let below = path.strip_prefix("/openai").unwrap_or(path);
    let deployed = below.strip_prefix("/deployments/");
    match deployed.and_then(|rest| rest.split_once('/')) {
        Some((deployment, rest)) => {
            let below = format!("/v1/{rest}");
            openai::read(method, path, &below, Some(deployment), body, settings)
        }
        None => openai::read(method, path, below, None, body, settings),
    }
}

/// A request that can never fit is told to come back in a day.
const NEVER: u64 = 86_400;

pub(super) fn refused(refused: &Refused<'_>) -> Answer {
    let refusal = refused.refusal;
    let requests = refusal.kind.unit() == Unit::Requests;
    let hint = match (refusal.wait, refused.said) {
        (_, Some(wait)) => Some(seconds(wait)),
        (None, None) => Some(NEVER),
        (Some(_), None) => None,
    };
    let what = if requests { "call" } else { "token" };
    let come_back = hint.map_or(String::new(), |seconds| {
        format!(" Please retry after {seconds} seconds.")
    });
    let message = format!(
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version \
         2024-10-21 have exceeded {what} rate limit of your current OpenAI S0 pricing \
         tier.{come_back} Please go here: https://aka.ms/oai/quotaincrease if you would like to \
         further increase the default rate limit."
    );
    let body = json!({"error": {"code": "429", "message": message}});
    let mut answer = answers::json(http::StatusCode::TOO_MANY_REQUESTS, &body);
    let headers = answer.headers_mut();
    put(
        headers,
        "x-ratelimit-type",
        if requests { "Requests" } else { "Tokens" },
    );
    if let Some(seconds) = hint {
        put(headers, "retry-after", seconds);
        // A lie is told in seconds, and the milliseconds beside it are 0.
        let honest = refused.said == refusal.wait;
        put(
            headers,
            "retry-after-ms",
            if honest { seconds * 1_000 } else { 0 },
        );
    }
    answer
}
