//! What providers say: pure functions over status, headers and body.

use std::error::Error;

use http::{HeaderMap, StatusCode};

use crate::{error::Rejected, verdict::Verdict};

/// What an answer means. `body` is as much of it as is at hand, or empty.
pub fn classify(status: StatusCode, _headers: &HeaderMap, _body: &[u8]) -> Verdict {
    match status.as_u16() {
        100..=399 => Verdict::Success,
        429 => Verdict::RateLimited {
            resource: None,
            retry_after: None,
        },
        503 | 529 => Verdict::Overloaded { retry_after: None },
        408 | 409 | 500.. => Verdict::Transient { sent: true },
        413 => Verdict::TooLarge,
        402 => Verdict::QuotaExhausted,
        _ => Verdict::Permanent,
    }
}

/// What an error means that came instead of an answer.
pub fn classify_error(error: &(dyn Error + 'static)) -> Verdict {
    if Rejected::find(error).is_some() {
        Verdict::Refused
    } else {
        Verdict::Transient { sent: true }
    }
}
