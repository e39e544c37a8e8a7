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
        let offered = self.offers() || offer.is_claimed();
        self.taken = offer.is_taken() && (self.taken || offered);
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
        let told = match &further {
            Some(departure::Further::Told(asker)) => Some(asker),
            _ => None,
        };
        if offer.is_claimed() || told.is_some() {
            let further = self.further.take();
            let claimed = further.and_then(|further| further.told(told));
            if let Some(next) = claimed {
                self.grant.follow(next);
            }
        }
        if offer.place() != self.grant.place() {
            self.grant.put(offer.place());
        }
        match (further, &mut self.further) {
            (Some(departure::Further::Asked(askers)), Some(further)) => further.asked_by(askers),
            (Some(departure::Further::Asked(askers)), None) => {
                let turn = self.grant.ask_again(self.manners.rejects());
                let further = Further::new(turn, askers, self.manners.scope());
                self.further = Some(Box::new(further));
                return true;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::{Wake, Waker},
        time::Duration,
    };

    use super::*;
    use crate::{
        core::{cost::Cost, limit::Limit},
        quota::{Quota, Rank},
    };

    /// How often it was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// Polls it; whether it is to be polled again at once.
    fn poll(sent: &mut Sent, inner: impl FnOnce()) -> bool {
        let scope = sent.polling(&mut Context::from_waker(Waker::noop()));
        inner();
        sent.polled(scope, Told::Pending)
    }

    fn is_woken(askers: &[Arc<Woken>]) -> Vec<usize> {
        askers.iter().map(|asker| asker.0.load(SeqCst)).collect()
    }

    fn ask(asker: &Arc<Woken>) -> Poll<bool> {
        let waker = Waker::from(Arc::clone(asker));
        departure::again(&mut Context::from_waker(&waker), None).map(|told| told.is_ok())
    }

    /// A request that has left, of a limit of one a minute, and three who ask for a further charge: not polled together, but each
    /// when it is woken.
    fn three(manners: Manners) -> (Sent, [Arc<Woken>; 3]) {
        let limit = Limit::requests(1, MINUTE).transit(Duration::ZERO);
        let quota = Quota::new(limit).expect("valid");
        let grant = quota.reserve_now(&Cost::request(), false, Rank::DEFAULT);
        let mut sent = Sent::new(grant.expect("room"), manners);
        let scope = sent.calling();
        sent.called(scope);
        assert!(!poll(&mut sent, || ()), "it has left");
        let askers = [(); 3].map(|()| Arc::default());
        let [first, second, third] = &askers;
        let two = || assert!(ask(first).is_pending() && ask(second).is_pending());
        assert!(poll(&mut sent, two));
        if !manners.rejects() {
            assert!(!poll(&mut sent, || assert!(ask(third).is_pending())));
        }
        (sent, askers)
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_have_asked_for_a_further_charge_are_woken_once_it_is_there() {
        let (mut sent, askers) = three(Manners::DEFAULT);
        assert!(!poll(&mut sent, || ()));
        assert_eq!(is_woken(&askers), [0, 0, 0]);
        tokio::time::advance(2 * MINUTE).await;
        assert!(!poll(&mut sent, || ()));
        assert_eq!(is_woken(&askers), [1, 1, 1]);
        poll(&mut sent, || assert!(ask(&askers[2]).is_ready()));
        assert!(sent.grant.is_held(), "for the next departure");
        assert_eq!(is_woken(&askers), [1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_for_what_another_has_claimed_or_was_refused_is_woken_to_ask_again() {
        let (mut sent, askers) = three(Manners::DEFAULT);
        tokio::time::advance(2 * MINUTE).await;
        poll(&mut sent, || assert_eq!(ask(&askers[1]), Poll::Ready(true)));
        assert_eq!(is_woken(&askers), [1, 0, 1]);
        let (mut sent, askers) = three(Manners::DEFAULT.reject());
        poll(&mut sent, || {
            assert_eq!(ask(&askers[0]), Poll::Ready(false));
        });
        assert_eq!(is_woken(&askers), [0, 1, 0]);
        assert!(poll(&mut sent, || assert!(ask(&askers[1]).is_pending())));
        poll(&mut sent, || {
            assert_eq!(ask(&askers[1]), Poll::Ready(false));
        });
        assert_eq!(is_woken(&askers), [0, 1, 0]);
    }
}
