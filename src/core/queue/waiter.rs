//! Who waits, and what they find.

use super::{BEGUN, CLASSES, flows::InTurn};
use crate::core::{
    cost::Cost,
    ledger::{Fit, Ledger, Spare},
    list::{Linked, Links},
    time::Time,
};

/// Where a request joins the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// At most the last one.
    pub(super) class: u8,
    /// Whose turn it takes inside of its class; 0 is everybody's who has none of their own.
    pub(super) flow: u64,
}

impl Place {
    pub(crate) const fn new(class: u8, flow: u64) -> Self {
        let last = CLASSES as u8 - 1;
        Self {
            class: if class < last { class } else { last },
            flow,
        }
    }

    /// The line of its class.
    pub(super) fn line(self) -> usize {
        1 + usize::from(self.class)
    }
}

/// Names a waiter, until it was granted, told that it expired, or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(super) u32);

/// Tells who has a key from who had it before: by when they came, and where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who(pub(super) u32, pub(super) (Time, Time));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In the line of its class.
    Waiting,
    /// Its cost is held for it until then.
    Offered { until: Time },
    /// Let an offer lapse; in no line until it looks again.
    Parked,
    /// Will not get its turn; when it would have fit.
    Expired { fit: Fit },
    /// A free place.
    Free,
}

#[derive(Debug)]
pub(super) struct Waiter<W> {
    pub(super) cost: Cost,
    pub(super) rank: Time,
    pub(super) deadline: Time,
    pub(super) place: Place,
    // What has to stay free beside it until its rank has come.
    pub(super) spare: Spare,
    pub(super) slot: bool,
    pub(super) state: State,
    pub(super) waker: Option<W>,
    // In the line of its class, or among those who are offered.
    pub(super) links: Links,
    // Among those whose turn it takes.
    pub(super) turn: Links,
}

impl<W> Waiter<W> {
    /// Whether it goes before everybody, and before all turns.
    pub(super) fn has_begun(&self) -> bool {
        self.rank == BEGUN
    }

    /// The line that it waits in.
    pub(super) fn line(&self) -> usize {
        if self.has_begun() {
            0
        } else {
            self.place.line()
        }
    }

    /// Where it belongs in its line. Those who have begun have one rank, and stand as they came.
    pub(super) fn order(&self) -> (Time, Time) {
        let came = if self.has_begun() {
            self.deadline
        } else {
            Time::ZERO
        };
        (self.rank, came)
    }

    /// What has to stay free beside it. Once it has waited for what its class counts as having come later, nothing is kept
    /// from it any more.
    pub(super) fn spare(&self, now: Time) -> Spare {
        if now < self.rank {
            self.spare
        } else {
            Spare::NOTHING
        }
    }

    /// When it fits.
    pub(super) fn fit(&self, ledger: &Ledger, now: Time) -> Fit {
        fit_by(ledger, &self.cost, self.slot, self.spare(now), self.rank)
    }
}

/// When a cost fits that leaves so much free until its rank has come.
pub(super) fn fit_by(ledger: &Ledger, cost: &Cost, slot: bool, spare: Spare, rank: Time) -> Fit {
    let beside = ledger.fit_beside(cost, slot, spare);
    let Fit::At { at, blame } = beside else {
        return beside;
    };
    if spare == Spare::NOTHING {
        return beside;
    }
    let once_its_rank_has_come = match ledger.fit(cost, slot) {
        Fit::Now => rank,
        Fit::At { at, .. } => at.max(rank),
        Fit::InFlight | Fit::Never { .. } => at,
    };
    let at = at.min(once_its_rank_has_come);
    Fit::At { at, blame }
}

impl<W> Linked<()> for Waiter<W> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl<W> Linked<InTurn> for Waiter<W> {
    fn links(&mut self) -> &mut Links {
        &mut self.turn
    }
}

/// What a waiter finds when it looks. A waker that it left is handed back, to be dropped where no lock
/// is held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<W> {
    /// Its turn: the cost, and with `true` a place in flight, is held and now the caller's to give back.
    Granted(Cost, bool, Option<W>),
    /// Not yet.
    NotYet,
    /// Back in line after an offer that lapsed: the line wants a [`turn`](Queue::turn).
    Back,
    /// Not within its deadline; the cost, and when it would have fit.
    Expired(Cost, Fit, Option<W>),
}

/// Whether and when the line wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The list of wakers is full: fire them and come again at once.
    Again,
    /// At that instant.
    At(Time),
    /// When something is given back.
    Idle,
}
