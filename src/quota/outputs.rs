//! How long answers come to be.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The last answers' mean output.
#[derive(Debug)]
pub(super) struct Outputs {
    // In sixteenths of a token; `UNKNOWN` before the first answer.
    mean: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;
/// What an answer is taken to come to before there was one.
const FIRST: u64 = 512;
/// An answer's weight is one part of so many.
const WEIGHT: u64 = 16;

impl Outputs {
    pub(super) const fn new() -> Self {
        Self {
            mean: AtomicU64::new(UNKNOWN),
        }
    }

    /// An answer has come to so many tokens.
    pub(super) fn hear(&self, tokens: u64) {
        let tokens = tokens.min(u64::from(u32::MAX));
        // Two that come at once may count as one.
        let mean = match self.mean.load(Relaxed) {
            UNKNOWN => tokens * WEIGHT,
            mean => mean - mean / WEIGHT + tokens,
        };
        self.mean.store(mean, Relaxed);
    }

    /// What an answer of at most `most` is expected to come to. Never nothing, so that it waits while others
    /// have overdrawn.
    pub(super) fn expected(&self, most: u64) -> u64 {
        let mean = match self.mean.load(Relaxed) {
            UNKNOWN => FIRST,
            mean => mean.div_ceil(WEIGHT).max(1),
        };
        mean.min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_follows_the_answers_and_stays_within_the_most() {
        let outputs = Outputs::new();
        assert_eq!((outputs.expected(4_096), outputs.expected(9)), (FIRST, 9));
        outputs.hear(0);
        assert_eq!((outputs.expected(4_096), outputs.expected(0)), (1, 0));
        for _ in 0..200 {
            outputs.hear(300);
        }
        assert!(
            (285..=300).contains(&outputs.expected(4_096)),
            "{outputs:?}"
        );
        assert_eq!(outputs.expected(100), 100);
        for tokens in [u64::MAX; 300] {
            outputs.hear(tokens);
        }
        assert!(outputs.expected(u64::MAX) > u64::from(u32::MAX) / 2);
    }
}
