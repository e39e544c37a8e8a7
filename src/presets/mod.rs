//! What providers publish of their limits, as quotas to start from.
//!
//! ```
//! use tower_quota::{TokenBudgetLayer, presets};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = presets::openai::tier1("gpt-4o").ok_or("no such model")?;
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
//! | [`openai`] | tiers 1 to 5 | October 2025 | buckets |
//! | [`anthropic`] | tiers 1 to 4; start and scale for one family | spring and October 2026 | buckets; requests by the second |
//! | [`gemini`] | free, tiers 1 to 3 | September 2025 | a minute rolling, the day from midnight Pacific |
//! | [`groq`] | the free plan | July 2026 | buckets, the day's too |
//!
//! # No promise
//!
//! These are data that others change without notice, and no table was checked against an account: the pages that are named
//! are where the figures stood at the date that is given, in part by way of others who cite them. Compare yours with what
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
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_model() {
        let table = [("gpt-4o", 1), ("gpt-4o-mini", 2), ("claude-sonnet-4-5", 3)];
        for (model, found) in [
            ("gpt-4o", Some(&1)),
            ("gpt-4o-2024-08-06", Some(&1)),
            ("gpt-4o-mini-2024-07-18", Some(&2)),
            ("claude-sonnet-4-5-20250929", Some(&3)),
            ("claude-sonnet-4-5-latest", Some(&3)),
            ("gpt-4o-audio-preview", None),
            ("gpt-4o-", None),
            ("2024-08-06", None),
            ("", None),
            ("ü-2024-08-06", None),
        ] {
            assert_eq!(row(&table, model), found, "{model}");
        }
    }

    #[test]
    fn every_row_of_every_table_is_a_quota() {
        let mut rows = 0;
        let mut build = |name: &str, quota: Option<QuotaBuilder>| {
            let quota = quota.unwrap_or_else(|| panic!("{name} has no row"));
            quota
                .build()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            rows += 1;
        };
        for model in openai::models() {
            build(model, openai::tier1(model));
            build(model, openai::tier2(model));
            build(model, openai::tier3(model));
            build(model, openai::tier4(model));
            build(model, openai::tier5(model));
        }
        for model in [
            "claude-sonnet-4-5-20250929",
            "claude-opus-4-1",
            "claude-haiku-4-5",
        ] {
            build(model, anthropic::tier1(model));
            build(model, anthropic::tier2(model));
            build(model, anthropic::tier3(model));
            build(model, anthropic::tier4(model));
        }
        build("claude-fable-5", anthropic::start("claude-fable-5"));
        build("claude-fable-5", anthropic::scale("claude-fable-5"));
        for model in gemini::models() {
            build(model, gemini::free(model));
            build(model, gemini::tier1(model));
            build(model, gemini::tier2(model));
            build(model, gemini::tier3(model));
        }
        for model in groq::models() {
            build(model, groq::free(model));
        }
        assert!(rows > 60, "{rows}");
        assert!(openai::tier1("no-such-model").is_none());
        assert!(anthropic::tier1("claude-2").is_none());
    }
}
