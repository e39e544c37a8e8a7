//! Rate headers, as every provider spells them.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

use super::super::{
    accounts::Reading,
    answers::{Stamp, go_duration, put, seconds},
    limits::Kind,
};

/// Whose rate headers answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RateHeaders {
    /// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` of a minute, resets as Go's durations.
    OpenAi,
    /// The same, with resets in whole seconds, `x-ratelimit-renewalperiod-*`, and a remaining that
    /// may be negative.
    Azure,
    /// As OpenAI's, but the requests are those of a day.
    Groq,
    /// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`:
    /// resets are times of day by RFC 3339, rounded up to the second, and `tokens` is the
    /// tightest of those on tokens.
    Anthropic,
    /// `ratelimitbysize-*` and `x-ratelimit-{limit,remaining}-{req,tokens}-minute`.
    Mistral,
    /// `x-ratelimit-*` and `x-tokenlimit-*`, a second's part of the minute.
    Together,
    /// `x-ratelimit-limit-tokens-{prompt,generated}`: limits alone.
    Fireworks,
    /// `X-RateLimit-*` of the requests, with a reset in milliseconds since 1970.
    OpenRouter,
    /// None at all.
    None,
}

struct Readings<'a>(&'a [Reading]);

impl Readings<'_> {
    fn of(&self, kind: Kind) -> Option<&Reading> {
        self.0.iter().find(|reading| reading.kind == kind)
    }

    /// The one with the least part left.
    fn tightest(&self, kinds: &[Kind]) -> Option<&Reading> {
        let of = kinds.iter().filter_map(|kind| self.of(*kind));
        of.min_by(|a, b| {
            let part = |of: &Reading, other: &Reading| of.remaining * i128::from(other.limit);
            part(a, b).cmp(&part(b, a))
        })
    }
}

/// What was spent of what when this was asked: `cost` tokens by this request itself.
pub(in super::super) fn write(
    spelling: RateHeaders,
    headers: &mut HeaderMap,
    readings: &[Reading],
    stamp: Stamp,
    cost: u64,
) {
    let readings = Readings(readings);
    let requests = readings.of(Kind::RequestsPerMinute);
    let all = [Kind::TokensPerMinute, Kind::InputPerMinute];
    let tokens = readings.tightest(&all);
    match spelling {
        RateHeaders::None => {}
        RateHeaders::OpenAi => {
            let tokens = readings.of(Kind::TokensPerMinute);
            for (name, reading) in [("requests", requests), ("tokens", tokens)] {
                plain(headers, name, reading, go_duration);
            }
        }
        RateHeaders::Groq => {
            let a_day = readings.of(Kind::RequestsPerDay);
            plain(headers, "requests", a_day, go_duration);
            plain(headers, "tokens", tokens, go_duration);
        }
        RateHeaders::Azure => {
            for (name, reading) in [("requests", requests), ("tokens", tokens)] {
                plain(headers, name, reading, |reset| seconds(reset).to_string());
                if let Some(reading) = reading {
                    put(
                        headers,
                        &format!("x-ratelimit-remaining-{name}"),
                        reading.remaining,
                    );
                    let period = seconds(reading.window);
                    put(
                        headers,
                        &format!("x-ratelimit-renewalperiod-{name}"),
                        period,
                    );
                }
            }
        }
        RateHeaders::Anthropic => {
            let each = [
                ("requests", requests),
                ("tokens", readings.tightest(&ANTHROPICS)),
                ("input-tokens", readings.of(Kind::InputPerMinute)),
                ("output-tokens", readings.of(Kind::OutputPerMinute)),
            ];
            for (name, reading) in each {
                let Some(reading) = reading else { continue };
                let mut say = |what: &str, value: String| {
                    put(
                        headers,
                        &format!("anthropic-ratelimit-{name}-{what}"),
                        value,
                    );
                };
                say("limit", reading.limit.to_string());
                say("remaining", reading.left().to_string());
                say("reset", rfc3339(stamp.wall + reading.reset));
            }
        }
        RateHeaders::Mistral => {
            for (name, reading) in [("req", requests), ("tokens", tokens)] {
                let Some(reading) = reading else { continue };
                put(
                    headers,
                    &format!("x-ratelimit-limit-{name}-minute"),
                    reading.limit,
                );
                put(
                    headers,
                    &format!("x-ratelimit-remaining-{name}-minute"),
                    reading.left(),
                );
            }
            if let Some(reading) = tokens {
                put(headers, "ratelimitbysize-limit", reading.limit);
                put(headers, "ratelimitbysize-remaining", reading.left());
                put(headers, "ratelimitbysize-reset", seconds(reading.reset));
                put(headers, "ratelimitbysize-query-cost", cost);
            }
        }
        RateHeaders::Together => {
            for (name, reading) in [("x-ratelimit", requests), ("x-tokenlimit", tokens)] {
                let Some(reading) = reading else { continue };
                let a_second = |amount: u64| amount / 60;
                put(headers, &format!("{name}-limit"), a_second(reading.limit));
                let left = a_second(reading.limit).min(reading.left());
                put(headers, &format!("{name}-remaining"), left);
            }
            put(headers, "x-ratelimit-reset", 1);
        }
        RateHeaders::Fireworks => {
            let generated = readings.of(Kind::OutputPerMinute);
            for (name, reading) in [("prompt", tokens), ("generated", generated)] {
                let Some(reading) = reading else { continue };
                put(
                    headers,
                    &format!("x-ratelimit-limit-tokens-{name}"),
                    reading.limit,
                );
            }
        }
        RateHeaders::OpenRouter => {
            if let Some(reading) =
                readings.tightest(&[Kind::RequestsPerMinute, Kind::RequestsPerDay])
            {
                put(headers, "x-ratelimit-limit", reading.limit);
                put(headers, "x-ratelimit-remaining", reading.left());
                let reset = stamp.wall + reading.reset;
                put(headers, "x-ratelimit-reset", reset.as_millis());
            }
        }
    }
}

const ANTHROPICS: [Kind; 3] = [
    Kind::TokensPerMinute,
    Kind::InputPerMinute,
    Kind::OutputPerMinute,
];

fn plain(
    headers: &mut HeaderMap,
    name: &str,
    reading: Option<&Reading>,
    reset: impl Fn(Duration) -> String,
) {
    let Some(reading) = reading else { return };
    let mut say = |what: &str, value: String| {
        put(headers, &format!("x-ratelimit-{what}-{name}"), value);
    };
    say("limit", reading.limit.to_string());
    say("remaining", reading.left().to_string());
    say("reset", reset(reading.reset));
}

/// A time of day since 1970, rounded up to the second.
pub(super) fn rfc3339(wall: Duration) -> String {
    // `Thu, 01 Jan 1970 00:00:00 GMT` has all that it takes.
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds(wall)));
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = months.iter().position(|month| *month == part(8..11));
    let month = month.map_or(0, |month| month + 1);
    format!(
        "{}-{month:02}-{}T{}Z",
        part(12..16),
        part(5..7),
        part(17..25)
    )
}
