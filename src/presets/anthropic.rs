//! Anthropic's usage tiers.
//!
//! Tiers 1 to 4 as of spring 2026 (`docs.claude.com/en/api/rate-limits`, the standard limits of the
//! Messages API). In the course of 2026 the tiers became *Start*, *Build* and *Scale*, with other
//! figures; of those only one family's are known here, at second hand, as of 17 October 2026. The
//! console says which tier an organisation has.
//!
//! All models of a row share its limits: Opus 4.x together, Sonnet 4.x together. Limits are token
//! buckets; those on requests "may be enforced" by the second, so no more than a second's worth
//! goes at once. What the cache serves doesn't count as input.

use super::quota;
use crate::{
    core::{cost::Resource, limit::Limit, settlement::Settle},
    quota::QuotaBuilder,
};

/// Input is estimated and then corrected, output counted as it is produced: [`Settle::RealTime`].
pub const SETTLE: Settle = Settle::RealTime;

/// Requests, input tokens and output tokens a minute.
type Row = (u64, u64, u64);

/// How a family's names begin, and the rows of tiers 1 to 4.
const TIERS: &[(&str, [Row; 4])] = &[
    ("claude-opus-4", LARGE),
    ("claude-sonnet-4", LARGE),
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

const LARGE: [Row; 4] = [
    (50, 30_000, 8_000),
    (1_000, 450_000, 90_000),
    (2_000, 800_000, 160_000),
    (4_000, 2_000_000, 400_000),
];

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

/// The limits of the tier *Start*; `None` for a model whose figures aren't known here.
pub fn start(model: &str) -> Option<QuotaBuilder> {
    is_of("claude-fable-5", model).then(|| limits((1_000, 500_000, 100_000)))
}

/// The limits of the tier *Scale*; `None` for a model whose figures aren't known here.
pub fn scale(model: &str) -> Option<QuotaBuilder> {
    is_of("claude-fable-5", model).then(|| limits((4_000, 4_000_000, 800_000)))
}

fn tier(index: usize, model: &str) -> Option<QuotaBuilder> {
    let family = TIERS.iter().find(|(family, _)| is_of(family, model))?;
    Some(limits(family.1[index]))
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
