//! Sending one request: what the run needs of it, and what an answer is worth.

use std::{future::Future, sync::Arc};

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    input::Job,
    record::{Trouble, compact},
    stats::Wire,
    stop::Reason,
};

// How much of an error's body the output repeats.
const SHOWN: usize = 4_000;

/// Sends requests; waits, repeats and gives up as it sees fit.
pub(crate) trait Transport: Send + Sync + 'static {
    /// Sends one request. `wire` hears of every attempt.
    fn send(
        &self,
        job: &Job,
        wire: &Arc<Wire>,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// A provider's answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// As the provider wrote it, on one line.
    pub(crate) body: String,
    pub(crate) usage: Usage,
}

/// How many tokens it was, by the provider's count.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    #[serde(alias = "input_tokens")]
    pub(crate) prompt_tokens: u64,
    #[serde(alias = "output_tokens")]
    pub(crate) completion_tokens: u64,
    pub(crate) total_tokens: u64,
}

/// A request that got no answer.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    pub(crate) troubles: Vec<Trouble>,
    /// Where the others won't be answered either.
    pub(crate) stop: Option<Reason>,
}

#[derive(Deserialize)]
struct Counted {
    usage: Option<Usage>,
}

/// Reads an answer that came.
pub(crate) fn read(status: StatusCode, body: &[u8]) -> Result<Answer, Trouble> {
    if !status.is_success() {
        return Err(trouble(status, body));
    }
    let Some(body) = compact(body).filter(|body| body.starts_with('{')) else {
        return Err(Trouble {
            status: Some(status.as_u16()),
            message: format!("the answer is no JSON object: {}", beginning(body)),
            ..Trouble::default()
        });
    };
    let counted = serde_json::from_str(&body).unwrap_or(Counted { usage: None });
    let mut usage = counted.usage.unwrap_or_default();
    // Anthropic doesn't add them up.
    usage.total_tokens = usage
        .total_tokens
        .max(usage.prompt_tokens.saturating_add(usage.completion_tokens));
    Ok(Answer { usage, body })
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
}

#[derive(Deserialize)]
struct Detail {
    message: String,
}

/// What an answer says that is an error.
pub(crate) fn trouble(status: StatusCode, body: &[u8]) -> Trouble {
    let error = compact(body).filter(|body| body.len() <= SHOWN);
    let error = error.as_deref().and_then(|body| {
        let refusal: Refusal<'_> = serde_json::from_str(body).ok()?;
        Some(refusal.error.to_owned())
    });
    let detail = error
        .as_deref()
        .and_then(|error| serde_json::from_str(error.get()).ok());
    let message = match detail {
        Some(Detail { message }) => message,
        None if body.is_empty() => format!("HTTP {status}"),
        None => format!("HTTP {status}: {}", beginning(body)),
    };
    Trouble {
        attempt: None,
        status: Some(status.as_u16()),
        message,
        error,
    }
}

fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    if body.len() > 200 {
        format!("{text}…")
    } else {
        text.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stays_as_it_was_written_but_on_one_line() {
        let body = b"{\n  \"v\": [0.10000000000000000001],\n  \"usage\": {\"total_tokens\": 7}\n}";
        let answer = read(StatusCode::OK, body).unwrap();
        assert_eq!(
            answer.body,
            "{\"v\":[0.10000000000000000001],\"usage\":{\"total_tokens\":7}}"
        );
        assert_eq!(answer.usage.total_tokens, 7);
        let nothing = read(StatusCode::OK, b"{\"usage\":null}").unwrap();
        assert_eq!(nothing.usage.total_tokens, 0);
        let message = br#"{"usage":{"input_tokens":12,"output_tokens":30}}"#;
        let usage = read(StatusCode::OK, message).unwrap().usage;
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.total_tokens
            ),
            (12, 30, 42)
        );
    }

    #[test]
    fn an_answer_that_is_no_object_is_a_failure() {
        for body in ["", "oops", "[1]", "{\"cut\": "] {
            let trouble = read(StatusCode::OK, body.as_bytes()).unwrap_err();
            assert!(trouble.message.contains("no JSON object"), "{body}");
        }
    }

    #[test]
    fn an_error_is_told_in_the_provider_s_words() {
        let body = br#"{"error": {"message": "no such model", "type": "invalid_request_error"}}"#;
        let trouble = read(StatusCode::NOT_FOUND, body).unwrap_err();
        assert_eq!(trouble.message, "no such model");
        assert_eq!(trouble.status, Some(404));
        let error = trouble.error.unwrap();
        assert_eq!(
            error.get(),
            r#"{"message":"no such model","type":"invalid_request_error"}"#
        );
        let page = read(StatusCode::BAD_GATEWAY, b"<html>bad</html>").unwrap_err();
        assert_eq!(page.message, "HTTP 502 Bad Gateway: <html>bad</html>");
    }
}
