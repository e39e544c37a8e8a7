//! When a cost fits.

use super::{Blame, Fit, Ledger};
use crate::core::{
    cost::{Cost, Resource},
    meter::Meter,
    time::Time,
};

/// A share of every limit that has to stay free beside a cost, in millionths: what is kept for the more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spare(u32);

impl Spare {
    pub(crate) const NOTHING: Self = Self(0);
    const WHOLE: u32 = 1_000_000;

    pub(crate) const fn millionths(share: u32) -> Self {
        Self(if share < Self::WHOLE {
            share
        } else {
            Self::WHOLE
        })
    }

    pub(crate) const fn in_millionths(self) -> u32 {
        self.0
    }

    /// This share of a number, rounded up.
    const fn of(self, whole: u64) -> u64 {
        (whole as u128 * self.0 as u128).div_ceil(Self::WHOLE as u128) as u64
    }

    /// How much has to be free of a meter for `n`: all of it at the most, so that nobody is shut out for ever.
    #[inline]
    pub(crate) fn whole(self, n: u64, meter: &Meter) -> u64 {
        if n == 0 || self == Self::NOTHING || !meter.is_known() {
            return n;
        }
        let largest = meter.largest();
        n.saturating_add(self.of(largest)).min(largest).max(n)
    }

    /// The same of what is here: what a store counts has to stay free over there.
    #[inline]
    fn with(self, n: u64, meter: &Meter) -> u64 {
        if meter.stock().is_some() {
            return n;
        }
        self.whole(n, meter)
    }
}

impl Ledger {
    /// When `cost` fits. Counts from the last [`advance`](Self::advance) and changes nothing.
    /// `slot` says whether it takes a place in flight.
    pub(crate) fn fit(&self, cost: &Cost, slot: bool) -> Fit {
        self.fit_beside(cost, slot, Spare::NOTHING)
    }

    /// When `cost` fits and leaves so much free.
    pub(crate) fn fit_beside(&self, cost: &Cost, slot: bool, spare: Spare) -> Fit {
        let now = self.now;
        if cost.of(Resource::Tokens) > self.max_per_request {
            return Fit::Never {
                blame: Blame::PerRequest,
            };
        }
        let mut open = self.paused <= now;
        for (index, meter) in self.meters.iter().enumerate() {
            let n = cost.of(meter.resource());
            if n > meter.largest() {
                return Fit::Never {
                    blame: Blame::Limit(index),
                };
            }
            open = open && (n == 0 || meter.fits(spare.with(n, meter), now));
        }
        if !open {
            return self.later(cost, spare);
        }
        if slot && !self.has_place(spare) {
            return Fit::InFlight;
        }
        Fit::Now
    }

    /// Takes `cost` where it fits now and, if nothing else is charged, at every later instant.
    #[inline(always)]
    pub(crate) fn take_for_good(&mut self, cost: &Cost, slot: bool, spare: Spare) -> bool {
        if !self.is_open(cost, slot, spare) {
            return false;
        }
        let at_once = spare == Spare::NOTHING && self.meters.take(cost);
        if !at_once && !self.take_after_a_look(cost, spare) {
            return false;
        }
        if slot {
            self.take_place();
        }
        true
    }

    #[inline(never)]
    fn take_after_a_look(&mut self, cost: &Cost, spare: Spare) -> bool {
        if !self.fits_meters(cost, spare, |meter| !meter.closes_again()) {
            return false;
        }
        self.hold(cost, false);
        self.meters.look(self.now);
        true
    }

    /// Whether `cost` fits now: [`fit_beside`](Self::fit_beside) for those who don't ask when.
    pub(crate) fn fits(&self, cost: &Cost, slot: bool, spare: Spare) -> bool {
        self.is_open(cost, slot, spare) && self.fits_meters(cost, spare, |_| true)
    }

    /// Whether anything but a limit stands in the way.
    #[inline(always)]
    fn is_open(&self, cost: &Cost, slot: bool, spare: Spare) -> bool {
        self.paused <= self.now
            && cost.of(Resource::Tokens) <= self.max_per_request
            && (!slot || self.has_place(spare))
    }

    /// Whether no limit does, where the cost takes of none but such limits.
    fn fits_meters(&self, cost: &Cost, spare: Spare, may: impl Fn(&Meter) -> bool) -> bool {
        let now = self.now;
        let fits = |meter: &Meter| match cost.of(meter.resource()) {
            0 => true,
            n => n <= meter.largest() && may(meter) && meter.fits(spare.with(n, meter), now),
        };
        self.meters.iter().all(fits)
    }

    /// Whether a place in flight is free, and as many more as have to stay so; the first one always is had.
    #[inline(always)]
    pub(super) fn has_place(&self, spare: Spare) -> bool {
        if !self.has_places() {
            return true;
        }
        self.has_one_of_its_places(spare)
    }

    fn has_one_of_its_places(&self, spare: Spare) -> bool {
        let room = self.room_in_flight();
        let kept = match spare {
            Spare::NOTHING => 0,
            _ if room == usize::MAX => 0,
            spare => spare.of(room as u64) as usize,
        };
        self.in_flight < room.saturating_sub(kept).max(1)
    }

    // Some accounts close again (a fixed window's last moments), so that the latest of all
    // first instants isn't enough: go round until nobody moves it.
    fn later(&self, cost: &Cost, spare: Spare) -> Fit {
        let mut at = self.now.max(self.paused);
        let mut blame = Blame::PauseOfAll;
        loop {
            let (before, mut again) = (at, false);
            for (index, meter) in self.meters.iter().enumerate() {
                let n = cost.of(meter.resource());
                if n == 0 {
                    continue;
                }
                let from = at;
                at = meter.earliest(spare.whole(n, meter), from, self.now);
                if at > from {
                    blame = if at == meter.paused() {
                        Blame::Pause(index)
                    } else {
                        Blame::Limit(index)
                    };
                }
                again |= meter.closes_again();
            }
            if at == before || !again {
                return Fit::At { at, blame };
            }
        }
    }

    /// When `cost` has its turn, at the earliest, behind what waits already: `ahead` says how much by the index of the
    /// limit. A projection.
    pub(crate) fn project(&self, cost: &Cost, ahead: impl Fn(usize) -> u64) -> Time {
        let mut latest = self.now.max(self.paused);
        for (index, meter) in self.meters.iter().enumerate() {
            let n = cost.of(meter.resource());
            if n > 0 {
                latest = latest.max(meter.project(ahead(index), n, self.now));
            }
        }
        latest
    }
}
