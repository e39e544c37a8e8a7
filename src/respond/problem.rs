//! What a refusal looks like as a response.

use std::error::Error;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;

use super::limits::{self, Fields, Policy};
use crate::{
    body::BodyTooLarge,
    error::{Reason, Rejected, causes},
    observe::target,
};

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated: Option<[String; 1]>,
}

/// RFC 9457, 4.2.1: the title is the status' own phrase.
const BLANK: &str = "about:blank";
/// The limits' draft, 5.1: the caller has used up what it may.
const EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
/// The same, 5.2: what callers share has less room than usual.
const REDUCED: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// The response to a refusal: 429, 503 or 413, with `Retry-After`, these fields, and a problem+json. [`RespondLayer`] gives it by itself;
/// it is for a response of one's own by [`with`], to begin with, and for a handler that was refused.
///
/// [`RespondLayer`]: super::RespondLayer
/// [`with`]: super::RespondLayer::with
pub fn refusal(rejected: &Rejected, fields: Fields) -> Response<Bytes> {
    let status = match rejected.reason {
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ if rejected.is_callers() => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let policy = Policy::of(rejected).filter(|_| status == StatusCode::TOO_MANY_REQUESTS);
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => EXCEEDED,
        StatusCode::SERVICE_UNAVAILABLE => REDUCED,
        _ => BLANK,
    };
    let mut response = problem(status, kind, &rejected.detail(), policy.as_ref());
    let headers = response.headers_mut();
    if let Some(seconds) = rejected.retry_after.and_then(limits::whole_seconds) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    fields.tell(policy.as_slice(), headers);
    response
}

/// The response to any other error. Its text stays here: it may name hosts and keys.
pub(super) fn failure(error: &(dyn Error + 'static)) -> Response<Bytes> {
    for cause in causes(error) {
        if let Some(large) = cause.downcast_ref::<BodyTooLarge>() {
            return failed(StatusCode::PAYLOAD_TOO_LARGE, &large.to_string());
        }
        if cause.is::<tower::load_shed::error::Overloaded>() {
            return failed(StatusCode::SERVICE_UNAVAILABLE, "the service is overloaded");
        }
        if cause.is::<tower::timeout::error::Elapsed>() {
            tracing::warn!(target: target::RESPOND, %error, "no answer in time");
            return failed(
                StatusCode::GATEWAY_TIMEOUT,
                "the service didn't answer in time",
            );
        }
    }
    tracing::warn!(target: target::RESPOND, %error, "the service failed");
    failed(StatusCode::BAD_GATEWAY, "the service failed")
}

fn failed(status: StatusCode, detail: &str) -> Response<Bytes> {
    problem(status, BLANK, detail, None)
}

fn problem(
    status: StatusCode,
    kind: &str,
    detail: &str,
    violated: Option<&Policy>,
) -> Response<Bytes> {
    let problem = Problem {
        r#type: kind,
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
        violated: violated.map(|policy| [policy.name().to_string()]),
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
