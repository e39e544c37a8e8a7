//! What goes by the till, and by the lock where it has to.

use std::ops::{Deref, DerefMut};

use super::{
    super::sync::MutexGuard,
    Line, State, spare,
    till::{Amount, Till},
};
use crate::{
    clock::Moment,
    core::{cost::Cost, queue::Place, settlement::Departure, time::Time},
};

/// The line's lock, with all entered that was counted without it.
pub(in crate::quota) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    till: &'a Till,
}

impl Deref for Locked<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        let State {
            ledger, counted, ..
        } = &mut *self.state;
        self.till.keep_up(counted, ledger);
    }
}

/// How something was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) enum Taken {
    /// Requests and tokens are all that is counted, so that the till may go on with it.
    Counted,
    Entered,
}

impl Line {
    /// The lock, with all entered that was counted without it.
    #[inline(always)]
    pub(in crate::quota) fn lock(&self) -> Locked<'_> {
        let mut state = self.lock_to_ask();
        state.last.forget();
        state
    }

    /// The same for somebody who may be told the last refusal again. That was told with nothing held, and the till has been shut
    /// since: nobody has changed anything without the lock.
    #[inline(always)]
    pub(in crate::quota) fn lock_to_ask(&self) -> Locked<'_> {
        let mut state = self.state.lock();
        let State {
            ledger, counted, ..
        } = &mut *state;
        self.till.close(counted, ledger);
        Locked {
            state,
            till: &self.till,
        }
    }

    /// Takes what fitted at the last look at the clock, and will from there on, which needs no other; `None` where that can't be
    /// said, and [`ask`](Self::ask) is to be asked. Nobody is delayed by it.
    #[inline]
    pub(in crate::quota) fn take(
        &self,
        cost: &Cost,
        slot: bool,
        place: Option<Place>,
    ) -> Option<Taken> {
        let mut state = self.lock();
        let spare = spare(&state.queue, place);
        let fits = state.queue.taken() == 0 && state.ledger.take_for_good(cost, slot, spare);
        fits.then(|| self.open(&mut state))
    }

    /// Something was taken, or has left: from here on the till may be open.
    #[inline]
    pub(super) fn open(&self, state: &mut State) -> Taken {
        let may = self.has_till && state.queue.taken() == 0;
        match may && self.till.open(&mut state.counted, &mut state.ledger) {
            true => Taken::Counted,
            false => Taken::Entered,
        }
    }

    /// Takes what one request takes of limits on requests and tokens, from the till: where that is open.
    #[inline]
    pub(in crate::quota) fn take_from_till(&self, amount: Amount) -> bool {
        self.till.take(amount)
    }

    /// What was taken from the till leaves now.
    #[inline]
    pub(in crate::quota) fn leave_now(&self, amount: Amount, now: Moment) -> Departure {
        let now = now.on(self.origin);
        match self.till.leave(amount, now) {
            Some(departure) => departure,
            None => self.leave_by_lock(amount, now),
        }
    }

    /// The same of the first in a step.
    #[inline(never)]
    fn leave_by_lock(&self, amount: Amount, now: Time) -> Departure {
        let mut state = self.lock();
        let State {
            ledger, counted, ..
        } = &mut *state;
        ledger.advance(now);
        let departure = self.till.step(counted, ledger, amount);
        self.open(&mut state);
        departure
    }

    /// A place in flight is free again; whoever's turn has come by it is told.
    pub(in crate::quota) fn land(&self) {
        if !self.has_places {
            self.till.land();
            return;
        }
        let mut state = self.lock();
        let turn = state.ledger.land() && state.queue.waiting() > 0;
        drop(state);
        if turn {
            self.turn();
        }
    }
}
