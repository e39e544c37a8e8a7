//! Which limit it was: the resource that it counts and the window that it counts it in.

use std::time::Duration;

use super::span;
use crate::core::cost::Resource;

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Which {
    pub(super) resource: Option<Resource>,
    pub(super) window: Option<Duration>,
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// No month is exactly this long, but for telling a month from a minute it does.
pub(super) const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// So many words may stand between what is counted and `per minute`.
const APART: usize = 8;

/// As a message says it: `tokens per min (TPM)`, `40 API calls / minute`, `your daily rate limit`,
/// `free-models-per-day`. What is said first counts.
pub(super) fn told(prose: &str) -> Which {
    let words: Vec<&str> = prose
        .lines()
        .map(|line| line.strip_prefix("too many requests: ").unwrap_or(line))
        .filter(|line| !is_status(line))
        .flat_map(words)
        .collect();
    let mut noun: Option<(usize, Option<Resource>)> = None;
    let near = |noun: Option<(usize, Option<Resource>)>, at: usize| {
        let (stood, resource) = noun?;
        (at - stood <= APART).then_some(resource).flatten()
    };
    for (at, word) in words.iter().enumerate() {
        let next = |ahead: usize| words.get(at + ahead).copied().unwrap_or_default();
        if let Some(which) = abbreviated(word) {
            return which;
        }
        let window = match *word {
            "per" | "each" | "every" => unit(next(1), next(2)),
            "a" if noun.is_some_and(|(stood, _)| stood + 1 == at) => unit(next(1), ""),
            "daily" | "perday" => Some(DAY),
            "hourly" => Some(HOUR),
            "monthly" => Some(MONTH),
            "perminute" => Some(MINUTE),
            _ => None,
        };
        if window.is_some() {
            let resource = near(noun, at).or_else(|| {
                let ahead = (at + 1..words.len().min(at + 5)).find_map(|at| counted(&words, at));
                ahead.flatten().or_else(|| limited(&words))
            });
            return Which { resource, window };
        }
        if let Some(resource) = counted(&words, at) {
            noun = Some((at, resource));
        }
    }
    Which {
        resource: limited(&words),
        window: None,
    }
}

/// The name of the status 429 says nothing of requests.
fn is_status(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    line.trim_end_matches(['.', '!']) == "too many requests"
}

/// A message's words; a slash is a `per`.
fn words(prose: &str) -> impl Iterator<Item = &str> {
    let mut rest = prose;
    std::iter::from_fn(move || {
        let start = rest.find(|c: char| c.is_alphanumeric() || c == '/')?;
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix('/') {
            rest = after;
            return Some("per");
        }
        let end = rest.find(|c: char| !c.is_alphanumeric());
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(word)
    })
}

/// `tpm`, `rpd`, `itpm`: what, per, and a unit's letter.
fn abbreviated(word: &str) -> Option<Which> {
    let (what, unit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let resource = match what {
        "rp" => Some(Resource::Requests),
        "tp" => Some(Resource::Tokens),
        "itp" => Some(Resource::InputTokens),
        "otp" => Some(Resource::OutputTokens),
        // Images; seconds of audio.
        "ip" | "asp" => None,
        _ => return None,
    };
    let window = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return None,
    };
    Some(Which {
        resource,
        window: Some(window),
    })
}

/// What the word at `at` counts: nothing, something without a name here, or a resource.
fn counted(words: &[&str], at: usize) -> Option<Option<Resource>> {
    let before = at.checked_sub(1).map(|at| words[at]);
    Some(match words[at] {
        "token" | "tokens" => Some(match before {
            Some("input" | "prompt") => Resource::InputTokens,
            Some("output" | "completion" | "generated") => Resource::OutputTokens,
            _ => Resource::Tokens,
        }),
        // `models` are what OpenRouter's free requests go to.
        "request" | "requests" | "call" | "calls" | "queries" | "models" => {
            Some(Resource::Requests)
        }
        "image" | "images" | "audio" | "characters" => None,
        _ => return None,
    })
}

/// A unit of time, with a number before it or none: `min`, `60 seconds`, `86400s`.
fn unit(word: &str, after: &str) -> Option<Duration> {
    Some(match word {
        "s" | "sec" | "second" => SECOND,
        "m" | "min" | "minute" => MINUTE,
        "h" | "hr" | "hour" => HOUR,
        "d" | "day" => DAY,
        "month" => MONTH,
        "" => return None,
        number => {
            let span = span::duration(format!("{number} {after}").as_bytes());
            return span
                .or_else(|| span::duration(number.as_bytes()))
                .filter(|span| !span.is_zero());
        }
    })
}

/// What is limited, where no window is told: `token rate limit`, `too many requests`, `number of
/// tokens`.
fn limited(words: &[&str]) -> Option<Resource> {
    let at = |at: usize| words.get(at).copied().unwrap_or_default();
    let found = (0..words.len()).find_map(|i| {
        let noun = match (at(i), at(i + 1)) {
            ("too", "many") => (i + 2..i + 4).find_map(|at| resource(words, at)),
            ("number", "of") => (i + 2..i + 5).find_map(|at| resource(words, at)),
            ("for" | "type", _) => resource(words, i + 1),
            ("too", "quickly" | "fast" | "frequently") => {
                (i.saturating_sub(4)..i).find_map(|at| resource(words, at))
            }
            _ => None,
        };
        let before = |noun| resource(words, noun);
        noun.or_else(|| match (at(i + 1), at(i + 2)) {
            ("rate" | "usage", "limit" | "limits") | ("limit" | "quota" | "limits", _) => before(i),
            _ => None,
        })
    });
    // DashScope's word for its limit on tokens.
    let allocated = || words.windows(2).any(|pair| pair == ["allocated", "quota"]);
    found.or_else(|| allocated().then_some(Resource::Tokens))
}

fn resource(words: &[&str], at: usize) -> Option<Resource> {
    if at < words.len() {
        counted(words, at).flatten()
    } else {
        None
    }
}

/// By the names of Google's violated quotas, such as
/// `GenerateRequestsPerDayPerProjectPerModel-FreeTier`. Of several the longest window rules.
pub(super) fn violated(quotas: &[String]) -> Option<Which> {
    let named = quotas.iter().map(|quota| Which {
        resource: named(quota),
        window: spanned(quota),
    });
    // The name with the window stands beside one without; of equals the first.
    named.reduce(|best, other| {
        let better = match (best.resource, other.resource) {
            (None, Some(_)) => best.window.is_none() || other.window.is_some(),
            _ => other.window > best.window,
        };
        if better { other } else { best }
    })
}

fn named(quota: &str) -> Option<Resource> {
    let says = |part| quota.contains(part);
    if says("outputtoken") || says("output_token") {
        Some(Resource::OutputTokens)
    } else if says("inputtoken") || says("input_token") {
        Some(Resource::InputTokens)
    } else if says("token") {
        Some(Resource::Tokens)
    } else if says("request") {
        Some(Resource::Requests)
    } else {
        None
    }
}

fn spanned(quota: &str) -> Option<Duration> {
    let says = |camel, snake| quota.contains(camel) || quota.contains(snake);
    if says("perday", "per_day") {
        Some(DAY)
    } else if says("perhour", "per_hour") {
        Some(HOUR)
    } else if says("perminute", "per_minute") {
        Some(MINUTE)
    } else if says("persecond", "per_second") {
        Some(SECOND)
    } else {
        None
    }
}

/// Google's quotas in prose: `Quota exceeded for …googleapis.com/…`, `metric: …`, `quota_id: "…"`.
pub(super) fn quotas(prose: &str) -> impl Iterator<Item = String> {
    ["googleapis.com/", "metric: ", "quota_id: ", "quotaid: "]
        .iter()
        .flat_map(move |mark| {
            prose
                .match_indices(mark)
                .map(move |(at, _)| at + mark.len())
        })
        .filter_map(move |at| {
            let name = prose[at..].trim_start_matches(['"', '\'', '`']);
            let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || "._-/".contains(c)));
            let name = &name[..end.unwrap_or(name.len())];
            (!name.is_empty() && name.len() <= 256).then(|| name.to_owned())
        })
        .take(32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Resource::{InputTokens, OutputTokens, Requests, Tokens};
    use proptest::prelude::*;

    #[test]
    fn messages_tell_which_limit_it_was() {
        for (text, resource, window) in [
            (
                "on tokens per min (tpm): limit 30000",
                Some(Tokens),
                Some(MINUTE),
            ),
            (
                "on requests per day (rpd): limit 200",
                Some(Requests),
                Some(DAY),
            ),
            ("on tokens per day (tpd)", Some(Tokens), Some(DAY)),
            ("(itpm): limit 1", Some(InputTokens), Some(MINUTE)),
            (
                "on output tokens per minute (otpm)",
                Some(OutputTokens),
                Some(MINUTE),
            ),
            ("on images per min. limit: 5 / min", None, Some(MINUTE)),
            ("40 api calls / minute", Some(Requests), Some(MINUTE)),
            (
                "20,000 input tokens per minute",
                Some(InputTokens),
                Some(MINUTE),
            ),
            (
                "free-models-per-day-high-balance",
                Some(Requests),
                Some(DAY),
            ),
            (
                "free-models-per-min. add 10 credits to unlock 1000 requests per day",
                Some(Requests),
                Some(MINUTE),
            ),
            (
                "number of request tokens has exceeded your per-minute rate limit",
                Some(Tokens),
                Some(MINUTE),
            ),
            (
                "number of request tokens has exceeded your daily rate limit",
                Some(Tokens),
                Some(DAY),
            ),
            (
                "tokens per minute (actual/limit): 65605/16000",
                Some(Tokens),
                Some(MINUTE),
            ),
            (
                "requests per second (actual/limit): 9/8",
                Some(Requests),
                Some(SECOND),
            ),
            (
                "rate limit of 50 per 86400s exceeded for requests",
                Some(Requests),
                Some(DAY),
            ),
            (
                "generate_requests_per_model_per_day",
                Some(Requests),
                Some(DAY),
            ),
            (
                "too many tokens per day, please wait",
                Some(Tokens),
                Some(DAY),
            ),
            ("10 requests every 60 seconds", Some(Requests), Some(MINUTE)),
            ("1000 calls a day", Some(Requests), Some(DAY)),
            ("1000 api calls / month", Some(Requests), Some(MONTH)),
            ("daily token limit reached", Some(Tokens), Some(DAY)),
            (
                "requests to x have exceeded token rate limit of",
                Some(Tokens),
                None,
            ),
            (
                "requests to x have exceeded call rate limit of",
                Some(Requests),
                None,
            ),
            ("too many requests, please wait", Some(Requests), None),
            ("too many concurrent requests", Some(Requests), None),
            (
                "exceeded the maximum number of tokens allowed",
                Some(Tokens),
                None,
            ),
            ("rate limit reached for requests", Some(Requests), None),
            ("requests rate limit exceeded", Some(Requests), None),
            ("you are sending requests too quickly", Some(Requests), None),
            ("request rate increased too quickly", Some(Requests), None),
            (
                "too many requests: the number of tokens has exceeded",
                Some(Tokens),
                None,
            ),
            ("allocated quota exceeded", Some(Tokens), None),
            ("limit type: tokens", Some(Tokens), None),
            ("rate limit exceeded", None, None),
            ("429 too many requests", None, None),
            ("your requests to x have exceeded rate limit", None, None),
            ("number of concurrent connections has exceeded", None, None),
        ] {
            let which = told(text);
            assert_eq!((which.resource, which.window), (resource, window), "{text}");
        }
    }

    #[test]
    fn of_several_violations_the_longest_window_rules() {
        let which = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
            violated(&names).map(|which| (which.resource, which.window))
        };
        assert_eq!(which(&[]), None);
        assert_eq!(
            which(&[
                "GenerateContentInputTokensPerMinutePerProjectPerModel",
                "generativelanguage.googleapis.com/generate_content_requests",
                "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            ]),
            Some((Some(Requests), Some(DAY)))
        );
        assert_eq!(
            which(&["x/input_token_count"]),
            Some((Some(InputTokens), None))
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(per|a|too|many|/|day|tpm|tokens|é|[0-9]{1,40}s?|[ .:-]){0,30}") {
            let _ = (told(&text), quotas(&text).count());
        }
    }
}
