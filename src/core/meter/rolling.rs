//! Never more than the amount in any window.

use std::collections::VecDeque;

use crate::core::time::Time;

/// Into how many steps a window is cut: dates are rounded up to a step, so that memory is bounded
/// and charges of one step share an entry.
const STEPS: u64 = 1024;

#[derive(Clone, Copy, Debug)]
struct Spent {
    expires: Time,
    amount: u64,
    // All that counted right after the last charge of this step: what an answer to it knows of us.
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
    // What others spend from the same limit, as far as the provider's answers say.
    others: u64,
    others_until: Time,
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
            others: 0,
            others_until: Time::ZERO,
        }
    }

    /// When a charge of this date stops to count.
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
            self.spent.pop_front();
        }
        if self.others_until <= now {
            self.others = 0;
        }
    }

    pub(crate) const fn used(&self) -> u64 {
        self.sum.saturating_add(self.others)
    }

    const fn over(&self, n: u64, held: u64) -> u64 {
        let asked = self.used().saturating_add(held).saturating_add(n);
        asked.saturating_sub(self.amount)
    }

    pub(crate) const fn fits(&self, n: u64, held: u64) -> bool {
        self.over(n, held) == 0
    }

    /// The first instant from `from` on at which `n` fits; held charges count as if they left `now`.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        let mut at = from;
        let mut over = self.over(n, held);
        let mut others = Some((self.others_until, self.others)).filter(|(_, amount)| *amount > 0);
        let mut own = self.spent.iter().map(|s| (s.expires, s.amount)).peekable();
        while over > 0 {
            let next = match others {
                Some((until, _)) if own.peek().is_none_or(|own| until <= own.0) => others.take(),
                _ => own.next(),
            };
            let (expires, amount) = next.unwrap_or((self.expiry(now), over));
            over = over.saturating_sub(amount);
            at = at.max(expires);
        }
        at
    }

    /// When the last of `n` has left that wait in line now and leave as early as they may; not later than that.
    pub(crate) fn project(&self, n: u64, held: u64, now: Time) -> Time {
        let rounds = n.saturating_sub(1) / self.amount.max(1);
        let first = self.earliest(n - rounds * self.amount, held, now, now);
        let round = self.window.saturating_add(self.transit);
        Time::from_nanos(first.nanos().saturating_add(rounds.saturating_mul(round)))
    }

    pub(crate) fn charge(&mut self, n: u64, dated: Time) {
        let expires = self.expiry(dated);
        let n = n.min(u64::MAX - self.sum);
        self.sum += n;
        let then = self.sum;
        match self.spent.back_mut() {
            // A date from before the last one can't be told apart from it; later is on the safe side.
            Some(last) if last.expires >= expires => {
                last.amount += n;
                last.then = then;
            }
            _ => self.spent.push_back(Spent {
                expires,
                amount: n,
                then,
            }),
        }
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
        if self.spent[at].amount == 0 {
            self.spent.remove(at);
        }
    }

    /// `used` is what the provider had counted, of us and others, when the request that left at
    /// `dated` got there. What can't be ours is charged to others, once: other answers know of it too.
    pub(crate) fn observe(&mut self, used: u64, dated: Time, now: Time) {
        let own = if dated >= now {
            self.sum
        } else {
            // What left up to the transit allowance later may have got there before it.
            let known = self.expiry(dated);
            let may_know =
                self.expiry(Time::from_nanos(dated.nanos().saturating_add(self.transit)));
            let after = self.spent.partition_point(|s| s.expires <= known);
            // All that counted then has expired: nothing to compare with.
            let Some(at) = after.checked_sub(1) else {
                return;
            };
            let overtook = self.spent.range(after..);
            let overtook = overtook.take_while(|s| s.expires <= may_know);
            overtook.fold(self.spent[at].then, |sum, s| sum.saturating_add(s.amount))
        };
        let others = used.saturating_sub(own);
        if others > 0 && others >= self.others {
            self.others = others;
            self.others_until = self.others_until.max(self.expiry(dated));
        }
    }

    pub(crate) const fn resize(&mut self, amount: u64) {
        self.amount = amount;
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> (usize, usize) {
        (self.spent.len(), self.spent.capacity())
    }
}
