//! Successes that change nothing but a count are counted without the circuit's lock.

use crate::{
    core::{
        breaker::Breaker,
        time::{Time, nanos},
    },
    sync::{AtomicU64, Ordering},
};

/// How many successes came since the word was opened, in its lower half; all ones where it is shut.
const COUNT: u64 = u32::MAX as u64;

/// A success is counted here only as long as the word hasn't been opened anew since it was looked at: so what is beside it
/// belongs together, and none counts for another time or era than its own. Shut under the lock alone.
#[derive(Debug)]
pub(super) struct Calm {
    // How often it was opened, and the count.
    word: AtomicU64,
    // Written while it is shut: until when it may be open, and from where on a call is slow.
    until: AtomicU64,
    slow: AtomicU64,
}

impl Calm {
    pub(super) fn new(breaker: &Breaker) -> Self {
        let calm = Self {
            word: AtomicU64::new(COUNT),
            until: AtomicU64::new(0),
            slow: AtomicU64::new(0),
        };
        calm.open(breaker);
        calm
    }

    /// Counts a success, if it is said to belong here. Asked with the time until when this is open, and before it is known
    /// whether all that is asked belongs together: perhaps once more.
    #[inline]
    pub(super) fn count(&self, mut suits: impl FnMut(Time) -> bool) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            // One less than all ones would shut it.
            if word & COUNT >= COUNT - 1 {
                return false;
            }
            let until = Time::from_nanos(self.until.load(Ordering::Relaxed));
            if !suits(until) {
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

    /// From how many nanoseconds on a call is slow, while it is [counted](Self::count).
    #[inline]
    pub(super) fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// How many were counted; none is from here on. Under the lock.
    pub(super) fn shut(&self) -> u64 {
        // Nobody else opens it.
        if self.word.load(Ordering::Relaxed) & COUNT == COUNT {
            return 0;
        }
        self.word.fetch_or(COUNT, Ordering::AcqRel) & COUNT
    }

    /// Lets successes be counted, as long as the breaker is calm. Under the lock.
    pub(super) fn open(&self, breaker: &Breaker) {
        let until = breaker.calm_until();
        if until == Time::ZERO {
            return;
        }
        let slow = breaker.settings().slow_rate;
        let slow = slow.map_or(u64::MAX, |(_, than)| nanos(than));
        self.until.store(until.nanos(), Ordering::Relaxed);
        self.slow.store(slow, Ordering::Relaxed);
        // Shut, its lower half is all ones: one more is the next opening, and no success yet.
        let shut = self.word.load(Ordering::Relaxed);
        self.word.store(shut.wrapping_add(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::breaker::Settings;

    #[test]
    fn a_success_counts_only_where_nothing_has_changed_since_it_was_asked_for() {
        let breaker = Breaker::new(Settings::default());
        let calm = Calm::new(&breaker);
        assert!(calm.count(|_| true));
        assert!(!calm.count(|_| false));
        assert_eq!((calm.shut(), calm.shut()), (1, 0));
        assert!(!calm.count(|_| true), "it is shut");
        calm.open(&breaker);
        let mut asked = 0;
        assert!(calm.count(|_| {
            asked += 1;
            if asked == 1 {
                assert_eq!(calm.shut(), 0);
                calm.open(&breaker);
            }
            true
        }));
        assert_eq!(
            (asked, calm.shut()),
            (2, 1),
            "of another opening, it asked anew"
        );
        calm.open(&breaker);
        let shut_meanwhile = calm.count(|_| calm.shut() == 0);
        assert!(!shut_meanwhile);
    }
}
