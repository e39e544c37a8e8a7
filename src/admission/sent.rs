//! A request that the inner service has.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{door::Manners, further::Further};
use crate::{
    departure::{self, Offer, Place},
    quota::Grant,
};

/// What a request that was handed on holds. The charge gets its date when the inner service's future is first polled, or,
/// where another layer of ours further in holds the request, when that lets go.
pub(super) struct Sent {
    pub(super) grant: Grant,
    manners: Manners,
    // A layer further in, on the same quota, goes by what was charged here.
    taken: bool,
    // Boxed: only what is tried again has one.
    further: Option<Box<Further>>,
}

impl Sent {
    pub(super) fn new(mut grant: Grant, manners: Manners) -> Self {
        if manners.on_arrival {
            // Not as of the last look at the clock: a grant that fits for sure doesn't take one.
            grant.depart();
        } else {
            grant.put(Place::HandedOn);
        }
        Self {
            grant,
            manners,
            taken: false,
            further: None,
        }
    }

    /// Calls the inner service.
    pub(super) fn call<F>(&mut self, call: impl FnOnce() -> F) -> F {
        departure::hand_on();
        self.scope(call).0
    }

    /// Polls the inner service's future, and gets a further charge for whoever in there tries again.
    pub(super) fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let poll = loop {
            if let Some(further) = &mut self.further {
                further.poll(cx);
            }
            let (poll, asked) = self.scope(|| future.as_mut().poll(cx));
            match &mut self.further {
                // It may be there already.
                Some(_) if asked && poll.is_pending() => {}
                Some(further) => {
                    further.wake();
                    break poll;
                }
                None => break poll,
            }
        };
        // Silence of who held it means that nobody asked, and an error says itself whether the request left.
        match &poll {
            Poll::Ready(_) => {}
            Poll::Pending if self.grant.is_held() => {}
            Poll::Pending => self.depart(),
        }
        poll
    }

    /// The request has left: dates its charge and tells whoever is further out. Once.
    pub(super) fn depart(&mut self) {
        if !self.grant.has_left() {
            self.grant.depart();
            departure::leave();
        }
    }

    /// There is an answer to it: it has left, or the try before has.
    pub(super) fn answered(&mut self) {
        if !self.grant.has_left() && self.grant.answered() {
            departure::leave();
        }
    }

    /// What those further in may take instead of charging again, and tell of.
    fn offer(&self) -> Offer {
        let (grant, place) = (&self.grant, self.grant.place());
        let once = self.manners.on_arrival;
        Offer {
            quota: grant.quota_id(),
            charged: (!self.taken && (once || place != Place::Left)).then(|| grant.total()),
            place,
            once,
            further: match &self.further {
                Some(further) => further.offer(|| grant.total()),
                None => departure::Further::Unasked,
            },
            claimed: false,
        }
    }

    /// Runs what is further in and does what it says; also whether a further charge was asked for that wasn't before.
    fn scope<T>(&mut self, inner: impl FnOnce() -> T) -> (T, bool) {
        let offer = self.offer();
        let offered = offer.charged.is_some();
        let (result, offer) = departure::scope(offer, inner);
        if offered || offer.claimed {
            self.taken = offer.charged.is_none();
        }
        if self.manners.on_arrival {
            return (result, false);
        }
        if offer.claimed {
            let further = self.further.take();
            if let Some(next) = further.and_then(|further| further.claim()) {
                self.grant.follow(next);
            }
        }
        if offer.place != self.grant.place() {
            self.grant.put(offer.place);
        }
        let mut asked = false;
        match (offer.further, &mut self.further) {
            (departure::Further::Asked(asker), Some(further)) => further.asked_by(asker),
            (departure::Further::Asked(asker), None) => {
                let turn = self.grant.ask_again(self.manners.reject);
                let further = Further::new(turn, asker, self.manners.scope);
                self.further = Some(Box::new(further));
                asked = true;
            }
            (departure::Further::Told, further) => *further = None,
            _ => {}
        }
        (result, asked)
    }
}
