//! Refusals as OpenAI's clients understand them.

use http::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::json;
use tower_quota::{Reason, Rejected, Scope};

/// What OpenAI's clients raise as `RateLimitError`, `APIStatusError` and so on.
pub(crate) fn refusal(rejected: &Rejected) -> Response<String> {
    let (status, kind, code) = match (rejected.reason, rejected.scope) {
        (Reason::TooLarge, _) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "request_too_large",
        ),
        (Reason::CircuitOpen, _) | (_, Scope::Shared) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "provider_unavailable",
        ),
        _ => (
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            "rate_limit_exceeded",
        ),
    };
    // Of what tenants share, nobody is told a figure.
    let mut response = error(status, kind, code, &rejected.detail());
    if let Some(wait) = rejected.retry_after {
        // Rounded up: whoever comes back by it isn't early.
        let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
        let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, number(seconds));
        headers.insert("retry-after-ms", number(millis));
    }
    response
}

/// An error in OpenAI's form.
pub(crate) fn error(status: StatusCode, kind: &str, code: &str, message: &str) -> Response<String> {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn number(number: u128) -> HeaderValue {
    HeaderValue::from(u64::try_from(number).unwrap_or(u64::MAX))
}
