//! Turns among processes, where there isn't enough for all.

#[cfg(test)]
mod tests;

use super::PoolLimit;

/// Whoever has had its share lets those go first who haven't and want it, but no longer than this, so that nothing is left unused for
/// their sake.
const GRACE: u64 = 100_000;

/// The same for limits of such a window.
fn grace(window: u64) -> u64 {
    GRACE.min(window / 32)
}

/// What a cost is of the limits.
pub(super) fn part(limits: &[PoolLimit], cost: &[u64]) -> f64 {
    let part = |(limit, n): (&PoolLimit, &u64)| *n as f64 / limit.amount as f64;
    limits.iter().zip(cost).map(part).fold(0.0, f64::max)
}

/// What is to be known of all processes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fair {
    // What each has had, were it the same for all; in parts of the limits.
    all: f64,
    // When the first has asked.
    began: u64,
    // Two who haven't had their share and want it: nobody lets itself go first, nor hides the other.
    short: [Short; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Short {
    by: u64,
    until: u64,
}

/// What one process has had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Had {
    had: f64,
    // Since when it has let others go first; 0 where it doesn't.
    put_off: u64,
}

/// What turns depend on in a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) process: u64,
    pub(super) now: u64,
    /// The shortest.
    pub(super) window: u64,
    // A share, in parts of the limits.
    share: f64,
    // It has had less than it may catch up on: it wants less than its share.
    wants_little: bool,
    /// Of every limit at least that part is left.
    pub(super) room: f64,
    claimed: bool,
}

impl Fair {
    /// A process calls, of which this is known. A whole share too little or too much is remembered, and no more.
    pub(super) fn enter(
        &mut self,
        known: Option<Had>,
        processes: usize,
        (process, now, window): (u64, u64, u64),
    ) -> (Had, Turn) {
        let share = 1.0 / processes.max(1) as f64;
        if self.began == 0 {
            self.began = now;
        }
        let known = known.unwrap_or_else(|| self.join(share, now < self.began + window));
        let least = self.all - share;
        let turn = Turn {
            process,
            now,
            window,
            share,
            wants_little: known.had < least,
            room: 0.0,
            claimed: false,
        };
        let had = known.had.max(least).min(self.all + share);
        (Had { had, ..known }, turn)
    }

    /// Somebody new is taken to have had what all others have, but for the first window, in which not all come at once.
    fn join(&mut self, share: f64, begins: bool) -> Had {
        if begins {
            self.all -= self.all * share;
            return Had::default();
        }
        Had {
            had: self.all,
            put_off: 0,
        }
    }

    /// Whether it has had its share, where so much is left: once that is given out, each is to have had the same.
    pub(super) fn is_over(&self, had: &Had, left: f64, turn: &Turn) -> bool {
        had.had >= self.all + left * turn.share
    }

    /// Somebody asks who hasn't had its share.
    pub(super) fn asks(&mut self, turn: &mut Turn) {
        if !turn.claimed {
            self.claims(0, turn);
        }
    }

    /// It comes back for it within so long.
    pub(super) fn claims(&mut self, back: u64, turn: &mut Turn) {
        turn.claimed = true;
        let new = Short {
            by: turn.process,
            until: turn.now + back.min(turn.window) + grace(turn.window),
        };
        let [one, other] = &mut self.short;
        if one.by == new.by {
            *one = new;
        } else if other.by == new.by {
            *other = new;
        } else {
            let first = if one.until <= other.until { one } else { other };
            if first.until <= new.until {
                *first = new;
            }
        }
    }

    /// How long whoever has had its share lets others go first.
    pub(super) fn puts_off(&self, had: &mut Had, turn: &Turn) -> Option<u64> {
        let now = turn.now;
        let waits = |short: &Short| short.by != turn.process && now < short.until;
        if !self.short.iter().any(waits) {
            return None;
        }
        if had.put_off == 0 {
            had.put_off = now;
        }
        let until = had.put_off + grace(turn.window);
        (now < until).then(|| until - now)
    }

    /// It has been granted such a part.
    pub(super) fn add(&mut self, had: &mut Had, part: f64, turn: &mut Turn) {
        turn.room -= part;
        had.had += part;
        self.all += part * turn.share;
    }

    /// All that it had asked for was answered: it had its turn, and was granted all.
    pub(super) fn leave(&mut self, had: &mut Had, its_turn: bool, all: bool, turn: &Turn) {
        if its_turn {
            // Next time it lets others go first again.
            had.put_off = 0;
        }
        // It has what it wants, which is little: nobody waits for it.
        if all && turn.wants_little {
            for short in &mut self.short {
                if short.by == turn.process {
                    short.until = 0;
                }
            }
        }
    }
}
