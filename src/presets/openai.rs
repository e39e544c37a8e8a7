//! OpenAI's usage tiers: [`build`], [`launch`] and [`grow`] since 6 October 2026, and the five before.
//!
//! Every model has a page of its own, `developers.openai.com/api/docs/models/<model>` (until 2026
//! `platform.openai.com/docs/models/<model>`). What holds for an account is at
//! `platform.openai.com/settings/organization/limits`.
//!
//! | tiers | models | read off | as of |
//! |---|---|---|---|
//! | build, launch, grow | `gpt-6.1-sol` | a copy of its page | undated; it names these tiers, so from 6 October 2026 or later |
//! | | all others | a reader's table of the rate-limits guide and the models' pages; for those of GPT-6 and 5.6 a second | 7 October 2026; the second 6 October |
//! | 1 to 5 | `gpt-4o`, `gpt-4o-mini`, `gpt-6-astra` | copies of their pages | 24 September 2026 |
//! | | `gpt-5.6-sol` (and `gpt-5.6`, its alias) | a copy of its page | 23 August 2026 |
//! | | `gpt-6-sol`, `gpt-6-luna` | copies of their pages | undated; between their release on 22 September and 6 October 2026 |
//! | | `gpt-5-mini`, `gpt-5-nano`, `gpt-5.4-nano`, `gpt-5.5`, `gpt-5.6-terra`, `gpt-5.6-luna` | copies of their pages | undated; 2026, by the models they name |
//! | | `gpt-4.1`, `gpt-4.1-mini`, `text-embedding-3-large` | copies of their pages | undated; after those of the last row, by the endpoints they list |
//! | | `gpt-5.4`, `gpt-5.4-mini` | translations of their pages | undated; March 2026 or later, when these came out |
//! | | `gpt-5`, `gpt-4.1-nano`, `text-embedding-3-small` | copies of their pages | undated; between the raise of 12 September 2025 and `gpt-5.1` of 13 November |
//!
//! Left out are the separate limits for long prompts (of more than 128,000 tokens for the `gpt-4.1` family, of more than
//! 272,000 for `gpt-5.5`), batches, fine-tuned models, images, audio, the pro models and the o series, and models whose page
//! wasn't found.
//!
//! The limits refill continuously, for the minute and the day: the waits that its errors state are
//! those of a bucket. The pages don't say.

use super::{quota, row};
use crate::{
    core::{limit::Limit, settlement::Settle},
    quota::QuotaBuilder,
};

/// The pages that the figures are from.
pub const SOURCE: &str = "https://developers.openai.com/api/docs/models";

/// The last day on which figures of these are known to have stood there; each table has its own day.
pub const AS_OF: &str = "2026-10-07";

/// The guide says what a request is charged as it arrives (its maximum or its estimated size, the larger) and not whether
/// what it didn't use is given back: [`Settle::Auto`].
pub const SETTLE: Settle = Settle::Auto;

/// Requests and tokens a minute, and requests a day where they are limited.
type Row = (u64, u64, Option<u64>);

const K: u64 = 1_000;
const M: u64 = 1_000_000;

/// The rows of build, launch and grow.
#[rustfmt::skip]
const NOW: &[(&str, [Row; 3])] = &[
    ("gpt-6-astra", FRONTIER_NOW),
    ("gpt-6.1-sol", FRONTIER_NOW),
    ("gpt-6-sol", FRONTIER_NOW),
    ("gpt-6-luna", LUNA_NOW),
    ("gpt-5.6", FRONTIER_NOW),
    ("gpt-5.6-sol", FRONTIER_NOW),
    ("gpt-5.6-terra", FRONTIER_NOW),
    ("gpt-5.6-luna", LUNA_NOW),
    ("gpt-4o", LARGE_NOW),
    ("gpt-4.1", LARGE_NOW),
    ("gpt-4o-mini", SMALL_NOW),
    ("gpt-4.1-mini", SMALL_NOW),
    ("text-embedding-3-small", EMBEDDING_NOW),
    ("text-embedding-3-large", EMBEDDING_NOW),
];

#[rustfmt::skip]
const FRONTIER_NOW: [Row; 3] = [(5 * K, M, None), (10 * K, 4 * M, None), (15 * K, 40 * M, None)];
#[rustfmt::skip]
const LUNA_NOW: [Row; 3] = [(5 * K, 2 * M, None), (10 * K, 10 * M, None), (30 * K, 180 * M, None)];
#[rustfmt::skip]
const LARGE_NOW: [Row; 3] = [(5 * K, 450 * K, None), (10 * K, 2 * M, None), (10 * K, 30 * M, None)];
#[rustfmt::skip]
const SMALL_NOW: [Row; 3] = [(5 * K, 2 * M, None), (10 * K, 10 * M, None), (30 * K, 150 * M, None)];
#[rustfmt::skip]
const EMBEDDING_NOW: [Row; 3] = [(5 * K, M, None), (10 * K, 5 * M, None), (10 * K, 10 * M, None)];

/// The rows of tiers 1 to 5.
#[rustfmt::skip]
const NUMBERED: &[(&str, [Row; 5])] = &[
    ("gpt-6-astra", FRONTIER),
    ("gpt-6-sol", FRONTIER),
    ("gpt-6-luna", MINI),
    ("gpt-5.6", FRONTIER),
    ("gpt-5.6-sol", FRONTIER),
    ("gpt-5.6-terra", FRONTIER),
    ("gpt-5.6-luna", MINI),
    ("gpt-5.5", FRONTIER),
    ("gpt-5.4", FRONTIER),
    ("gpt-5.4-mini", MINI),
    ("gpt-5.4-nano", NANO),
    ("gpt-5", FRONTIER),
    ("gpt-5-mini", MINI),
    ("gpt-5-nano", NANO),
    ("gpt-4o", LARGE),
    ("gpt-4.1", LARGE),
    ("gpt-4o-mini", SMALL),
    ("gpt-4.1-mini", SMALL),
    ("gpt-4.1-nano", SMALL),
    ("text-embedding-3-small", EMBEDDING),
    ("text-embedding-3-large", EMBEDDING),
];

#[rustfmt::skip]
const FRONTIER: [Row; 5] =
    [(500, 500 * K, None), (5 * K, M, None), (5 * K, 2 * M, None), (10 * K, 4 * M, None), (15 * K, 40 * M, None)];
#[rustfmt::skip]
const MINI: [Row; 5] =
    [(500, 500 * K, None), (5 * K, 2 * M, None), (5 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 180 * M, None)];
#[rustfmt::skip]
const NANO: [Row; 5] =
    [(500, 200 * K, None), (5 * K, 2 * M, None), (5 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 180 * M, None)];
#[rustfmt::skip]
const LARGE: [Row; 5] =
    [(500, 30 * K, None), (5 * K, 450 * K, None), (5 * K, 800 * K, None), (10 * K, 2 * M, None), (10 * K, 30 * M, None)];
#[rustfmt::skip]
const SMALL: [Row; 5] =
    [(500, 200 * K, Some(10 * K)), (5 * K, 2 * M, None), (5 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 150 * M, None)];
#[rustfmt::skip]
const EMBEDDING: [Row; 5] =
    [(3 * K, M, None), (5 * K, M, None), (5 * K, 5 * M, None), (10 * K, 5 * M, None), (10 * K, 10 * M, None)];

/// The limits of the tier *Build* (5 dollars of credit bought); `None` for a model whose figures aren't known here.
pub fn build(model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NOW, model)?[0]))
}

/// The limits of the tier *Launch* (100 dollars of credit bought).
pub fn launch(model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NOW, model)?[1]))
}

/// The limits of the tier *Grow* (500 dollars of credit bought).
pub fn grow(model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NOW, model)?[2]))
}

/// The limits of what was tier 1 until 6 October 2026; `None` for a model whose figures aren't known here.
pub fn tier1(model: &str) -> Option<QuotaBuilder> {
    numbered(0, model)
}

/// The limits of what was tier 2.
pub fn tier2(model: &str) -> Option<QuotaBuilder> {
    numbered(1, model)
}

/// The limits of what was tier 3.
pub fn tier3(model: &str) -> Option<QuotaBuilder> {
    numbered(2, model)
}

/// The limits of what was tier 4.
pub fn tier4(model: &str) -> Option<QuotaBuilder> {
    numbered(3, model)
}

/// The limits of what was tier 5.
pub fn tier5(model: &str) -> Option<QuotaBuilder> {
    numbered(4, model)
}

fn numbered(index: usize, model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NUMBERED, model)?[index]))
}

fn limits((requests, tokens, a_day): Row) -> QuotaBuilder {
    let minute = [
        Limit::requests_per_minute(requests).bucket(),
        Limit::tokens_per_minute(tokens).bucket(),
    ];
    let day = a_day.map(|requests| Limit::requests_per_day(requests).bucket());
    quota(minute.into_iter().chain(day))
}

#[cfg(test)]
pub(super) fn models() -> impl Iterator<Item = &'static str> {
    NOW.iter().map(|(model, _)| *model)
}

#[cfg(test)]
pub(super) fn numbered_models() -> impl Iterator<Item = &'static str> {
    NUMBERED.iter().map(|(model, _)| *model)
}
