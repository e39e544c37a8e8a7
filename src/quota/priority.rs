//! Who goes first.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::LazyLock,
};

use crate::core::queue::{CLASSES, Place};

/// How urgent a request is. Inside one priority it is first come, first served.
///
/// A less urgent request counts as having come later: 15 seconds a level. So it isn't overtaken for ever: one that has waited
/// that much longer goes first; a quota in which less urgent ones are to wait for their turn beside a rush of others needs a
/// [`max_wait`](crate::quota::QuotaBuilder::max_wait) above that. What [`keep_for`](crate::quota::QuotaBuilder::keep_for) keeps from it is kept as long.
///
/// | priority | level | counts as having come later by |
/// |---|---|---|
/// | `Interactive` | 0 | 0 s |
/// | `Standard` (default) | 2 | 30 s |
/// | `Background` | 6 | 90 s |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Somebody waits for the answer.
    Interactive,
    /// The usual.
    #[default]
    Standard,
    /// It may take its time.
    Background,
    /// A level from 0, the most urgent, to 7; larger ones count as 7.
    Level(u8),
}

impl Priority {
    #[inline]
    pub(in crate::quota) const fn class(self) -> u8 {
        match self {
            Self::Interactive => 0,
            Self::Standard => 2,
            Self::Background => 6,
            Self::Level(level) if (level as usize) < CLASSES => level,
            Self::Level(_) => CLASSES as u8 - 1,
        }
    }
}

/// Where a request stands in a line: how urgent it is, and with whom it takes turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    // The priority's. Two numbers, which go in registers.
    pub(super) class: u8,
    /// What [`flow`] makes of its key; 0 without one.
    pub(super) flow: u64,
}

impl Rank {
    pub(crate) const DEFAULT: Self = Self::new(Priority::Standard, 0);

    #[inline]
    pub(crate) const fn new(priority: Priority, flow: u64) -> Self {
        Self {
            class: priority.class(),
            flow,
        }
    }

    pub(super) const fn place(self) -> Place {
        Place::new(self.class, self.flow)
    }
}

/// A key among those that take turns. Two that are taken for one share a turn, which nobody can bring about: the hash's own
/// key is drawn anew in every process.
pub(crate) fn flow(key: &(impl Hash + ?Sized)) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one(key).max(1)
}
