//! The departure scope: whether one of our layers further in still holds a request, or has sent it.
//!
//! A charge stands for one departure. A layer that waits for its own turn says so, in a thread-local, during `call` or
//! `poll`, and so does one that lets a request go; the layers around it listen. So an outer charge stays held while an
//! inner layer waits, and no layer knows another. Silence means nothing: whatever stands in between needn't look at what
//! is inside of it every time it is polled.
//!
//! Who lets a request go *again*, after the outer charges were used up by an earlier try, asks first ([`again`]): each
//! layer further out takes a further charge, in its own line, before the try leaves.
//!
//! The other way round, the layer around offers what it has charged: one further in, on the same quota, takes the offer
//! instead of charging again, and needs no place in flight of its own.
//!
//! Layers that only wrap futures are transparent to it. A buffer or a spawned task in between isn't: the charge is then
//! dated when the buffer takes the request, and what the task tries again is not asked for.

use std::{
    cell::RefCell,
    mem,
    task::{Context, Poll, Waker},
};

use crate::{clock, core::cost::Cost, error::Rejected};

thread_local! {
    // Of the layers around whoever runs now, the outermost first.
    static OFFERS: RefCell<Vec<Offer>> = const { RefCell::new(Vec::new()) };
}

/// Where a request is, as far as the layer that has charged it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of our layers holds it.
    Held,
    /// With whatever is further in; nobody has told yet what became of it.
    HandedOn,
    /// It has left: the charge is used up.
    Left,
}

/// What a layer has charged for a request, for those further in to take and to tell of.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The quota.
    pub(crate) quota: usize,
    /// What was charged.
    pub(crate) charged: Cost,
    /// Nothing of it is there to be taken over: it was, by somebody further in on the same quota, or is used up.
    pub(crate) taken: bool,
    /// Where the request is.
    pub(crate) place: Place,
    /// It stands for whatever becomes of the request: for every further try as well.
    pub(crate) once: bool,
    /// It was there for a further try, and somebody has claimed it: it stands for the next departure.
    pub(crate) claimed: bool,
    /// A charge for a further try; `None` where nobody has asked. Boxed: hardly anybody does.
    pub(crate) further: Option<Box<Further>>,
}

/// A charge for a further try, which those further in ask for.
#[derive(Debug)]
pub(crate) enum Further {
    /// Whoever waits for it, to be woken once it is there.
    Asked(Waker),
    /// It is there: so much.
    Granted(Cost),
    /// It can't be had.
    Refused(Rejected),
    /// Whoever asked has been told so.
    Told,
}

/// What is further in is called or polled as long as this lasts, and finds the offer.
#[must_use = "the offer is taken back when it is dropped"]
pub(crate) struct Scope(());

/// Makes an offer to whatever is called or polled from here on.
#[inline]
pub(crate) fn offer(offer: Offer) -> Scope {
    clock::forget();
    OFFERS.with_borrow_mut(|offers| offers.push(offer));
    Scope(())
}

impl Scope {
    /// What became of the offer.
    #[inline]
    pub(crate) fn end(self) -> Offer {
        mem::forget(self);
        let offer = OFFERS.with_borrow_mut(Vec::pop);
        offer.expect("offered when it began")
    }
}

/// Takes the offer back while unwinding.
impl Drop for Scope {
    fn drop(&mut self) {
        drop(OFFERS.with_borrow_mut(Vec::pop));
    }
}

/// Tells everybody further out where the request is; who knows that it has left keeps to that.
#[inline]
fn tell(place: Place) {
    OFFERS.with_borrow_mut(|offers| {
        for offer in offers.iter_mut().filter(|o| o.place != Place::Left) {
            offer.place = place;
        }
    });
}

/// The request is held: by whoever says this, who is about to answer `Pending`.
pub(crate) fn hold() {
    tell(Place::Held);
}

/// The request is handed on, by whoever held it.
#[inline]
pub(crate) fn hand_on() {
    clock::forget();
    tell(Place::HandedOn);
}

/// The request has left.
pub(crate) fn leave() {
    tell(Place::Left);
}

/// A try is over, of somebody who may make another. `sent`: it may have left, if nobody further in has kept it.
pub(crate) fn over(sent: bool) {
    OFFERS.with_borrow_mut(|offers| {
        for offer in offers {
            match offer.place {
                Place::HandedOn if sent => offer.place = Place::Left,
                _ if !sent => offer.place = Place::Held,
                _ => {}
            }
        }
    });
}

/// What a request finds where it asks for its turn.
pub(crate) enum Found {
    /// The charge of somebody further out is used up: they are to be asked [`again`] first.
    UsedUp,
    /// What a layer further out, on the same quota, has charged already: the rest is to be charged. `None` where there is
    /// no such layer.
    Charged(Option<Cost>),
}

/// Looks at what those further out offer to a request on this quota, and takes it.
#[inline]
pub(crate) fn arrive(quota: usize) -> Found {
    OFFERS.with_borrow_mut(|offers| {
        if offers.is_empty() {
            return Found::Charged(None);
        }
        // Of those on the same quota only what is taken over counts.
        if offers.iter().any(|offer| offer.is_used_up(Some(quota))) {
            return Found::UsedUp;
        }
        Found::Charged(take(offers, quota))
    })
}

/// Asks everybody further out whose charge is used up for another, the outermost first; those on the quota `own` aren't
/// asked. Ready once all of them are there; the request is held then, by whoever asked. Waits as it would in their lines.
///
/// # Errors
///
/// The refusal of one who can't: the request may not leave.
pub(crate) fn again(cx: &mut Context<'_>, own: Option<usize>) -> Poll<Result<(), Rejected>> {
    let used_up = |offer: &Offer| offer.is_used_up(own);
    if !OFFERS.with_borrow(|offers| offers.iter().any(used_up)) {
        return Poll::Ready(Ok(()));
    }
    // Cloned, and dropped, where nothing is borrowed: a waker is anybody's code.
    let waker = cx.waker().clone();
    let (answer, old) = OFFERS.with_borrow_mut(|offers| {
        for offer in offers.iter_mut().filter(|offer| used_up(offer)) {
            match offer.further.take().map(|further| *further) {
                Some(Further::Granted(cost)) => {
                    offer.further = Some(Box::new(Further::Granted(cost)));
                }
                Some(Further::Refused(rejected)) => {
                    offer.further = Some(Box::new(Further::Told));
                    return (Poll::Ready(Err(rejected)), None);
                }
                old => {
                    offer.further = Some(Box::new(Further::Asked(waker)));
                    return (Poll::Pending, old);
                }
            }
        }
        for offer in offers.iter_mut().filter(|offer| used_up(offer)) {
            if let Some(Further::Granted(cost)) = offer.further.take().map(|further| *further) {
                (offer.charged, offer.taken) = (cost, false);
                (offer.place, offer.claimed) = (Place::Held, true);
            }
        }
        (Poll::Ready(Ok(())), None)
    });
    drop(old);
    answer
}

/// What a layer further out, on the same quota, has charged already.
pub(crate) fn take_offer(quota: usize) -> Option<Cost> {
    OFFERS.with_borrow_mut(|offers| take(offers, quota))
}

fn take(offers: &mut [Offer], quota: usize) -> Option<Cost> {
    let offer = offers.iter_mut().rev().find(|o| o.quota == quota)?;
    let taken = mem::replace(&mut offer.taken, true);
    Some(if taken {
        Cost::none()
    } else {
        mem::take(&mut offer.charged)
    })
}

impl Offer {
    fn is_used_up(&self, own: Option<usize>) -> bool {
        self.place == Place::Left && !self.once && Some(self.quota) != own
    }
}
