//! What operators are told.

use std::{fmt, sync::Arc, time::Duration};

use crate::core::limit::LimitId;

/// Something that operators want to hear of before users feel it. Told once when it begins, see [`Alerts`](super::Alerts).
///
/// Its [`Display`](fmt::Display) is one line: `openai: 70 % of 500 requests per minute are used: 352`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Alert {
    /// The use of a limit has reached a threshold.
    #[non_exhaustive]
    Used {
        /// The quota's [name](crate::quota::QuotaBuilder::named), where it has one.
        pool: Option<Arc<str>>,
        /// Which limit.
        limit: LimitId,
        /// What counts against it, in units of its resource: what was granted and hasn't left included.
        used: u64,
        /// The threshold that was reached: 0.7 for 70 %.
        share: f64,
    },
    /// The share of the requests that the provider has refused with 429 is above its threshold.
    #[non_exhaustive]
    RateLimited {
        /// The quota's name, where it has one.
        pool: Option<Arc<str>>,
        /// How many were refused.
        refused: u64,
        /// How many there were.
        requests: u64,
        /// In how much time.
        over: Duration,
    },
    /// The share of the tries that are retries is above its threshold.
    #[non_exhaustive]
    Retries {
        /// The name that was given to those who count, where they have one.
        pool: Option<Arc<str>>,
        /// How many were retries.
        retries: u64,
        /// How many tries there were, first ones included.
        tries: u64,
        /// In how much time.
        over: Duration,
    },
    /// The provider refuses for want of money, or for a cap that waiting doesn't lift. Told again once it has served in between.
    #[non_exhaustive]
    MoneyExhausted {
        /// The quota's name, where it has one.
        pool: Option<Arc<str>>,
    },
}

impl Alert {
    /// The name of the quota that it is about, where it has one.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Used { pool, .. }
            | Self::RateLimited { pool, .. }
            | Self::Retries { pool, .. }
            | Self::MoneyExhausted { pool } => pool.as_deref(),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pool) = self.pool() {
            write!(f, "{pool}: ")?;
        }
        match self {
            Self::Used {
                limit, used, share, ..
            } => {
                // 0.07 × 100 is no 7.
                let percent = (share * 10_000.0).round() / 100.0;
                write!(f, "{percent} % of {limit} are used: {used}")
            }
            Self::RateLimited {
                refused,
                requests,
                over,
                ..
            } => write!(
                f,
                "the provider has refused {refused} of {requests} requests with 429 in {over:?}"
            ),
            Self::Retries {
                retries,
                tries,
                over,
                ..
            } => write!(f, "{retries} of {tries} tries were retries in {over:?}"),
            Self::MoneyExhausted { .. } => f.write_str("the provider wants money"),
        }
    }
}
