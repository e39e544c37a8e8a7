//! What a request holds of a quota.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{Allowance, Quota, Rank, Reserved, books::Books};
use crate::{
    clock,
    core::{
        cost::{Cost, Resource},
        settlement::{Departure, Settle},
    },
    departure::Place,
    verdict::{RateStatus, Usage, Verdict},
};

/// A turn that was granted. Gives everything back on drop until the request was handed on; from then on
/// only its place in flight.
pub(crate) struct Grant {
    books: Books,
    cost: Cost,
    // Of a request that has left.
    departure: Departure,
    place: Place,
    // A place in flight that it still takes.
    slot: bool,
    // Boxed: hardly any has one.
    more: Option<Box<More>>,
}

/// What else a request has been charged.
#[derive(Default)]
struct More {
    // By layers further out, on the same quota.
    covered: Cost,
    // At the try before, where this is the charge of a further one.
    before: Option<Departure>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("cost", &self.cost)
            .field("left", &self.has_left())
            .finish_non_exhaustive()
    }
}

impl Grant {
    /// Of a cost that is held there already.
    pub(super) const fn new(books: Books, cost: Cost, slot: bool) -> Self {
        Self {
            books,
            cost,
            departure: Departure::NONE,
            place: Place::Held,
            slot,
            more: None,
        }
    }

    /// The same for a request of which a layer further out, on the same quota, has charged so much.
    #[inline]
    pub(crate) fn covered_by(mut self, charged: Option<Cost>) -> Self {
        if let Some(charged) = charged.filter(|charged| *charged != Cost::none()) {
            self.more().covered = charged;
        }
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// What the request is charged all in all, for layers further in to take over.
    #[inline]
    pub(crate) fn total(&self) -> Cost {
        match &self.more {
            Some(more) => self.cost.plus(&more.covered),
            None => self.cost.clone(),
        }
    }

    pub(crate) const fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What was charged, with the tokens that the provider counted instead of the estimate; those that a layer further
    /// out has charged are its to settle.
    pub(crate) fn used(&self, usage: &Usage) -> Cost {
        let covered = |resource| {
            self.more
                .as_ref()
                .map_or(0, |more| more.covered.of(resource))
        };
        let rest = |used: u64, resource| used.saturating_sub(covered(resource));
        self.cost.with_tokens(
            rest(usage.total_tokens, Resource::Tokens),
            rest(usage.input_tokens, Resource::InputTokens),
            rest(usage.output_tokens, Resource::OutputTokens),
        )
    }

    /// The answer has come to so many tokens.
    pub(crate) fn hear_output(&self, tokens: u64) {
        self.books.outputs().hear(tokens);
    }

    /// What is left of the quota's limits now.
    pub(crate) fn allowance(&self) -> Allowance {
        self.books.look().allowance()
    }

    /// Names the quota among all others.
    pub(crate) fn quota_id(&self) -> usize {
        self.books.id()
    }

    /// Whether the request has left.
    pub(crate) const fn has_left(&self) -> bool {
        matches!(self.place, Place::Left)
    }

    /// Whether it is still ours, or another layer's of ours further in.
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self.place, Place::Held)
    }

    /// Where the request is.
    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// The request is there now. Nothing more told, one that was handed on counts as sent; one that had left and is held again
    /// has never arrived. To be told while the inner service is called or polled, or right after it.
    pub(crate) fn put(&mut self, place: Place) {
        match (place, self.place) {
            (Place::Left, _) => self.depart_now(),
            (Place::Held, Place::Left) => {
                self.books.hold_again(&self.cost, self.departure);
                self.place = Place::Held;
            }
            (Place::HandedOn, Place::Left) => {}
            (place, _) => self.place = place,
        }
    }

    /// Asks for the same charge once more, for a further try of the same request, in front of those who haven't begun;
    /// `reject` refuses instead of waiting. It takes no further place in flight.
    pub(crate) fn ask_again(&self, reject: bool) -> Reserved {
        let books = self.books.clone();
        let quota = Quota { books };
        if reject {
            quota.reserve_or_refuse(self.cost.clone(), true, Rank::DEFAULT)
        } else {
            quota.reserve(self.cost.clone(), true, Rank::DEFAULT)
        }
    }

    /// The request is on its way once more, charged by `next`: what this has charged stays.
    pub(crate) fn follow(&mut self, mut next: Self) {
        self.depart();
        next.slot = std::mem::take(&mut self.slot);
        next.more = std::mem::take(&mut self.more);
        next.more().before = Some(self.departure);
        *self = next;
    }

    /// The request leaves now: from here on its charge has a date. Once; later calls do nothing.
    pub(crate) fn depart(&mut self) {
        if !self.has_left() {
            self.leave(Instant::now());
        }
    }

    /// The same right after the inner service was called or polled, as of what anybody has seen of the clock since.
    #[inline]
    pub(crate) fn depart_now(&mut self) {
        if !self.has_left() {
            self.leave(clock::looked());
        }
    }

    #[inline]
    fn leave(&mut self, now: Instant) {
        self.departure = self.books.date(&self.cost, now);
        self.place = Place::Left;
    }

    /// There is an answer, just now. A further try that is still held never left: the answer is that of the try before, and
    /// what was charged for the further one is given back. False then.
    #[inline]
    pub(crate) fn answered(&mut self) -> bool {
        let before = self.more.as_ref().and_then(|more| more.before);
        match before.filter(|_| self.is_held()) {
            Some(before) => {
                self.stay(before);
                false
            }
            None => {
                self.depart_now();
                true
            }
        }
    }

    /// Nothing was charged but for the try that left then.
    #[cold]
    fn stay(&mut self, before: Departure) {
        self.books.release(&self.cost, false);
        (self.departure, self.place) = (before, Place::Left);
    }

    /// It was answered so. Told once, where a layer further out has charged it as well.
    #[inline]
    pub(crate) fn heard(&self, verdict: &Verdict) {
        let covered = self.more.as_ref().map(|more| &more.covered);
        if covered.is_none_or(|covered| *covered == Cost::none()) {
            self.books.heard(verdict);
        }
    }

    /// The request leaves at the instant of its grant, without another look at the clock.
    pub(crate) fn depart_at_once(&mut self) {
        if !self.has_left() {
            self.departure = self.books.date_at_once(&self.cost);
            self.place = Place::Left;
        }
    }

    /// The answer has arrived: frees the place in flight, keeps the charge.
    pub(crate) fn land(&mut self) {
        if std::mem::take(&mut self.slot) {
            self.books.land();
        }
    }

    /// What was charged turned out to be `used`: more is charged, less is given back by policy. Frees
    /// the place in flight.
    pub(crate) fn settle(mut self, used: &Cost, policy: Settle) {
        self.depart();
        let slot = std::mem::take(&mut self.slot);
        let costs = (&self.cost, used);
        self.books.settle(costs, self.departure.at, policy, slot);
    }

    /// What the answer to this request says is left.
    pub(crate) fn observe(&self, status: &RateStatus) {
        self.books.observe(status, &self.cost, self.departure);
    }

    /// The provider refused for want of `resource` (of something, for `None`): nothing more of it for
    /// as long as it asks to wait, or for a cool-down where it doesn't say.
    pub(crate) fn refused(&self, resource: Option<Resource>, wait: Option<Duration>) {
        let (cost, dated) = (&self.cost, self.departure.at);
        self.books.refused(resource, cost, dated, wait);
    }

    /// The answer has ended without telling what was used: the charge stays.
    pub(crate) fn served(mut self) {
        self.depart();
        let (dated, slot) = (self.departure.at, std::mem::take(&mut self.slot));
        self.books.served(dated, slot);
    }

    /// The request never reached the provider: everything goes back.
    pub(crate) fn refund(mut self) {
        if !self.has_left() {
            self.place = Place::Held;
        } else {
            let slot = std::mem::take(&mut self.slot);
            self.books.refund(&self.cost, self.departure, slot);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.is_held() {
            self.books.release(&self.cost, self.slot);
        } else {
            self.depart();
            self.land();
        }
    }
}
