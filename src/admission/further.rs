//! A charge for a further try, which a layer further in has asked for.

use std::task::{Context, Poll, Waker};

use crate::{
    core::cost::Cost,
    departure,
    error::{Rejected, Scope},
    quota::{Grant, Reserved, Waiting},
};

/// A further charge, from the moment that it was asked for until it is claimed.
pub(super) struct Further {
    turn: Turn,
    // Those who have asked: woken when it is there, because nobody in between may look for it otherwise.
    askers: Vec<Waker>,
    scope: Scope,
}

enum Turn {
    // In the quota's line.
    Queued(Waiting),
    // Held for whoever claims it.
    Granted(Grant),
    Refused(Rejected),
}

impl Further {
    pub(super) fn new(reserved: Reserved, askers: Vec<Waker>, scope: Scope) -> Self {
        Self {
            turn: match reserved {
                Reserved::Granted(grant) => Turn::Granted(grant),
                Reserved::Queued(waiting) => Turn::Queued(waiting),
                Reserved::Refused(refusal) => Turn::Refused(refusal.into()),
            },
            askers,
            scope,
        }
    }

    /// Looks whether its turn has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Turn::Queued(waiting) = &mut self.turn
            && let Poll::Ready(turn) = waiting.poll_turn(cx)
        {
            self.turn = match turn {
                Ok(grant) => Turn::Granted(grant),
                Err(rejected) => Turn::Refused(rejected),
            };
        }
    }

    pub(super) fn asked_by(&mut self, askers: Vec<Waker>) {
        for asker in askers {
            departure::join(&mut self.askers, asker);
        }
    }

    /// Wakes all who have asked, once it is there and wasn't looked for.
    pub(super) fn wake(&mut self) {
        if !matches!(self.turn, Turn::Queued(_)) {
            self.askers.drain(..).for_each(Waker::wake);
        }
    }

    /// Whoever has this waker has claimed it, or was told that it can't be had. All others who have asked are woken, to ask again.
    pub(super) fn told(self, asker: Option<&Waker>) -> Option<Grant> {
        let others = self.askers.into_iter();
        let others = others.filter(|other| asker.is_none_or(|asker| !other.will_wake(asker)));
        others.for_each(Waker::wake);
        match self.turn {
            Turn::Granted(grant) => Some(grant),
            Turn::Queued(_) | Turn::Refused(_) => None,
        }
    }

    /// What those further in find: `total` is what the request is charged all in all.
    pub(super) fn offer(&self, total: impl FnOnce() -> Cost) -> Option<departure::Further> {
        match &self.turn {
            Turn::Queued(_) => None,
            Turn::Granted(_) => Some(departure::Further::Granted(total())),
            Turn::Refused(rejected) => {
                let rejected = rejected.clone().scope(self.scope);
                Some(departure::Further::Refused(rejected))
            }
        }
    }
}
