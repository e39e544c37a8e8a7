//! What the rate headers of an answer say.

use std::time::Duration;

use http::HeaderMap;

use super::{
    limit::{DAY, HOUR, MINUTE, SECOND},
    names::{Field, INPUT, OUTPUT, REQUESTS, TOKENS, place},
    retry_after::now,
    span,
};
use crate::verdict::{Provider, RateReading, RateStatus};

/// Reads the rate headers in one pass. What isn't there stays `None`: absence isn't zero. Whose
/// they are, is told from themselves; where it is known, ask [`Provider::rate_status`].
///
/// | provider | headers | window |
/// |---|---|---|
/// | OpenAI, xAI | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` | as `reset` shows; tokens a minute |
/// | Azure | the same | `x-ratelimit-renewalperiod-*` |
/// | Groq | the same | requests a *day*, tokens a minute |
/// | Anthropic | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*` | a minute |
/// | Mistral | `ratelimitbysize-*`, `x-ratelimitbysize-*-{minute,month}`: tokens; `x-ratelimit-*-{req,tokens}-minute` | by the name |
/// | Together | bare `x-ratelimit-*`: requests; `x-tokenlimit-*`, rather the `-dynamic` ones | a *second* |
/// | Fireworks | `x-ratelimit-*-tokens-{prompt,generated}` | |
/// | OpenRouter and others | bare `x-ratelimit-*` and `ratelimit-*`: requests | |
///
/// Of several headers of one name the one that says least, or of a `reset` most, is told.
///
/// A `reset` shows the window where the limit refills continuously: what was used comes back in
/// proportion. Of several readings of one resource (a project's and its organisation's tokens, a
/// minute's and a month's) the one with least left is told.
///
/// A reset may be a Go duration, seconds, an epoch in seconds or milliseconds, or an RFC 3339
/// instant; instants are read against the answer's own `date`, or else the system's clock. A
/// negative remainder reads as 0.
pub fn rate_status(headers: &HeaderMap) -> RateStatus {
    rate_status_as(None, headers)
}

pub(crate) fn rate_status_as(provider: Option<Provider>, headers: &HeaderMap) -> RateStatus {
    told_status(provider, headers).unwrap_or_default()
}

/// The same where headers tell any.
pub(crate) fn told_status(provider: Option<Provider>, headers: &HeaderMap) -> Option<RateStatus> {
    let mut found: Option<Found> = None;
    for (name, value) in headers {
        let Some(place) = place(name.as_str()) else {
            continue;
        };
        let found = found.get_or_insert_with(Found::default);
        let reading = &mut found.readings[place.resource][place.row];
        reading.window = reading.window.or(place.window);
        let text = value.as_bytes();
        match place.field {
            Field::Limit => least(&mut reading.limit, count(text)),
            Field::Remaining => least(&mut reading.remaining, count(text)),
            Field::Reset => {
                reading.reset = reading.reset.max(span::reset(text, || now(headers)));
                found.flows[place.resource] |= text.ends_with(b"s");
            }
            Field::Renewal => reading.window = span::seconds(text).filter(|span| !span.is_zero()),
        }
    }
    found.map(|found| found.status(provider.or_else(|| Provider::by_headers(headers))))
}

/// Every reading, until it is known which one tells most.
#[derive(Default)]
struct Found {
    /// Of each resource the plain one, a narrower one (a project's, a minute's), a day's or month's.
    readings: [[RateReading; 3]; 4],
    /// Whether the reset is a duration, as those write it whose limits refill continuously.
    flows: [bool; 4],
}

impl Found {
    fn status(&self, provider: Option<Provider>) -> RateStatus {
        RateStatus {
            requests: self.tightest(REQUESTS, provider),
            tokens: self.tightest(TOKENS, provider),
            input_tokens: self.tightest(INPUT, provider),
            output_tokens: self.tightest(OUTPUT, provider),
        }
    }

    /// The reading of a resource of which least is left.
    fn tightest(&self, resource: usize, provider: Option<Provider>) -> RateReading {
        let [mut plain, narrow, long] = self.readings[resource];
        if plain.window.is_none() && plain != RateReading::new() {
            plain.window = self.window(resource, &plain, provider);
        }
        // What holds at the moment, instead of what was agreed.
        if provider == Some(Provider::Together) && narrow.remaining.is_some() {
            return narrow;
        }
        let said = [plain, narrow, long].into_iter();
        let said = said.filter(|reading| *reading != RateReading::new());
        said.min_by_key(|reading| reading.remaining.unwrap_or(u64::MAX))
            .unwrap_or_default()
    }

    /// The window of a limit whose name doesn't say it.
    fn window(
        &self,
        resource: usize,
        reading: &RateReading,
        provider: Option<Provider>,
    ) -> Option<Duration> {
        match provider {
            Some(Provider::Groq) if resource == REQUESTS => Some(DAY),
            Some(Provider::Groq) => Some(MINUTE),
            Some(Provider::Together) => Some(SECOND),
            // A day's are told in errors alone.
            Some(Provider::OpenAi | Provider::XAi) if resource != REQUESTS => Some(MINUTE),
            _ => self.flows[resource].then(|| shown(reading)).flatten(),
        }
    }
}

/// The window in which what was used comes back, if all of it does within `reset` and at an even
/// pace: `used / limit` of a window is the time that it takes.
fn shown(reading: &RateReading) -> Option<Duration> {
    let (limit, left) = (reading.limit?, reading.remaining?);
    let used = limit.checked_sub(left).filter(|used| *used > 0)?;
    let window = reading.reset?.as_nanos().checked_mul(limit.into())? / u128::from(used);
    // Providers round; a day is 24 hours, an hour 60 minutes: nothing lies between.
    let near = |unit: &Duration| window.abs_diff(unit.as_nanos()) <= unit.as_nanos() / 10;
    [SECOND, MINUTE, HOUR, DAY].into_iter().find(near)
}

fn least(told: &mut Option<u64>, count: Option<u64>) {
    *told = [*told, count].into_iter().flatten().min();
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
    use crate::provider::limit::MONTH;
    use http::HeaderValue;

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
            window: None,
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
        // The arithmetic of the resets gives the windows away.
        assert_eq!(status.requests, reading(1_000, 998, 172_800).window(DAY));
        assert_eq!(status.tokens, reading(8_000, 7_927, 547).window(MINUTE));
    }

    #[test]
    fn the_same_names_are_other_windows_at_other_providers() {
        let names = [
            ("x-ratelimit-limit-requests", "14400"),
            ("x-ratelimit-remaining-requests", "14400"),
            ("x-ratelimit-reset-requests", "0s"),
            ("x-ratelimit-limit-tokens", "18000"),
            ("x-ratelimit-remaining-tokens", "18000"),
            ("x-ratelimit-reset-tokens", "0s"),
        ];
        let headers: HeaderMap = names
            .into_iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let windows = |provider| {
            let status = rate_status_as(provider, &headers);
            (status.requests.window, status.tokens.window)
        };
        assert_eq!(windows(Some(Provider::Groq)), (Some(DAY), Some(MINUTE)));
        assert_eq!(
            windows(Some(Provider::Together)),
            (Some(SECOND), Some(SECOND))
        );
        assert_eq!(windows(Some(Provider::OpenAi)), (None, Some(MINUTE)));
        assert_eq!(windows(Some(Provider::Other)), (None, None));
        assert_eq!(windows(None), (None, None));
    }

    #[test]
    fn names_and_renewal_periods_say_the_window() {
        let status = read(&[
            ("x-ratelimit-limit-requests", "9000"),
            ("x-ratelimit-renewalperiod-requests", "10"),
            ("x-ratelimit-renewalperiod-tokens", "0"),
        ]);
        assert_eq!(status.requests.window, Some(10 * SECOND));
        assert_eq!(status.tokens.window, None);
        let mistral = [
            ("ratelimitbysize-limit", "500000"),
            ("ratelimitbysize-remaining", "499000"),
            ("ratelimitbysize-query-cost", "1000"),
            ("ratelimitbysize-reset", "17"),
            ("x-ratelimitbysize-limit-month", "1000000000"),
            ("x-ratelimitbysize-remaining-month", "999999000"),
            ("x-ratelimit-limit-req-minute", "60"),
            ("x-ratelimit-remaining-req-minute", "59"),
        ];
        let status = read(&mistral);
        assert_eq!(
            status.tokens,
            reading(500_000, 499_000, 17_000).window(MINUTE)
        );
        assert_eq!(status.requests.window, Some(MINUTE));
        let mut last = mistral.to_vec();
        last[5].1 = "800";
        assert_eq!(read(&last).tokens.window, Some(MONTH));
        let together = read(&[
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "9"),
            ("x-ratelimit-reset", "1"),
            ("x-tokenlimit-limit", "3000"),
            ("x-tokenlimit-remaining", "2900"),
            ("x-tokenlimit-limit-dynamic", "6000"),
            ("x-tokenlimit-remaining-dynamic", "5900"),
        ]);
        assert_eq!(together.requests, reading(10, 9, 1_000).window(SECOND));
        assert_eq!(together.tokens.limit, Some(6_000));
    }

    #[test]
    fn a_reset_shows_its_window_only_where_the_figures_agree() {
        let window = |limit: u64, left: u64, reset: &'static str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("limit", limit.to_string()),
                ("remaining", left.to_string()),
            ] {
                let name = format!("x-ratelimit-{name}-requests");
                let name = http::HeaderName::try_from(name).unwrap();
                headers.insert(name, value.parse().unwrap());
            }
            headers.insert(
                "x-ratelimit-reset-requests",
                HeaderValue::from_static(reset),
            );
            rate_status(&headers).requests.window
        };
        assert_eq!(window(10_000, 9_999, "8.64s"), Some(DAY));
        assert_eq!(window(500, 499, "120ms"), Some(MINUTE));
        assert_eq!(window(150_000, 149_984, "6m0s"), None);
        assert_eq!(window(500, 500, "0s"), None);
        assert_eq!(window(500, 501, "1s"), None);
        assert_eq!(window(0, 0, "1s"), None);
        assert_eq!(window(u64::MAX, 0, "8784h"), None);
        // A count of seconds is to a boundary.
        assert_eq!(window(2, 1, "30"), None);
    }

    #[test]
    fn openai_states_tokens_by_the_minute_whatever_a_reset_looks_like() {
        let headers = [
            ("x-ratelimit-limit-tokens", "60000"),
            ("x-ratelimit-remaining-tokens", "59960"),
            ("x-ratelimit-reset-tokens", "57s"),
        ]
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let headers = HeaderMap::from_iter(headers);
        for provider in [Provider::OpenAi, Provider::XAi] {
            let status = rate_status_as(Some(provider), &headers);
            assert_eq!(status.tokens.window, Some(MINUTE));
        }
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
        assert_eq!(status.requests, reading(50, 49, 1_000).window(MINUTE));
        assert_eq!(
            status.input_tokens,
            reading(30_000, 28_000, 4_000).window(MINUTE)
        );
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
    fn of_several_headers_of_one_name_the_least_is_told() {
        for several in [["1", "100"], ["100", "1"], ["1", "x"], ["", "1"]] {
            let mut headers = HeaderMap::new();
            for text in several {
                for name in ["limit", "remaining", "reset"] {
                    let name = format!("x-ratelimit-{name}-requests");
                    let name = http::HeaderName::try_from(name).unwrap();
                    headers.append(name, HeaderValue::from_static(text));
                }
            }
            let requests = rate_status(&headers).requests;
            assert_eq!((requests.limit, requests.remaining), (Some(1), Some(1)));
            let reset = if several.contains(&"100") { 100 } else { 1 };
            assert_eq!(requests.reset, Some(Duration::from_secs(reset)));
        }
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
