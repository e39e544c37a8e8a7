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

/// What a layer has charged for a request, as those further in find it and leave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// Where the request is.
    pub(crate) place: Place,
    /// Nothing of it is there to be taken over: it was, by somebody further in on the same quota, or is used up.
    pub(crate) taken: bool,
    /// It stands for whatever becomes of the request: for every further try as well.
    pub(crate) once: bool,
    /// It was there for a further try, and somebody has claimed it: it stands for the next departure.
    pub(crate) claimed: bool,
}

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
    /// Whoever waits for it, to be woken once it is there.
    Asked(Waker),
    /// It is there: so much.
    Granted(Cost),
    /// It can't be had.
    Refused(Rejected),
    /// Whoever asked has been told so.
    Told,
}

/// What those further in have told a layer: its offer as they leave it, and what they have asked for beyond it.
pub(crate) type Heard = (Offer, Option<Box<Further>>);

/// A layer around whoever runs now.
pub(super) struct Frame {
    head: Cell<Head>,
    // What is charged, unless that is of use to nobody: tokens, or numbers, which may stay, and units.
    tokens: Cell<u64>,
    numbers: Cell<Numbers>,
    units: Cell<Option<Units>>,
    // `None` where nobody has asked. Boxed: hardly anybody does.
    further: Cell<Option<Box<Further>>>,
}

#[derive(Clone, Copy)]
struct Head {
    quota: usize,
    offer: Offer,
    // Whether tokens, of one request, are all that is charged.
    tokens: bool,
    // Whether anything isn't as it was when the layer began, or isn't to be left behind.
    touched: bool,
}

impl Frame {
    pub(super) const fn new() -> Self {
        Self {
            head: Cell::new(Head {
                quota: 0,
                offer: Offer {
                    place: Place::Held,
                    taken: true,
                    once: false,
                    claimed: false,
                },
                tokens: true,
                touched: false,
            }),
            tokens: Cell::new(0),
            numbers: Cell::new(NO_NUMBERS),
            units: Cell::new(None),
            further: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn offer(&self) -> Offer {
        self.head.get().offer
    }

    #[inline]
    fn change(&self, offer: Offer) {
        self.head.set(Head {
            offer,
            touched: true,
            ..self.head.get()
        });
    }

    #[inline]
    pub(super) fn put(&self, place: Place) {
        let offer = self.offer();
        if offer.place != place {
            self.change(Offer { place, ..offer });
        }
    }

    pub(super) fn answer(&self, further: Further) {
        self.further.set(Some(Box::new(further)));
        self.change(self.offer());
    }

    #[inline]
    pub(super) fn is_used_up(&self, own: Option<usize>) -> bool {
        let Head { quota, offer, .. } = self.head.get();
        offer.place == Place::Left && !offer.once && Some(quota) != own
    }

    #[inline]
    pub(super) fn begin(&self, quota: usize, offer: Offer, charged: Charged<'_>) {
        self.head.set(Head {
            quota,
            offer,
            tokens: matches!(charged, Charged::Tokens(_)),
            touched: false,
        });
        match charged {
            Charged::Tokens(tokens) => self.tokens.set(tokens),
            Charged::Cost(cost) if !offer.taken => self.keep(cost),
            Charged::Cost(_) => {}
        }
    }

    fn keep(&self, cost: &Cost) {
        self.numbers.set(cost.numbers());
        if let Some(units) = cost.units() {
            self.units.set(Some(units.clone()));
            // Not to be left behind.
            self.change(self.offer());
        }
    }

    /// The layer is no more: what isn't as it was.
    #[inline]
    pub(super) fn end(&self) -> Option<Heard> {
        self.head.get().touched.then(|| self.leave())
    }

    #[cold]
    fn leave(&self) -> Heard {
        drop(self.units.take());
        (self.offer(), self.further.take())
    }

    /// What there is to be taken over, which is gone then.
    pub(super) fn take(&self) -> Cost {
        let offer = self.offer();
        self.change(Offer {
            taken: true,
            ..offer
        });
        match self.head.get().tokens {
            _ if offer.taken => Cost::none(),
            true => Cost::tokens(self.tokens.get()),
            false => Cost::of_parts(self.numbers.get(), self.units.take()),
        }
    }

    /// Whether the layer is on this quota.
    #[inline]
    pub(super) fn is_on(&self, quota: usize) -> bool {
        self.head.get().quota == quota
    }

    /// What was asked for beyond the offer.
    pub(super) fn asked(&self) -> Option<Further> {
        self.further.take().map(|further| *further)
    }

    /// A further charge is claimed: it stands for the next departure.
    pub(super) fn claim(&self, cost: &Cost) {
        let head = self.head.get();
        self.head.set(Head {
            offer: Offer {
                place: Place::Held,
                taken: false,
                claimed: true,
                ..head.offer
            },
            tokens: false,
            touched: true,
            ..head
        });
        self.keep(cost);
    }
}
