//! What a request holds of a quota.

use std::{cell::RefCell, fmt, thread::LocalKey, time::Duration};

use super::{Allowance, Quota, Rank, Reserved, books::Books};
use crate::{
    clock::{self, Moment},
    core::{
        cost::{Cost, Resource},
        settlement::{Departure, Settle},
    },
    departure::Place,
    recycled::{Recycle, Recycled, Spares},
    verdict::{RateStatus, Usage, Verdict},
};

/// A turn that was granted. Gives everything back on drop until the request was handed on; from then on
/// only its place in flight.
pub(crate) struct Grant {
    charge: Recycled<Charge>,
}

thread_local! {
    static SPARES: Spares<Charge> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Charge {
    // None once it is over.
    books: Option<Books>,
    cost: Cost,
    // Of a request that has left.
    departure: Departure,
    place: Place,
    // A place in flight that it still takes.
    slot: bool,
    // Boxed: hardly any has one.
    more: Option<Box<More>>,
}

impl Recycle for Charge {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARES
    }

    #[inline]
    fn clear(&mut self) {
        (self.books, self.cost, self.more) = (None, Cost::none(), None);
    }
}

impl Charge {
    #[inline]
    fn books(&self) -> &Books {
        self.books.as_ref().expect("kept until it is over")
    }

    #[inline]
    fn leave(&mut self, now: Moment) {
        self.departure = self.books().date(&self.cost, now);
        self.place = Place::Left;
    }
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
            .field("cost", self.cost())
            .field("left", &self.has_left())
            .finish_non_exhaustive()
    }
}

impl Grant {
    /// Of a cost that is held there already.
    pub(super) fn new(books: Books, cost: Cost, slot: bool) -> Self {
        let mut charge = Recycled::<Charge>::blank();
        charge.books = Some(books);
        charge.cost = cost;
        charge.departure = Departure::NONE;
        (charge.place, charge.slot) = (Place::Held, slot);
        Self { charge }
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
        self.charge.more.get_or_insert_default()
    }

    /// Does something with what the request is charged all in all, for layers further in to take over.
    #[inline]
    pub(crate) fn with_total<T>(&self, act: impl FnOnce(&Cost) -> T) -> T {
        match &self.charge.more {
            None => act(&self.charge.cost),
            Some(more) => act(&self.charge.cost.plus(&more.covered)),
        }
    }

    pub(crate) fn cost(&self) -> &Cost {
        &self.charge.cost
    }

    /// What was charged, with the tokens that the provider counted instead of the estimate; those that a layer further
    /// out has charged are its to settle.
    pub(crate) fn used(&self, usage: &Usage) -> Cost {
        let covered = |resource| {
            self.charge
                .more
                .as_ref()
                .map_or(0, |more| more.covered.of(resource))
        };
        let rest = |used: u64, resource| used.saturating_sub(covered(resource));
        self.charge.cost.with_tokens(
            rest(usage.total_tokens, Resource::Tokens),
            rest(usage.input_tokens, Resource::InputTokens),
            rest(usage.output_tokens, Resource::OutputTokens),
        )
    }

    /// The answer has come to so many tokens.
    pub(crate) fn hear_output(&self, tokens: u64) {
        self.charge.books().outputs().hear(tokens);
    }

    /// What is left of the quota's limits now.
    pub(crate) fn allowance(&self) -> Allowance {
        self.charge.books().look().allowance()
    }

    /// Names the quota among all others.
    #[inline]
    pub(crate) fn quota_id(&self) -> usize {
        self.charge.books().id()
    }

    /// Whether the request has left.
    #[inline]
    pub(crate) fn has_left(&self) -> bool {
        matches!(self.charge.place, Place::Left)
    }

    /// Whether it is still ours, or another layer's of ours further in.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.charge.place, Place::Held)
    }

    /// Where the request is.
    #[inline]
    pub(crate) fn place(&self) -> Place {
        self.charge.place
    }

    /// The request is there now. Nothing more told, one that was handed on counts as sent; one that had left and is held again
    /// has never arrived. To be told while the inner service is called or polled, or right after it.
    #[inline]
    pub(crate) fn put(&mut self, place: Place) {
        match (place, self.charge.place) {
            (Place::Left, _) => self.depart_now(),
            (Place::Held, Place::Left) => {
                self.charge
                    .books()
                    .hold_again(&self.charge.cost, self.charge.departure);
                self.charge.place = Place::Held;
            }
            (Place::HandedOn, Place::Left) => {}
            (place, _) => self.charge.place = place,
        }
    }

    /// Asks for the same charge once more, for a further try of the same request, in front of those who haven't begun;
    /// `reject` refuses instead of waiting. It takes no further place in flight.
    pub(crate) fn ask_again(&self, reject: bool) -> Reserved {
        let books = self.charge.books().clone();
        let quota = Quota { books };
        if reject {
            quota.reserve_or_refuse(self.charge.cost.clone(), true, Rank::DEFAULT)
        } else {
            quota.reserve(self.charge.cost.clone(), true, Rank::DEFAULT)
        }
    }

    /// The request is on its way once more, charged by `next`: what this has charged stays.
    pub(crate) fn follow(&mut self, mut next: Self) {
        self.depart();
        next.charge.slot = std::mem::take(&mut self.charge.slot);
        next.charge.more = std::mem::take(&mut self.charge.more);
        next.more().before = Some(self.charge.departure);
        *self = next;
    }

    /// The request leaves now: from here on its charge has a date. Once; later calls do nothing.
    #[inline]
    pub(crate) fn depart(&mut self) {
        if !self.has_left() {
            self.charge.leave(Moment::now());
        }
    }

    /// The same right after the inner service was called or polled, as of what anybody has seen of the clock since.
    #[inline]
    pub(crate) fn depart_now(&mut self) {
        if !self.has_left() {
            self.charge.leave(clock::looked());
        }
    }

    /// There is an answer, just now. A further try that is still held never left: the answer is that of the try before, and
    /// what was charged for the further one is given back. False then.
    #[inline]
    pub(crate) fn answered(&mut self) -> bool {
        let before = self.charge.more.as_ref().and_then(|more| more.before);
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
        self.charge.books().release(&self.charge.cost, false);
        (self.charge.departure, self.charge.place) = (before, Place::Left);
    }

    /// It was answered so. Told once, where a layer further out has charged it as well.
    #[inline]
    pub(crate) fn heard(&self, verdict: &Verdict) {
        let covered = self.charge.more.as_ref().map(|more| &more.covered);
        if covered.is_none_or(|covered| *covered == Cost::none()) {
            self.charge.books().heard(verdict);
        }
    }

    /// The request leaves at the instant of its grant, without another look at the clock.
    pub(crate) fn depart_at_once(&mut self) {
        if !self.has_left() {
            self.charge.departure = self.charge.books().date_at_once(&self.charge.cost);
            self.charge.place = Place::Left;
        }
    }

    /// The answer has arrived: frees the place in flight, keeps the charge.
    #[inline]
    pub(crate) fn land(&mut self) {
        if std::mem::take(&mut self.charge.slot) {
            self.charge.books().land();
        }
    }

    /// What was charged turned out to be `used`: more is charged, less is given back by policy. Frees
    /// the place in flight.
    pub(crate) fn settle(mut self, used: &Cost, policy: Settle) {
        self.depart();
        let slot = std::mem::take(&mut self.charge.slot);
        let costs = (&self.charge.cost, used);
        self.charge
            .books()
            .settle(costs, self.charge.departure.at, policy, slot);
    }

    /// What the answer to this request says is left.
    pub(crate) fn observe(&self, status: &RateStatus) {
        self.charge
            .books()
            .observe(status, &self.charge.cost, self.charge.departure);
    }

    /// The provider refused for want of `resource` (of something, for `None`): nothing more of it for
    /// as long as it asks to wait, or for a cool-down where it doesn't say.
    pub(crate) fn refused(&self, resource: Option<Resource>, wait: Option<Duration>) {
        let (cost, dated) = (&self.charge.cost, self.charge.departure.at);
        self.charge.books().refused(resource, cost, dated, wait);
    }

    /// The answer has ended without telling what was used: the charge stays.
    pub(crate) fn served(mut self) {
        self.depart();
        let (dated, slot) = (
            self.charge.departure.at,
            std::mem::take(&mut self.charge.slot),
        );
        self.charge.books().served(dated, slot);
    }

    /// The request never reached the provider: everything goes back.
    pub(crate) fn refund(mut self) {
        if !self.has_left() {
            self.charge.place = Place::Held;
        } else {
            let slot = std::mem::take(&mut self.charge.slot);
            self.charge
                .books()
                .refund(&self.charge.cost, self.charge.departure, slot);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.is_held() {
            self.charge
                .books()
                .release(&self.charge.cost, self.charge.slot);
        } else {
            self.depart();
            self.land();
        }
    }
}
