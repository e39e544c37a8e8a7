//! What goes into a circuit and what comes out.

use std::time::Duration;

use super::CircuitState;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    Success,
    Failure,
    /// Opens at once, at least for so long.
    OpenFor(Duration),
    /// Says nothing about the service.
    Neutral,
}

/// The right to one call, and which era of the circuit gave it. A late outcome of an older era
/// says nothing about this one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket {
    pub(super) era: u64,
}

impl Ticket {
    /// Where everybody is admitted.
    pub(crate) const fn of(era: u64) -> Self {
        Self { era }
    }

    pub(crate) const fn era(&self) -> u64 {
        self.era
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    /// How long it will be open.
    pub(crate) wait: Option<Duration>,
}

impl Move {
    /// Whether it says that a circuit which only measures would have opened.
    pub(crate) const fn would_open(&self) -> bool {
        matches!(
            (self.from, self.to, self.wait),
            (
                CircuitState::MetricsOnly,
                CircuitState::MetricsOnly,
                Some(_)
            )
        )
    }

    /// Whether an open circuit was opened anew, for another time.
    const fn reopened(&self) -> bool {
        matches!(
            (self.from, self.to),
            (CircuitState::Open, CircuitState::Open)
        )
    }

    /// Whether there is anything to tell.
    pub(crate) fn tells(&self) -> bool {
        self.from != self.to || self.reopened() || self.would_open()
    }
}

/// The changes of one step: at most from half-open to open and on to half-open again.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub(crate) struct Moves([Option<Move>; 2]);

impl Moves {
    pub(super) fn push(&mut self, change: Move) {
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        *free.expect("a step changes the state twice at most") = Some(change);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// Those that are to be told.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Move> + '_ {
        self.0.iter().flatten().copied().filter(Move::tells)
    }
}

impl From<Move> for Moves {
    fn from(change: Move) -> Self {
        Self([Some(change), None])
    }
}

/// What would be lost with a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It stands as it began.
    Nothing,
    /// It has counted something, or was open.
    Little,
    /// It refuses, probes, or was moved by hand.
    Much,
}
