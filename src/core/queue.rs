//! Who is next.
//!
//! First come, first served inside a class, where everybody is of one flow; else each flow goes once before any goes again.
//! Between classes by *rank*, the time of arrival plus its class's penalty, fixed on entry: of the class whose oldest has the
//! least. The head waits for its whole cost; of the next few one goes first only where that leaves the head's instant.
//!
//! A turn is an *offer*: the cost is held for the waiter, who is woken to take it. An offer that
//! isn't taken lapses; its waiter keeps its rank but is passed over until it looks again.

mod flows;
mod order;
mod turn;
mod waiter;

use std::time::Duration;

pub(crate) use self::waiter::{Key, Look, Next, Place, Who};
use self::{
    flows::Flows,
    waiter::{State, Waiter},
};
use super::{
    cost::Cost,
    ledger::{Fit, Ledger, Spare},
    list::{Linked, Links, List},
    time::Time,
};

/// How many classes there are. Class 0 has no penalty, each further one a [`PENALTY`] more.
pub(crate) const CLASSES: usize = 8;
/// How much later than it did a request of the next class counts as having come.
pub(crate) const PENALTY: Duration = Duration::from_secs(15);
/// How long an offer stands.
pub(crate) const LAPSE: Duration = Duration::from_secs(1);
/// How many behind the head may be looked at for one that fits beside it.
const LOOK_AHEAD: usize = 32;
/// The rank of those who have begun: they go before everybody, and before all turns.
const BEGUN: Time = Time::ZERO;
/// The lines of those who wait: of those who have begun, then one for each class.
const LINES: usize = CLASSES + 1;
/// How many places an empty line keeps.
const KEPT_PLACES: usize = 1024;

/// What those who wait ask for of one limit.
#[derive(Clone, Debug, Default)]
struct Asked {
    // By line.
    sums: [u64; LINES],
    // How many ask for anything.
    takers: usize,
}

/// The waiting line of one quota; `W` is whatever wakes a waiter.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    places: Vec<Waiter<W>>,
    free: Vec<u32>,
    // By rank, and so by deadline.
    lines: [List; LINES],
    flows: Flows,
    offered: List,
    // Waiting in a class's line; not those who are offered, parked or expired.
    waiting: usize,
    // Whether the line has changed, near its front, since its last turn.
    changed: bool,
    // What its last turn said.
    next: Next,
    // What the waiting ask for together, by the ledger's limits and by line.
    asked: Vec<Asked>,
    // What has to stay free beside those of a class.
    spares: [Spare; CLASSES],
}

impl<W> Queue<W> {
    pub(crate) fn new(limits: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            lines: [List::EMPTY; LINES],
            flows: Flows::new(),
            offered: List::EMPTY,
            waiting: 0,
            changed: false,
            next: Next::Idle,
            asked: vec![Asked::default(); limits],
            spares: [Spare::NOTHING; CLASSES],
        }
    }

    /// The same with something kept from the classes that are less urgent.
    pub(crate) const fn keeping(mut self, spares: [Spare; CLASSES]) -> Self {
        self.spares = spares;
        self
    }

    /// What has to stay free beside a newcomer here.
    pub(crate) fn spare(&self, place: Place) -> Spare {
        self.spares[usize::from(place.class)]
    }

    /// When a newcomer fits, were it alone.
    pub(crate) fn fit(
        &self,
        ledger: &Ledger,
        cost: &Cost,
        slot: bool,
        place: Option<Place>,
    ) -> Fit {
        let spare = place.map_or(Spare::NOTHING, |place| self.spare(place));
        let rank = place.map_or(BEGUN, |place| rank(place, ledger.now()));
        waiter::fit_by(ledger, cost, slot, spare, rank)
    }

    /// How many wait in line.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many places are taken, by waiters in any state.
    pub(crate) const fn taken(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// What the last turn said of the next; `None` where the line has changed since.
    pub(crate) fn planned(&self) -> Option<Next> {
        (!self.changed).then_some(self.next)
    }

    /// What those who wait in this rank's class and in better ones, and so go before whoever joins it, ask for together of
    /// the ledger's limit of this index. Of those of other flows in its class it is an estimate: as many of each as there
    /// are of its own, by what they ask for on average.
    pub(crate) fn asked(&self, limit: usize, place: Place) -> u64 {
        let line = place.line();
        let sums = &self.asked[limit].sums;
        let better = sums.iter().take(line);
        let better = better.fold(0, |sum: u64, asked| sum.saturating_add(*asked));
        let ahead = self.flows.ahead(place, sums[line]);
        better.saturating_add(ahead)
    }

    /// What all who wait ask for together of the ledger's limit of this index.
    pub(crate) fn asked_by_all(&self, limit: usize) -> u64 {
        let sums = self.asked[limit].sums.iter();
        sums.fold(0, |sum, asked| sum.saturating_add(*asked))
    }

    /// Joins the line; without a place in front of all others, as one that has begun.
    pub(crate) fn push(
        &mut self,
        ledger: &Ledger,
        cost: Cost,
        slot: bool,
        place: Option<Place>,
        now: Time,
        deadline: Time,
    ) -> Key {
        let rank = place.map_or(BEGUN, |place| rank(place, now));
        let place = place.unwrap_or_default();
        let waiter = Waiter {
            cost,
            rank,
            deadline,
            place,
            spare: self.spare(place),
            slot,
            state: State::Waiting,
            waker: None,
            links: Links::default(),
            turn: Links::default(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.places[index as usize] = waiter;
                index
            }
            None => {
                self.places.push(waiter);
                self.places.len() as u32 - 1
            }
        };
        self.enlist(ledger, index);
        Key(index)
    }

    /// Puts a waiter into the line of its class, where its rank belongs.
    fn enlist(&mut self, ledger: &Ledger, index: u32) {
        let waiter = &mut self.places[index as usize];
        waiter.state = State::Waiting;
        let line = waiter.line();
        let class = waiter.place.class;
        let takes_turns = !waiter.has_begun();
        by_rank::<(), W>(&mut self.lines[line], &mut self.places, index);
        if takes_turns {
            self.flows.join(&mut self.places, index);
        }
        self.waiting += 1;
        let first = self.lines[line].head() == Some(index)
            || takes_turns && self.flows.next(class) == Some(index);
        self.changed |= first || self.waiting <= LOOK_AHEAD + 1;
        let waiter = &self.places[index as usize];
        for (asked, meter) in self.asked.iter_mut().zip(ledger.meters()) {
            let n = waiter.cost.of(meter.id().resource);
            asked.takers += usize::from(n > 0);
            asked.sums[line] = asked.sums[line].saturating_add(n);
        }
    }

    /// Takes a waiter out of the line of its class.
    fn unlist(&mut self, ledger: &Ledger, index: u32) {
        let line = self.places[index as usize].line();
        self.lines[line].remove(&mut self.places, index);
        if !self.places[index as usize].has_begun() {
            self.flows.leave(&mut self.places, index);
        }
        self.waiting -= 1;
        let waiter = &self.places[index as usize];
        let empty = self.lines[line].head().is_none();
        for (asked, meter) in self.asked.iter_mut().zip(ledger.meters()) {
            let n = waiter.cost.of(meter.id().resource);
            asked.takers -= usize::from(n > 0);
            let asked = &mut asked.sums[line];
            *asked = asked.saturating_sub(n);
            if empty {
                // Heals a sum that once saturated.
                *asked = 0;
            }
        }
    }

    /// Frees a place. Its waker goes to the caller, to be dropped where no lock is held.
    fn vacate(&mut self, index: u32) -> (Cost, bool, Option<W>) {
        let place = &mut self.places[index as usize];
        place.state = State::Free;
        let left = (
            std::mem::take(&mut place.cost),
            place.slot,
            place.waker.take(),
        );
        self.free.push(index);
        // A line that was long once doesn't keep its memory for ever.
        if self.free.len() == self.places.len() && self.places.capacity() > KEPT_PLACES {
            self.places = Vec::new();
            self.free = Vec::new();
        }
        left
    }

    /// Who is next: of the class whose oldest has the least rank, the one whose flow's turn it is.
    fn head(&self) -> Option<u32> {
        let oldest = self.lines.iter().filter_map(List::head);
        let oldest = oldest.min_by_key(|index| self.places[*index as usize].rank)?;
        let waiter = &self.places[oldest as usize];
        if waiter.has_begun() {
            return Some(oldest);
        }
        self.flows.next(waiter.place.class)
    }

    /// Whether a newcomer may go before everyone who waits: it fits, and either the head's instant stays or what it takes is
    /// kept from the head. If so its cost is held.
    pub(crate) fn pass(&self, ledger: &mut Ledger, cost: &Cost, slot: bool, place: Place) -> bool {
        self.pass_beside(ledger, cost, slot, place, self.spare(place))
    }

    fn pass_beside(
        &self,
        ledger: &mut Ledger,
        cost: &Cost,
        slot: bool,
        place: Place,
        spare: Spare,
    ) -> bool {
        if !ledger.fits(cost, slot, spare) {
            return false;
        }
        let Some(head) = self.head() else {
            ledger.hold(cost, slot);
            return true;
        };
        let head = &self.places[head as usize];
        let now = ledger.now();
        let kept_from_head = place.class < head.place.class
            && spare < head.spare(now)
            && ledger.fits(&head.cost, head.slot, spare);
        let (before, peak) = (head.fit(ledger, now), ledger.peak_in_flight());
        ledger.hold(cost, slot);
        let at = |fit| match fit {
            Fit::At { at, .. } => Some(at),
            _ => None,
        };
        let same = at(before).is_some() && at(before) == at(head.fit(ledger, now));
        let place_left = !head.slot || ledger.in_flight() < ledger.room_in_flight();
        let passes = kept_from_head || same && place_left;
        if !passes {
            ledger.never_held(cost, slot, peak);
        }
        passes
    }

    /// What a waiter finds when it looks. One that let its offer lapse is in line again, at its
    /// old rank.
    pub(crate) fn look(&mut self, ledger: &Ledger, Key(index): Key) -> Look<W> {
        match self.places[index as usize].state {
            State::Waiting | State::Free => Look::NotYet,
            State::Parked => {
                self.enlist(ledger, index);
                Look::Back
            }
            State::Offered { .. } => {
                self.offered.remove(&mut self.places, index);
                let (cost, slot, waker) = self.vacate(index);
                Look::Granted(cost, slot, waker)
            }
            State::Expired { fit } => {
                let (cost, _, waker) = self.vacate(index);
                Look::Expired(cost, fit, waker)
            }
        }
    }

    /// Where a waiter keeps what wakes it.
    pub(crate) fn waker(&mut self, Key(index): Key) -> &mut Option<W> {
        &mut self.places[index as usize].waker
    }

    /// A waiter goes away; what was offered to it is given back. True where the line wants a
    /// [`turn`](Self::turn); and its waker.
    pub(crate) fn leave(&mut self, ledger: &mut Ledger, Key(index): Key) -> (bool, Option<W>) {
        let waiter = &self.places[index as usize];
        let turn = match waiter.state {
            State::Waiting => {
                // Also by the oldest of a class, or by the first of the more urgent, somebody else may be next.
                let first = self.head();
                let next = self.flows.next(waiter.place.class) == Some(index);
                self.unlist(ledger, index);
                next || self.head() != first
            }
            State::Offered { .. } => {
                ledger.release(&waiter.cost, waiter.slot);
                self.offered.remove(&mut self.places, index);
                true
            }
            State::Parked | State::Expired { .. } | State::Free => false,
        };
        let (_, _, waker) = self.vacate(index);
        (turn && self.waiting > 0, waker)
    }

    /// Takes the wakers of everyone in line, at most as many as fit into `woken` without growing
    /// it, beginning after `from`; where to go on.
    pub(crate) fn rouse(&mut self, from: usize, woken: &mut Vec<W>) -> Option<usize> {
        for (index, place) in self.places.iter_mut().enumerate().skip(from) {
            if woken.len() == woken.capacity() {
                return Some(index);
            }
            if place.state == State::Waiting {
                woken.extend(place.waker.take());
            }
        }
        None
    }
}

/// The rank of whoever comes there now.
fn rank(place: Place, now: Time) -> Time {
    let rank = now.after(PENALTY * u32::from(place.class));
    rank.max(BEGUN.after(Duration::from_nanos(1)))
}

/// Puts a waiter into a list that is ordered by rank.
fn by_rank<L, W>(list: &mut List<L>, places: &mut [Waiter<W>], index: u32)
where
    Waiter<W>: Linked<L>,
{
    let rank = places[index as usize].order();
    if list
        .tail()
        .is_none_or(|at| places[at as usize].order() <= rank)
    {
        list.push_back(places, index);
        return;
    }
    // One that let its offer lapse comes back: its place is near the front.
    let mut at = list.head();
    while let Some(other) = at.filter(|at| places[*at as usize].order() <= rank) {
        at = places[other as usize].links().next();
    }
    let before = at.expect("the tail's rank is later");
    list.insert_before(places, before, index);
}
