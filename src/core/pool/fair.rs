//! Each process its share, where there isn't enough for all.

use super::PoolLimit;

/// Whoever has had more than its share lets those go first who have had less and have asked no longer ago than this; and no
/// longer than this, so that nothing is left unused for the sake of those who want little.
const GRACE: u64 = 100_000;

/// The same for limits of such a window.
fn grace(window: u64) -> u64 {
    GRACE.min(window / 32)
}

/// Of a process that has had nothing yet.
const NEW: f64 = -1.0;

/// When there wasn't enough for all, and when somebody asked who has had less than its share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fair {
    pub(super) full: u64,
    pub(super) hungry: u64,
    /// Who that was: nobody lets itself go first.
    pub(super) by: u64,
}

/// What a process has had, in shares of the limits, by spans of the shortest window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Had {
    began: u64,
    // Since when it has let others go first.
    put_off: u64,
    now: f64,
    before: f64,
}

impl Had {
    /// Moves on to the span of `now`. What was had earlier counts half with each.
    pub(super) fn advance(&mut self, window: u64, now: u64, processes: u64) {
        let spans = now.saturating_sub(self.began) / window;
        if self.began == 0 {
            self.before = NEW;
        } else if spans > 0 {
            let before = self.before(processes);
            self.before = if spans == 1 {
                before / 2.0 + self.now
            } else {
                0.0
            };
            self.now = 0.0;
        }
        self.began += spans * window;
    }

    /// A newcomer is taken to have had its share.
    fn before(&self, processes: u64) -> f64 {
        if self.before < 0.0 {
            2.0 / processes as f64
        } else {
            self.before
        }
    }

    /// Whether it has had more than its share.
    pub(super) fn is_over(&self, window: u64, now: u64, processes: u64) -> bool {
        let into = now.saturating_sub(self.began) as f64 / window as f64;
        // With its share in each span, it has had 2 before and 1 in this.
        let had = self.now + self.before(processes) * (1.0 - into / 2.0);
        had * processes as f64 >= 3.0 - into
    }

    /// It has been granted so much.
    pub(super) fn add(&mut self, limits: &[PoolLimit], cost: &[u64]) {
        let share = |(limit, n): (&PoolLimit, &u64)| *n as f64 / limit.amount as f64;
        let shares = limits.iter().zip(cost).map(share);
        self.now += shares.fold(0.0, f64::max);
    }
}

impl Fair {
    /// How long whoever has had more than its share lets others go first.
    pub(super) fn puts_off(
        &self,
        had: &mut Had,
        tight: bool,
        window: u64,
        now: u64,
        process: u64,
    ) -> Option<u64> {
        let contended = tight || self.full > 0 && now.saturating_sub(self.full) < window;
        if !contended
            || self.by == process
            || self.hungry == 0
            || now >= self.hungry + grace(window)
        {
            return None;
        }
        if had.put_off == 0 {
            had.put_off = now;
        }
        let until = had.put_off + grace(window);
        (now < until).then(|| until - now)
    }
}

impl Had {
    /// Its turn has come: next time it lets others go first again.
    pub(super) const fn had_its_turn(&mut self) {
        self.put_off = 0;
    }
}
