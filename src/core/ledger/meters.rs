//! The limits of a quota, and what is known of them without a closer look.

use std::ops::{Deref, DerefMut};

use crate::core::{
    cost::Cost,
    meter::Meter,
    time::{Time, nanos},
};

/// The accounts of all limits. Whoever changes one of them by hand makes what was known of them void; what every request does to
/// them doesn't.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    all: Vec<Meter>,
    // As long as it is known: how much of each fits for sure, now and from now on.
    room: Vec<u64>,
    is_known: bool,
    // Nothing expires before.
    still: Time,
    // What is charged now expires no earlier than after so many nanoseconds.
    shortest: u64,
}

impl Meters {
    pub(super) fn new(all: Vec<Meter>) -> Self {
        Self {
            room: vec![0; all.len()],
            all,
            is_known: false,
            still: Time::ZERO,
            shortest: 0,
        }
    }

    /// Forgets what has expired by `now`.
    #[inline]
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
    #[inline]
    pub(super) fn take(&mut self, cost: &Cost) -> bool {
        let mut each = self.all.iter().zip(&self.room);
        let fits = self.is_known && each.all(|(m, room)| cost.of(m.resource()) <= *room);
        if fits {
            for (meter, room) in self.all.iter_mut().zip(&mut self.room) {
                let n = cost.of(meter.resource());
                *room -= n;
                meter.hold(n);
            }
        }
        fits
    }

    /// Takes `cost`. Whether it fits is the caller's to ask.
    #[inline]
    pub(super) fn hold(&mut self, cost: &Cost) {
        for (meter, room) in self.all.iter_mut().zip(&mut self.room) {
            let n = cost.of(meter.resource());
            *room = room.saturating_sub(n);
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
        self.is_known = false;
        (self.still, self.shortest) = (Time::MAX, u64::MAX);
        for (meter, room) in self.all.iter().zip(&mut self.room) {
            let Some(plain) = meter.plain(now) else {
                self.still = Time::ZERO;
                return;
            };
            (*room, self.still) = (plain.room, self.still.min(plain.until));
            self.shortest = self.shortest.min(nanos(meter.id().window));
        }
        self.is_known = true;
    }

    /// What was held has left `now`.
    #[inline]
    pub(super) fn date(&mut self, cost: &Cost, now: Time) {
        for meter in &mut self.all {
            let n = cost.of(meter.resource());
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
