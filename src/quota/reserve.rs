//! How a turn in line begins.

use std::borrow::Borrow;

use super::{
    Rank, Reserved,
    acquire::Waiting,
    books::Books,
    grant::Grant,
    line::{Asked, Line},
    sync::Arc,
};
use crate::core::cost::Cost;

/// Takes `cost` now, or a place in line for it; `begun`: a layer further out, on the same quota, has charged part of what the
/// request needs.
#[inline(never)]
pub(super) fn reserve_or_queue(line: &Arc<Line>, cost: Cost, begun: bool, rank: Rank) -> Reserved {
    let place = (!begun).then(|| rank.place());
    match line.ask(&cost, !begun, place) {
        Asked::Granted => Reserved::Granted(granted(line, cost, begun, rank)),
        Asked::Queued(key, standing) => {
            let standing = standing.of(rank.priority.class());
            line.in_demand();
            Reserved::Queued(Waiting::new(Arc::clone(line), key, standing))
        }
        Asked::Refused(refusal) => {
            line.refused(refusal.borrow());
            Reserved::Refused(refusal)
        }
    }
}

/// The grant of a cost that the line holds.
#[inline]
pub(super) fn granted(line: &Arc<Line>, cost: Cost, begun: bool, rank: Rank) -> Grant {
    let grant = Grant::new(Books::Line(Arc::clone(line)), cost, !begun);
    if line.is_watched() {
        tell(line, &grant, rank);
    }
    grant
}

// Apart, so that a grant that nobody is told of stays where it is made.
#[inline(never)]
fn tell(line: &Line, grant: &Grant, rank: Rank) {
    line.granted(grant.cost(), rank.priority.class());
}
