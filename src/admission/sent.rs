//! A request that the inner service has.

use std::task::{Context, Poll};

use super::{door::Manners, further::Further};
use crate::{
    clock,
    departure::{self, Offer, Place, Scope},
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

/// What the inner service's future has told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Pending,
    Answered,
    Failed,
}

impl Told {
    #[inline]
    pub(super) const fn by<T, E>(poll: &Poll<Result<T, E>>) -> Self {
        match poll {
            Poll::Pending => Self::Pending,
            Poll::Ready(Ok(_)) => Self::Answered,
            Poll::Ready(Err(_)) => Self::Failed,
        }
    }
}

impl Sent {
    #[inline]
    pub(super) fn new(mut grant: Grant, manners: Manners) -> Self {
        if manners.is_on_arrival() {
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

    /// The inner service is called as long as the scope lasts.
    pub(super) fn calling(&self) -> Scope {
        let (quota, offer) = (self.grant.quota_id(), self.offered());
        (self.grant).with_total(|charged| departure::hand_on_with(quota, offer, charged))
    }

    /// It was called.
    pub(super) fn called(&mut self, scope: Scope) {
        if let Some(told) = scope.end() {
            self.hear(told);
        }
    }

    /// It has told this while it was called, which may be long ago.
    #[inline]
    pub(super) fn hear_late(&mut self, told: Offer) {
        if told.is_touched() {
            clock::forget();
            self.hear(told);
        }
    }

    /// The inner service's future is polled as long as the scope lasts; there is a further charge for whoever in there tries again.
    #[inline]
    pub(super) fn polling(&mut self, cx: &mut Context<'_>) -> Scope {
        match self.further {
            None => self.offer(),
            Some(_) => self.offer_further(cx),
        }
    }

    fn offer(&self) -> Scope {
        let (quota, offer) = (self.grant.quota_id(), self.offered());
        (self.grant).with_total(|charged| departure::offer(quota, offer, charged))
    }

    /// The same for one that is tried again.
    #[cold]
    fn offer_further(&mut self, cx: &mut Context<'_>) -> Scope {
        let offered = self.further.as_mut().and_then(|further| {
            further.poll(cx);
            further.offer(|| self.grant.with_total(|charged| charged.to_cost()))
        });
        let scope = self.offer();
        match offered {
            None => scope,
            Some(further) => scope.with_further(further),
        }
    }

    /// It was polled; whether it is to be polled again at once.
    pub(super) fn polled(&mut self, scope: Scope, told: Told) -> bool {
        let asked = scope.end().is_some_and(|heard| self.hear(heard));
        if asked && told == Told::Pending {
            return true;
        }
        if let Some(further) = &mut self.further {
            further.wake();
        }
        match told {
            // Silence of who held it means that nobody asked.
            Told::Pending if self.grant.is_held() => {}
            Told::Pending => self.depart(),
            Told::Answered => self.answered(),
            // It says itself whether the request left.
            Told::Failed => {}
        }
        false
    }

    /// The request has left, just now: dates its charge and tells whoever is further out. Once.
    #[inline]
    pub(super) fn depart(&mut self) {
        if !self.grant.has_left() {
            self.grant.depart_now();
            departure::leave();
        }
    }

    /// There is an answer to it: it has left, or the try before has.
    #[inline]
    fn answered(&mut self) {
        if !self.grant.has_left() && self.grant.answered() {
            departure::leave();
        }
    }

    /// What those further in may take instead of charging again, and tell of.
    #[inline]
    fn offered(&self) -> Offer {
        let once = self.manners.is_on_arrival();
        Offer::new(self.grant.place(), !self.offers(), once)
    }

    /// Whether there is anything of the charge to be taken over.
    #[inline]
    fn offers(&self) -> bool {
        !self.taken && (self.manners.is_on_arrival() || !self.grant.has_left())
    }

    /// Does what those further in have said; also whether a further charge was asked for that wasn't before.
    #[inline(never)]
    fn hear(&mut self, offer: Offer) -> bool {
        if self.offers() || offer.is_claimed() {
            self.taken = offer.is_taken();
        }
        if offer.is_asked() || offer.is_claimed() || self.further.is_some() {
            let further = departure::asked();
            return !self.manners.is_on_arrival() && self.hear_of_further(offer, further);
        }
        if !self.manners.is_on_arrival() && offer.place() != self.grant.place() {
            self.grant.put(offer.place());
        }
        false
    }

    #[cold]
    fn hear_of_further(&mut self, offer: Offer, further: Option<departure::Further>) -> bool {
        if offer.is_claimed() {
            let further = self.further.take();
            if let Some(next) = further.and_then(|further| further.claim()) {
                self.grant.follow(next);
            }
        }
        if offer.place() != self.grant.place() {
            self.grant.put(offer.place());
        }
        match (further, &mut self.further) {
            (Some(departure::Further::Asked(asker)), Some(further)) => further.asked_by(asker),
            (Some(departure::Further::Asked(asker)), None) => {
                let turn = self.grant.ask_again(self.manners.rejects());
                let further = Further::new(turn, asker, self.manners.scope());
                self.further = Some(Box::new(further));
                return true;
            }
            (Some(departure::Further::Told), further) => *further = None,
            _ => {}
        }
        false
    }
}
