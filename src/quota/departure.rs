//! The departure scope: whether one of our layers further in still holds a request, or has sent it.
//!
//! A layer that waits for its own turn says so, in a thread-local, during `call` or `poll`, and so does one that lets
//! a request go; the layer around it listens to each. So an outer charge stays held while an inner layer waits, and
//! no layer knows another. Silence means nothing: whatever stands in between needn't look at what is inside of it every
//! time it is polled.
//!
//! The other way round, the layer around offers what it has charged: one further in, on the same quota, takes the offer
//! instead of charging again, and needs no place in flight of its own.
//!
//! Layers that only wrap futures are transparent to it. A buffer or a spawned task in between isn't: the charge is then
//! dated when the buffer takes the request.

use std::cell::{Cell, RefCell};

use crate::core::cost::Cost;

thread_local! {
    static SIGNS: Cell<Signs> = const { Cell::new(Signs::NONE) };
    static OFFERS: RefCell<Vec<Offer>> = const { RefCell::new(Vec::new()) };
}

/// What layers further in have said during one call or poll.
#[derive(Clone, Copy, Debug)]
struct Signs {
    held: bool,
    left: bool,
}

impl Signs {
    const NONE: Self = Self {
        held: false,
        left: false,
    };

    const fn and(self, other: Self) -> Self {
        Self {
            held: self.held || other.held,
            left: self.left || other.left,
        }
    }
}

/// What a layer has charged, for one further in on the same quota.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The quota.
    pub(crate) quota: usize,
    /// What was charged and nothing further in has taken over.
    pub(crate) charged: Option<Cost>,
}

/// Says that a request is still held: whoever calls this is about to answer `Pending` because it waits for its own turn.
pub(crate) fn hold() {
    SIGNS.set(SIGNS.get().and(Signs {
        held: true,
        left: false,
    }));
}

/// Says that a request has left.
pub(crate) fn leave() {
    SIGNS.set(SIGNS.get().and(Signs {
        held: false,
        left: true,
    }));
}

/// What a [`scope`] has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// One of our layers further in still holds the request.
    pub(crate) held: bool,
    /// One of our layers further in has let it go.
    pub(crate) left: bool,
    /// One further in, on the same quota, took over what was offered.
    pub(crate) taken: bool,
}

/// Calls or polls what is further in, which may take the offer.
pub(crate) fn scope<T>(offer: Offer, inner: impl FnOnce() -> T) -> (T, Seen) {
    let offered = offer.charged.is_some();
    let mut guard = Guard {
        before: Some(SIGNS.replace(Signs::NONE)),
    };
    OFFERS.with_borrow_mut(|offers| offers.push(offer));
    let result = inner();
    let signs = SIGNS.get();
    let offer = guard.restore();
    // Whoever is further out hears it too.
    SIGNS.set(SIGNS.get().and(signs));
    let Signs { held, left } = signs;
    let taken = offered && offer.is_none_or(|offer| offer.charged.is_none());
    (result, Seen { held, left, taken })
}

/// Restores what was, also while unwinding.
struct Guard {
    before: Option<Signs>,
}

impl Guard {
    fn restore(&mut self) -> Option<Offer> {
        SIGNS.set(self.before.take()?);
        OFFERS.with_borrow_mut(Vec::pop)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.restore();
    }
}

/// What a layer further out, on the same quota, has charged already: the rest is to be charged.
/// `None` where there is no such layer.
pub(crate) fn take_offer(quota: usize) -> Option<Cost> {
    OFFERS.with_borrow_mut(|offers| {
        let offer = offers.iter_mut().rev().find(|o| o.quota == quota)?;
        Some(offer.charged.take().unwrap_or_default())
    })
}
