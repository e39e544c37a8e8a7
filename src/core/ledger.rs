//! Several limits, taken all or none.

mod cool_down;
mod discovery;
mod elsewhere;
mod fit;
mod learn;
mod meters;
mod saved;

use std::time::Duration;

use self::{cool_down::CoolDown, discovery::Discovery, meters::Meters};
pub(crate) use self::{
    elsewhere::{Issue, Step},
    fit::Spare,
    learn::Stated,
    saved::SavedLedger,
};
use super::{
    cost::{Cost, Resource},
    meter::Meter,
    pool::Change,
    settlement::{Departure, Settle, Settlement},
    time::{Time, nanos},
};

/// When a cost fits, and what stands in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Now.
    Now,
    /// At that instant and not a nanosecond earlier, if nothing else is charged until then.
    At { at: Time, blame: Blame },
    /// When a request in flight ends, which nobody knows.
    InFlight,
    /// Never.
    Never { blame: Blame },
}

/// What stands in a cost's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The limit of this index.
    Limit(usize),
    /// The pause of the limit of this index.
    Pause(usize),
    /// The pause of the whole.
    PauseOfAll,
    /// The bound on what one request may take.
    PerRequest,
}

/// The accounts of all limits of a quota, and how much is in flight.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    now: Time,
    meters: Meters,
    paused: Time,
    in_flight: usize,
    // Of those that were in flight, so many were counted elsewhere when they had landed.
    landed: u64,
    max_in_flight: usize,
    peak_in_flight: usize,
    max_per_request: u64,
    // The most that has to stay free beside anybody.
    most_kept: Spare,
    // Watches the first limit on tokens.
    settlement: Option<(usize, Settlement)>,
    cool_down: CoolDown,
    // Set as long as nobody knows the limits.
    discovery: Option<Discovery>,
}

impl Ledger {
    pub(crate) fn new(meters: Vec<Meter>, max_in_flight: usize, max_per_request: u64) -> Self {
        let tokens = |meter: &Meter| meter.is_known() && meter.id().resource == Resource::Tokens;
        let settlement = meters.iter().position(tokens).map(|index| {
            let meter = &meters[index];
            let window = nanos(meter.id().window);
            (
                index,
                Settlement::new(meter.stated(), window, meter.transit()),
            )
        });
        Self {
            settlement,
            now: Time::ZERO,
            meters: Meters::new(meters),
            paused: Time::ZERO,
            in_flight: 0,
            landed: 0,
            max_in_flight,
            peak_in_flight: 0,
            max_per_request,
            most_kept: Spare::NOTHING,
            cool_down: CoolDown::new(Duration::from_secs(15)),
            discovery: None,
        }
    }

    /// The same with so long a pause after a refusal that doesn't say how long to wait.
    pub(crate) fn cool_down(mut self, pause: Duration) -> Self {
        self.cool_down = CoolDown::new(pause);
        self
    }

    /// The same with so much, at the most, kept from some for others.
    pub(crate) const fn keeping(mut self, most: Spare) -> Self {
        self.most_kept = most;
        self
    }

    /// The same of limits that are nobody else's: there is no provider to find anything out about.
    pub(crate) fn own(mut self) -> Self {
        self.settlement = None;
        self
    }

    /// The same with nothing known of the provider's limits: one request in flight teaches them.
    pub(crate) fn discover(mut self) -> Self {
        self.discovery = Some(Discovery::new());
        self
    }

    /// How many may be in flight now.
    pub(crate) fn room_in_flight(&self) -> usize {
        match &self.discovery {
            Some(discovery) => discovery.window().min(self.max_in_flight),
            None => self.max_in_flight,
        }
    }

    /// Moves on to `now` and returns where the ledger stands: its time never runs backward, so that
    /// readings of the clock that overtake each other on the way here do no harm.
    #[inline(always)]
    pub(crate) fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.meters.advance(self.now);
        self.now
    }

    /// Until when the limits stay as they are if nobody changes anything, as far as that is known.
    pub(crate) fn stays(&mut self) -> Time {
        self.meters.stays(self.now)
    }

    pub(crate) fn meters(&self) -> &[Meter] {
        &self.meters
    }

    pub(crate) fn meters_mut(&mut self) -> &mut [Meter] {
        &mut self.meters
    }

    /// Whether nothing is spent, held or paused.
    pub(crate) fn is_idle(&self) -> bool {
        self.meters.iter().all(|meter| meter.is_idle(self.now))
            && self.in_flight == 0
            && self.paused <= self.now
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) const fn peak_in_flight(&self) -> usize {
        self.peak_in_flight
    }

    /// Where it stands.
    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    pub(crate) const fn max_per_request(&self) -> u64 {
        self.max_per_request
    }

    pub(crate) const fn paused(&self) -> Time {
        self.paused
    }

    /// Takes `cost` from every limit, without a date. Whether it fits is the caller's to ask.
    pub(crate) fn hold(&mut self, cost: &Cost, slot: bool) {
        self.meters.hold(cost);
        if slot {
            self.take_place();
        }
    }

    #[inline]
    fn take_place(&mut self) {
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
    }

    /// Gives back what is held.
    pub(crate) fn release(&mut self, cost: &Cost, slot: bool) {
        self.meters.release(cost);
        if slot {
            let _ = self.land();
        }
    }

    /// Gives back what was held for a look at what would be, `peak` being the most that were in flight before.
    pub(crate) fn never_held(&mut self, cost: &Cost, slot: bool, peak: usize) {
        self.release(cost, slot);
        self.peak_in_flight = peak;
    }

    /// What was held has left: dates it, and returns the date.
    #[inline(always)]
    pub(crate) fn date(&mut self, cost: &Cost) -> Departure {
        self.date_at(cost, self.now)
    }

    #[inline(always)]
    fn date_at(&mut self, cost: &Cost, at: Time) -> Departure {
        self.meters.date(cost, at);
        let watch = self.settlement.as_mut();
        Departure {
            mark: watch.map(|(_, settlement)| settlement.departed(cost.of(Resource::Tokens))),
            at,
        }
    }

    /// A place in flight is free again. True where somebody may have waited for it.
    pub(crate) fn land(&mut self) -> bool {
        let full = !self.has_place(self.most_kept);
        self.in_flight = self.in_flight.saturating_sub(1);
        full
    }

    /// Whether a place in flight may be what somebody waits for.
    pub(crate) const fn has_places(&self) -> bool {
        self.max_in_flight < usize::MAX || self.discovery.is_some()
    }

    /// So many places have become free in all, where nobody waits for any, beside those that [landed](Self::land).
    #[inline]
    pub(crate) fn landed(&mut self, in_all: u64) {
        let newly = in_all.saturating_sub(self.landed) as usize;
        self.in_flight = self.in_flight.saturating_sub(newly);
        self.landed = in_all;
    }

    /// Takes back a dated cost that never reached the provider.
    pub(crate) fn refund(&mut self, cost: &Cost, dated: Time) {
        if let Some((_, settlement)) = &mut self.settlement {
            settlement.returned(cost.of(Resource::Tokens));
        }
        for meter in self.meters.iter_mut() {
            meter.refund(cost.of(meter.resource()), dated, self.now);
        }
    }

    /// A dated cost turned out to be another: what it is more is charged now, what it is less is
    /// given back if the policy says so. True where somebody's turn may have come by it.
    pub(crate) fn settle(
        &mut self,
        charged: &Cost,
        used: &Cost,
        dated: Time,
        policy: Settle,
    ) -> bool {
        let down = match policy {
            Settle::Keep => false,
            Settle::TrueUp | Settle::RealTime => true,
            Settle::Auto => self.gives_back(),
        };
        if let Some((_, settlement)) = &mut self.settlement {
            let (charged, used) = (charged.of(Resource::Tokens), used.of(Resource::Tokens));
            if used == 0 {
                // Refused, and so never counted, by a provider that keeps what it counts.
                settlement.returned(charged);
            } else {
                let unused = charged.saturating_sub(used);
                settlement.answered(charged, unused, dated, self.now);
            }
        }
        if policy == Settle::Auto {
            self.spread();
        }
        let mut given_back = used.of(Resource::Tokens) > 0 && self.admitted(dated);
        for index in 0..self.meters.len() {
            let resource = self.meters[index].resource();
            let (charged, used) = (charged.of(resource), used.of(resource));
            if used > charged {
                self.meters[index].charge(used - charged, self.now);
            } else if down && used < charged {
                self.meters[index].give_back(charged - used, dated);
                given_back = true;
            }
        }
        given_back
    }

    /// Spreads requests out as long as that helps to find out whether the provider gives back.
    fn spread(&mut self) {
        if let Some((index, settlement)) = &mut self.settlement {
            let on = settlement.on_trial(self.now);
            if on != self.meters[*index].is_spread() {
                self.meters[*index].spread(on, self.now);
            }
        }
    }

    /// Whether the provider has shown that it gives back what wasn't used.
    pub(crate) fn gives_back(&self) -> bool {
        let settlement = self.settlement.as_ref();
        settlement.is_some_and(|(_, settlement)| settlement.gives_back())
    }

    /// Nothing more of `resource` (of anything, for `None`) until then.
    pub(crate) fn pause(&mut self, resource: Option<Resource>, until: Time) {
        let mut all = true;
        for meter in self.meters.iter_mut() {
            if Some(meter.id().resource) == resource {
                meter.pause(until);
                all = false;
            }
        }
        // A resource that no limit here counts: the provider has a limit that we don't know of.
        if all {
            self.paused = self.paused.max(until);
        }
        self.tell_pause(resource.filter(|_| !all), until);
    }

    /// Whether anything is paused now.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused > self.now || self.meters.iter().any(|meter| meter.paused() > self.now)
    }

    /// Ends every pause.
    pub(crate) fn resume(&mut self) {
        self.paused = Time::ZERO;
        for meter in self.meters.iter_mut() {
            meter.resume();
            meter.tell(Change::Resume);
        }
    }

    /// Others who share a limit with us pause as well.
    fn tell_pause(&mut self, resource: Option<Resource>, until: Time) {
        let span = until.since(self.now).as_micros();
        let pause = Change::Pause(u64::try_from(span).unwrap_or(u64::MAX));
        for meter in self.meters.iter_mut() {
            if resource.is_none_or(|resource| resource == meter.id().resource) {
                meter.tell(pause);
            }
        }
    }
}
