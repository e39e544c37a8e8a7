//! What a gRPC answer means: its status is in its trailers, or in its headers where it has nothing else.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::classify;
use crate::verdict::Verdict;

/// What `grpc-status` says in these headers or trailers; `None` where there is none.
///
/// `grpc-retry-pushback-ms` is the hint, and a negative one asks not to come back
/// (<https://github.com/grpc/proposal/blob/master/A6-client-retries.md>).
pub fn grpc(trailers: &HeaderMap) -> Option<Verdict> {
    let code = trailers.get("grpc-status")?.to_str().ok();
    // As the gateways between gRPC and HTTP have it.
    let status = match code.and_then(|code| code.trim().parse::<u32>().ok()) {
        Some(0) => return Some(Verdict::Success),
        // RESOURCE_EXHAUSTED
        Some(8) => StatusCode::TOO_MANY_REQUESTS,
        // UNAVAILABLE
        Some(14) => StatusCode::SERVICE_UNAVAILABLE,
        // UNKNOWN, DEADLINE_EXCEEDED, ABORTED, INTERNAL
        Some(2 | 4 | 10 | 13) | None => StatusCode::INTERNAL_SERVER_ERROR,
        Some(_) => StatusCode::BAD_REQUEST,
    };
    let mut headers = HeaderMap::new();
    let pushback = trailers.get("grpc-retry-pushback-ms");
    match pushback.map(|value| value.to_str().map(str::trim)) {
        Some(Ok(wait)) if wait.bytes().all(|byte| byte.is_ascii_digit()) => {
            if let Ok(wait) = HeaderValue::from_str(wait) {
                headers.insert(HeaderName::from_static("retry-after-ms"), wait);
            }
        }
        Some(_) => {
            let no = HeaderValue::from_static("false");
            headers.insert(HeaderName::from_static("x-should-retry"), no);
        }
        None => {}
    }
    let message = trailers.get("grpc-message").map(HeaderValue::as_bytes);
    Some(classify(status, &headers, message.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn verdict(pairs: &[(&'static str, &str)]) -> Option<Verdict> {
        let mut trailers = HeaderMap::new();
        for (name, value) in pairs {
            trailers.insert(*name, value.parse().unwrap());
        }
        grpc(&trailers)
    }

    #[test]
    fn a_status_is_told_by_its_number() {
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[("grpc-status", "0")]), Some(Verdict::Success));
        for code in ["2", "4", "10", "13", "x", "99999999999"] {
            let transient = Some(Verdict::Transient { sent: true });
            assert_eq!(verdict(&[("grpc-status", code)]), transient, "{code}");
        }
        for code in ["1", "3", "5", "7", "16", "99"] {
            let permanent = Some(Verdict::Permanent);
            assert_eq!(verdict(&[("grpc-status", code)]), permanent, "{code}");
        }
        let unavailable = Some(Verdict::Overloaded { retry_after: None });
        assert_eq!(verdict(&[("grpc-status", "14")]), unavailable);
    }

    #[test]
    fn the_hint_is_the_pushback() {
        let exhausted = |pushback| {
            verdict(&[("grpc-status", "8"), ("grpc-retry-pushback-ms", pushback)]).unwrap()
        };
        let wait = exhausted("1500");
        assert!(matches!(wait, Verdict::RateLimited { .. }), "{wait:?}");
        assert_eq!(wait.retry_after(), Some(Duration::from_millis(1_500)));
        assert_eq!(exhausted("-1"), Verdict::Permanent);
        assert_eq!(exhausted("soon"), Verdict::Permanent);
    }
}
