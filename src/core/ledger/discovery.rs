//! How many may be in flight while nobody knows the limits.

use crate::core::time::Time;

/// One at first. The first answer that states a limit ends it; answers that state none let one more go each, until the first
/// refusal; from then on half as many may be in flight, and one more for each that many answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discovery {
    window: usize,
    // Until the first refusal.
    doubling: bool,
    answers: usize,
    changed: Time,
}

impl Discovery {
    pub(super) const fn new() -> Self {
        Self {
            window: 1,
            doubling: true,
            answers: 0,
            changed: Time::ZERO,
        }
    }

    pub(super) const fn window(&self) -> usize {
        self.window
    }

    /// An answer without a limit in it.
    pub(super) const fn admitted(&mut self) {
        self.answers += 1;
        if self.doubling || self.answers >= self.window {
            self.window = self.window.saturating_add(1);
            self.answers = 0;
        }
    }

    /// What left at `dated` was refused. Those that were in flight together are refused together.
    pub(super) fn refused(&mut self, dated: Time, now: Time) {
        if dated >= self.changed {
            self.window = (self.window / 2).max(1);
            (self.doubling, self.answers, self.changed) = (false, 0, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_with_each_round_until_the_first_refusal_and_then_grows_by_one() {
        let mut discovery = Discovery::new();
        for _ in 0..6 {
            (0..discovery.window()).for_each(|_| discovery.admitted());
        }
        assert_eq!(discovery.window(), 64);
        let (sent, now) = (Time::from_nanos(5), Time::from_nanos(9));
        for _ in 0..20 {
            discovery.refused(sent, now);
        }
        assert_eq!(discovery.window(), 32);
        (0..32).for_each(|_| discovery.admitted());
        assert_eq!(discovery.window(), 33);
    }
}
