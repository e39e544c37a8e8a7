//! What a request is charged.

use std::{borrow::Cow, cell::RefCell, thread::LocalKey};

use super::{
    books::Books,
    line::{Amount, Line},
    sync::Arc,
};
use crate::{
    clock::Moment,
    core::{cost::Cost, settlement::Departure},
    departure::Place,
    recycled::{Recycle, Spares},
    verdict::Verdict,
};

thread_local! {
    static SPARES: Spares<Charge> = const { RefCell::new(Vec::new()) };
}

/// What a request is charged: anything, on any books.
#[derive(Default)]
pub(super) struct Charge {
    // None once it is over.
    books: Option<Books>,
    // What was taken from the till; the cost is of no use then.
    counted: Option<Amount>,
    pub(super) cost: Cost,
    // Of a request that has left.
    pub(super) departure: Departure,
    pub(super) place: Place,
    // A place in flight that it still takes.
    pub(super) slot: bool,
    // Boxed: hardly any has one.
    pub(super) more: Option<Box<More>>,
}

impl Recycle for Charge {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARES
    }

    #[inline]
    fn clear(&mut self) {
        (self.books, self.more) = (None, None);
        if self.cost.units().is_some() {
            self.cost = Cost::none();
        }
    }
}

impl Charge {
    /// Of a cost that is held there already.
    #[inline]
    pub(super) fn begin(&mut self, books: Books, cost: Cost, slot: bool) {
        (self.books, self.counted, self.cost) = (Some(books), None, cost);
        (self.departure, self.place, self.slot) = (Departure::NONE, Place::Held, slot);
    }

    /// Of what one request has taken from the till.
    #[inline]
    pub(super) fn begin_counted(&mut self, line: Arc<Line>, amount: Amount) {
        (self.books, self.counted) = (Some(Books::Line(line)), Some(amount));
        (self.departure, self.place, self.slot) = (Departure::NONE, Place::Held, true);
    }

    /// What was taken from the till, as long as nothing but counting is to be done.
    #[inline]
    pub(super) const fn counted(&self) -> Option<Amount> {
        self.counted
    }

    /// What the till has counted is as any other charge from now on.
    pub(super) fn enter(&mut self) {
        if let Some(amount) = self.counted.take() {
            self.cost = amount.cost();
        }
    }

    /// What was charged, as its limits know it.
    pub(super) fn cost(&self) -> Cow<'_, Cost> {
        match self.counted {
            Some(amount) => Cow::Owned(amount.cost()),
            None => Cow::Borrowed(&self.cost),
        }
    }

    #[inline]
    pub(super) fn books(&self) -> &Books {
        self.books.as_ref().expect("kept until it is over")
    }

    #[inline]
    pub(super) fn leave(&mut self, now: Moment) {
        self.departure = match (self.counted, self.books()) {
            (Some(amount), Books::Line(line)) => {
                let departure = line.leave_now(amount, now);
                line.departed(departure.at);
                departure
            }
            (_, books) => books.date(&self.cost, now),
        };
        self.place = Place::Left;
    }

    /// The same at the instant of the grant, without another look at the clock where it has taken one.
    pub(super) fn leave_at_once(&mut self) {
        if self.counted.is_some() {
            return self.leave(Moment::now());
        }
        self.departure = self.books().date_at_once(&self.cost);
        self.place = Place::Left;
    }

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// What had left is held again: it has never arrived.
    #[cold]
    pub(super) fn hold_again(&mut self) {
        self.books().hold_again(&self.cost, self.departure);
        self.place = Place::Held;
    }

    /// When the try before left, where this one hasn't.
    pub(super) fn before(&self) -> Option<Departure> {
        let before = self.more.as_ref().and_then(|more| more.before);
        before.filter(|_| self.place == Place::Held)
    }

    /// Nothing was charged but for the try that left then.
    #[cold]
    pub(super) fn stay(&mut self, before: Departure) {
        self.books().release(&self.cost, false);
        (self.departure, self.place) = (before, Place::Left);
    }

    pub(super) fn heard(&self, verdict: &Verdict) {
        let covered = self.more.as_ref().map(|more| &more.covered);
        if covered.is_none_or(|covered| *covered == Cost::none()) {
            self.books().heard(verdict);
        }
    }
}

/// What else a request has been charged.
#[derive(Default)]
pub(super) struct More {
    // By layers further out, on the same quota.
    pub(super) covered: Cost,
    // At the try before, where this is the charge of a further one.
    pub(super) before: Option<Departure>,
}
