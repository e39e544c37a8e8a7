//! What answers teach: how much is left, how large the limits are, and when to hold back.

use std::time::Duration;

use super::{Ledger, Meter};
use crate::core::{
    cost::{Cost, Resource},
    limit::{Limit, LimitId},
    settlement::{Departure, Settlement},
    time::{Time, nanos},
};

/// A limit whose window nobody knows is one per minute.
const MINUTE: Duration = Duration::from_secs(60);
/// Windows that are shorter or longer than these aren't learnt: the one would bound nothing, the other never end.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What an answer states of one limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stated {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    /// Of the limit, where it's known.
    pub(crate) window: Option<Duration>,
}

impl Ledger {
    /// The provider refused what left at `dated` for want of `resource` (of something, for `None`). Nothing more of it is
    /// granted for as long as it asks to `wait`; where it doesn't say, for a cool-down.
    pub(crate) fn refused(
        &mut self,
        resource: Option<Resource>,
        cost: &Cost,
        dated: Time,
        wait: Option<Duration>,
    ) {
        for index in 0..self.meters.len() {
            let shortest = self.is_shortest(index);
            let meter = &mut self.meters[index];
            let of = meter.id().resource;
            meter.refused(cost.of(of), dated);
            if resource.is_none_or(|resource| resource == of) && cost.of(of) > 0 && shortest {
                meter.brake(dated, self.now);
            }
        }
        if let (Some((_, settlement)), None | Some(Resource::Tokens)) =
            (&mut self.settlement, resource)
        {
            settlement.refused();
        }
        if let Some(discovery) = &mut self.discovery {
            discovery.refused(dated, self.now);
        }
        let until = match wait {
            Some(wait) => Some(self.now.after(wait)),
            None => self.cool_down.refused(dated, self.now),
        };
        if let Some(until) = until {
            self.pause(resource, until);
        }
    }

    /// Whether no other limit on its resource has a shorter window: nobody refuses bursts for the sake of a longer one, whose
    /// burst would take as long to recover.
    fn is_shortest(&self, index: usize) -> bool {
        let id = self.meters[index].id();
        let known = self.meters.iter().filter(|meter| meter.is_known());
        let windows = known
            .map(Meter::id)
            .filter(|other| other.resource == id.resource);
        windows.map(|other| other.window).min() == Some(id.window)
    }

    /// What left at `dated` was served: what was held back for refusals eases. True where somebody's turn may have come by it.
    pub(crate) fn admitted(&mut self, dated: Time) -> bool {
        self.cool_down.admitted(dated);
        let mut eased = false;
        if self.meters.iter().any(|meter| meter.braked().is_some()) {
            for meter in self.meters.iter_mut() {
                eased |= meter.ease(dated, self.now);
            }
        }
        if let Some(discovery) = &mut self.discovery {
            discovery.admitted();
            eased = true;
        }
        eased
    }

    /// What the provider says of `resource`, as the request of this departure found it. Its own figure for the limit tells a
    /// limit per minute from one per day. True where somebody's turn may have come by it.
    pub(crate) fn observe(
        &mut self,
        resource: Resource,
        stated: Stated,
        departure: Departure,
    ) -> bool {
        let Some(remaining) = stated.remaining else {
            return false;
        };
        let Some(index) = self.meter_of(resource, stated) else {
            return false;
        };
        let meter = &mut self.meters[index];
        // Of a limit of another amount nobody knows what is used of ours.
        if let (Some((watched, settlement)), Some(mark)) = (&mut self.settlement, departure.mark)
            && *watched == index
            && stated.limit.is_none_or(|limit| limit == meter.stated())
        {
            let used = meter.stated().saturating_sub(remaining);
            settlement.hear(mark, used, departure.at);
        }
        meter.observe(remaining, departure.at, self.now)
    }

    /// Takes the provider's figure for a limit as ours; `planned` is what to plan with of it, `cost` what the request of this
    /// departure was charged. True where somebody's turn may have come by it.
    pub(crate) fn adopt(
        &mut self,
        resource: Resource,
        stated: Stated,
        planned: impl Fn(u64) -> u64,
        cost: &Cost,
        departure: Departure,
    ) -> bool {
        let Some(limit) = credible(stated, cost.of(resource)) else {
            return false;
        };
        let index = self.to_adopt(resource, stated.window);
        let Some(index) = index.filter(|index| self.meters[*index].hears(departure.at)) else {
            return false;
        };
        let meter = &self.meters[index];
        if meter.is_known() {
            let id = LimitId {
                amount: planned(limit),
                ..meter.id()
            };
            let found = self.discovery.take().is_some();
            return meter.stated() != limit && self.resize(id, limit) || found;
        }
        let window = stated.window.unwrap_or(MINUTE);
        if !(SHORTEST..=LONGEST).contains(&window) {
            return false;
        }
        let limit = Limit::new(resource, limit, window);
        self.learn(index, &limit, planned(limit.amount));
        self.meters[index].charge(cost.of(resource), departure.at);
        true
    }

    /// What the provider states of a limit bounds what is planned with of it: no more than that, and no more than it was given as.
    /// The limit, where that has changed something, and whether it is the first time.
    pub(crate) fn bound(
        &mut self,
        resource: Resource,
        stated: Stated,
        planned: impl Fn(u64) -> u64,
        cost: &Cost,
        departure: Departure,
    ) -> Option<(LimitId, bool)> {
        let limit = credible(stated, cost.of(resource))?;
        let index = self.to_bound(resource, limit, stated.window)?;
        let meter = &self.meters[index];
        let (given, stated) = (meter.given(), limit.min(meter.given()));
        if meter.stated() == stated || !meter.hears(departure.at) {
            return None;
        }
        let id = LimitId {
            amount: planned(stated),
            ..meter.id()
        };
        self.resize(id, stated);
        Some((id, self.meters[index].bound(given)))
    }

    /// The limit that a figure for `resource` and this window bounds. One that states no window, and isn't what a limit was given
    /// as, is taken for one per minute: of a longer window it would leave next to nothing.
    fn to_bound(&self, resource: Resource, limit: u64, window: Option<Duration>) -> Option<usize> {
        let of = |is: &dyn Fn(&Meter) -> bool| {
            let mut meters = self.meters.iter();
            meters.position(|meter| meter.id().resource == resource && is(meter))
        };
        let lasting = |window| of(&|meter| meter.is_known() && meter.id().window == window);
        match window {
            Some(window) => lasting(window),
            None => of(&|meter| meter.given() == limit).or_else(|| lasting(MINUTE)),
        }
    }

    /// It turned out what the limit of this index is.
    pub(super) fn learn(&mut self, index: usize, limit: &Limit, amount: u64) {
        let meter = &mut self.meters[index];
        meter.learn(limit, amount, self.now);
        if limit.resource == Resource::Tokens {
            let settlement = Settlement::new(limit.amount, nanos(limit.window), meter.transit());
            self.settlement.get_or_insert((index, settlement));
        }
        self.discovery = None;
    }

    /// The limit that a figure for `resource` and this window is about.
    fn to_adopt(&self, resource: Resource, window: Option<Duration>) -> Option<usize> {
        let mut of = (self.meters.iter().enumerate()).filter(|(_, m)| m.id().resource == resource);
        let (first, more) = (of.next()?.0, of.next().is_some());
        if window.is_none() && !more {
            // What states no window is about the only limit there is.
            return Some(first);
        }
        let window = window.unwrap_or(MINUTE);
        let same =
            |m: &Meter| m.id().resource == resource && (!m.is_known() || m.id().window == window);
        self.meters.iter().position(same)
    }

    /// The limit that an answer that states this is about.
    pub(crate) fn limit_of(&self, resource: Resource, stated: Stated) -> Option<LimitId> {
        let index = self.meter_of(resource, stated)?;
        Some(self.meters[index].id())
    }

    /// The limit on `resource` of that amount, or else of that window; without either, the only one on `resource`.
    fn meter_of(&self, resource: Resource, stated: Stated) -> Option<usize> {
        let of = |index: &usize| self.meters[*index].id().resource == resource;
        let all = || (0..self.meters.len()).filter(of);
        let amount = |index: &usize| Some(self.meters[*index].stated()) == stated.limit;
        let window = |index: &usize| Some(self.meters[*index].id().window) == stated.window;
        let only = || {
            let mut all = all();
            all.next().filter(|_| all.next().is_none())
        };
        // A figure for another window says nothing of the only limit that we know.
        let only = || only().filter(|index| stated.window.is_none() || window(index));
        (all().find(amount))
            .or_else(|| all().find(window))
            .or_else(only)
    }

    /// Another amount for the limit on this resource and window; false where there is none such.
    pub(crate) fn resize(&mut self, id: LimitId, stated: u64) -> bool {
        let same =
            |meter: &Meter| meter.id().resource == id.resource && meter.id().window == id.window;
        let Some(index) = self.meters.iter().position(same) else {
            return false;
        };
        if !self.meters[index].is_known() {
            let limit = Limit::new(id.resource, stated, id.window);
            self.learn(index, &limit, id.amount);
            return true;
        }
        self.meters[index].resize(stated, id.amount, self.now);
        if let Some((watched, settlement)) = &mut self.settlement
            && *watched == index
        {
            settlement.resize(stated);
        }
        true
    }
}

/// The stated limit. One of nothing is one that a plan doesn't have, and one that this very request exceeded, of which it was
/// charged `cost`, can't be what it says.
fn credible(stated: Stated, cost: u64) -> Option<u64> {
    stated.limit.filter(|limit| *limit > 0 && *limit >= cost)
}
