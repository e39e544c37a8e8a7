//! The limits of a quota, and what is known of them without a closer look.

use std::ops::{Deref, DerefMut};

use crate::core::{
    cost::{Cost, Kind},
    ledger::{Issue, Step},
    meter::{Meter, Rounding},
    time::{Time, nanos},
};

/// The accounts of all limits. Whoever changes one of them by hand makes what was known of them void; what every request does to
/// them doesn't.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    all: Vec<Meter>,
    // What is known of each, in their order.
    known: Vec<Known>,
    is_known: bool,
    // Nothing expires before.
    still: Time,
    // What is charged now expires no earlier than after so many nanoseconds.
    shortest: u64,
    // How all of them round dates, where it is known and they do so alike.
    rounding: Option<Rounding>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    kind: Kind,
    // As long as it is known: how much fits for sure, now and from now on.
    room: u64,
}

impl Meters {
    pub(super) fn new(all: Vec<Meter>) -> Self {
        let known = |meter: &Meter| Known {
            kind: meter.resource().kind(),
            room: 0,
        };
        Self {
            known: all.iter().map(known).collect(),
            all,
            is_known: false,
            still: Time::ZERO,
            shortest: 0,
            rounding: None,
        }
    }

    /// Forgets what has expired by `now`.
    #[inline(always)]
    pub(super) fn advance(&mut self, now: Time) {
        if self.still <= now {
            self.expire(now);
        }
    }

    #[inline(never)]
    fn expire(&mut self, now: Time) {
        for meter in self.iter_mut() {
            meter.advance(now);
        }
        self.look(now);
    }

    /// Takes `cost` where it is known to fit, now and from now on.
    #[inline(always)]
    pub(super) fn take(&mut self, cost: &Cost) -> bool {
        let mut fits = self.is_known;
        for (known, meter) in self.known.iter().zip(&self.all) {
            fits &= cost.of_kind(known.kind, || meter.resource()) <= known.room;
        }
        if fits {
            for (known, meter) in self.known.iter_mut().zip(&mut self.all) {
                let n = cost.of_kind(known.kind, || meter.resource());
                known.room -= n;
                meter.hold(n);
            }
        }
        fits
    }

    /// Takes `cost`. Whether it fits is the caller's to ask.
    pub(super) fn hold(&mut self, cost: &Cost) {
        for (known, meter) in self.known.iter_mut().zip(&mut self.all) {
            let n = cost.of_kind(known.kind, || meter.resource());
            known.room = known.room.saturating_sub(n);
            meter.hold(n);
        }
    }

    /// What was held goes back. How much room that makes is seen at the next closer look.
    pub(super) fn release(&mut self, cost: &Cost) {
        for meter in &mut self.all {
            meter.release(cost.of(meter.resource()));
        }
    }

    /// Looks closely, so that what is asked for next may be found at once.
    pub(super) fn look(&mut self, now: Time) {
        (self.is_known, self.rounding) = (false, None);
        (self.still, self.shortest) = (Time::MAX, u64::MAX);
        let mut alike = true;
        for (meter, known) in self.all.iter().zip(&mut self.known) {
            let Some(plain) = meter.plain(now) else {
                self.still = Time::ZERO;
                return;
            };
            (known.room, self.still) = (plain.room, self.still.min(plain.until));
            self.shortest = self.shortest.min(nanos(meter.id().window));
            if let Some(rounding) = plain.rounding {
                alike &= *self.rounding.get_or_insert(rounding) == rounding;
            }
        }
        self.rounding = self.rounding.filter(|_| alike);
        self.is_known = true;
    }

    /// Whether it is known, after a closer look where it wasn't.
    fn is_known_after_a_look(&mut self, now: Time) -> bool {
        if !self.is_known {
            self.look(now);
        }
        self.is_known
    }

    /// How much fits for sure, now and from now on, where they count requests and tokens alone.
    pub(super) fn issue(&mut self, now: Time) -> Option<Issue> {
        let mut issue = Issue {
            requests: u64::MAX,
            tokens: u64::MAX,
        };
        if !self.is_known_after_a_look(now) {
            return None;
        }
        for known in &self.known {
            let most = match known.kind {
                Kind::REQUESTS => &mut issue.requests,
                Kind::TOKENS => &mut issue.tokens,
                _ => return None,
            };
            *most = (*most).min(known.room);
        }
        Some(issue)
    }

    /// Until when it stays as it is if nobody changes anything; zero where that isn't known. What is held may leave at any time, and
    /// counts as if it did.
    pub(super) fn stays(&mut self, now: Time) -> Time {
        if self.all.iter().any(|meter| meter.held() > 0) {
            return Time::ZERO;
        }
        if !self.is_known_after_a_look(now) {
            return Time::ZERO;
        }
        let paused = self.all.iter().map(Meter::paused);
        (paused.filter(|until| *until > now)).fold(self.still, Time::min)
    }

    #[inline]
    pub(super) const fn has_steps(&self) -> bool {
        self.is_known && self.rounding.is_some()
    }

    /// Which instants are dated as this one.
    pub(super) fn step(&self, now: Time) -> Option<Step> {
        self.rounding.filter(|_| self.is_known)?.step(now)
    }

    /// What was held has left `now`.
    #[inline(always)]
    pub(super) fn date(&mut self, cost: &Cost, now: Time) {
        for (known, meter) in self.known.iter().zip(&mut self.all) {
            let n = cost.of_kind(known.kind, || meter.resource());
            if n > 0 {
                meter.date(n, now);
            }
        }
        self.still = self.still.min(now.plus(self.shortest));
    }
}

impl Deref for Meters {
    type Target = [Meter];

    #[inline]
    fn deref(&self) -> &[Meter] {
        &self.all
    }
}

impl DerefMut for Meters {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Meter] {
        (self.is_known, self.still) = (false, Time::ZERO);
        &mut self.all
    }
}
