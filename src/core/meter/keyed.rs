//! One limit among those of many keys.

use super::{Meter, Mould, Packed, account::Account, rolling::Rolling};
use crate::core::time::{Time, nanos};

impl Meter {
    /// The same for one limit among many: a rolling window is cut into coarser steps, and grows with use.
    pub(crate) fn coarse(mut self) -> Self {
        if let Account::Rolling(_) = self.account {
            let (amount, window) = (self.id.amount, nanos(self.id.window));
            self.account = Account::Rolling(Rolling::coarse(amount, window, self.transit));
        }
        self
    }

    /// What it comes to in three words, if that is enough for it; what is held isn't in them.
    pub(crate) fn pack(&self, mould: &Mould, now: Time) -> Option<Packed> {
        let plain = self.paused <= now
            && self.pace.is_none()
            && self.spread.is_none()
            && self.brake.is_none()
            && self.learnt == Time::ZERO
            && self.shared.is_alone();
        match &self.account {
            Account::Bucket(bucket) if plain => mould.pack_whole(bucket),
            _ => None,
        }
    }

    /// Goes on from three words, and what is held beside them. The account is a new bucket.
    pub(crate) fn unpack(&mut self, mould: &Mould, packed: &Packed, held: u64, now: Time) {
        self.account = Account::Bucket(mould.whole(packed, now));
        self.held = held;
    }

    /// Whether nothing is spent, held or paused, and it was never refused anything of late.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.used() == 0 && self.held == 0 && self.paused <= now && self.brake.is_none()
    }
}
