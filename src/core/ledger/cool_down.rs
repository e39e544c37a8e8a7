//! How long to pause after a refusal that doesn't say.

use std::time::Duration;

use crate::core::time::{Time, nanos};

/// A pause never becomes shorter than this share of the first one.
const LEAST: u64 = 16;

/// Pauses after refusals without a usable hint: half as long each time that traffic has resumed cleanly, as long as at first
/// where it hasn't.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoolDown {
    first: u64,
    next: u64,
    until: Time,
    // Whether something that left after the last pause was admitted.
    clean: bool,
}

impl CoolDown {
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            first: nanos(pause),
            next: nanos(pause),
            until: Time::ZERO,
            clean: true,
        }
    }

    /// What left at `dated` was refused: until when to pause; `None` where it left before the last pause had ended, so that
    /// it says nothing new.
    pub(super) fn refused(&mut self, dated: Time, now: Time) -> Option<Time> {
        if dated < self.until {
            return None;
        }
        if !self.clean {
            self.next = self.first;
        }
        self.clean = false;
        self.until = Time::from_nanos(now.nanos().saturating_add(self.next));
        Some(self.until)
    }

    /// What left at `dated` was admitted.
    pub(super) fn admitted(&mut self, dated: Time) {
        if !self.clean && dated >= self.until {
            self.clean = true;
            self.next = (self.next / 2).max(self.first / LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * SECOND)
    }

    #[test]
    fn a_pause_is_half_as_long_after_traffic_resumed_cleanly_and_whole_again_after_it_did_not() {
        let mut pauses = CoolDown::new(Duration::from_secs(16));
        assert_eq!(pauses.refused(at(1), at(2)), Some(at(18)));
        // What left before the pause ended says nothing.
        assert_eq!(pauses.refused(at(1), at(3)), None);
        pauses.admitted(at(2));
        pauses.admitted(at(18));
        assert_eq!(pauses.refused(at(20), at(20)), Some(at(28)));
        // Refused right after it resumed.
        assert_eq!(pauses.refused(at(28), at(28)), Some(at(44)));
        for (n, pause) in [8, 4, 2, 1, 1].into_iter().enumerate() {
            let now = at(100 * (n as u64 + 1));
            pauses.admitted(now);
            let until = Time::from_nanos(now.nanos() + pause * SECOND);
            assert_eq!(pauses.refused(now, now), Some(until), "{n}");
        }
    }
}
