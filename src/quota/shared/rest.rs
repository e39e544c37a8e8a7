//! Pools of which nobody asks anything while something that was sent still counts there.
//!
//! Were one to lose its state meanwhile, whoever finds it empty couldn't know of that. So those who have sent something look: when the
//! store says that it may have lost pools, while it is away, and now and then. As long as a pool knows of them it waits for what they
//! have to say, be it nothing: then they look where the store says that it may have lost it.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::talk::Until;
use crate::quota::{
    line::Line,
    sync::{Arc, Weak},
};

/// It isn't looked through before there are so many.
const FEW: usize = 64;
/// A store that can't be reached is looked at when it hasn't been for so long, …
const AWAY: Duration = Duration::from_millis(150);
/// … and any other, at one pool, after so long, or a longer time in windows that are longer.
const OFTEN: Duration = Duration::from_secs(1);

/// Lines whose pools nobody asks anything of, and until when those may have to learn from them.
#[derive(Default)]
pub(super) struct Resting {
    lines: HashMap<usize, (Weak<Line>, Until)>,
    last: usize,
    // It is looked through for those that are of no more use when it is so large.
    full: usize,
    // When the store was heard last, or looked at.
    heard: Option<Instant>,
    // Of the last of them.
    longest: Duration,
    // Nothing of any of them counts later.
    counts: Option<Instant>,
}

impl Resting {
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    pub(super) fn add(&mut self, line: &Arc<Line>, until: Until, now: Instant) {
        self.last = Arc::as_ptr(line) as usize;
        self.longest = until.longest;
        self.counts = self.counts.max(Some(until.counts));
        self.lines.insert(self.last, (Arc::downgrade(line), until));
        if self.lines.len() > self.full.max(FEW) {
            self.look_through(now);
            self.full = self.lines.len() * 2;
        }
    }

    fn look_through(&mut self, now: Instant) {
        self.lines
            .retain(|_, (line, until)| now < until.known && line.strong_count() > 0);
    }

    /// When to look next; not all processes at once.
    pub(super) fn next(&self, process: u64, away: bool) -> Option<Instant> {
        let heard = self.heard.filter(|_| !self.lines.is_empty())?;
        let span = if away {
            AWAY
        } else {
            OFTEN.max(self.longest / 8)
        };
        let next = heard + span + span / 200 * (process % 50) as u32;
        self.counts.filter(|counts| next < *counts).map(|_| next)
    }

    /// One to look at, where it is time to.
    pub(super) fn due(&mut self, process: u64, away: bool, now: Instant) -> Option<Arc<Line>> {
        self.next(process, away).filter(|at| now >= *at)?;
        self.heard = Some(now);
        self.look_through(now);
        let counts = |(_, until): &&(Weak<Line>, Until)| now < until.counts;
        let last = self.lines.get(&self.last).filter(counts);
        let (line, _) = last.or_else(|| self.lines.values().find(counts))?;
        line.upgrade()
    }

    /// All of them: the store may have lost its state.
    pub(super) fn take(&mut self) -> Vec<Arc<Line>> {
        let lines = std::mem::take(&mut self.lines);
        lines
            .values()
            .filter_map(|(line, _)| line.upgrade())
            .collect()
    }
}
