//! What a request holds of a quota once its answer is there.

use std::fmt;

use super::{
    charge::Charge,
    express::Express,
    grant::Grant,
    line::{Amount, Line},
    sync::Arc,
};
use crate::{core::time::Time, recycled::Recycled};

/// What is left of a [`Grant`] of what has left, until the answer ends: its place in flight, and what is to be settled. Small, as it
/// goes through all layers with the answer. Frees the place on drop and keeps the charge.
pub(crate) struct Holding(Option<Held>);

enum Held {
    /// What was taken from the till, when it left, and whether it takes a place in flight.
    Express(Arc<Line>, Amount, Time, bool),
    Charge(Recycled<Charge>),
}

impl Holding {
    #[inline]
    pub(super) const fn express(line: Arc<Line>, amount: Amount, at: Time, slot: bool) -> Self {
        Self(Some(Held::Express(line, amount, at, slot)))
    }

    #[inline]
    pub(super) const fn charge(charge: Recycled<Charge>) -> Self {
        Self(Some(Held::Charge(charge)))
    }

    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    /// To be settled.
    pub(crate) fn into_grant(mut self) -> Option<Grant> {
        Some(match self.0.take()? {
            Held::Express(line, amount, at, slot) => {
                Grant::express(Express::held(line, amount, at, slot))
            }
            Held::Charge(charge) => Grant::of(charge),
        })
    }
}

impl Drop for Holding {
    #[inline]
    fn drop(&mut self) {
        match self.0.take() {
            Some(Held::Express(line, _, _, slot)) => {
                if slot {
                    line.land();
                }
            }
            Some(Held::Charge(charge)) => drop(Grant::of(charge)),
            None => {}
        }
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Holding(..)")
    }
}
