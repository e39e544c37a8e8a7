//! What all answers are made of.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

pub(super) type Answer = Response<Bytes>;

/// What a request that was served really used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) prompt: u64,
    /// Of the prompt, read from the cache.
    pub(super) cached: u64,
    pub(super) completion: u64,
    /// Of the completion, not shown.
    pub(super) reasoning: u64,
}

impl Spent {
    pub(super) fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// What names and dates an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Different for every answer.
    pub(super) id: u128,
    /// The time of day, since 1970.
    pub(super) wall: Duration,
}

impl Stamp {
    pub(super) fn created(self) -> u64 {
        self.wall.as_secs()
    }
}

pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    text(status, "application/json", body.to_string())
}

pub(super) fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// Sets a header, unless the value can't stand in one.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: impl ToString) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(&value.to_string()),
    ) {
        headers.insert(name, value);
    }
}

/// In whole seconds, rounded up.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A duration as Go prints it, to the nanosecond: `6m0s`, `1.5s`, `120ms`. Under a millisecond a
/// fraction of one, as `µs` can't stand in a header.
pub(super) fn go_duration(duration: Duration) -> String {
    let fraction = |whole: u64, part: u32, digits: usize| {
        let text = format!("{whole}.{part:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 && nanos > 0 {
        let millis = fraction(u64::from(nanos / 1_000_000), nanos % 1_000_000, 6);
        return format!("{millis}ms");
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let rest = fraction(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (1, "0.000001ms"),
            (120_000_000, "120ms"),
            (1_500_000_000, "1.5s"),
            (1_984_999_999, "1.984999999s"),
            (60_000_000_000, "1m0s"),
            (360_000_000_000, "6m0s"),
            (432_000_000_000, "7m12s"),
            (578_016_000_000, "9m38.016s"),
            (4_576_667_000_000, "1h16m16.667s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }
}
