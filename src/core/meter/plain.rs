//! What is known of an account without a closer look.

use super::{Account, MOST, Meter};
use crate::core::{ledger::Step, time::Time};

/// What is known of an account as long as it is charged at most what fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    /// So much fits, now and later.
    pub(crate) room: u64,
    /// Nothing expires before.
    pub(crate) until: Time,
    /// How it rounds dates; `None` where it has none.
    pub(crate) rounding: Option<Rounding>,
}

/// How an account rounds the dates of charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounding {
    pub(crate) transit: u64,
    pub(crate) step: u64,
}

impl Rounding {
    /// Which instants are rounded as this one.
    pub(crate) fn step(self, now: Time) -> Option<Step> {
        let counted = now.nanos().checked_add(self.transit)?;
        let rounded = counted.checked_next_multiple_of(self.step)?;
        Some(Step {
            until: Time::from_nanos(rounded - self.transit),
            span: self.step,
        })
    }
}

impl Meter {
    /// What is known of it without a closer look; `None` where there is more to it than a rolling window of our own.
    pub(crate) fn plain(&self, now: Time) -> Option<Plain> {
        if self.is_paced() || self.shared.is_rolling() {
            return None;
        }
        let plain = match &self.account {
            Account::Unknown => Plain {
                room: MOST,
                until: Time::MAX,
                rounding: None,
            },
            Account::Rolling(account) => account.plain()?,
            Account::Bucket(_) | Account::Fixed(_) | Account::Stock(_) => return None,
        };
        Some(Plain {
            room: match self.paused <= now {
                true => plain.room.saturating_sub(self.held),
                false => 0,
            },
            ..plain
        })
    }
}
