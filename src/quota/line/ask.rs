//! Asking without waiting.

use super::{super::refusal::rejected, Line, State, Taken, spare};
use crate::{
    core::{cost::Cost, ledger::Fit, queue::Place},
    error::{Reason, Rejected},
};

impl Line {
    /// Asks without waiting: nobody who waits is delayed by it. `None` instead of a place is for a request that has begun:
    /// one that has been granted part of what it needs. Whoever waits may wait for just that part.
    pub(in crate::quota) fn ask_now<E: From<Rejected>>(
        &self,
        cost: &Cost,
        slot: bool,
        place: Option<Place>,
    ) -> Result<Taken, E> {
        let now = self.now();
        let mut state = self.lock_to_ask();
        let State {
            ledger,
            queue,
            last,
            ..
        } = &mut *state;
        let now = ledger.advance(now);
        let spare = spare(queue, place);
        if let Some(refusal) = last.again(cost, spare, now) {
            return Err(refusal);
        }
        last.forget();
        queue.take_back(ledger, now);
        let fit = ledger.fit_beside(cost, slot, spare);
        match place {
            _ if fit != Fit::Now => {}
            Some(place) if queue.waiting() > 0 => {
                if queue.pass(ledger, cost, slot, place) {
                    return Ok(Taken::Entered);
                }
            }
            _ => {
                ledger.hold(cost, slot);
                return Ok(self.open(&mut state));
            }
        }
        let projected = || ledger.project(cost, |limit| queue.asked_by_all(limit));
        let at = (queue.waiting() > 0).then(projected);
        // That it fits now, were it not for those who wait, says nothing of when.
        let at = at.filter(|at| *at > now);
        let told: Rejected = rejected(ledger, cost, fit, at, Reason::LimitReached, now);
        if queue.taken() == 0 {
            last.keep(ledger, (cost, spare), fit, &told);
        }
        Err(told.into())
    }
}
