//! How a turn in line begins.

use std::borrow::Borrow;

use super::{
    Quota, Rank, Reserved,
    acquire::Waiting,
    books::Books,
    grant::Grant,
    line::{Amount, Asked, Line, Taken},
    sync::Arc,
};
use crate::{core::cost::Cost, error::Rejected};

impl Quota {
    /// Takes `cost` now, or says when to come back. `begun`: a layer further out, on this quota, has charged part of
    /// what the request needs, its place in flight included.
    #[inline]
    pub(crate) fn reserve_now(
        &self,
        cost: &Cost,
        begun: bool,
        rank: Rank,
    ) -> Result<Grant, Rejected> {
        self.try_reserve(cost, begun, rank)
    }

    /// The same as what becomes of the request.
    #[inline]
    pub(crate) fn reserve_or_refuse(&self, cost: &Cost, begun: bool, rank: Rank) -> Reserved {
        match self.try_reserve(cost, begun, rank) {
            Ok(grant) => Reserved::Granted(grant),
            Err(refusal) => Reserved::Refused(refusal),
        }
    }

    /// The refusal is made as what it leaves as: it is too large to be moved about.
    #[inline]
    pub(super) fn try_reserve<E>(&self, cost: &Cost, begun: bool, rank: Rank) -> Result<Grant, E>
    where
        E: From<Rejected> + Borrow<Rejected>,
    {
        let line = match &self.books {
            Books::Line(line) => line,
            Books::Key(key) => return key.try_reserve(cost, begun, rank),
        };
        let amount = amount(cost, begun);
        if let Some(amount) = amount
            && line.take_from_till(amount)
        {
            return Ok(counted(line, amount, rank));
        }
        match line.ask_now::<E>(cost, !begun, (!begun).then(|| rank.place())) {
            Ok(taken) => Ok(granted(line, cost, begun, rank, taken)),
            Err(refusal) => {
                line.wished(cost, refusal.borrow());
                line.refused(refusal.borrow());
                Err(refusal)
            }
        }
    }

    /// Takes `cost` now, or a place in line for it; `begun` as above.
    #[inline(always)]
    pub(crate) fn reserve(&self, cost: &Cost, begun: bool, rank: Rank) -> Reserved {
        let line = match &self.books {
            Books::Line(line) => line,
            Books::Key(key) => return key.reserve(cost, begun, rank),
        };
        if let Some(amount) = amount(cost, begun)
            && line.take_from_till(amount)
        {
            return Reserved::Granted(counted(line, amount, rank));
        }
        take_or_queue(line, cost, begun, rank)
    }
}

/// What it takes from the till; `None` where it has to be by the lock.
#[inline(always)]
fn amount(cost: &Cost, begun: bool) -> Option<Amount> {
    match begun {
        false => Amount::of(cost),
        // It has no place in flight of its own.
        true => None,
    }
}

#[inline(never)]
fn take_or_queue(line: &Arc<Line>, cost: &Cost, begun: bool, rank: Rank) -> Reserved {
    let place = (!begun).then(|| rank.place());
    if let Some(taken) = line.take(cost, !begun, place) {
        return Reserved::Granted(granted(line, cost, begun, rank, taken));
    }
    match line.ask(cost, !begun, place) {
        Asked::Granted => Reserved::Granted(granted(line, cost, begun, rank, Taken::Entered)),
        Asked::Queued(key, standing) => {
            let standing = standing.of(rank.class);
            line.in_demand();
            Reserved::Queued(Waiting::new(Arc::clone(line), key, standing))
        }
        Asked::Refused(refusal) => {
            line.refused(refusal.borrow());
            Reserved::Refused(refusal)
        }
    }
}

/// The grant of what was taken from the till.
#[inline]
fn counted(line: &Arc<Line>, amount: Amount, rank: Rank) -> Grant {
    if line.is_watched() {
        line.granted(&amount.cost(), rank.class);
    }
    Grant::counted(Arc::clone(line), amount)
}

/// The grant of a cost that the line holds.
fn granted(line: &Arc<Line>, cost: &Cost, begun: bool, rank: Rank, taken: Taken) -> Grant {
    if let (Taken::Counted, Some(amount)) = (taken, amount(cost, begun)) {
        return counted(line, amount, rank);
    }
    if line.is_watched() {
        line.granted(cost, rank.class);
    }
    Grant::new(Books::Line(Arc::clone(line)), cost.clone(), !begun)
}
