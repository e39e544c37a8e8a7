//! What was answered, by when it had left.

use crate::core::time::Time;

/// Into how many steps a window is cut.
const STEPS: u64 = 128;
/// For so many steps everything is remembered: for the window before a request that is answered a window later.
const KEPT: u64 = 2 * STEPS;

/// What requests had reserved, and how much of that turned out unused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) reserved: u64,
    pub(super) unused: u64,
}

/// The requests of two windows that were answered and counted, in constant memory.
#[derive(Clone, Debug)]
pub(super) struct History {
    step: u64,
    // Of the last steps, the one in use among them. Made when there is something to remember.
    steps: Box<[Answered]>,
    turn: u64,
}

impl History {
    pub(super) fn new(window: u64) -> Self {
        Self {
            step: (window / STEPS).max(1),
            steps: Box::default(),
            turn: 0,
        }
    }

    /// A request that left at `dated` is answered now.
    pub(super) fn add(&mut self, answered: Answered, dated: Time, now: Time) {
        if self.steps.is_empty() {
            self.steps = vec![Answered::default(); KEPT as usize].into_boxed_slice();
        }
        let turn = (now.nanos() / self.step).max(self.turn);
        for turn in self.turn.max(turn.saturating_sub(KEPT))..turn {
            self.steps[((turn + 1) % KEPT) as usize] = Answered::default();
        }
        self.turn = turn;
        let turn = dated.nanos() / self.step;
        if self.remembers(turn) {
            self.steps[(turn % KEPT) as usize].add(answered);
        }
    }

    fn remembers(&self, turn: u64) -> bool {
        turn <= self.turn && self.turn - turn < KEPT
    }

    /// The steps that lie wholly between, the last first: when each began, and the sum of all since.
    pub(super) fn between(
        &self,
        after: Option<Time>,
        before: Time,
    ) -> impl Iterator<Item = (Time, Answered)> {
        let first = after.map_or(0, |after| after.nanos() / self.step + 1);
        let end = before.nanos() / self.step;
        let mut sum = Answered::default();
        let first = first.max((self.turn + 1).saturating_sub(KEPT));
        let end = if self.steps.is_empty() {
            first
        } else {
            end.min(self.turn + 1)
        };
        (first..end).rev().map(move |turn| {
            sum.add(self.steps[(turn % KEPT) as usize]);
            (Time::from_nanos(turn * self.step), sum)
        })
    }
}

impl Answered {
    const fn add(&mut self, other: Self) {
        self.reserved = self.reserved.saturating_add(other.reserved);
        self.unused = self.unused.saturating_add(other.unused);
    }

    /// What is on the account of one that keeps all but a `part`th of what is unused.
    pub(super) const fn kept(self, part: u64) -> u64 {
        self.reserved.saturating_sub(self.unused / part)
    }
}
