//! What the rate headers of an answer say.

use http::HeaderMap;

use super::{retry_after::now, span};
use crate::verdict::{RateReading, RateStatus};

/// Reads the rate headers in one pass. What isn't there stays `None`: absence isn't zero.
///
/// Known are `x-ratelimit-{limit,remaining,reset}-{requests,tokens,input-tokens,output-tokens}`
/// (OpenAI, Azure, Groq, xAI), `x-ratelimit-{limit,remaining}-{req,tokens}-minute` (Mistral), a
/// bare `x-ratelimit-{limit,remaining,reset}`, which counts requests (OpenRouter, Together), and
/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`.
/// Of a project's and its organisation's tokens (OpenAI) the tighter ones are told.
///
/// A reset may be a Go duration, seconds, an epoch in seconds or milliseconds, or an RFC 3339
/// instant; instants are read against the answer's own `date`, or else the system's clock. A
/// negative remainder reads as 0.
pub fn rate_status(headers: &HeaderMap) -> RateStatus {
    let mut status = RateStatus::new();
    let mut project = RateReading::new();
    for (name, value) in headers {
        let name = name.as_str();
        let Some((resource, field)) = split(name) else {
            continue;
        };
        let reading = match resource {
            "requests" | "req-minute" | "" => &mut status.requests,
            "tokens" | "tokens-minute" => &mut status.tokens,
            "input-tokens" | "tokens-prompt" => &mut status.input_tokens,
            "output-tokens" | "tokens-generated" => &mut status.output_tokens,
            "project-tokens" => &mut project,
            _ => continue,
        };
        let text = value.as_bytes();
        match field {
            Field::Limit => reading.limit = count(text),
            Field::Remaining => reading.remaining = count(text),
            Field::Reset => reading.reset = span::reset(text, || now(headers)),
        }
    }
    if let Some(left) = project.remaining
        && status.tokens.remaining.is_none_or(|other| left < other)
    {
        status.tokens = project;
    }
    status
}

#[derive(Clone, Copy)]
enum Field {
    Limit,
    Remaining,
    Reset,
}

/// The resource and the field of a rate header's name.
fn split(name: &str) -> Option<(&str, Field)> {
    if let Some(rest) = name.strip_prefix("x-ratelimit-") {
        let (field, resource) = rest.split_once('-').unwrap_or((rest, ""));
        Some((resource, self::field(field)?))
    } else {
        let (resource, field) = name
            .strip_prefix("anthropic-ratelimit-")?
            .rsplit_once('-')?;
        Some((resource, self::field(field)?))
    }
}

fn field(name: &str) -> Option<Field> {
    match name {
        "limit" => Some(Field::Limit),
        "remaining" => Some(Field::Remaining),
        "reset" => Some(Field::Reset),
        _ => None,
    }
}

/// A whole number; a negative one reads as 0.
fn count(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    match text.strip_prefix('-') {
        Some(rest) => rest.bytes().all(|byte| byte.is_ascii_digit()).then_some(0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::time::Duration;

    fn read(pairs: &[(&'static str, &'static str)]) -> RateStatus {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        rate_status(&headers)
    }

    fn reading(limit: u64, remaining: u64, reset_ms: u64) -> RateReading {
        RateReading {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_millis(reset_ms)),
        }
    }

    #[test]
    fn absence_says_nothing() {
        assert!(read(&[("openai-version", "2020-10-01"), ("x-request-id", "x")]).is_empty());
    }

    #[test]
    fn openai_headers_read() {
        let status = read(&[
            ("x-ratelimit-limit-requests", "1000"),
            ("x-ratelimit-remaining-requests", "998"),
            ("x-ratelimit-reset-requests", "2m52.8s"),
            ("x-ratelimit-limit-tokens", "8000"),
            ("x-ratelimit-remaining-tokens", "7927"),
            ("x-ratelimit-reset-tokens", "547ms"),
        ]);
        assert_eq!(status.requests, reading(1_000, 998, 172_800));
        assert_eq!(status.tokens, reading(8_000, 7_927, 547));
    }

    #[test]
    fn anthropic_headers_read_against_their_own_date() {
        let status = read(&[
            ("date", "Sat, 25 Oct 2025 12:00:00 GMT"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2025-10-25T12:00:01Z"),
            ("anthropic-ratelimit-input-tokens-limit", "30000"),
            ("anthropic-ratelimit-input-tokens-remaining", "28000"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2025-10-25T12:00:04Z",
            ),
            ("anthropic-ratelimit-output-tokens-remaining", "8000"),
            ("anthropic-ratelimit-unified-5h-reset", "1765944000"),
            ("anthropic-priority-input-tokens-limit", "1"),
        ]);
        assert_eq!(status.requests, reading(50, 49, 1_000));
        assert_eq!(status.input_tokens, reading(30_000, 28_000, 4_000));
        assert_eq!(status.output_tokens.remaining, Some(8_000));
        assert_eq!(status.tokens, RateReading::new());
    }

    #[test]
    fn a_negative_remainder_reads_as_zero() {
        let status = read(&[
            ("x-ratelimit-remaining-tokens", "-27689"),
            ("x-ratelimit-reset-tokens", "64"),
        ]);
        assert_eq!(status.tokens.remaining, Some(0));
        assert_eq!(status.tokens.reset, Some(Duration::from_secs(64)));
    }

    #[test]
    fn the_tighter_of_project_and_organisation_is_told() {
        let project = [
            ("x-ratelimit-limit-project-tokens", "60000"),
            ("x-ratelimit-remaining-project-tokens", "57000"),
            ("x-ratelimit-reset-project-tokens", "3s"),
        ];
        assert_eq!(read(&project).tokens, reading(60_000, 57_000, 3_000));
        let mut both = project.to_vec();
        both.push(("x-ratelimit-remaining-tokens", "10"));
        assert_eq!(read(&both).tokens.remaining, Some(10));
    }

    #[test]
    fn nonsense_says_nothing() {
        for bad in ["", "many", "1.5", "99999999999999999999999", "--1", "1,000"] {
            let status = read(&[("x-ratelimit-limit-requests", bad)]);
            assert!(status.requests.limit.is_none(), "{bad:?}");
        }
        assert!(read(&[("x-ratelimit-limit-requests", "-x")]).is_empty());
    }
}
