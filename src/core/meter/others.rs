//! What others spend from the same limit, as far as the provider's answers tell.

use super::saved::{Nonsense, SavedOthers, amount};
use crate::core::time::Time;

/// So many spans make a window.
const SPANS: u64 = 8;
/// After a window in which less was seen, the level falls by this share of the limit with each span: whoever finds the
/// others gone has everything again two windows later, and whoever has no room left tries again with little.
const FALL: u64 = 16;

/// They may have so much of what they had more by the time that an answer tells, and at most that share of the limit.
const MORE: u64 = 6;
const MOST: u64 = 20;

/// So much of the limit is ours soon after, whatever others take: who leaves everything to them is never seen by them.
const OURS: u64 = 8;
/// Less than this share of the limit may be what our own estimates were wrong by.
const FEW: u64 = 16;

/// The most that others had spent at once, of late: the peak of the last window, and what is left of earlier ones.
///
/// Others that spend steadily go on when a window ends, so that what they had is not free then.
#[derive(Clone, Debug)]
pub(super) struct Others {
    amount: u64,
    span: u64,
    // Whether there is anything to forget: nearly always there is nobody else.
    seen: bool,
    // The number of the newest span, counted from time zero.
    newest: u64,
    // The most that was seen in each span, the newest first.
    peaks: [u64; SPANS as usize],
    // What is left of earlier peaks.
    fading: u64,
}

impl Others {
    pub(super) fn new(amount: u64, window: u64) -> Self {
        Self {
            amount,
            span: (window / SPANS).max(1),
            seen: false,
            newest: 0,
            peaks: [0; SPANS as usize],
            fading: 0,
        }
    }

    /// Whether there is anybody, or was of late.
    #[inline]
    pub(super) const fn are_seen(&self) -> bool {
        self.seen
    }

    /// What they have, as of the last [`advance`](Self::advance).
    #[inline]
    pub(super) fn level(&self) -> u64 {
        if !self.seen {
            return 0;
        }
        self.peaks
            .iter()
            .fold(self.fading, |max, peak| max.max(*peak))
    }

    #[inline]
    pub(super) fn advance(&mut self, now: Time) {
        if self.seen {
            self.move_on(now);
        }
    }

    fn move_on(&mut self, now: Time) {
        let number = now.nanos() / self.span;
        while self.newest < number && self.seen {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let oldest = self.peaks[SPANS as usize - 1];
        let fall = (self.amount / FALL).max(1);
        self.fading = self.fading.max(oldest).saturating_sub(fall);
        self.peaks.copy_within(..SPANS as usize - 1, 1);
        self.peaks[0] = 0;
        self.peaks[1] = self.peaks[1].min(self.amount - self.amount / OURS);
        self.newest = self.newest.saturating_add(1);
        // Asked as long as there is anything.
        self.seen = self.level() > 0;
    }

    const fn are_few(&self, level: u64) -> bool {
        level < self.amount / FEW
    }

    /// They had `level` at `then`.
    pub(super) fn see(&mut self, level: u64, then: Time, now: Time) {
        if level == 0 {
            return;
        }
        if !self.seen {
            self.seen = true;
            self.newest = now.nanos() / self.span;
        }
        // They go on while the answer is on its way.
        let more = if self.are_few(level) {
            0
        } else {
            (level / MORE).min(self.amount / MOST)
        };
        let level = level.saturating_add(more);
        let ago = self.newest.saturating_sub(then.nanos() / self.span);
        if let Some(peak) = self.peaks.get_mut(ago as usize) {
            // More than everything is no more than everything, and takes no longer to forget.
            *peak = level.min(self.amount).max(*peak);
        }
    }

    /// When they have less, if no more is seen of them; none where they have nothing.
    pub(super) fn next_fall(&self) -> Option<Time> {
        let next = self.newest.checked_add(1)?.checked_mul(self.span);
        next.filter(|_| self.seen).map(Time::from_nanos)
    }

    pub(super) fn save(&self) -> Option<SavedOthers> {
        self.seen.then(|| SavedOthers {
            newest: self.newest,
            peaks: self.peaks.to_vec(),
            fading: self.fading,
        })
    }

    pub(super) fn restore(
        &mut self,
        saved: Option<&SavedOthers>,
        latest: Time,
    ) -> Result<(), Nonsense> {
        let Some(saved) = saved else {
            return Ok(());
        };
        if saved.newest > latest.nanos() / self.span {
            return Err("an instant is too far in the future");
        }
        for (peak, saved) in self.peaks.iter_mut().zip(&saved.peaks) {
            *peak = amount(*saved)?.min(self.amount);
        }
        self.fading = amount(saved.fading)?.min(self.amount);
        (self.newest, self.seen) = (saved.newest, true);
        Ok(())
    }

    pub(super) fn resize(&mut self, amount: u64) {
        self.amount = amount;
        self.fading = self.fading.min(amount);
        self.peaks = self.peaks.map(|peak| peak.min(amount));
    }
}
