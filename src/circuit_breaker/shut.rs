//! As long as a circuit is open for sure, calls are refused without its lock.

use crate::{
    core::{breaker::Breaker, time::Time},
    sync::{AtomicU64, Ordering},
};

/// Until when everybody is refused, whatever happens meanwhile but a move by hand; and how many were. Set under the circuit's lock.
#[derive(Debug)]
pub(super) struct Shut {
    until: AtomicU64,
    refused: AtomicU64,
}

impl Shut {
    pub(super) fn of(breaker: &Breaker) -> Self {
        Self {
            until: AtomicU64::new(breaker.shut_until().nanos()),
            refused: AtomicU64::new(0),
        }
    }

    /// As the breaker stands now.
    pub(super) fn set(&self, breaker: &Breaker) {
        let until = breaker.shut_until().nanos();
        self.until.store(until, Ordering::Release);
    }

    /// Zero where that isn't known; the last instant where somebody has to end it by hand.
    #[inline]
    pub(super) fn until(&self) -> Time {
        Time::from_nanos(self.until.load(Ordering::Acquire))
    }

    /// A call was refused.
    #[inline]
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were, since this was asked last.
    #[inline]
    pub(super) fn take_refused(&self) -> u64 {
        match self.refused.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.refused.swap(0, Ordering::Relaxed),
        }
    }
}
