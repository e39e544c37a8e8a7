//! An account of one of the shapes.

use super::{bucket::Bucket, fixed::Fixed, rolling::Rolling, stock::Stock};
use crate::core::{limit::OWED, time::Time};

#[derive(Clone, Debug)]
pub(super) enum Account {
    /// Nobody knows the limit yet: everything fits.
    Unknown,
    Rolling(Rolling),
    Bucket(Bucket),
    Fixed(Fixed),
    /// A store that others share counts.
    Stock(Box<Stock>),
}

impl Account {
    pub(super) fn advance(&mut self, now: Time) {
        match self {
            Self::Unknown => {}
            Self::Rolling(account) => account.advance(now),
            Self::Bucket(account) => account.advance(now),
            Self::Fixed(account) => account.advance(now),
            Self::Stock(stock) => stock.advance(now),
        }
    }

    #[inline]
    pub(super) fn used(&self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Rolling(account) => account.used(),
            Self::Bucket(account) => account.used(),
            Self::Fixed(account) => account.used(),
            Self::Stock(stock) => stock.used(),
        }
    }

    #[inline]
    pub(super) fn fits(&self, n: u64, held: u64, now: Time) -> bool {
        match self {
            Self::Unknown => true,
            Self::Rolling(account) => account.fits(n, held),
            Self::Bucket(account) => account.fits(n, held),
            Self::Fixed(account) => account.fits(n, held, now),
            Self::Stock(stock) => stock.fits(n, held),
        }
    }

    #[inline]
    pub(super) fn earliest(&self, n: u64, held: u64, from: Time, now: Time) -> Time {
        match self {
            Self::Unknown => from,
            Self::Rolling(account) => account.earliest(n, held, from, now),
            Self::Bucket(account) => account.earliest(n, held, from),
            Self::Fixed(account) => account.earliest(n, held, from, now),
            Self::Stock(stock) => stock.earliest(n, held, from, now),
        }
    }

    pub(super) fn project(&self, n: u64, held: u64, now: Time) -> Time {
        match self {
            Self::Unknown => now,
            Self::Rolling(account) => account.project(n, held, now),
            Self::Bucket(account) => account.earliest(n, held, now),
            Self::Fixed(account) => account.project(n, held, now),
            Self::Stock(stock) => stock.project(n, held, now),
        }
    }

    /// Charges what was used beyond what had fitted.
    pub(super) fn charge(&mut self, n: u64, now: Time) {
        match self {
            Self::Unknown => {}
            Self::Rolling(account) => account.charge(n, now),
            Self::Bucket(account) => account.owe(n, account.windows(OWED)),
            Self::Fixed(account) => account.charge(n, now),
            Self::Stock(stock) => stock.charge(n),
        }
    }

    /// What was held has left.
    #[inline]
    pub(super) fn date(&mut self, n: u64, now: Time) {
        match self {
            Self::Unknown => {}
            Self::Rolling(account) => account.charge(n, now),
            Self::Bucket(account) => account.charge(n),
            Self::Fixed(account) => account.charge(n, now),
            Self::Stock(stock) => stock.date(n, now),
        }
    }

    pub(super) fn give_back(&mut self, n: u64, dated: Time) {
        match self {
            Self::Unknown => {}
            Self::Rolling(account) => account.give_back(n, dated),
            Self::Bucket(account) => account.give_back(n, dated),
            Self::Fixed(account) => account.give_back(n, dated),
            Self::Stock(stock) => stock.give_back(n, dated),
        }
    }

    pub(super) fn refund(&mut self, n: u64, dated: Time, now: Time) {
        match self {
            Self::Unknown => {}
            Self::Rolling(account) => account.give_back(n, dated),
            Self::Bucket(account) => account.refund(n, dated),
            Self::Fixed(account) => account.refund(n, dated, now),
            Self::Stock(stock) => stock.refund(n, dated),
        }
    }

    pub(super) fn refused(&mut self, n: u64, dated: Time) {
        match self {
            Self::Unknown | Self::Bucket(_) | Self::Stock(_) => {}
            Self::Rolling(account) => account.refused(n, dated),
            Self::Fixed(account) => account.refused(n, dated),
        }
    }

    pub(super) fn observe(&mut self, used: u64, dated: Time, now: Time) {
        match self {
            // A bucket's is in `shared`.
            Self::Unknown | Self::Bucket(_) => {}
            Self::Rolling(account) => account.observe(used, dated, now),
            Self::Fixed(account) => account.observe(used, dated, now),
            Self::Stock(stock) => stock.observe(used, dated),
        }
    }

    /// Nobody else was seen of late.
    pub(super) fn is_alone(&self) -> bool {
        match self {
            Self::Unknown | Self::Bucket(_) => true,
            Self::Rolling(account) => account.is_alone(),
            Self::Fixed(account) => account.is_alone(),
            Self::Stock(stock) => stock.is_alone(),
        }
    }

    pub(super) fn resize(&mut self, amount: u64, burst: Option<u64>) {
        match self {
            Self::Unknown => {}
            Self::Rolling(account) => account.resize(amount),
            Self::Bucket(account) => account.resize(amount, burst.unwrap_or(amount)),
            Self::Fixed(account) => account.resize(amount),
            Self::Stock(stock) => stock.resize(amount),
        }
    }
}
