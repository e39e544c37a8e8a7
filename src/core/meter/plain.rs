//! What is known of an account without a closer look.

use super::{Account, MOST, Meter};
use crate::core::time::Time;

/// What is known of an account as long as it is charged at most what fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    /// So much fits, now and later.
    pub(crate) room: u64,
    /// Nothing expires before.
    pub(crate) until: Time,
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
