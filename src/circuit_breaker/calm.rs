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

/// Whether a success was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Yes,
    No,
    /// None is, before those that were are [brought](Calm::shut).
    Full,
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
    pub(super) fn count(&self, era: u64, mut suits: impl FnMut(Time) -> bool) -> Counted {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            match word.wrapping_sub(era << u32::BITS) {
                ..FULL => {}
                FULL => return Counted::Full,
                // Of another era, or shut.
                _ => return Counted::No,
            }
            if !suits(Time::from_nanos(self.until.load(Ordering::Relaxed))) {
                return Counted::No;
            }
            let counted = self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match counted {
                Ok(_) => return Counted::Yes,
                Err(other) => word = other,
            }
        }
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
    use super::{Counted::*, *};

    #[test]
    fn a_success_counts_only_where_it_is_of_the_era_and_open_until_the_last_moment() {
        let breaker = Breaker::new(Settings::default());
        let next = breaker.anew(Settings::default());
        let (calm, mut is_open) = (Calm::new(), false);
        assert_eq!(calm.count(0, |_| true), No, "nobody has opened it");
        calm.open(&mut is_open, &breaker);
        assert_eq!(calm.count(0, |_| true), Yes);
        assert_eq!(calm.count(0, |_| false), No);
        assert_eq!(calm.count(1, |_| true), No, "of an era that hasn't begun");
        assert_eq!((calm.shut(&mut is_open), calm.shut(&mut is_open)), (1, 0));
        assert_eq!(calm.count(0, |_| true), No, "it is shut");
        calm.open(&mut is_open, &breaker);
        assert_eq!(calm.count(0, |_| calm.shut(&mut is_open) == 0), No);
        calm.open(&mut is_open, &breaker);
        let counted = calm.count(0, |_| {
            calm.shut(&mut is_open);
            calm.open(&mut is_open, &next);
            true
        });
        assert_eq!(counted, No);
        assert_eq!(calm.count(0, |_| true), No, "of an era that is over");
        assert_eq!(calm.count(1, |_| true), Yes);
        assert_eq!(calm.shut(&mut is_open), 1);
    }

    #[test]
    fn whoever_finds_it_full_brings_those_that_were_counted() {
        let breaker = Breaker::new(Settings::default());
        let (calm, mut is_open) = (Calm::new(), false);
        calm.open(&mut is_open, &breaker);
        for _ in 0..FULL {
            assert_eq!(calm.count(0, |_| true), Yes);
        }
        assert_eq!(calm.count(0, |_| true), Full);
        assert_eq!(calm.shut(&mut is_open), FULL);
        calm.open(&mut is_open, &breaker);
        assert_eq!(calm.count(0, |_| true), Yes);
    }
}
