//! Never more than the amount in any window.

use std::collections::VecDeque;

use super::{
    Plain, Rounding,
    others::Others,
    saved::{Nonsense, SavedRolling, amount, until},
};
use crate::core::time::Time;

/// Into how many steps a window is cut: dates are rounded up to a step, so that memory is bounded
/// and charges of one step share an entry.
const STEPS: u64 = 1024;
/// The same for one window among many, which takes no more memory than it needs.
const COARSE: u64 = 64;

#[derive(Clone, Copy, Debug)]
struct Spent {
    expires: Time,
    amount: u64,
    // What the provider counts of it, as far as it's known: what it refused it doesn't.
    counted: u64,
    // All that the provider counted right after the last charge of this step: what an answer to it knows of us.
    then: u64,
}

/// The dated charges of one window.
#[derive(Clone, Debug)]
pub(crate) struct Rolling {
    amount: u64,
    window: u64,
    transit: u64,
    step: u64,
    // In the order in which they expire, no two alike.
    spent: VecDeque<Spent>,
    // Of all entries.
    sum: u64,
    counted: u64,
    // The first entry is what was missing when this began: what left from then on may know of it.
    begun: Option<Time>,
    others: Others,
    // Room for entries is made as they come, and given back when the last is gone.
    coarse: bool,
}

impl Rolling {
    /// An empty window. Room for every entry it can come to hold is made at once, so that
    /// charging never allocates.
    pub(crate) fn new(amount: u64, window: u64, transit: u64) -> Self {
        let step = (window / STEPS).max(1);
        let entries = (window.saturating_add(transit) / step).saturating_add(2);
        Self {
            amount,
            window,
            transit,
            step,
            spent: VecDeque::with_capacity(entries.min(amount).min(2 * STEPS + 8) as usize),
            sum: 0,
            counted: 0,
            begun: None,
            others: Others::new(amount, window),
            coarse: false,
        }
    }

    /// The same with coarser steps, and memory for those alone that are in use.
    pub(crate) fn coarse(amount: u64, window: u64, transit: u64) -> Self {
        // Of nothing, so that no room is made.
        let mut coarse = Self::new(0, window, transit);
        (coarse.step, coarse.coarse) = ((window / COARSE).max(1), true);
        coarse.resize(amount);
        coarse
    }

    /// Begins with `missing` spent now, at the latest, as an answer tells to what left at `dated`. Other answers that are
    /// under way may know of more.
    pub(crate) fn begin(&mut self, missing: u64, dated: Time, now: Time) {
        self.charge(missing, now);
        self.begun = Some(dated);
    }

    /// When a charge of this date stops to count over there, at the latest.
    #[inline]
    const fn counts_until(&self, dated: Time) -> Time {
        dated.plus(self.transit.saturating_add(self.window))
    }

    /// The same, rounded up to a step.
    fn expiry(&self, dated: Time) -> Time {
        let counted = dated.nanos().saturating_add(self.transit);
        let rounded = counted
            .checked_next_multiple_of(self.step)
            .unwrap_or(u64::MAX);
        Time::from_nanos(rounded.saturating_add(self.window))
    }

    pub(crate) fn advance(&mut self, now: Time) {
        while let Some(first) = self.spent.front().filter(|first| first.expires <= now) {
            self.sum -= first.amount;
            self.counted -= first.counted;
            self.spent.pop_front();
            self.begun = None;
        }
        if self.coarse && self.spent.is_empty() {
            self.spent = VecDeque::new();
        }
        self.others.advance(now);
    }

    #[inline]
    pub(crate) fn used(&self) -> u64 {
        self.sum.saturating_add(self.others.level())
    }

    /// Nobody else was seen of late.
    pub(crate) fn is_alone(&self) -> bool {
        self.others.level() == 0
    }

    /// What is known without a closer look, where nobody else spends.
    pub(super) fn plain(&self) -> Option<Plain> {
        let until = self.spent.front().map_or(Time::MAX, |first| first.expires);
        (!self.others.are_seen()).then(|| Plain {
            room: self.amount.saturating_sub(self.sum),
            until,
            rounding: Some(Rounding {
                transit: self.transit,
                step: self.step,
            }),
        })
    }

    #[inline]
    pub(crate) fn fits(&self, n: u64, held: u64) -> bool {
        self.used().saturating_add(held).saturating_add(n) <= self.amount
    }

    /// The first instant from `from` on at which `n` fits; held charges count as if they left `now`.
    #[inline]
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        if self.is_alone() {
            return self.earliest_alone(held.saturating_add(n), from, now);
        }
        self.earliest_beside(self.others.clone(), held.saturating_add(n), from, now)
    }

    /// The same with nobody else.
    #[inline]
    fn earliest_alone(&self, asked: u64, from: Time, now: Time) -> Time {
        let (mut own, mut at, mut index) = (self.sum, from, 0);
        while own.saturating_add(asked) > self.amount {
            let Some(next) = self.spent.get(index) else {
                return at.max(self.expiry(now));
            };
            own -= next.amount;
            at = at.max(next.expires);
            index += 1;
        }
        at
    }

    #[inline(never)]
    fn earliest_beside(&self, mut others: Others, asked: u64, from: Time, now: Time) -> Time {
        let mut own = self.sum;
        let mut spent = self.spent.iter().peekable();
        let mut at = from;
        loop {
            while let Some(first) = spent.next_if(|first| first.expires <= at) {
                own -= first.amount;
            }
            others.advance(at);
            let used = own.saturating_add(others.level());
            if used.saturating_add(asked) <= self.amount {
                return at;
            }
            let expiry = spent.peek().map(|first| first.expires);
            let next = [expiry, others.next_fall()].into_iter().flatten().min();
            match next {
                Some(next) => at = next,
                None => return at.max(self.expiry(now)),
            }
        }
    }

    /// When the last of `n` has left that wait in line now and leave as early as they may; not later than that.
    pub(crate) fn project(&self, n: u64, held: u64, now: Time) -> Time {
        let rounds = n.saturating_sub(1) / self.amount.max(1);
        let n = n - rounds * self.amount;
        // Nobody knows how long the others stay.
        let first = self.earliest_alone(held.saturating_add(n), now, now);
        let round = self.window.saturating_add(self.transit);
        Time::from_nanos(first.nanos().saturating_add(rounds.saturating_mul(round)))
    }

    #[inline]
    pub(crate) fn charge(&mut self, n: u64, dated: Time) {
        let n = n.min(u64::MAX - self.sum);
        self.sum += n;
        self.counted += n;
        let then = self.counted;
        let counts_until = self.counts_until(dated);
        match self.spent.back_mut() {
            // Of the same step. A date from before the last one can't be told apart from it; later is on the safe side.
            Some(last) if last.expires >= counts_until => {
                last.amount += n;
                last.counted += n;
                last.then = then;
            }
            _ => self.open(n, then, dated),
        }
    }

    /// The first charge of a step.
    #[inline(never)]
    fn open(&mut self, n: u64, then: u64, dated: Time) {
        self.spent.push_back(Spent {
            expires: self.expiry(dated),
            amount: n,
            counted: n,
            then,
        });
    }

    /// Takes back a charge of this date; one that has expired already isn't there any more.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        let expires = self.expiry(dated);
        let Ok(at) = self.spent.binary_search_by_key(&expires, |s| s.expires) else {
            return;
        };
        let back = self.spent[at].amount.min(n);
        self.spent[at].amount -= back;
        self.sum -= back;
        let counted = self.spent[at].counted.min(back);
        self.spent[at].counted -= counted;
        self.counted -= counted;
        if self.spent[at].amount == 0 {
            self.spent.remove(at);
            self.begun = self.begun.filter(|_| at > 0);
        }
    }

    /// The provider has refused a charge of this date. It stays charged here, but not over there.
    pub(crate) fn refused(&mut self, n: u64, dated: Time) {
        let expires = self.expiry(dated);
        let at = self.spent.partition_point(|s| s.expires < expires);
        let Some(entry) = self.spent.get_mut(at).filter(|s| s.expires == expires) else {
            return;
        };
        let n = n.min(entry.counted);
        entry.counted -= n;
        self.counted -= n;
        for later in self.spent.range_mut(at..) {
            later.then = later.then.saturating_sub(n);
        }
    }

    /// `used` is what the provider had counted, of us and others, when the request that left at
    /// `dated` got there. What can't be ours is charged to others, once: other answers know of it too.
    pub(crate) fn observe(&mut self, used: u64, dated: Time, now: Time) {
        let own = if dated >= now {
            self.counted
        } else {
            // What left up to the transit allowance later may have got there before it.
            let known = self.expiry(dated);
            let may_know =
                self.expiry(Time::from_nanos(dated.nanos().saturating_add(self.transit)));
            let after = self.spent.partition_point(|s| s.expires <= known);
            let knows_first = self.begun.is_some_and(|begun| begun <= dated);
            let after = after.max(usize::from(knows_first && !self.spent.is_empty()));
            // All that counted then has expired: nothing to compare with.
            let Some(at) = after.checked_sub(1) else {
                return;
            };
            let overtook = self.spent.range(after..);
            let overtook = overtook.take_while(|s| s.expires <= may_know);
            overtook.fold(self.spent[at].then, |sum, s| sum.saturating_add(s.counted))
        };
        let others = used.saturating_sub(own);
        self.others.see(others, dated, now);
    }

    pub(super) fn save(&self) -> SavedRolling {
        let spent = self.spent.iter();
        SavedRolling {
            spent: spent.map(|s| (s.expires.nanos(), s.amount)).collect(),
            others: self.others.save(),
        }
    }

    /// Into an empty window.
    pub(super) fn restore(&mut self, saved: &SavedRolling, latest: Time) -> Result<(), Nonsense> {
        for (expires, n) in &saved.spent {
            let expires = until(*expires, latest)?;
            if self
                .spent
                .back()
                .is_some_and(|last| last.expires >= expires)
            {
                return Err("charges aren't in the order in which they expire");
            }
            self.sum = amount(self.sum.saturating_add(*n))?;
            self.counted = self.sum;
            self.spent.push_back(Spent {
                expires,
                amount: *n,
                counted: *n,
                then: self.sum,
            });
        }
        self.others.restore(saved.others.as_ref(), latest)
    }

    pub(crate) fn resize(&mut self, amount: u64) {
        self.amount = amount;
        self.others.resize(amount);
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> (usize, usize) {
        (self.spent.len(), self.spent.capacity())
    }
}
