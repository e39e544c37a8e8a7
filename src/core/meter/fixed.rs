//! Starts anew at every boundary.

use std::{fmt, sync::Arc};

use super::{
    Account, Meter,
    others::Others,
    saved::{Nonsense, SavedFixed, amount, until},
};
use crate::core::time::Time;

/// Where the boundaries are. Asked, not computed here: days have 23 and 25 hours.
pub(crate) trait Boundaries: Send + Sync {
    /// The first boundary after `t`.
    fn after(&self, t: Time) -> Time;

    /// Finds out about those that come after `now`, where that is somebody's own code, which no lock may be held for. Until
    /// the instant that it returns, `after` needs no more.
    fn look_ahead(&self, _now: Time) -> Time {
        Time::MAX
    }
}

/// Between when and when the provider's window ends. One instant at a calendar's boundaries; a window that
/// opens with its first use opens there as much later as transit takes.
#[derive(Clone, Copy, Debug)]
struct End {
    first: Time,
    last: Time,
    // Of a first use: when the charge left from which `last` is reckoned; none where only charges that
    // may have come before the boundary can have opened the window so far.
    opener: Option<Time>,
}

/// One window and what already counts in the next.
#[derive(Clone)]
pub(crate) struct Fixed {
    amount: u64,
    window: u64,
    transit: u64,
    // Without boundaries a window opens with its first charge.
    boundaries: Option<Arc<dyn Boundaries>>,
    end: Option<End>,
    used: u64,
    // Charges that left earlier aren't in `used`.
    since: Time,
    // Charges that left earlier may have been counted in the window before.
    begun: Time,
    // A charge that leaves shortly before the end may be counted on either side of it.
    next: u64,
    // The first and the last of those.
    straddling: Option<(Time, Time)>,
    // What the provider counts of ours in this window, as far as it's known.
    counted: u64,
    others: Others,
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixed")
            .field("amount", &self.amount)
            .field("used", &self.used)
            .field("since", &self.since)
            .field("next", &self.next)
            .field("straddling", &self.straddling)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Fixed {
    pub(crate) fn new(
        amount: u64,
        window: u64,
        transit: u64,
        boundaries: Option<Arc<dyn Boundaries>>,
        now: Time,
    ) -> Self {
        let mut fixed = Self {
            amount,
            window,
            transit,
            boundaries,
            end: None,
            used: 0,
            since: now,
            begun: now,
            next: 0,
            straddling: None,
            counted: 0,
            others: Others::new(amount, window),
        };
        fixed.end = fixed.boundary_after(now);
        fixed
    }

    /// The first boundary after `t`; none where windows open with their first use.
    fn boundary_after(&self, t: Time) -> Option<End> {
        let boundary = self.boundaries.as_ref()?.after(t);
        let boundary = if boundary > t {
            boundary
        } else {
            self.one_window_after(t)
        };
        Some(End {
            first: boundary,
            last: boundary,
            opener: None,
        })
    }

    const fn one_window_after(&self, t: Time) -> Time {
        Time::from_nanos(t.nanos().saturating_add(self.window))
    }

    const fn in_transit_after(&self, t: Time) -> Time {
        Time::from_nanos(t.nanos().saturating_add(self.transit))
    }

    pub(super) fn boundaries(&self) -> Option<&Arc<dyn Boundaries>> {
        self.boundaries.as_ref()
    }

    /// Whether a charge of this date may be counted after the end.
    fn straddles(&self, dated: Time) -> bool {
        self.end
            .is_some_and(|end| self.in_transit_after(dated) >= end.first)
    }

    pub(crate) fn advance(&mut self, now: Time) {
        self.others.advance(now);
        let over = |end: &End| end.last <= now && end.last < Time::MAX;
        while let Some(end) = self.end.filter(over) {
            self.used = std::mem::take(&mut self.next);
            self.counted = self.used;
            self.since = Time::from_nanos(end.first.nanos().saturating_sub(self.transit));
            self.begun = end.last;
            let straddling = self.straddling.take();
            if self.boundaries.is_none() {
                self.end = straddling.map(|(first, last)| End {
                    first: self.one_window_after(first.max(end.first)),
                    last: self.one_window_after(self.in_transit_after(last)),
                    opener: None,
                });
            } else {
                self.end = self.boundary_after(end.last);
                if self.end.is_none_or(|end| end.last <= now) {
                    // More than a window has passed unseen: nothing of it counts any more.
                    (self.used, self.counted) = (0, 0);
                    self.since = now;
                    self.end = self.boundary_after(now);
                }
            }
        }
    }

    /// Of ours and others: those go on when a window ends.
    pub(crate) fn used(&self) -> u64 {
        self.used
            .max(self.counted.saturating_add(self.others.level()))
    }

    /// Nobody else was seen of late.
    pub(crate) fn is_alone(&self) -> bool {
        self.others.level() == 0
    }

    pub(crate) fn fits(&self, n: u64, held: u64, at: Time) -> bool {
        let fits = |used: u64| used.saturating_add(held).saturating_add(n) <= self.amount;
        if !fits(self.used()) {
            return false;
        }
        if !self.straddles(at) {
            return true;
        }
        // Each window of a first use that straddlers may have opened is less certain than the last; when too little is
        // known of it, nothing more leaves before it has surely ended.
        let vague =
            |end: End| end.last.nanos() - end.first.nanos() > self.transit.saturating_mul(4);
        let vague = self.end.is_some_and(vague);
        fits(self.next.saturating_add(self.others.level())) && !vague
    }

    /// The first instant from `from` on at which `n` fits; held charges count as if they left `now`.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        let mut ahead = self.clone();
        if held > 0 {
            ahead.charge(held, now);
        }
        let mut at = from;
        ahead.advance(at);
        // The current window, the next, and one that holds nothing at all.
        while !ahead.fits(n, 0, at) {
            let end = ahead.end.map(|end| end.last).filter(|end| *end > at);
            let Some(next) = [end, ahead.others.next_fall()].into_iter().flatten().min() else {
                return at;
            };
            at = next;
            ahead.advance(at);
        }
        at
    }

    /// When the last of `n` has left that wait in line now and leave as early as they may; not later than that.
    pub(crate) fn project(&self, n: u64, held: u64, now: Time) -> Time {
        // Nobody knows how long the others stay.
        let used = self.used.min(self.amount);
        let asked = used.saturating_add(held).saturating_add(n);
        let rounds = asked.saturating_sub(1) / self.amount.max(1);
        let Some(further) = rounds.checked_sub(1) else {
            return now;
        };
        let end = self.end.map_or(now, |end| end.last);
        let further = further.saturating_mul(self.window);
        Time::from_nanos(end.max(now).nanos().saturating_add(further))
    }

    pub(crate) fn charge(&mut self, n: u64, dated: Time) {
        if self.boundaries.is_none() {
            let first = match self.end {
                None => {
                    self.since = dated;
                    self.one_window_after(dated)
                }
                Some(end) => end.first,
            };
            if self.end.is_none_or(|end| end.opener.is_none()) {
                self.end = Some(End {
                    first,
                    last: self.one_window_after(self.in_transit_after(dated)),
                    opener: Some(dated),
                });
            }
        }
        self.used = self.used.saturating_add(n);
        self.counted = self.counted.saturating_add(n);
        if self.straddles(dated) {
            self.next = self.next.saturating_add(n);
            let first = self.straddling.map_or(dated, |(first, _)| first);
            self.straddling = Some((first, dated));
        }
    }

    /// Takes back what the provider has given back of a charge of this date; one of a window that is over isn't there any more.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        if dated >= self.since {
            self.used = self.used.saturating_sub(n);
            self.counted = self.counted.saturating_sub(n);
            if self.straddles(dated) {
                self.next = self.next.saturating_sub(n);
            }
        }
    }

    /// Takes back a charge that never reached the provider.
    pub(crate) fn refund(&mut self, n: u64, dated: Time, now: Time) {
        self.give_back(n, dated);
        // What never got there didn't open the window: a later charge did, or will.
        let after = self.one_window_after(self.in_transit_after(now));
        let alone = self.used == 0;
        if let Some(end) = self.end.as_mut().filter(|end| end.opener >= Some(dated)) {
            end.opener = (!alone).then_some(now);
            end.last = end.last.max(after);
        }
    }

    /// The provider has refused a charge of this date. It stays charged here, but not over there.
    pub(crate) fn refused(&mut self, n: u64, dated: Time) {
        if dated >= self.since {
            self.counted = self.counted.saturating_sub(n);
        }
    }

    /// `used` is what the provider had counted when the request that left at `dated` got there.
    pub(crate) fn observe(&mut self, used: u64, dated: Time, now: Time) {
        // Of a window that may not be this one it says nothing.
        if dated >= self.begun && self.end.is_some() && !self.straddles(dated) {
            self.used = self.used.max(used);
            // What left since may be in it or not; what is more than all of it is somebody else's.
            self.others
                .see(used.saturating_sub(self.counted), dated, now);
        }
    }

    pub(super) fn save(&self) -> SavedFixed {
        let end = |end: End| {
            (
                end.first.nanos(),
                end.last.nanos(),
                end.opener.map(Time::nanos),
            )
        };
        SavedFixed {
            end: self.end.map(end),
            used: self.used,
            since: self.since.nanos(),
            begun: self.begun.nanos(),
            next: self.next,
            straddling: self.straddling.map(|(a, b)| (a.nanos(), b.nanos())),
            counted: self.counted,
            others: self.others.save(),
        }
    }

    /// Into a window in which nothing is used. It ends when the saved one did, or when this does where that is later by
    /// less than half a window, of another calendar, or where nothing was used in the saved one.
    pub(super) fn restore(
        &mut self,
        saved: &SavedFixed,
        latest: Time,
        then: Time,
    ) -> Result<(), Nonsense> {
        if let Some((first, last, opener)) = saved.end {
            let end = End {
                last: until(last, latest)?,
                first: until(first, Time::from_nanos(last))?,
                opener: opener.map(|opener| until(opener, then)).transpose()?,
            };
            // By more than that, clocks have moved about the saved end, which mustn't cost another window.
            let somewhat_later = |own: &End| {
                let later = own.last.since(end.last).as_nanos();
                later > 0 && later <= u128::from(self.window / 2)
            };
            let began = self.since;
            let empty = saved.used == 0 && saved.next == 0 && saved.others.is_none();
            let own = self.end.filter(|own| {
                self.boundaries.is_some() && empty || end.last > began && somewhat_later(own)
            });
            self.end = Some(own.unwrap_or(end));
        }
        self.used = amount(saved.used)?;
        self.next = amount(saved.next)?.min(self.used);
        self.counted = amount(saved.counted)?;
        self.since = until(saved.since, then)?;
        self.begun = until(saved.begun, then)?;
        self.straddling = match saved.straddling {
            Some((first, last)) => Some((until(first, then)?, until(last, then)?)),
            None => None,
        };
        self.others.restore(saved.others.as_ref(), latest)
    }

    pub(crate) fn resize(&mut self, amount: u64) {
        self.amount = amount;
        self.others.resize(amount);
    }

    pub(crate) fn end(&self) -> Option<Time> {
        self.end.map(|end| end.last)
    }
}

impl Meter {
    /// Where its boundaries are, where it is fixed to some.
    pub(crate) fn boundaries(&self) -> Option<&Arc<dyn Boundaries>> {
        match &self.account {
            Account::Fixed(account) => account.boundaries(),
            Account::Unknown | Account::Rolling(_) | Account::Bucket(_) | Account::Stock(_) => None,
        }
    }

    /// The end of a fixed window.
    pub(crate) fn boundary(&self) -> Option<Time> {
        match &self.account {
            Account::Fixed(account) => account.end(),
            Account::Unknown | Account::Rolling(_) | Account::Bucket(_) | Account::Stock(_) => None,
        }
    }
}
