//! One layer around whoever runs now: what it has charged, and what becomes of the request.

use std::{cell::Cell, task::Waker};

use crate::{
    core::cost::{Cost, NO_NUMBERS, Numbers, Units},
    error::Rejected,
};

/// Where a request is, as far as the layer that has charged it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of our layers holds it.
    #[default]
    Held,
    /// With whatever is further in; nobody has told yet what became of it.
    HandedOn,
    /// It has left: the charge is used up.
    Left,
}

/// What a layer has charged for a request, as those further in find it and leave it. One byte: parts that are written one by one
/// and then read together have to be waited for.
#[derive(Clone, Copy)]
pub(crate) struct Offer(u8);

impl Offer {
    const PLACE: u8 = 0b11;
    // Nothing of it is there to be taken over: it was, by somebody further in on the same quota, or is used up.
    const TAKEN: u8 = 1 << 2;
    // It stands for whatever becomes of the request: for every further try as well.
    const ONCE: u8 = 1 << 3;
    // It was there for a further try, and somebody has claimed it: it stands for the next departure.
    const CLAIMED: u8 = 1 << 4;
    // Somebody has asked for more, or was answered.
    const ASKED: u8 = 1 << 5;
    // Tokens, of one request, are all that is charged.
    const TOKENS: u8 = 1 << 6;
    // Something isn't as it was when the layer began, or isn't to be left behind.
    const TOUCHED: u8 = 1 << 7;

    /// Of which there is nothing to hear.
    pub(crate) const UNTOUCHED: Self = Self::new(Place::Held, true, false);

    /// Of a request that is there. `taken`: nothing of it is left to be taken over; `once`: it stands for every further try as well.
    #[inline]
    pub(crate) const fn new(place: Place, taken: bool, once: bool) -> Self {
        Self(place as u8)
            .having(Self::TAKEN, taken)
            .having(Self::ONCE, once)
    }

    #[inline]
    const fn having(self, what: u8, has: bool) -> Self {
        match has {
            true => Self(self.0 | what),
            false => Self(self.0 & !what),
        }
    }

    #[inline]
    const fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }

    /// Where the request is.
    #[inline]
    pub(crate) const fn place(self) -> Place {
        match self.0 & Self::PLACE {
            HELD => Place::Held,
            HANDED_ON => Place::HandedOn,
            _ => Place::Left,
        }
    }

    /// But for what was asked for, which can't be heard later.
    #[inline]
    pub(super) const fn unasked(self) -> Self {
        self.having(Self::ASKED, false)
    }

    /// Whether something isn't as it was when the layer began.
    #[inline]
    pub(crate) const fn is_touched(self) -> bool {
        self.has(Self::TOUCHED)
    }

    #[inline]
    const fn at(self, place: Place) -> Self {
        Self(self.0 & !Self::PLACE | place as u8)
    }

    /// Whether nothing of it is there to be taken over.
    #[inline]
    pub(crate) const fn is_taken(self) -> bool {
        self.has(Self::TAKEN)
    }

    /// Whether it was there for a further try, and somebody has claimed it.
    #[inline]
    pub(crate) const fn is_claimed(self) -> bool {
        self.has(Self::CLAIMED)
    }

    /// Whether somebody has asked for more, or was answered: there is a [`Further`] then.
    #[inline]
    pub(crate) const fn is_asked(self) -> bool {
        self.has(Self::ASKED)
    }
}

const HELD: u8 = Place::Held as u8;
const HANDED_ON: u8 = Place::HandedOn as u8;

/// How much a layer has charged for a request.
#[derive(Clone, Copy)]
pub(crate) enum Charged<'a> {
    /// One request and so many tokens, of limits that know of nothing else.
    Tokens(u64),
    Cost(&'a Cost),
}

impl Charged<'_> {
    pub(crate) fn to_cost(self) -> Cost {
        match self {
            Self::Tokens(tokens) => Cost::tokens(tokens),
            Self::Cost(cost) => cost.clone(),
        }
    }
}

/// A charge for a further try, which those further in ask for.
#[derive(Debug)]
pub(crate) enum Further {
    /// Those who wait for it, to be woken once it is there.
    Asked(Vec<Waker>),
    /// It is there: so much.
    Granted(Cost),
    /// It can't be had.
    Refused(Rejected),
    /// It was claimed, or it can't be had, and whoever has this waker was told so.
    Told(Waker),
}

/// One more of those who wait, unless it is one of them.
pub(crate) fn join(askers: &mut Vec<Waker>, asker: Waker) {
    if !askers.iter().any(|other| other.will_wake(&asker)) {
        askers.push(asker);
    }
}

/// A layer around whoever runs now.
pub(super) struct Frame {
    quota: Cell<usize>,
    offer: Cell<Offer>,
    // What is charged, unless that is of use to nobody: tokens, or numbers, which may stay, and units.
    tokens: Cell<u64>,
    numbers: Cell<Numbers>,
    units: Cell<Option<Units>>,
    // `None` where nobody has asked. Boxed: hardly anybody does.
    further: Cell<Option<Box<Further>>>,
}

impl Frame {
    pub(super) const fn new() -> Self {
        Self {
            quota: Cell::new(0),
            offer: Cell::new(Offer::UNTOUCHED),
            tokens: Cell::new(0),
            numbers: Cell::new(NO_NUMBERS),
            units: Cell::new(None),
            further: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn offer(&self) -> Offer {
        self.offer.get()
    }

    #[inline]
    pub(super) fn place(&self) -> Place {
        self.offer.get().place()
    }

    #[inline]
    fn change(&self, offer: Offer) {
        self.offer.set(offer.having(Offer::TOUCHED, true));
    }

    #[inline]
    pub(super) fn put(&self, place: Place) {
        let offer = self.offer.get();
        if offer.place() != place {
            self.change(offer.at(place));
        }
    }

    pub(super) fn answer(&self, further: Further) {
        self.further.set(Some(Box::new(further)));
        self.change(self.offer.get().having(Offer::ASKED, true));
    }

    #[inline]
    pub(super) fn is_used_up(&self, own: Option<usize>) -> bool {
        let offer = self.offer.get();
        offer.place() == Place::Left && !offer.has(Offer::ONCE) && Some(self.quota.get()) != own
    }

    #[inline]
    pub(super) fn begin(&self, quota: usize, offer: Offer, charged: Charged<'_>) {
        self.quota.set(quota);
        let tokens = matches!(charged, Charged::Tokens(_));
        self.offer.set(offer.having(Offer::TOKENS, tokens));
        match charged {
            Charged::Tokens(tokens) => self.tokens.set(tokens),
            Charged::Cost(cost) if !offer.is_taken() => self.keep(cost),
            Charged::Cost(_) => {}
        }
    }

    fn keep(&self, cost: &Cost) {
        self.numbers.set(cost.numbers());
        // Also where there are none: others may have been left.
        self.units.set(cost.units().cloned());
        if cost.units().is_some() {
            // Not to be left behind.
            self.change(self.offer.get());
        }
    }

    /// The layer is no more: its offer, if it isn't as it was. What was asked for is there to be [taken](Self::asked).
    #[inline]
    pub(super) fn end(&self) -> Option<Offer> {
        let offer = self.offer.get();
        offer.is_touched().then(|| {
            drop(self.units.take());
            offer
        })
    }

    /// What there is to be taken over, which is gone then.
    pub(super) fn take(&self) -> Cost {
        let offer = self.offer.get();
        self.change(offer.having(Offer::TAKEN, true));
        match offer.has(Offer::TOKENS) {
            _ if offer.is_taken() => Cost::none(),
            true => Cost::tokens(self.tokens.get()),
            false => Cost::of_parts(self.numbers.get(), self.units.take()),
        }
    }

    /// So much is there to be taken over, of a request that is held.
    pub(super) fn offer_anew(&self, cost: &Cost) {
        let offer = self.offer.get().at(Place::Held);
        self.change(offer.having(Offer::TAKEN | Offer::TOKENS, false));
        self.keep(cost);
    }

    /// Whether the layer is on this quota.
    #[inline]
    pub(super) fn is_on(&self, quota: usize) -> bool {
        self.quota.get() == quota
    }

    /// Whether nothing is left behind for the next layer that is as deep.
    #[cfg(test)]
    pub(super) fn is_blank(&self) -> bool {
        self.units.take().is_none() && self.further.take().is_none()
    }

    /// What was asked for beyond the offer.
    pub(super) fn asked(&self) -> Option<Further> {
        let further = self.further.take()?;
        // Of a layer before that was as deep: what was asked for while it was called is left behind.
        self.offer.get().is_asked().then_some(*further)
    }

    /// A further charge is claimed by whoever has this waker: it stands for the next departure.
    pub(super) fn claim(&self, cost: &Cost, by: &Waker) {
        self.answer(Further::Told(by.clone()));
        self.change(self.offer.get().having(Offer::CLAIMED, true));
        self.offer_anew(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_what_it_was_made_of_and_each_change_changes_that_alone() {
        let places = [Place::Held, Place::HandedOn, Place::Left];
        let both = [false, true];
        for ((place, other), (taken, once)) in places
            .into_iter()
            .flat_map(|place| places.map(|other| (place, other)))
            .flat_map(|at| {
                both.into_iter()
                    .flat_map(move |t| both.map(|o| (at, (t, o))))
            })
        {
            let offer = Offer::new(place, taken, once);
            let told = |offer: Offer| (offer.place(), offer.is_taken(), offer.has(Offer::ONCE));
            assert_eq!(told(offer), (place, taken, once));
            assert_eq!(told(offer.at(other)), (other, taken, once));
            assert!(!offer.is_asked() && !offer.is_claimed() && !offer.is_touched());
            let asked = offer.having(Offer::ASKED, true);
            assert!(asked.is_asked() && !asked.is_claimed());
            assert_eq!(told(asked), told(offer));
            assert!(!asked.having(Offer::ASKED, false).is_asked());
        }
    }

    #[test]
    fn who_was_touched_says_so_and_who_begins_anew_was_not() {
        let frame = Frame::new();
        let begin = || {
            let offer = Offer::new(Place::HandedOn, false, false);
            frame.begin(7, offer, Charged::Tokens(5));
        };
        begin();
        frame.put(Place::HandedOn);
        assert!(frame.end().is_none(), "nothing has changed");
        frame.put(Place::Left);
        assert_eq!(frame.end().map(Offer::place), Some(Place::Left));
        assert!(frame.is_used_up(None) && !frame.is_used_up(Some(7)));
        begin();
        assert!(frame.end().is_none());
        assert_eq!(frame.take(), Cost::tokens(5));
        assert_eq!(frame.take(), Cost::none(), "it was taken");
        assert_eq!(frame.end().map(Offer::is_taken), Some(true));
        begin();
        let asker = Waker::noop();
        frame.answer(Further::Told(asker.clone()));
        let told = frame.end().expect("somebody was answered");
        assert!(told.is_asked() && matches!(frame.asked(), Some(Further::Told(_))));
        frame.claim(&Cost::tokens(9), asker);
        let claimed = frame.end().expect("it was claimed");
        assert!(claimed.is_claimed() && !claimed.is_taken());
        assert_eq!(
            (claimed.place(), frame.take()),
            (Place::Held, Cost::tokens(9))
        );
    }
}
