//! The Gemini API's usage tiers.
//!
//! From `ai.google.dev/gemini-api/docs/rate-limits`, as it stood between 18 November and 17 December 2025: read off a
//! copy of the page that has no date, but names Gemini 3 Pro and not yet Gemini 3 Flash, which came out on these days. A
//! later copy, which does, states no requests and tokens for a model any more, nor does the page as a reader found it on
//! 17 October 2026: they are shown in AI Studio alone, for each project. Those of the free tier are said to have been cut
//! in that December. Look there first.
//!
//! By the page, tokens a minute are those of the input, and the day starts at midnight Pacific time; how a minute is
//! counted isn't said, so ours are never exceeded in any. Left out are previews, audio, images and batches, and what the
//! page now limits beside these: what a project spends in ten minutes.

use std::time::Duration;

use super::{pacific, quota, row};
use crate::{
    core::{
        limit::{Anchor, Limit},
        settlement::Settle,
    },
    quota::QuotaBuilder,
};

/// The page that the figures are from.
pub const SOURCE: &str = "https://ai.google.dev/gemini-api/docs/rate-limits";

/// The first day that the copy of the page can be from; it is at most a month younger.
pub const AS_OF: &str = "2025-11-18";

/// Input alone counts, which the provider can count as it arrives: only the estimate made here is corrected, and no output
/// is reserved ([`Settle::TrueUp`]). The page says no more.
pub const SETTLE: Settle = Settle::TrueUp;

/// Requests and input tokens a minute, and requests a day where they are limited.
type Row = (u64, u64, Option<u64>);

const K: u64 = 1_000;
const M: u64 = 1_000_000;

/// The rows of the free tier and of tiers 1 to 3.
#[rustfmt::skip]
const TABLE: &[(&str, [Row; 4])] = &[
    ("gemini-2.5-pro", [(2, 125 * K, Some(50)), (150, 2 * M, Some(10 * K)), (K, 5 * M, Some(50 * K)), (2 * K, 8 * M, None)]),
    ("gemini-2.5-flash", [(10, 250 * K, Some(250)), (K, M, Some(10 * K)), (2 * K, 3 * M, Some(100 * K)), (10 * K, 8 * M, None)]),
    ("gemini-2.5-flash-lite", [(15, 250 * K, Some(K)), (4 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 30 * M, None)]),
    ("gemini-2.0-flash", [(15, M, Some(200)), (2 * K, 4 * M, None), (10 * K, 10 * M, None), (30 * K, 30 * M, None)]),
    ("gemini-2.0-flash-lite", [(30, M, Some(200)), (4 * K, 4 * M, None), (20 * K, 10 * M, None), (30 * K, 30 * M, None)]),
    ("gemini-embedding-001", [(100, 30 * K, Some(K)), (3 * K, M, None), (5 * K, 5 * M, None), (10 * K, 10 * M, None)]),
];

/// The limits of the free tier; `None` for a model whose figures aren't known here.
pub fn free(model: &str) -> Option<QuotaBuilder> {
    tier(0, model)
}

/// The limits of tier 1.
pub fn tier1(model: &str) -> Option<QuotaBuilder> {
    tier(1, model)
}

/// The limits of tier 2.
pub fn tier2(model: &str) -> Option<QuotaBuilder> {
    tier(2, model)
}

/// The limits of tier 3.
pub fn tier3(model: &str) -> Option<QuotaBuilder> {
    tier(3, model)
}

fn tier(index: usize, model: &str) -> Option<QuotaBuilder> {
    let (requests, tokens, a_day) = row(TABLE, model)?[index];
    let minute = [
        Limit::requests_per_minute(requests),
        Limit::input_tokens(tokens, Duration::from_secs(60)),
    ];
    let midnight = || Anchor::calendar(pacific::midnight_after);
    let day = a_day.map(|requests| Limit::requests_per_day(requests).fixed(midnight()));
    Some(quota(minute.into_iter().chain(day)))
}

#[cfg(test)]
pub(super) fn models() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(model, _)| *model)
}
