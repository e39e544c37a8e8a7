//! Successes that somebody else counts for a while.

use super::{Breaker, Phase};
use crate::core::{ring::Window, time::Time};

impl Breaker {
    /// The era that tickets are of now.
    pub(crate) const fn era(&self) -> u64 {
        self.era
    }

    /// Until when a success of this era that isn't slow changes nothing but counts, as things stand; zero where each may
    /// change more. Whoever counts them meanwhile [brings them](Self::succeeded) before anything else is done or asked.
    pub(crate) fn calm_until(&self) -> Time {
        match (self.phase, self.settings.window) {
            (Phase::ForcedClosed | Phase::Disabled, _) => Time::MAX,
            // The next window is another era.
            (_, Window::Fixed(_)) => Time::ZERO,
            (Phase::Closed | Phase::MetricsOnly { over: false }, _) => {
                let sum = self.ring.last();
                // With one success more a rate falls, unless it is the one that makes them enough for a rate.
                let enough = sum.calls >= self.settings.least();
                let calm = enough || (sum.failures == 0 && sum.slow == 0);
                if calm && self.verdict().is_none() {
                    self.ring.still_until()
                } else {
                    Time::ZERO
                }
            }
            _ => Time::ZERO,
        }
    }

    /// So many successes came since then, all of them before [that time](Self::calm_until).
    pub(crate) fn succeeded(&mut self, times: u64) {
        if times == 0 || matches!(self.phase, Phase::ForcedClosed | Phase::Disabled) {
            return;
        }
        self.ring.succeeded(times);
        self.successes_in_a_row += times;
        self.failures_in_a_row = 0;
    }
}
