//! Anthropic's usage tiers: [`start`], [`build`] and [`scale`] since the summer of 2026, and the four before.
//!
//! All are the standard limits of the Messages API, from `platform.claude.com/docs/en/api/rate-limits` (earlier
//! `docs.claude.com` and `docs.anthropic.com`). A new organisation may be on a tier *Evaluation* with less, which isn't
//! published; the console says which tier an organisation has.
//!
//! | tiers | families | read off | as of |
//! |---|---|---|---|
//! | start, build, scale | Opus 5, Sonnet 5, Opus 4.5 to 4.8, Sonnet 4.5 and 4.6, Haiku 4.5 | a copy of the page | undated; it names Opus 5 and not yet Opus 5.5, of 22 September 2026 |
//! | | Fable 5 and 5.1 | the same copy; start and scale also a reader's table | as above; the reader's 17 October 2026 |
//! | | Mythos 5 and 5.1 | a retold copy, by which they have the terms of Fable in a pool of their own | undated; it names Opus 5.5 and not yet Haiku 5.5, of 7 October 2026 |
//! | | Opus 5.5, Sonnet 5.5 | a reader's table | 8 October 2026 |
//! | | Haiku 5.5 | rows that two readers quote | 8 October 2026 |
//! | 1 to 4 | Sonnet 4.x, Haiku 4.5 | a copy of the page | undated; it names Opus 4.5, of 24 November 2025, as the latest |
//! | | Opus 4.x | four readers' tables, which agree | May and June 2026; tiers 1 and 4 also a fifth, of 21 June |
//!
//! The copy of the page with Opus 4.5 has Opus 4.x at what Sonnet 4.x has; it was raised since. All models of a row share
//! its limits in tiers 1 to 4, and so do Opus 4.5 to 4.8, Sonnet 4.5 and 4.6, and the two Fable in the tiers of today: give
//! them one quota. Left out is Haiku 3.5, the one that counts what its cache serves, and fast mode and batches.
//!
//! By the page, limits are token buckets; those on requests may be enforced by the second, so no more than a second's worth
//! goes at once. What the cache serves doesn't count as input. Beside these, sharp rises are refused.

use super::{quota, row};
use crate::{
    core::{cost::Resource, limit::Limit, settlement::Settle},
    quota::QuotaBuilder,
};

/// The page that the figures are from.
pub const SOURCE: &str = "https://platform.claude.com/docs/en/api/rate-limits";

/// The last day on which figures of these are known to have stood there; each table has its own day.
pub const AS_OF: &str = "2026-10-17";

/// By the page, input is estimated and then corrected, and output counted as it is produced, whatever the request's
/// maximum: [`Settle::RealTime`]. (The copy of the page that names Opus 4.5 still has the maximum counted first.)
pub const SETTLE: Settle = Settle::RealTime;

/// Requests, input tokens and output tokens a minute.
type Row = (u64, u64, u64);

/// The rows of start, build and scale.
const NOW: &[(&str, [Row; 3])] = &[
    ("claude-fable-5", FABLE),
    ("claude-fable-5-1", FABLE),
    ("claude-mythos-5", FABLE),
    ("claude-mythos-5-1", FABLE),
    ("claude-opus-5", STANDARD),
    ("claude-opus-5-5", STANDARD),
    ("claude-sonnet-5", STANDARD),
    ("claude-sonnet-5-5", STANDARD),
    ("claude-haiku-5-5", STANDARD),
    ("claude-opus-4-5", STANDARD),
    ("claude-opus-4-6", STANDARD),
    ("claude-opus-4-7", STANDARD),
    ("claude-opus-4-8", STANDARD),
    ("claude-sonnet-4-5", STANDARD),
    ("claude-sonnet-4-6", STANDARD),
    ("claude-haiku-4-5", STANDARD),
];

const STANDARD: [Row; 3] = [
    (1_000, 2_000_000, 400_000),
    (5_000, 5_000_000, 1_000_000),
    (10_000, 10_000_000, 2_000_000),
];

const FABLE: [Row; 3] = [
    (1_000, 500_000, 100_000),
    (2_000, 1_500_000, 300_000),
    (4_000, 4_000_000, 800_000),
];

/// How a family's names begin, and the rows of tiers 1 to 4.
const NUMBERED: &[(&str, [Row; 4])] = &[
    (
        "claude-opus-4",
        [
            (50, 500_000, 80_000),
            (1_000, 2_000_000, 200_000),
            (2_000, 5_000_000, 400_000),
            (4_000, 10_000_000, 800_000),
        ],
    ),
    (
        "claude-sonnet-4",
        [
            (50, 30_000, 8_000),
            (1_000, 450_000, 90_000),
            (2_000, 800_000, 160_000),
            (4_000, 2_000_000, 400_000),
        ],
    ),
    (
        "claude-haiku-4-5",
        [
            (50, 50_000, 10_000),
            (1_000, 450_000, 90_000),
            (2_000, 1_000_000, 200_000),
            (4_000, 4_000_000, 800_000),
        ],
    ),
];

/// The limits of the tier *Start*; `None` for a model whose figures aren't known here.
pub fn start(model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NOW, model)?[0]))
}

/// The limits of the tier *Build*.
pub fn build(model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NOW, model)?[1]))
}

/// The limits of the tier *Scale*.
pub fn scale(model: &str) -> Option<QuotaBuilder> {
    Some(limits(row(NOW, model)?[2]))
}

/// The limits of what was tier 1 until the summer of 2026; `None` for a model whose figures aren't known here.
pub fn tier1(model: &str) -> Option<QuotaBuilder> {
    Some(limits(numbered(model)?[0]))
}

/// The limits of what was tier 2.
pub fn tier2(model: &str) -> Option<QuotaBuilder> {
    Some(limits(numbered(model)?[1]))
}

/// The limits of what was tier 3.
pub fn tier3(model: &str) -> Option<QuotaBuilder> {
    Some(limits(numbered(model)?[2]))
}

/// The limits of what was tier 4.
pub fn tier4(model: &str) -> Option<QuotaBuilder> {
    Some(limits(numbered(model)?[3]))
}

fn numbered(model: &str) -> Option<&'static [Row; 4]> {
    let found = NUMBERED.iter().find(|(family, _)| is_of(family, model))?;
    Some(&found.1)
}

fn is_of(family: &str, model: &str) -> bool {
    let rest = model.strip_prefix(family);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
}

fn limits((requests, input, output): Row) -> QuotaBuilder {
    let minute = std::time::Duration::from_secs(60);
    quota([
        Limit::requests_per_minute(requests)
            .bucket()
            .burst(requests.div_ceil(60)),
        Limit::new(Resource::InputTokens, input, minute).bucket(),
        Limit::new(Resource::OutputTokens, output, minute).bucket(),
    ])
}

#[cfg(test)]
pub(super) fn models() -> impl Iterator<Item = &'static str> {
    NOW.iter().map(|(model, _)| *model)
}

#[cfg(test)]
pub(super) fn numbered_families() -> impl Iterator<Item = &'static str> {
    NUMBERED.iter().map(|(family, _)| *family)
}
