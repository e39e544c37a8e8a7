//! What a request holds of a quota.

use std::{borrow::Cow, fmt, time::Duration};

use super::{
    Allowance, Quota, Rank, Reserved,
    books::Books,
    charge::Charge,
    line::{Amount, Line},
    sync::Arc,
};
use crate::{
    clock::{self, Moment},
    core::{
        cost::{Cost, Resource},
        settlement::Settle,
    },
    departure::{self, Charged, Place},
    recycled::Recycled,
    verdict::{RateStatus, Usage, Verdict},
};

/// A turn that was granted. Gives everything back on drop until the request was handed on; from then on
/// only its place in flight.
pub(crate) struct Grant {
    charge: Recycled<Charge>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("cost", &*self.cost())
            .field("left", &self.has_left())
            .finish_non_exhaustive()
    }
}

impl Grant {
    /// Of a cost that is held there already.
    #[inline]
    pub(super) fn new(books: Books, cost: Cost, slot: bool) -> Self {
        let mut charge = Recycled::<Charge>::blank();
        charge.begin(books, cost, slot);
        Self { charge }
    }

    /// Of what one request has taken from the till.
    #[inline]
    pub(super) fn counted(line: Arc<Line>, amount: Amount) -> Self {
        let mut charge = Recycled::<Charge>::blank();
        charge.begin_counted(line, amount);
        Self { charge }
    }

    /// As any other charge, from now on.
    fn charge(&mut self) -> &mut Charge {
        self.charge.enter();
        &mut self.charge
    }

    /// The same for a request of which a layer further out, on the same quota, has charged so much.
    pub(crate) fn covered_by(&mut self, charged: Option<Cost>) {
        if let Some(charged) = charged.filter(|charged| *charged != Cost::none()) {
            self.charge().more().covered = charged;
        }
    }

    /// Does something with what the request is charged all in all, for layers further in to take over.
    #[inline(always)]
    pub(crate) fn with_total<T>(&self, act: impl FnOnce(Charged<'_>) -> T) -> T {
        match (self.charge.counted(), &self.charge.more) {
            (Some(amount), _) => act(Charged::Tokens(amount.tokens())),
            (None, None) => act(Charged::Cost(&self.charge.cost)),
            (None, Some(more)) => act(Charged::Cost(&self.charge.cost.plus(&more.covered))),
        }
    }

    /// What was charged, as its limits know it.
    pub(crate) fn cost(&self) -> Cow<'_, Cost> {
        self.charge.cost()
    }

    /// What was charged, with the tokens that the provider counted instead of the estimate; those that a layer further
    /// out has charged are its to settle.
    pub(crate) fn used(&self, usage: &Usage) -> Cost {
        let more = self.charge.more.as_ref();
        let covered = |resource| more.map_or(0, |more| more.covered.of(resource));
        let rest = |used: u64, resource| used.saturating_sub(covered(resource));
        self.cost().with_tokens(
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

    /// Where the request is.
    #[inline]
    pub(crate) fn place(&self) -> Place {
        self.charge.place
    }

    #[cfg(test)]
    pub(super) fn departure(&self) -> crate::core::settlement::Departure {
        self.charge.departure
    }

    /// Whether the request has left.
    #[inline]
    pub(crate) fn has_left(&self) -> bool {
        matches!(self.place(), Place::Left)
    }

    /// Whether it is still ours, or another layer's of ours further in.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.place(), Place::Held)
    }

    /// The request is there now. Nothing more told, one that was handed on counts as sent; one that had left and is held again
    /// has never arrived. To be told while the inner service is called or polled, or right after it.
    #[inline(always)]
    pub(crate) fn put(&mut self, place: Place) {
        match (place, self.place()) {
            (Place::Left, _) => self.depart_now(),
            (Place::Held, Place::Left) => self.charge().hold_again(),
            (Place::HandedOn, Place::Left) => {}
            (place, _) => self.charge.place = place,
        }
    }

    /// Asks for the same charge once more, for a further try of the same request, in front of those who haven't begun;
    /// `reject` refuses instead of waiting. It takes no further place in flight.
    pub(crate) fn ask_again(&mut self, reject: bool) -> Reserved {
        let charge = self.charge();
        let books = charge.books().clone();
        let quota = Quota { books };
        if reject {
            quota.reserve_or_refuse(&charge.cost, true, Rank::DEFAULT)
        } else {
            quota.reserve(&charge.cost, true, Rank::DEFAULT)
        }
    }

    /// The request is on its way once more, charged by `next`: what this has charged stays.
    pub(crate) fn follow(&mut self, mut next: Self) {
        self.depart();
        let (before, after) = (self.charge(), next.charge());
        after.slot = std::mem::take(&mut before.slot);
        after.more = std::mem::take(&mut before.more);
        after.more().before = Some(before.departure);
        *self = next;
    }

    #[inline(always)]
    fn leave(&mut self, now: impl FnOnce() -> Moment) {
        if !self.has_left() {
            self.charge.leave(now());
        }
    }

    /// The request leaves now: from here on its charge has a date. Once; later calls do nothing.
    #[inline]
    pub(crate) fn depart(&mut self) {
        self.leave(Moment::now);
    }

    /// The same right after the inner service was called or polled, as of what anybody has seen of the clock since.
    #[inline]
    pub(crate) fn depart_now(&mut self) {
        self.leave(clock::looked);
    }

    /// There is an answer, just now. A further try that is still held never left: the answer is that of the try before, and
    /// what was charged for the further one is given back. False then.
    #[inline(always)]
    pub(crate) fn answered(&mut self) -> bool {
        if let Some(before) = self.charge.before() {
            self.charge.stay(before);
            return false;
        }
        self.depart_now();
        true
    }

    /// It was answered so. Told once, where a layer further out has charged it as well.
    #[inline]
    pub(crate) fn heard(&self, verdict: &Verdict) {
        self.charge.heard(verdict);
    }

    /// The request leaves at the instant of its grant.
    pub(crate) fn depart_at_once(&mut self) {
        if !self.has_left() {
            self.charge.leave_at_once();
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
        let charge = self.charge();
        let slot = std::mem::take(&mut charge.slot);
        let costs = (&charge.cost, used);
        (charge.books()).settle(costs, charge.departure.at, policy, slot);
    }

    /// What the answer to this request says is left.
    pub(crate) fn observe(&mut self, status: &RateStatus) {
        let charge = self.charge();
        (charge.books()).observe(status, &charge.cost, charge.departure);
    }

    /// The provider refused for want of `resource` (of something, for `None`): nothing more of it for
    /// as long as it asks to wait, or for a cool-down where it doesn't say.
    pub(crate) fn refused(&mut self, resource: Option<Resource>, wait: Option<Duration>) {
        let charge = self.charge();
        let (cost, dated) = (&charge.cost, charge.departure.at);
        charge.books().refused(resource, cost, dated, wait);
    }

    /// The answer has ended without telling what was used: the charge stays.
    pub(crate) fn served(mut self) {
        self.depart();
        let charge = self.charge();
        let slot = std::mem::take(&mut charge.slot);
        charge.books().served(charge.departure.at, slot);
    }

    /// The request never reached the provider: everything goes back.
    pub(crate) fn refund(mut self) {
        let charge = self.charge();
        if let Some(more) = &charge.more {
            departure::give_back(charge.books().id(), &more.covered);
        }
        if charge.place != Place::Left {
            charge.place = Place::Held;
        } else {
            let slot = std::mem::take(&mut charge.slot);
            (charge.books()).refund(&charge.cost, charge.departure, slot);
        }
    }

    // Goes back to where it was taken.
    #[cold]
    fn release(&mut self) {
        let charge = self.charge();
        charge.books().release(&charge.cost, charge.slot);
    }
}

impl Drop for Grant {
    #[inline]
    fn drop(&mut self) {
        if self.is_held() {
            self.release();
        } else {
            self.depart();
            self.land();
        }
    }
}
