//! A ring of counts: what happened lately, in constant memory.

use std::time::Duration;

use super::time::{Time, nanos};

/// What is counted of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    fn take(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

/// Which calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// The last so many.
    Calls(u32),
    /// Those of the last so much time, in so many steps.
    Time(Duration, u32),
    /// Those since it was last begun anew, which its owner does every so often.
    Fixed(Duration),
}

/// The tallies of a window that slides, and their sum.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    slots: Box<[Tally]>,
    sum: Tally,
    // The slot in use; of a time window, counted since the origin of time.
    turn: u64,
    // How long a slot is; `None` where a slot is one call.
    slot: Option<u64>,
}

impl Ring {
    pub(crate) fn new(window: Window) -> Self {
        let (slots, slot) = match window {
            Window::Calls(calls) => (calls.max(1), None),
            Window::Fixed(_) => (1, Some(u64::MAX)),
            Window::Time(span, steps) => {
                let steps = steps.max(1);
                (steps, Some((nanos(span) / u64::from(steps)).max(1)))
            }
        };
        Self {
            slots: vec![Tally::default(); slots as usize].into_boxed_slice(),
            sum: Tally::default(),
            turn: 0,
            slot,
        }
    }

    /// Counts one call.
    pub(crate) fn record(&mut self, failed: bool, slow: bool, now: Time) {
        let one = Tally {
            calls: 1,
            failures: u64::from(failed),
            slow: u64::from(slow),
        };
        match self.slot {
            None => self.step(),
            Some(_) => self.roll(now),
        }
        let at = self.at();
        self.slots[at].add(one);
        self.sum.add(one);
    }

    /// What happened in the window that ends now.
    pub(crate) fn sum(&mut self, now: Time) -> Tally {
        self.roll(now);
        self.sum
    }

    /// What had happened when it was last used.
    pub(crate) const fn last(&self) -> Tally {
        self.sum
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(Tally::default());
        self.sum = Tally::default();
    }

    fn at(&self) -> usize {
        (self.turn % self.slots.len() as u64) as usize
    }

    fn step(&mut self) {
        self.turn += 1;
        let at = self.at();
        let old = std::mem::take(&mut self.slots[at]);
        self.sum.take(old);
    }

    fn roll(&mut self, now: Time) {
        let Some(slot) = self.slot else { return };
        let turn = now.nanos() / slot;
        if turn <= self.turn {
            return; // a clock that stands still, or goes back
        }
        if turn - self.turn >= self.slots.len() as u64 {
            self.clear();
        } else {
            while self.turn < turn {
                self.step();
            }
        }
        self.turn = turn;
    }
}
