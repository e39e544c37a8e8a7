//! What a request is charged, where that is more than the till knows.

use std::{cell::RefCell, thread::LocalKey};

use super::books::Books;
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
        (self.books, self.cost, self.more) = (None, Cost::none(), None);
    }
}

impl Charge {
    /// Of a cost that is held there already.
    #[inline]
    pub(super) fn begin(&mut self, books: Books, cost: Cost, slot: bool) {
        (self.books, self.cost) = (Some(books), cost);
        (self.departure, self.place, self.slot) = (Departure::NONE, Place::Held, slot);
    }

    #[inline]
    pub(super) fn books(&self) -> &Books {
        self.books.as_ref().expect("kept until it is over")
    }

    #[inline]
    pub(super) fn leave(&mut self, now: Moment) {
        self.departure = self.books().date(&self.cost, now);
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
