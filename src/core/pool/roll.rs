//! What a pool that has lost its state has yet to learn.

#[cfg(test)]
mod tests;

use super::{ALIVE, Pool, PoolLimit, PoolShape, account::Dim};

/// Whoever has to wait while something is in doubt is to ask again after so long.
pub(super) const AGAIN: u64 = 100_000;

/// Dates that are told may be off by that, and a slot. Whether what was to expire then still counted when others saw the pool last
/// isn't known before all have replayed.
const UNSURE: u64 = 100_000;

/// Who has said what was sent before the state was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Roll {
    // How many used the pool, by what those were told who have replayed, and how many have.
    expected: u64,
    told: u64,
    // Since when what was free is in doubt, 0 where nothing is.
    since: u64,
}

/// How far ahead something is reserved: two seconds, of shorter windows a quarter.
pub(crate) fn ahead(limits: &[PoolLimit]) -> u64 {
    let shortest = limits.iter().map(|limit| limit.window).min().unwrap_or(0);
    2_000_000.min(shortest / 4)
}

/// Where a pool that has lost its state knows something from: its dates, with what may have been reserved ahead then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learnt {
    /// When others saw it last who tell what it held.
    pub(super) foreign: u64,
    /// When what was free became doubtful.
    pub(super) since: u64,
    pub(super) ahead: u64,
}

impl Learnt {
    /// The date under which theirs is kept who haven't replayed.
    const fn theirs(&self, limit: &PoolLimit) -> u64 {
        match limit.shape {
            PoolShape::Rolling => self.foreign + self.ahead,
            _ => self.foreign,
        }
    }

    /// The same of what is in doubt.
    const fn doubted(&self, limit: &PoolLimit) -> u64 {
        match limit.shape {
            PoolShape::Bucket => self.since,
            _ => self.since + self.ahead,
        }
    }
}

impl Dim {
    /// Others held so much more than is known.
    pub(super) fn adds(&mut self, limit: &PoolLimit, n: u64, learnt: &Learnt, now: u64) {
        self.trusts(limit, n, learnt, now);
        self.foreign += n;
        self.recall(limit, n, learnt.theirs(limit), now);
    }

    /// What was in doubt isn't any more where it doesn't count any more.
    pub(super) const fn doubts_no_longer(&mut self, limit: &PoolLimit, learnt: &Learnt, now: u64) {
        if self.is_over(limit, learnt.doubted(limit), now) {
            self.doubt = 0;
        }
    }

    /// What left at `at` is known now: it isn't taken for theirs any more who hadn't replayed, nor is it in doubt.
    pub(super) fn known_now(
        &mut self,
        limit: &PoolLimit,
        n: u64,
        at: u64,
        learnt: &Learnt,
        now: u64,
    ) {
        let at_least = at.saturating_sub(limit.step + UNSURE);
        let mut theirs = 0;
        if self.counts(limit, at_least, learnt.foreign) {
            theirs = self.theirs(limit, n, learnt, now);
        } else if self.counts(limit, at, learnt.foreign) {
            self.unsure += n;
        }
        if self.counts(limit, at_least, learnt.doubted(limit)) {
            self.trusts(limit, n - theirs, learnt, now);
        }
    }

    /// Of what is taken for theirs who haven't replayed so much isn't any more.
    fn theirs(&mut self, limit: &PoolLimit, n: u64, learnt: &Learnt, now: u64) -> u64 {
        let n = n.min(self.foreign);
        if n > 0 {
            self.foreign -= n;
            self.back(limit, n, learnt.theirs(limit), false, now);
        }
        n
    }

    /// So much of what is in doubt isn't any more.
    fn trusts(&mut self, limit: &PoolLimit, n: u64, learnt: &Learnt, now: u64) {
        let n = n.min(self.doubt);
        if n > 0 {
            self.doubt -= n;
            let (date, bucket) = (learnt.doubted(limit), limit.shape == PoolShape::Bucket);
            self.back(limit, n, date, bucket, now);
        }
    }
}

impl Pool {
    pub(super) fn learnt(&self, limits: &[PoolLimit]) -> Learnt {
        Learnt {
            foreign: self.foreign_at,
            since: self.roll.since,
            ahead: ahead(limits),
        }
    }

    /// Of those who used the pool before its state was lost, `expected`, one more has replayed all.
    pub(super) fn replayed(&mut self, limits: &[PoolLimit], expected: u64, now: u64) {
        if now >= self.learning + ALIVE {
            return;
        }
        self.roll.told += 1;
        self.roll.expected = self.roll.expected.max(expected);
        if self.roll.told >= self.roll.expected {
            self.trust(limits, now);
        } else if self.roll.since == 0 {
            self.roll.since = now;
            let then = now + ahead(limits);
            for (dim, limit) in self.dims.iter_mut().zip(limits) {
                dim.doubt += dim.takes_all(limit, now, then);
            }
        }
    }

    /// Nothing is in doubt any more.
    fn trust(&mut self, limits: &[PoolLimit], now: u64) {
        let learnt = self.learnt(limits);
        for (dim, limit) in self.dims.iter_mut().zip(limits) {
            dim.trusts(limit, u64::MAX, &learnt, now);
            let unsure = std::mem::take(&mut dim.unsure);
            dim.theirs(limit, unsure, &learnt, now);
        }
        self.roll.since = 0;
    }

    /// Whoever hasn't said anything for so long isn't waited for.
    pub(super) fn waits_no_longer(&mut self, limits: &[PoolLimit], now: u64) {
        if self.roll.since > 0 && now >= self.learning + ALIVE {
            self.trust(limits, now);
        }
    }

    /// How many use the pool, those included who are waited for.
    pub(super) fn users(&self, now: u64) -> u32 {
        let expected = if now < self.learning + ALIVE {
            self.roll.expected
        } else {
            0
        };
        (self.processes.len() as u64).max(expected) as u32
    }
}
