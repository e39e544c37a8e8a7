//! Groq's free plan.
//!
//! As of July 2026 (`console.groq.com/docs/rate-limits`). The figures of the developer plan depend
//! on the account and aren't published. Cached tokens don't count.
//!
//! All four limits refill continuously, those for a day as well: the waits that its errors state
//! are those of a bucket.

use super::{quota, row};
use crate::{
    core::{limit::Limit, settlement::Settle},
    quota::QuotaBuilder,
};

/// No document says whether what was reserved and not used is given back: [`Settle::Auto`].
pub const SETTLE: Settle = Settle::Auto;

/// Requests a minute and a day, tokens a minute, and tokens a day where they are limited.
type Row = (u64, u64, u64, Option<u64>);

const FREE: &[(&str, Row)] = &[
    ("llama-3.1-8b-instant", (30, 14_400, 6_000, Some(500_000))),
    (
        "llama-3.3-70b-versatile",
        (30, 1_000, 12_000, Some(100_000)),
    ),
    ("openai/gpt-oss-120b", (30, 1_000, 8_000, Some(200_000))),
    ("openai/gpt-oss-20b", (30, 1_000, 8_000, Some(200_000))),
    ("groq/compound", (30, 250, 70_000, None)),
];

/// The limits of the free plan; `None` for a model whose figures aren't known here.
pub fn free(model: &str) -> Option<QuotaBuilder> {
    let (requests, requests_a_day, tokens, tokens_a_day) = *row(FREE, model)?;
    let limits = [
        Limit::requests_per_minute(requests),
        Limit::requests_per_day(requests_a_day),
        Limit::tokens_per_minute(tokens),
    ];
    let day = tokens_a_day.map(Limit::tokens_per_day);
    Some(quota(limits.into_iter().chain(day).map(Limit::bucket)))
}

#[cfg(test)]
pub(super) fn models() -> impl Iterator<Item = &'static str> {
    FREE.iter().map(|(model, _)| *model)
}
