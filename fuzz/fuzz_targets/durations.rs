//! Spans of time as providers write them, in headers and in prose.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower_quota::provider::{classify, rate_status, retry_after};

const YEAR: Duration = Duration::from_secs(366 * 86_400);
const NAMES: [&str; 6] = [
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset",
    "ratelimit",
];

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        for name in NAMES {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), value.clone());
            let status = rate_status(&headers);
            let resets = [status.requests.reset, status.tokens.reset];
            let all = resets.into_iter().chain([retry_after(&headers)]);
            for wait in all.flatten() {
                assert!(wait <= YEAR, "{name}: {wait:?}");
            }
        }
    }
    // "Please try again in 7.66s."
    if let Ok(text) = std::str::from_utf8(data) {
        let message =
            serde_json::Value::from(format!("Rate limit reached. Please try again in {text}."));
        let body =
            format!(r#"{{"error": {{"message": {message}, "code": "rate_limit_exceeded"}}}}"#);
        let verdict = classify(
            StatusCode::TOO_MANY_REQUESTS,
            &HeaderMap::new(),
            body.as_bytes(),
        );
        assert!(
            verdict
                .retry_after()
                .is_none_or(|wait| wait <= YEAR && !wait.is_zero())
        );
    }
});
