//! Successes that change nothing but a count are counted without the circuit's lock.

use std::mem;

use crate::{
    core::{
        breaker::{Breaker, Settings},
        time::{Time, nanos},
    },
    sync::{AtomicU64, Ordering},
};

/// How many successes came since the word was opened, in its lower half; all ones where it is shut.
const COUNT: u64 = u32::MAX as u64;

/// So many are brought under the lock at a time, which takes as long as there are seats for the last calls.
const FULL: u64 = 4_096;

/// A success is counted here only as long as its era lasts, which the word tells, and the word is open: so none counts for
/// another era than its own, nor where it might change more than a count. Opened and shut under the circuit's lock.
#[derive(Debug)]
pub(super) struct Calm {
    // The lower half of its era, and the count.
    word: AtomicU64,
    // Until when it may be open; written while it is shut.
    until: AtomicU64,
    // From how many nanoseconds on a call is slow; written while it is shut, for another era.
    slow: AtomicU64,
}

impl Calm {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(COUNT),
            until: AtomicU64::new(0),
            slow: AtomicU64::new(u64::MAX),
        }
    }

    /// Counts a success of this era, if it is said to belong here. Asked with the time until when this is open; perhaps once
    /// more.
    #[inline]
    pub(super) fn count(&self, era: u64, mut suits: impl FnMut(Time) -> bool) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            // Of another era, shut, or full.
            if word.wrapping_sub(era << u32::BITS) >= FULL {
                return false;
            }
            if !suits(Time::from_nanos(self.until.load(Ordering::Relaxed))) {
                return false;
            }
            let counted = self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match counted {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
    }

    /// Whether no success of this era can be counted before those that were are [brought](Self::shut).
    pub(super) fn is_full(&self, era: u64) -> bool {
        self.word
            .load(Ordering::Acquire)
            .wrapping_sub(era << u32::BITS)
            == FULL
    }

    /// From how many nanoseconds on a call is slow, while it is [counted](Self::count).
    #[inline]
    pub(super) fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// How many were counted; none is from here on. `is_open` is known under the lock.
    pub(super) fn shut(&self, is_open: &mut bool) -> u64 {
        if mem::take(is_open) {
            self.word.fetch_or(COUNT, Ordering::AcqRel) & COUNT
        } else {
            0
        }
    }

    /// Lets successes be counted, as long as the breaker is calm.
    pub(super) fn open(&self, is_open: &mut bool, breaker: &Breaker) {
        let until = breaker.calm_until();
        if until == Time::ZERO {
            return;
        }
        *is_open = true;
        self.until.store(until.nanos(), Ordering::Relaxed);
        let word = breaker.era() << u32::BITS;
        self.word.store(word, Ordering::Release);
    }

    /// It begins anew with these settings. While it is shut.
    pub(super) fn configure(&self, settings: &Settings) {
        let slow = settings.slow_rate;
        let slow = slow.map_or(u64::MAX, |(_, than)| nanos(than));
        self.slow.store(slow, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_counts_only_where_it_is_of_the_era_and_open_until_the_last_moment() {
        let breaker = Breaker::new(Settings::default());
        let next = breaker.anew(Settings::default());
        let (calm, mut is_open) = (Calm::new(), false);
        assert!(!calm.count(0, |_| true), "nobody has opened it");
        calm.open(&mut is_open, &breaker);
        assert!(calm.count(0, |_| true));
        assert!(!calm.count(0, |_| false));
        assert!(!calm.count(1, |_| true), "of an era that hasn't begun");
        assert_eq!((calm.shut(&mut is_open), calm.shut(&mut is_open)), (1, 0));
        assert!(!calm.count(0, |_| true), "it is shut");
        calm.open(&mut is_open, &breaker);
        assert!(!calm.count(0, |_| calm.shut(&mut is_open) == 0));
        calm.open(&mut is_open, &breaker);
        let counted = calm.count(0, |_| {
            calm.shut(&mut is_open);
            calm.open(&mut is_open, &next);
            true
        });
        assert!(!counted);
        assert!(!calm.count(0, |_| true), "of an era that is over");
        assert!(calm.count(1, |_| true));
        assert_eq!(calm.shut(&mut is_open), 1);
    }
}
