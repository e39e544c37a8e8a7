//! Starts anew at every boundary.

use std::{fmt, sync::Arc};

use crate::core::time::Time;

/// Where the boundaries are. Asked, not computed here: days have 23 and 25 hours.
pub(crate) trait Boundaries: Send + Sync {
    /// The first boundary after `t`.
    fn after(&self, t: Time) -> Time;
}

/// One window and what already counts in the next.
#[derive(Clone)]
pub(crate) struct Fixed {
    amount: u64,
    window: u64,
    transit: u64,
    // Without boundaries a window opens with its first charge.
    boundaries: Option<Arc<dyn Boundaries>>,
    start: Time,
    end: Option<Time>,
    used: u64,
    // A charge that leaves shortly before the end may be counted on either side of it.
    next: u64,
    next_from: Time,
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixed")
            .field("amount", &self.amount)
            .field("used", &self.used)
            .field("next", &self.next)
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
            start: now,
            end: None,
            used: 0,
            next: 0,
            next_from: Time::ZERO,
        };
        if fixed.boundaries.is_some() {
            fixed.end = Some(fixed.boundary_after(now));
        }
        fixed
    }

    fn boundary_after(&self, t: Time) -> Time {
        let one_window = Time::from_nanos(t.nanos().saturating_add(self.window));
        match &self.boundaries {
            Some(boundaries) => Some(boundaries.after(t))
                .filter(|next| *next > t)
                .unwrap_or(one_window),
            None => Time::from_nanos(one_window.nanos().saturating_add(self.transit)),
        }
    }

    /// Whether a charge of this date may be counted after `end`. A window that opened with its
    /// first use may have opened, over there, as much later as transit takes.
    const fn straddles(&self, dated: Time, end: Time) -> bool {
        let slack = if self.boundaries.is_some() {
            self.transit
        } else {
            self.transit.saturating_mul(2)
        };
        dated.nanos().saturating_add(slack) >= end.nanos()
    }

    pub(crate) fn advance(&mut self, now: Time) {
        while let Some(end) = self.end.filter(|end| *end <= now) {
            self.start = end;
            self.used = std::mem::take(&mut self.next);
            self.end = if self.boundaries.is_none() {
                (self.used > 0).then(|| self.boundary_after(self.next_from))
            } else {
                let next = self.boundary_after(end);
                if next > now {
                    Some(next)
                } else {
                    // More than a window has passed unseen: nothing of it counts any more.
                    self.used = 0;
                    Some(self.boundary_after(now))
                }
            };
        }
    }

    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    fn fits_at(&self, n: u64, held: u64, at: Time) -> bool {
        let fits = |used: u64| used.saturating_add(held).saturating_add(n) <= self.amount;
        fits(self.used)
            && self
                .end
                .is_none_or(|end| !self.straddles(at, end) || fits(self.next))
    }

    pub(crate) fn fits(&self, n: u64, held: u64, now: Time) -> bool {
        self.fits_at(n, held, now)
    }

    /// The first instant from `from` on at which `n` fits; held charges count as if they left `now`.
    pub(crate) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        let mut ahead = self.clone();
        if held > 0 {
            ahead.charge(held, now);
        }
        ahead.advance(from);
        let mut at = from;
        // The current window, the next, and one that holds nothing at all.
        for _ in 0..3 {
            if ahead.fits_at(n, 0, at) {
                return at;
            }
            let Some(end) = ahead.end else { return at };
            at = at.max(end);
            ahead.advance(at);
        }
        at
    }

    pub(crate) fn charge(&mut self, n: u64, dated: Time) {
        let end = match self.end {
            Some(end) => end,
            None => {
                self.start = dated;
                *self.end.insert(self.boundary_after(dated))
            }
        };
        self.used = self.used.saturating_add(n);
        if self.straddles(dated, end) {
            if self.next == 0 {
                self.next_from = dated;
            }
            self.next = self.next.saturating_add(n);
        }
    }

    /// Takes back a charge of this date; one of a window that is over isn't there any more.
    pub(crate) fn give_back(&mut self, n: u64, dated: Time) {
        if dated >= self.start {
            self.used = self.used.saturating_sub(n);
            if self.end.is_some_and(|end| self.straddles(dated, end)) {
                self.next = self.next.saturating_sub(n);
            }
        } else if self.straddles(dated, self.start) {
            self.used = self.used.saturating_sub(n);
        }
    }

    pub(crate) const fn resize(&mut self, amount: u64) {
        self.amount = amount;
    }

    pub(crate) const fn period(&self) -> u64 {
        self.window
    }

    pub(crate) const fn end(&self) -> Option<Time> {
        self.end
    }
}
