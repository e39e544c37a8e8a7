//! Meters against naive models.

mod edges;
pub(crate) mod exact;
mod laws;
mod observed;
mod others;
mod outside;
mod owed;
mod paces;
mod providers;
mod stock;

use std::{sync::Arc, time::Duration};

use super::{Boundaries, Meter};
use crate::core::{
    cost::Resource,
    limit::{Anchor, Limit},
    time::Time,
};

/// Boundaries every so many nanoseconds, shifted.
pub(crate) struct Every(pub(crate) u64, pub(crate) u64);

impl Boundaries for Every {
    fn after(&self, t: Time) -> Time {
        let (window, phase) = (u128::from(self.0), u128::from(self.1 % self.0));
        let next = (u128::from(t.nanos()) + window - phase) / window * window + phase;
        Time::from_nanos(u64::try_from(next).unwrap_or(u64::MAX))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rolling,
    Bucket,
    Aligned(u64),
    FirstUse,
}

pub(crate) fn limit(kind: Kind, amount: u64, window: u64, transit: u64) -> Limit {
    let limit = Limit::new(Resource::Tokens, amount, Duration::from_nanos(window))
        .transit(Duration::from_nanos(transit));
    match kind {
        Kind::Rolling => limit.rolling(),
        Kind::Bucket => limit.bucket(),
        Kind::Aligned(_) => limit.fixed(Anchor::utc()),
        Kind::FirstUse => limit.fixed(Anchor::first_use()),
    }
}

pub(crate) fn meter_of(limit: &Limit, kind: Kind) -> Meter {
    let boundaries: Option<Arc<dyn Boundaries>> = match kind {
        Kind::Aligned(phase) => Some(Arc::new(Every(limit.window.as_nanos() as u64, phase))),
        _ => None,
    };
    Meter::new(limit, limit.amount, boundaries, Time::ZERO)
}

pub(crate) fn meter(kind: Kind, amount: u64, window: u64, transit: u64) -> Meter {
    meter_of(&limit(kind, amount, window, transit), kind)
}

pub(crate) fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

/// A small source of random numbers, so that a seed names a history.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `to`, both included.
    pub(crate) fn upto(&mut self, to: u64) -> u64 {
        if to == u64::MAX {
            self.next()
        } else {
            self.next() % (to + 1)
        }
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.upto(99) < percent
    }
}

/// How many histories a law is tried on: as many as `PROPTEST_CASES` says where that is more, and fewer in proportion where it
/// says fewer than the 256 that are usual.
pub(crate) fn cases(ordinary: u64) -> u64 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|n| n.parse::<u64>().ok());
    match asked.unwrap_or(256) {
        few @ ..256 => (ordinary * few / 256).max(1),
        cases => ordinary.max(cases),
    }
}

#[test]
fn every_boundary_is_after_the_instant() {
    let every = Every(10, 3);
    for (t, next) in [(0, 3), (2, 3), (3, 13), (12, 13), (13, 23)] {
        assert_eq!(every.after(at(t)), at(next));
    }
}
