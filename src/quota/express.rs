//! What a request holds of a quota that it has taken without the lock.

use super::{
    books::Books,
    charge::Charge,
    grant::Grant,
    holding::Holding,
    line::{Amount, Line},
    priority::Rank,
    sync::Arc,
};
use crate::{
    clock::Moment,
    core::{cost::Cost, settlement::Departure, time::Time},
    departure::Place,
};

/// What one request has taken from the till of a line. Small, and in no box.
pub(super) struct Express {
    line: Arc<Line>,
    amount: Amount,
    departure: Departure,
    place: Place,
    slot: bool,
}

impl Express {
    /// Of what was taken of the line.
    #[inline(always)]
    pub(super) fn grant(line: &Arc<Line>, amount: Amount, rank: Rank) -> Grant {
        if line.is_watched() {
            line.granted(&amount.cost(), rank.priority.class());
        }
        Grant::express(Self {
            line: Arc::clone(line),
            amount,
            departure: Departure::NONE,
            place: Place::Held,
            slot: true,
        })
    }

    #[inline]
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Names the quota among all others.
    #[inline]
    pub(super) fn quota_id(&self) -> usize {
        self.line.id
    }

    /// What was charged, as limits on requests and tokens know it.
    #[inline]
    pub(super) fn cost(&self) -> Cost {
        self.amount.cost()
    }

    #[inline]
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// The request is there now, and hasn't left.
    #[inline]
    pub(super) const fn put(&mut self, place: Place) {
        self.place = place;
    }

    #[inline]
    pub(super) fn leave(&mut self, now: Moment) {
        self.departure = self.line.leave_now(self.amount, now);
        self.line.departed(self.departure.at);
        self.place = Place::Left;
    }

    #[inline]
    pub(super) fn land(&mut self) {
        if std::mem::take(&mut self.slot) {
            self.line.land();
        }
    }

    /// What is left of it once it has left and there is an answer.
    #[inline]
    pub(super) fn into_holding(self) -> Holding {
        Holding::express(self.line, self.amount, self.departure.at, self.slot)
    }

    /// The other way round.
    pub(super) const fn held(line: Arc<Line>, amount: Amount, at: Time, slot: bool) -> Self {
        Self {
            line,
            amount,
            departure: Departure { at, mark: None },
            place: Place::Left,
            slot,
        }
    }

    /// As any other charge.
    pub(super) fn into_charge(self, charge: &mut Charge) {
        let cost = self.amount.cost();
        charge.begin(Books::Line(self.line), cost, self.slot);
        (charge.departure, charge.place) = (self.departure, self.place);
    }
}
