//! Instants as providers write them, against a `date` of the answer's own.

#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_quota::provider::{rate_status, retry_after};

const YEAR: Duration = Duration::from_secs(366 * 86_400);
const NAMES: [&str; 5] = [
    "retry-after",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (Some(then), now) = (lines.next(), lines.next()) else {
        return;
    };
    let Ok(then) = HeaderValue::from_bytes(then) else {
        return;
    };
    for name in NAMES {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), then.clone());
        if let Some(Ok(now)) = now.map(HeaderValue::from_bytes) {
            headers.insert("date", now);
        }
        let status = rate_status(&headers);
        let resets = [status.requests.reset, status.tokens.reset];
        for wait in resets.into_iter().chain([retry_after(&headers)]).flatten() {
            assert!(wait <= YEAR, "{name}: {wait:?}");
        }
    }
});
