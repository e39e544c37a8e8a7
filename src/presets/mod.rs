//! What providers publish of their limits, as quotas to start from.
//!
//! ```
//! use tower_quota::{TokenBudgetLayer, presets};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = presets::openai::build("gpt-4o").ok_or("no such model")?;
//! let layer = TokenBudgetLayer::new(quota.build()?).settle(presets::openai::SETTLE);
//! # let _ = layer; Ok(()) }
//! ```
//!
//! A preset is a [`QuotaBuilder`]: settings may follow, such as
//! [`headroom`](crate::quota::QuotaBuilder::headroom) where others use the same organisation. It
//! [adopts](crate::quota::QuotaBuilder::adopt) what the answers state where that differs.
//!
//! | provider | tables | as of | counts |
//! |---|---|---|---|
//! | [`openai`] | build, launch, grow | October 2026 | buckets |
//! | | tiers 1 to 5, which these replaced | autumn 2025 to September 2026 | |
//! | [`anthropic`] | start, build, scale | summer to October 2026 | buckets; requests by the second |
//! | | tiers 1 to 4, which these replaced | winter 2025 to June 2026 | |
//! | [`gemini`] | free, tiers 1 to 3; no longer published | November or December 2025 | a minute rolling, the day from midnight Pacific |
//! | [`groq`] | free, developer | August 2026 | buckets, the day's too |
//!
//! # Errors
//!
//! `None` for a model that has no row here. [`build`](QuotaBuilder::build) refuses what was set wrong beside it.
//!
//! # Where the figures are from
//!
//! From the providers' own pages, but not read live. Each module names its page (`SOURCE`) and how late its figures are
//! (`AS_OF`), and says, table by table, what they were read off:
//!
//! - a *copy* of the page: its text as others have kept it. One without a date is dated by the models that it names and
//!   doesn't name.
//! - a *reader's table*: what somebody who read the page on a stated day says it states. This is weaker, and stands alone
//!   only where no copy was found.
//!
//! What was found in neither is left out: a model without a row here may well have published limits.
//!
//! # No promise
//!
//! These are data that others change without notice, and none was checked against an account. Compare yours with what
//! your account's own page says. A table may change in any release. Models that share a limit (their provider's
//! pools) get the same figures each; share one quota among them.

use crate::{
    core::limit::Limit,
    quota::{Quota, QuotaBuilder},
};

pub mod anthropic;
pub mod gemini;
pub mod groq;
pub mod openai;
mod pacific;

/// The row of a model, whose name may end in the date of a version.
fn row<'a, R>(table: &'a [(&str, R)], model: &str) -> Option<&'a R> {
    let found = |name: &str| table.iter().find(|(known, _)| *known == name);
    found(model)
        .or_else(|| found(undated(model)?))
        .map(|(_, row)| row)
}

/// `gpt-4o` of `gpt-4o-2024-08-06`, `claude-sonnet-4-5` of `claude-sonnet-4-5-20250929`.
fn undated(model: &str) -> Option<&str> {
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let (rest, last) = model.rsplit_once('-')?;
    if digits(last, 8) || last == "latest" {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

fn quota(limits: impl IntoIterator<Item = Limit>) -> QuotaBuilder {
    limits
        .into_iter()
        .fold(Quota::builder(), QuotaBuilder::limit)
        .adopt()
}

#[cfg(test)]
mod tests;
