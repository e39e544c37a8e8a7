//! Groq's plans: [`free`] and [`developer`].
//!
//! From `console.groq.com/docs/rate-limits`, whose two tables a reader gives whole as of 14 August 2026.
//!
//! | plan | read off | as of |
//! |---|---|---|
//! | free | the reader's table; but for `qwen/qwen3.6-27b` two copies of the page say the same | 14 August 2026; the copies are undated, from 29 October 2025 or later (they name `gpt-oss-safeguard-20b`) |
//! | developer | the reader's table; requests and tokens a minute also a copy of `console.groq.com/docs/models`, but for `qwen/qwen3.6-27b` and `gpt-oss-safeguard-20b` | 14 August 2026; the copy is undated |
//!
//! The developer plan's are where an account begins, and some have more. Left out are speech, prompt guards, and limits on
//! input and output apart, which some organisations have beside these. What holds for an account is at
//! `console.groq.com/settings/limits`.
//!
//! By the page, cached tokens don't count. All four limits refill continuously, those for a day as well: the waits that its
//! errors state are those of a bucket. The page doesn't say.

use super::{quota, row};
use crate::{
    core::{limit::Limit, settlement::Settle},
    quota::QuotaBuilder,
};

/// The page that the figures are from.
pub const SOURCE: &str = "https://console.groq.com/docs/rate-limits";

/// The last day on which they are known to have stood there.
pub const AS_OF: &str = "2026-08-14";

/// No page says whether what was reserved and not used is given back: [`Settle::Auto`].
pub const SETTLE: Settle = Settle::Auto;

/// Requests a minute and a day, tokens a minute, and tokens a day where they are limited.
type Row = (u64, u64, u64, Option<u64>);

const K: u64 = 1_000;

#[rustfmt::skip]
const FREE: &[(&str, Row)] = &[
    ("llama-3.1-8b-instant", (30, 14_400, 6 * K, Some(500 * K))),
    ("llama-3.3-70b-versatile", (30, K, 12 * K, Some(100 * K))),
    ("openai/gpt-oss-120b", (30, K, 8 * K, Some(200 * K))),
    ("openai/gpt-oss-20b", (30, K, 8 * K, Some(200 * K))),
    ("openai/gpt-oss-safeguard-20b", (30, K, 8 * K, Some(200 * K))),
    ("qwen/qwen3.6-27b", (30, K, 8 * K, Some(200 * K))),
    ("groq/compound", (30, 250, 70 * K, None)),
    ("groq/compound-mini", (30, 250, 70 * K, None)),
];

#[rustfmt::skip]
const DEVELOPER: &[(&str, Row)] = &[
    ("llama-3.1-8b-instant", (K, 500 * K, 250 * K, None)),
    ("llama-3.3-70b-versatile", (K, 500 * K, 300 * K, None)),
    ("openai/gpt-oss-120b", (K, 500 * K, 250 * K, None)),
    ("openai/gpt-oss-20b", (K, 500 * K, 250 * K, None)),
    ("openai/gpt-oss-safeguard-20b", (K, 500 * K, 150 * K, None)),
    ("qwen/qwen3.6-27b", (K, 500 * K, 250 * K, None)),
    ("groq/compound", (200, 20 * K, 200 * K, None)),
    ("groq/compound-mini", (200, 20 * K, 200 * K, None)),
];

/// The limits of the free plan; `None` for a model whose figures aren't known here.
pub fn free(model: &str) -> Option<QuotaBuilder> {
    row(FREE, model).copied().map(limits)
}

/// The limits with which the developer plan begins.
pub fn developer(model: &str) -> Option<QuotaBuilder> {
    row(DEVELOPER, model).copied().map(limits)
}

fn limits((requests, requests_a_day, tokens, tokens_a_day): Row) -> QuotaBuilder {
    let limits = [
        Limit::requests_per_minute(requests),
        Limit::requests_per_day(requests_a_day),
        Limit::tokens_per_minute(tokens),
    ];
    let day = tokens_a_day.map(Limit::tokens_per_day);
    quota(limits.into_iter().chain(day).map(Limit::bucket))
}

#[cfg(test)]
pub(super) fn models() -> impl Iterator<Item = &'static str> {
    FREE.iter().map(|(model, _)| *model)
}
