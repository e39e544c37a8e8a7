//! How much had left, and had turned out not to count, at any instant of late.

use crate::core::time::Time;

/// Into how many steps a window is cut.
const STEPS: u64 = 128;
/// For so many steps everything is remembered: for a window before a request that was answered a window later.
const KEPT: usize = 2 * STEPS as usize;

/// How things stood, since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) departed: u64,
    pub(super) unused: u64,
    pub(super) returned: u64,
}

/// The past of two windows, in constant memory.
#[derive(Clone, Debug)]
pub(super) struct History {
    step: u64,
    // How things stood when each step began; of a step that isn't among the last, forgotten.
    begun: Box<[Past]>,
    turn: u64,
    now: Past,
}

impl History {
    pub(super) fn new(window: u64) -> Self {
        Self {
            step: (window / STEPS).max(1),
            begun: vec![Past::default(); KEPT].into_boxed_slice(),
            turn: 0,
            now: Past::default(),
        }
    }

    /// How things stand.
    pub(super) const fn now(&self) -> Past {
        self.now
    }

    /// Moves on to `now`, and changes how things stand.
    pub(super) fn change(&mut self, now: Time, change: impl FnOnce(&mut Past)) {
        let turn = now.nanos() / self.step;
        // More steps than there are need no more than one round.
        let from = self.turn.max(turn.saturating_sub(KEPT as u64));
        for turn in from..turn {
            self.begun[(turn + 1) as usize % KEPT] = self.now;
        }
        self.turn = self.turn.max(turn);
        change(&mut self.now);
    }

    /// How things stood at `t`, or a little earlier; none where that is forgotten.
    pub(super) fn before(&self, t: Time) -> Option<Past> {
        self.at(t.nanos() / self.step)
    }

    /// How things stood at `t`, or a little later; none where that is forgotten.
    pub(super) fn after(&self, t: Time) -> Option<Past> {
        self.at((t.nanos() / self.step).saturating_add(1))
    }

    fn at(&self, turn: u64) -> Option<Past> {
        if turn > self.turn {
            return Some(self.now);
        }
        let kept = self.turn - turn < KEPT as u64;
        kept.then(|| self.begun[turn as usize % KEPT])
    }
}
