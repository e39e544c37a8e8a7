//! What of the accounts outlives the process.

use super::Ledger;
use crate::core::{
    limit::LimitId,
    meter::{Nonsense, SavedMeter},
    time::Time,
};

/// The accounts as they were saved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedLedger {
    now: u64,
    paused: u64,
    limits: Vec<SavedMeter>,
}

impl SavedLedger {
    /// When it was saved, in its own time.
    pub(crate) const fn then(&self) -> Time {
        Time::from_nanos(self.now)
    }
}

impl Ledger {
    /// As of the last [`advance`](Self::advance).
    pub(crate) fn save(&self) -> SavedLedger {
        let saved = self.meters.iter().filter_map(|meter| meter.save(self.now));
        SavedLedger {
            now: self.now.nanos(),
            paused: self.paused.nanos(),
            limits: saved.collect(),
        }
    }

    /// Goes on from what was saved; all meters are new, and began `now`. `adopts`: what was learnt of limits counts, of which is
    /// `planned` with so much. Limits that aren't here any more are forgotten; at least one must be.
    pub(crate) fn restore(
        &mut self,
        saved: &SavedLedger,
        now: Time,
        adopts: bool,
        planned: impl Fn(u64) -> u64,
    ) -> Result<(), Nonsense> {
        // A century, so that sums of instants stay far from the end of time.
        if saved.now > (1 << 61) {
            return Err("an instant is too far in the future");
        }
        let then = saved.then();
        self.now = now;
        self.paused = Time::from_nanos(saved.paused);
        let mut found = saved.limits.is_empty();
        for saved in &saved.limits {
            let stated = 1..=1 << 53;
            let windows = 1_000_000..=366 * 86_400 * 1_000_000_000;
            if !windows.contains(&saved.window) || !stated.contains(&saved.stated) {
                return Err("a limit makes no sense");
            }
            let known = self.meters.iter().position(|meter| meter.was(saved));
            let index = match known {
                Some(index) if adopts && self.meters[index].stated() != saved.stated => {
                    let amount = planned(saved.stated);
                    let id = self.meters[index].id();
                    self.resize(LimitId { amount, ..id }, saved.stated);
                    Some(index)
                }
                None if adopts => {
                    let index = self.meters.iter().position(|meter| meter.may_be(saved));
                    if let Some(index) = index {
                        let limit = self.meters[index].limit_of(saved);
                        self.learn(index, &limit, planned(limit.amount));
                    }
                    index
                }
                index => index,
            };
            if let Some(index) = index {
                self.meters[index].restore(saved, then, now)?;
                found = true;
            }
        }
        if !found {
            return Err("none of its limits is this quota's");
        }
        self.advance(now);
        Ok(())
    }
}
