use std::sync::Arc;

use super::circuit::Circuit;
use crate::core::breaker::{Breaker, CircuitCounts, CircuitState};

/// Looks at a circuit and moves it by hand. Cheap to clone; all clones are the same circuit.
#[derive(Clone, Debug)]
pub struct CircuitHandle {
    circuit: Arc<Circuit>,
}

impl CircuitHandle {
    pub(super) const fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit }
    }

    /// Where it stands. An open circuit whose time is over stays open until somebody calls.
    pub fn state(&self) -> CircuitState {
        self.circuit.state()
    }

    /// What it has counted.
    pub fn counts(&self) -> CircuitCounts {
        self.circuit.counts()
    }

    /// Refuses everything, until [`reset`](Self::reset) or [`force_closed`](Self::force_closed).
    /// Outcomes of calls that are out no longer count.
    pub fn force_open(&self) {
        self.circuit.force(Breaker::force_open);
    }

    /// Lets everything pass and counts nothing, until [`reset`](Self::reset) or
    /// [`force_open`](Self::force_open).
    pub fn force_closed(&self) {
        self.circuit.force(Breaker::force_closed);
    }

    /// Closed, and as if nothing had ever happened: in every state, closed included.
    pub fn reset(&self) {
        self.circuit.force(Breaker::reset);
    }
}
