//! What a request holds of a quota.

use std::{fmt, time::Duration};

use super::{Quota, Rank, Reserved, line::Line, sync::Arc};
use crate::{
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
    line: Arc<Line>,
    cost: Cost,
    // What layers further out, on the same quota, have charged for the same request.
    covered: Cost,
    // A place in flight that it still takes.
    slot: bool,
    stage: Stage,
    // Of the try before, where this is the charge of a further one.
    before: Option<Departure>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// It is ours, or another layer of ours further in holds it.
    Held,
    /// The inner service has it, and nobody knows yet what came of it.
    HandedOn,
    /// It has left.
    Left(Departure),
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
    /// Of a cost that the line's ledger holds already.
    pub(super) const fn new(line: Arc<Line>, cost: Cost, slot: bool) -> Self {
        Self {
            line,
            cost,
            covered: Cost::none(),
            slot,
            stage: Stage::Held,
            before: None,
        }
    }

    /// The same for a request of which a layer further out, on the same quota, has charged so much.
    pub(crate) fn covered(mut self, charged: Cost) -> Self {
        self.covered = charged;
        self
    }

    /// What the request is charged all in all, for layers further in to take over.
    pub(crate) fn total(&self) -> Cost {
        self.cost.plus(&self.covered)
    }

    pub(crate) const fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What was charged, with the tokens that the provider counted instead of the estimate; those that a layer further
    /// out has charged are its to settle.
    pub(crate) fn used(&self, usage: &Usage) -> Cost {
        let rest = |used: u64, resource| used.saturating_sub(self.covered.of(resource));
        self.cost.with_tokens(
            rest(usage.total_tokens, Resource::Tokens),
            rest(usage.input_tokens, Resource::InputTokens),
            rest(usage.output_tokens, Resource::OutputTokens),
        )
    }

    /// The answer has come to so many tokens.
    pub(crate) fn hear_output(&self, tokens: u64) {
        self.line.outputs.hear(tokens);
    }

    /// Names the quota among all others.
    pub(crate) fn quota_id(&self) -> usize {
        Arc::as_ptr(&self.line) as usize
    }

    /// Whether the request has left.
    pub(crate) const fn has_left(&self) -> bool {
        matches!(self.stage, Stage::Left(_))
    }

    /// Whether it is still ours, or another layer's of ours further in.
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held)
    }

    /// Where the request is.
    pub(crate) const fn place(&self) -> Place {
        match self.stage {
            Stage::Held => Place::Held,
            Stage::HandedOn => Place::HandedOn,
            Stage::Left(_) => Place::Left,
        }
    }

    /// The request is there now. Nothing more told, one that was handed on counts as sent; one that had left and is held again
    /// has never arrived.
    pub(crate) fn put(&mut self, place: Place) {
        match (place, self.stage) {
            (Place::Left, _) => self.depart(),
            (Place::Held, Stage::Left(departure)) => {
                let cost = &self.cost;
                self.line.change(|ledger| {
                    ledger.refund(cost, departure.at);
                    ledger.hold(cost, false);
                    true
                });
                self.stage = Stage::Held;
            }
            (Place::Held, _) => self.stage = Stage::Held,
            (Place::HandedOn, Stage::Left(_)) => {}
            (Place::HandedOn, _) => self.stage = Stage::HandedOn,
        }
    }

    /// Asks for the same charge once more, for a further try of the same request, in front of those who haven't begun;
    /// `reject` refuses instead of waiting. It takes no further place in flight.
    pub(crate) fn ask_again(&self, reject: bool) -> Reserved {
        let line = Arc::clone(&self.line);
        let quota = Quota { line };
        if reject {
            quota.reserve_or_refuse(&self.cost, true, Rank::DEFAULT)
        } else {
            quota.reserve(&self.cost, true, Rank::DEFAULT)
        }
    }

    /// The request is on its way once more, charged by `next`: what this has charged stays.
    pub(crate) fn follow(&mut self, mut next: Self) {
        self.depart();
        next.slot = std::mem::take(&mut self.slot);
        next.covered = std::mem::take(&mut self.covered);
        next.before = Some(self.departure());
        *self = next;
    }

    /// The request leaves now: from here on its charge has a date. Once; later calls do nothing.
    pub(crate) fn depart(&mut self) {
        if !self.has_left() {
            let cost = &self.cost;
            let departure = self.line.with(|ledger| ledger.date(cost));
            self.stage = Stage::Left(departure);
            self.line.departed(departure.at);
        }
    }

    /// There is an answer. A further try that is still held never left: the answer is that of the try before, and what was
    /// charged for the further one is given back. False then.
    pub(crate) fn answered(&mut self) -> bool {
        let Some(before) = self.before.filter(|_| self.is_held()) else {
            self.depart();
            return true;
        };
        let cost = &self.cost;
        self.line.change(|ledger| {
            ledger.release(cost, false);
            true
        });
        self.stage = Stage::Left(before);
        false
    }

    /// It was answered so. Told once, where a layer further out has charged it as well.
    pub(crate) fn heard(&self, verdict: &Verdict) {
        if self.covered == Cost::none() {
            self.line.heard(verdict);
        }
    }

    fn departure(&self) -> Departure {
        match self.stage {
            Stage::Left(departure) => departure,
            Stage::Held | Stage::HandedOn => Departure::default(),
        }
    }

    /// The request leaves at the instant of its grant, without another look at the clock.
    pub(crate) fn depart_at_once(&mut self) {
        if !self.has_left() {
            let departure = self.line.date_at_once(&self.cost);
            self.stage = Stage::Left(departure);
            self.line.departed(departure.at);
        }
    }

    /// The answer has arrived: frees the place in flight, keeps the charge.
    pub(crate) fn land(&mut self) {
        if std::mem::take(&mut self.slot) {
            self.line.land();
        }
    }

    /// What was charged turned out to be `used`: more is charged, less is given back by policy. Frees
    /// the place in flight.
    pub(crate) fn settle(mut self, used: &Cost, policy: Settle) {
        self.depart();
        let (cost, departure) = (&self.cost, self.departure());
        let slot = std::mem::take(&mut self.slot);
        self.line.change(|ledger| {
            let given_back = ledger.settle(cost, used, departure.at, policy);
            (slot && ledger.land()) || given_back
        });
        self.line.settled(used);
        self.line.look_at_use(&Cost::none());
    }

    /// What the answer to this request says is left.
    pub(crate) fn observe(&self, status: &RateStatus) {
        self.line.observe(status, &self.cost, self.departure());
    }

    /// The provider refused for want of `resource` (of something, for `None`): nothing more of it for
    /// as long as it asks to wait, or for a cool-down where it doesn't say.
    pub(crate) fn refused(&self, resource: Option<Resource>, wait: Option<Duration>) {
        let (cost, dated) = (&self.cost, self.departure().at);
        self.line.change(|ledger| {
            ledger.refused(resource, cost, dated, wait);
            true
        });
    }

    /// The answer has ended without telling what was used: the charge stays.
    pub(crate) fn served(mut self) {
        self.depart();
        let (dated, slot) = (self.departure().at, std::mem::take(&mut self.slot));
        self.line.change(|ledger| {
            let eased = ledger.admitted(dated);
            slot && ledger.land() || eased
        });
    }

    /// The request never reached the provider: everything goes back.
    pub(crate) fn refund(mut self) {
        if !self.has_left() {
            self.stage = Stage::Held;
        }
        if let Stage::Left(departure) = self.stage {
            let (cost, slot) = (&self.cost, std::mem::take(&mut self.slot));
            self.line.change(|ledger| {
                ledger.refund(cost, departure.at);
                if slot {
                    ledger.land();
                }
                true
            });
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.is_held() {
            let (cost, slot) = (&self.cost, self.slot);
            self.line.change(|ledger| {
                ledger.release(cost, slot);
                true
            });
        } else {
            self.depart();
            self.land();
        }
    }
}
