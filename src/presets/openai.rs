//! OpenAI's usage tiers.
//!
//! As of October 2025, from the models' own pages (`platform.openai.com/docs/models`); the tokens of
//! `gpt-5` and `gpt-5-mini` since the raise of 12 September 2025. Longer context, batches, fine-tuned models, images,
//! audio and reasoning models of the o series are left out. The account's own page says what holds:
//! `platform.openai.com/settings/organization/limits`.
//!
//! The limits refill continuously, for the minute and the day: the waits that its errors state are
//! those of a bucket.

use super::{quota, row};
use crate::{
    core::{limit::Limit, settlement::Settle},
    quota::QuotaBuilder,
};

/// No document says whether what was reserved and not used is given back: [`Settle::Auto`].
pub const SETTLE: Settle = Settle::Auto;

/// Requests and tokens a minute, and requests a day where they are limited.
type Row = (u64, u64, Option<u64>);

const K: u64 = 1_000;
const M: u64 = 1_000_000;

/// The rows of tiers 1 to 5.
#[rustfmt::skip]
const TABLE: &[(&str, [Row; 5])] = &[
    ("gpt-4o", LARGE),
    ("gpt-4.1", LARGE),
    ("gpt-4o-mini", SMALL),
    ("gpt-4.1-mini", [(500, 200 * K, None), SMALL[1], SMALL[2], SMALL[3], SMALL[4]]),
    ("gpt-4.1-nano", [(500, 200 * K, None), SMALL[1], SMALL[2], SMALL[3], SMALL[4]]),
    ("gpt-5", [(500, 500 * K, None), (5 * K, M, None), (5 * K, 2 * M, None), (10 * K, 4 * M, None), (15 * K, 40 * M, None)]),
    ("gpt-5-mini", [(500, 500 * K, None), (5 * K, 2 * M, None), (5 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 180 * M, None)]),
    ("gpt-5-nano", [(500, 200 * K, None), (5 * K, 2 * M, None), (5 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 180 * M, None)]),
    ("text-embedding-3-small", EMBEDDING),
    ("text-embedding-3-large", EMBEDDING),
];

#[rustfmt::skip]
const LARGE: [Row; 5] =
    [(500, 30 * K, None), (5 * K, 450 * K, None), (5 * K, 800 * K, None), (10 * K, 2 * M, None), (10 * K, 30 * M, None)];
#[rustfmt::skip]
const SMALL: [Row; 5] =
    [(500, 200 * K, Some(10 * K)), (5 * K, 2 * M, None), (5 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 150 * M, None)];
#[rustfmt::skip]
const EMBEDDING: [Row; 5] =
    [(3 * K, M, None), (5 * K, M, None), (5 * K, 5 * M, None), (10 * K, 5 * M, None), (10 * K, 10 * M, None)];

/// The limits of tier 1; `None` for a model whose figures aren't known here.
pub fn tier1(model: &str) -> Option<QuotaBuilder> {
    tier(0, model)
}

/// The limits of tier 2.
pub fn tier2(model: &str) -> Option<QuotaBuilder> {
    tier(1, model)
}

/// The limits of tier 3.
pub fn tier3(model: &str) -> Option<QuotaBuilder> {
    tier(2, model)
}

/// The limits of tier 4.
pub fn tier4(model: &str) -> Option<QuotaBuilder> {
    tier(3, model)
}

/// The limits of tier 5.
pub fn tier5(model: &str) -> Option<QuotaBuilder> {
    tier(4, model)
}

fn tier(index: usize, model: &str) -> Option<QuotaBuilder> {
    let (requests, tokens, a_day) = row(TABLE, model)?[index];
    let minute = [
        Limit::requests_per_minute(requests).bucket(),
        Limit::tokens_per_minute(tokens).bucket(),
    ];
    let day = a_day.map(|requests| Limit::requests_per_day(requests).bucket());
    Some(quota(minute.into_iter().chain(day)))
}

#[cfg(test)]
pub(super) fn models() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(model, _)| *model)
}
