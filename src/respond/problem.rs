//! What a refusal looks like as a response.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use crate::{
    body::BodyTooLarge,
    error::{Reason, Rejected, Scope},
};

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// The response to a refusal.
pub(super) fn refusal(rejected: &Rejected) -> Response<Bytes> {
    let status = match (rejected.reason, rejected.scope) {
        (Reason::TooLarge, _) => StatusCode::PAYLOAD_TOO_LARGE,
        (Reason::CircuitOpen, _) | (_, Scope::Shared) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Scope::Caller) => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = problem(status, &rejected.to_string());
    if let Some(seconds) = rejected.retry_after.and_then(whole_seconds) {
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// Never 0 for a real wait, which would bring the client back at once.
fn whole_seconds(wait: Duration) -> Option<u64> {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    (seconds > 0).then_some(seconds)
}

/// The response to any other error. Its text stays here: it may name hosts and keys.
pub(super) fn failure(error: &(dyn Error + 'static)) -> Response<Bytes> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(large) = cause.downcast_ref::<BodyTooLarge>() {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, &large.to_string());
        }
        if cause.is::<tower::load_shed::error::Overloaded>() {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "the service is overloaded");
        }
        if cause.is::<tower::timeout::error::Elapsed>() {
            tracing::warn!(%error, "no answer in time");
            return problem(
                StatusCode::GATEWAY_TIMEOUT,
                "the service didn't answer in time",
            );
        }
        next = cause.source();
    }
    tracing::warn!(%error, "the service failed");
    problem(StatusCode::BAD_GATEWAY, "the service failed")
}

fn problem(status: StatusCode, detail: &str) -> Response<Bytes> {
    let problem = Problem {
        // RFC 9457, 4.2.1: the title is the status' own phrase.
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
    };
    // Texts and a number can always be written.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
