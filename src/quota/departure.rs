//! The departure scope: whether one of our layers further in still holds a request.
//!
//! A layer that waits for its own turn says so, in a thread-local, during `call` or `poll`; the
//! layer around it looks after each. So an outer charge stays held while an inner layer waits, and
//! no layer knows another. The other way round, the layer around offers what it has charged: one
//! further in, on the same quota, takes the offer instead of charging again.
//!
//! Layers that only wrap futures are transparent to it. A buffer or a spawned task in between isn't: the charge is then
//! dated when the buffer takes the request.

use std::cell::{Cell, RefCell};

use crate::core::cost::Cost;

thread_local! {
    static HELD: Cell<bool> = const { Cell::new(false) };
    static OFFERS: RefCell<Vec<Offer>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Offer {
    quota: usize,
    cost: Cost,
    taken: bool,
}

/// Says that a request is still held: whoever calls this is about to answer `Pending` because it waits for its own turn.
pub(crate) fn hold() {
    HELD.set(true);
}

/// What a [`scope`] has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// One of our layers further in still holds the request.
    pub(crate) held: bool,
    /// One further in, on the same quota, took over what was offered.
    pub(crate) taken: bool,
}

/// Calls or polls what is further in. `offer` is a charge that hasn't left yet, and its quota.
pub(crate) fn scope<T>(offer: Option<(usize, &Cost)>, inner: impl FnOnce() -> T) -> (T, Seen) {
    let guard = Guard {
        before: HELD.replace(false),
        offered: offer.is_some(),
    };
    if let Some((quota, cost)) = offer {
        let cost = cost.clone();
        OFFERS.with_borrow_mut(|offers| {
            offers.push(Offer {
                quota,
                cost,
                taken: false,
            });
        });
    }
    let result = inner();
    let held = HELD.get();
    let taken = guard.finish();
    // Held for the layer further out too, until this one has seen it leave.
    if held {
        hold();
    }
    (result, Seen { held, taken })
}

/// Restores what was, also while unwinding.
struct Guard {
    before: bool,
    offered: bool,
}

impl Guard {
    fn finish(mut self) -> bool {
        self.restore()
    }

    fn restore(&mut self) -> bool {
        HELD.set(self.before);
        if !std::mem::take(&mut self.offered) {
            return false;
        }
        let offer = OFFERS.with_borrow_mut(Vec::pop);
        offer.is_some_and(|offer| offer.taken)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Takes what a layer further out, on the same quota, has already charged.
pub(crate) fn take_offer(quota: usize) -> Option<Cost> {
    OFFERS.with_borrow_mut(|offers| {
        let offer = offers
            .iter_mut()
            .rev()
            .find(|o| o.quota == quota && !o.taken)?;
        offer.taken = true;
        Some(offer.cost.clone())
    })
}
