//! Lines of headers, under any status: `name: value`.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower_quota::{Provider, provider};

const STATUS: [u16; 6] = [200, 400, 401, 429, 500, 529];

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(value.trim_ascii()),
        ) {
            headers.append(name, value);
        }
    }
    if let Some(wait) = provider::retry_after(&headers) {
        assert!(
            !wait.is_zero() && wait.as_secs() <= 366 * 86_400,
            "{wait:?}"
        );
    }
    let told = Provider::detect(&headers, b"");
    let _ = (
        provider::rate_status(&headers),
        told.rate_status(&headers),
        provider::grpc(&headers),
    );
    for status in STATUS {
        let status = StatusCode::from_u16(status).expect("a status");
        let verdict = provider::classify(status, &headers, b"");
        if let Some(wait) = verdict.retry_after() {
            assert!(!wait.is_zero(), "{verdict:?}");
        }
    }
});
