//! Who goes first.

use crate::core::queue::CLASSES;

/// How urgent a request is. Inside one priority it is first come, first served.
///
/// A less urgent request counts as having come later: 15 seconds a level. So it isn't overtaken for ever: one that has waited
/// that much longer goes first.
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
