//! What an answer means: status, headers and body together, since a status alone decides nothing
//! (429 is said for limits, for requests that never fit, for money and for the provider's own
//! capacity; 400 for money; 200 in a stream for all of them).

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::{envelope::Facts, headers::rate_status, retry_after::retry_after, span};
use crate::{core::cost::Resource, verdict::Verdict};

/// Codes that mean money, whatever the status: waiting doesn't help.
const MONEY: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "enforced_spend_limit_reached",
    "insufficient_balance",
    "insufficient_credits",
];

/// The same in prose, where there is no code or one that says something else.
const MONEY_PROSE: &[&str] = &[
    "insufficient balance",
    "no credits remaining",
    "credit balance is too low",
    "used all available credits",
    "requires more credits",
    "usage credits are required",
    "monthly spending limit",
    "monthly usage limit",
    "reached your api usage limits",
    "reached your specified api usage limits",
    "reached your specified workspace api usage limits",
    "billing hard limit",
    "calls / month",
];

/// Codes for requests that never fit.
const LARGE: &[&str] = &[
    "context_length_exceeded",
    "request_too_large",
    "tokens_limit_reached",
    "payload_too_large",
];

const LARGE_PROSE: &[&str] = &[
    "request too large",
    "prompt is too long",
    "input is too long",
    "maximum context length",
    "exceeds the maximum number of tokens",
    "exceeds the context window",
];

/// Codes for a provider that has too much to do, whatever the status.
const BUSY: &[&str] = &[
    "overloaded_error",
    "server_is_overloaded",
    "engine_overloaded",
    "slow_down",
    "service_unavailable_error",
    "serviceunavailableexception",
    "modelnotreadyexception",
    "model_capacity_exhausted",
    "capacity_exceeded",
    "service_tier_capacity_exceeded",
    "upstream_provider_shared_pool",
];

const BUSY_PROSE: &[&str] = &[
    "experiencing high demand",
    "capacity exceeded",
    "is at capacity",
    "rate-limited upstream",
    "error-code-429",
];

/// Codes for limits where the status doesn't say so (AWS: 400, streams: 200).
const LIMITED: &[&str] = &[
    "rate_limit_exceeded",
    "rate_limit_error",
    "rate_limited",
    "ratelimitexceeded",
    "too_many_requests",
    "toomanyrequestsexception",
    "throttling",
    "throttlingexception",
    "resource_exhausted",
    "429",
];

/// What stands for a resource in prose: the narrower first.
const RESOURCES: &[(Resource, &[&str])] = &[
    (Resource::OutputTokens, &["(otpm)", "output tokens per"]),
    (Resource::InputTokens, &["(itpm)", "input tokens per"]),
    (
        Resource::Tokens,
        &[
            "(tpm)",
            "(tpd)",
            "tokens per",
            "token rate limit",
            "too many tokens",
            "number of tokens",
            "allocated quota",
        ],
    ),
    (
        Resource::Requests,
        &[
            "(rpm)",
            "(rpd)",
            "requests per",
            "call rate limit",
            "too many requests",
            "api calls",
            "requests rate limit",
            "for requests",
            "free-models-per-",
        ],
    ),
];

/// What an answer means. `body` is as much of it as is at hand, or empty.
///
/// A success is a success unless `body` is one of the errors that providers send inside of a
/// stream under status 200.
pub fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let fine = status.as_u16() < 400;
    if fine && body.is_empty() {
        return Verdict::Success;
    }
    let mut facts = Facts::read(body);
    if let Some(kind) = headers.get("x-amzn-errortype") {
        let kind = kind.as_bytes();
        let end = kind.iter().position(|byte| *byte == b':');
        facts.add_word(&kind[..end.unwrap_or(kind.len())]);
    }
    let verdict = judge(status, headers, &facts);
    // The server's explicit word on whether to come back outranks its status.
    let word = headers.get("x-should-retry");
    match (word.map(http::HeaderValue::as_bytes), verdict) {
        (
            Some(b"false"),
            Verdict::RateLimited { .. } | Verdict::Overloaded { .. } | Verdict::Transient { .. },
        ) => Verdict::Permanent,
        (Some(b"true"), Verdict::Permanent) => Verdict::Transient { sent: true },
        (_, verdict) => verdict,
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, facts: &Facts) -> Verdict {
    let status = status.as_u16();
    let fine = status < 400;
    // Prose is believed where the request is to blame: in a success it may be anybody's.
    let blamed = (400..500).contains(&status);
    // Figures, only where a limit is what it is about: a bad request may name any.
    let figures = matches!(status, 413 | 429);
    let money = blamed && facts.says(MONEY_PROSE) || figures && no_access(facts);
    if status == 402 || facts.has(MONEY) || money {
        return Verdict::QuotaExhausted;
    }
    let hint = retry_after(headers).or_else(|| stated_wait(facts));
    let large = blamed && facts.says(LARGE_PROSE) || figures && never_fits(facts, hint);
    if status == 413 || facts.has(LARGE) || large {
        return Verdict::TooLarge;
    }
    let busy = facts.says(BUSY_PROSE) && (!fine || facts.has(LIMITED));
    if matches!(status, 498 | 503 | 529) || facts.has(BUSY) || busy {
        return Verdict::Overloaded { retry_after: hint };
    }
    match status {
        429 => limited(headers, facts, hint),
        ..500 if facts.has(LIMITED) => limited(headers, facts, hint),
        ..400 => Verdict::Success,
        408 | 409 | 425 | 500.. => Verdict::Transient { sent: true },
        _ => Verdict::Permanent,
    }
}

fn limited(headers: &HeaderMap, facts: &Facts, hint: Option<Duration>) -> Verdict {
    Verdict::RateLimited {
        resource: resource(headers, facts, hint),
        retry_after: hint,
    }
}

/// A limit of zero: a model that isn't on the plan.
fn no_access(facts: &Facts) -> bool {
    facts.zero_quota || numbers(&facts.prose, "limit").any(|limit| limit == 0)
}

/// More was asked than there will ever be, even where the answer says when to come back.
fn never_fits(facts: &Facts, hint: Option<Duration>) -> bool {
    const DAY: Duration = Duration::from_secs(86_400);
    let limit = numbers(&facts.prose, "limit").next();
    let requested = numbers(&facts.prose, "requested").next();
    limit
        .zip(requested)
        .is_some_and(|(limit, requested)| requested > limit)
        // Azure's way to say so: a day, for a limit by the minute.
        || hint == Some(DAY) && facts.says(&["token rate limit"])
}

/// The wait that the body states, if the limit isn't one that outlasts it.
fn stated_wait(facts: &Facts) -> Option<Duration> {
    const PHRASES: [&str; 4] = [
        "try again in ",
        "retry in ",
        "retry after ",
        "try again after ",
    ];

    // Google sends a wait of seconds along with a violated daily quota.
    if facts.quotas.iter().any(|quota| daily(quota)) {
        return None;
    }
    facts
        .wait
        .or_else(|| {
            PHRASES.iter().find_map(|phrase| {
                let (_, after) = facts.prose.split_once(phrase)?;
                span::spoken(after.as_bytes())
            })
        })
        .filter(|wait| !wait.is_zero())
}

fn daily(quota: &str) -> bool {
    quota.contains("perday") || quota.contains("per_day")
}

/// Which resource ran out, by the body's word first, then by the headers'.
fn resource(headers: &HeaderMap, facts: &Facts, hint: Option<Duration>) -> Option<Resource> {
    const NARROW: &[&str] = &["(itpm)", "(otpm)"];

    if facts.has(&["tokens"]) && !facts.says(NARROW) {
        return Some(Resource::Tokens);
    }
    if facts.has(&["requests"]) {
        return Some(Resource::Requests);
    }
    if let Some(kind) = headers.get("x-ratelimit-type") {
        match kind.as_bytes().to_ascii_lowercase().as_slice() {
            b"tokens" => return Some(Resource::Tokens),
            b"requests" => return Some(Resource::Requests),
            _ => {}
        }
    }
    // Of several violations the longest window rules.
    let quotas = &facts.quotas;
    quotas
        .iter()
        .find(|quota| daily(quota))
        .or_else(|| quotas.first())
        .and_then(|quota| violated(quota))
        .or_else(|| {
            RESOURCES
                .iter()
                .find(|(_, phrases)| facts.says(phrases))
                .map(|(resource, _)| *resource)
        })
        .or_else(|| empty_or_due(headers, hint))
}

fn violated(quota: &str) -> Option<Resource> {
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

/// The resource of which nothing is left, or else the one that is whole again just when the
/// answer says to come back.
fn empty_or_due(headers: &HeaderMap, hint: Option<Duration>) -> Option<Resource> {
    let status = rate_status(headers);
    let readings = [
        (Resource::Requests, status.requests),
        (Resource::OutputTokens, status.output_tokens),
        (Resource::InputTokens, status.input_tokens),
        (Resource::Tokens, status.tokens),
    ];
    let only = |test: &dyn Fn(&crate::verdict::RateReading) -> bool| {
        let mut found = readings.iter().filter(|(_, reading)| test(reading));
        found.next().filter(|_| found.next().is_none()).map(|f| f.0)
    };
    only(&|reading| reading.remaining == Some(0))
        .or_else(|| only(&|reading| hint.is_some() && reading.reset == hint))
}

/// The numbers that follow `word`: `Limit 30000`, `Requested ~12903`, `limit: 20,000`.
fn numbers<'a>(prose: &'a str, word: &'a str) -> impl Iterator<Item = u64> + 'a {
    prose.match_indices(word).filter_map(move |(at, _)| {
        let text = prose[at + word.len()..].trim_start_matches([' ', ':', '~']);
        let mut number: Option<u64> = None;
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'0'..=b'9' => {
                    let n = number.unwrap_or(0).checked_mul(10)?;
                    number = Some(n.checked_add(u64::from(byte - b'0'))?);
                }
                b',' if number.is_some() && bytes.peek().is_some_and(u8::is_ascii_digit) => {}
                // A fraction of something is no limit of ours.
                b'.' if bytes.peek().is_some_and(u8::is_ascii_digit) => return None,
                _ => break,
            }
        }
        number
    })
}
