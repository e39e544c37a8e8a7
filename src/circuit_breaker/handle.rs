use std::{sync::Arc, time::Duration};

use super::{CircuitEvents, circuit::Circuit};
use crate::core::breaker::{Breaker, CircuitCounts, CircuitState};

/// Looks at a circuit and moves it by hand. Cheap to clone; all clones are the same circuit.
///
/// Outcomes of calls that are out when it is moved no longer count.
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

    /// What happens to it from now on.
    pub fn subscribe(&self) -> CircuitEvents {
        self.circuit.subscribe()
    }

    /// Sets the gauges as of now, see [`observe`](crate::observe#metrics): before they are rendered.
    #[cfg(feature = "metrics")]
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn publish_metrics(&self) {
        self.circuit.house().told.publish();
    }

    /// Opens, for as long as the schedule says of the next opening. Not sticky: when the time is
    /// over, probes decide.
    pub fn trip(&self) {
        self.circuit.force(|breaker, now| breaker.trip(now, None));
    }

    /// Opens for `wait`, whatever the schedule says. Not sticky: when the time is over, probes
    /// decide.
    pub fn open_for(&self, wait: Duration) {
        self.circuit
            .force(|breaker, now| breaker.trip(now, Some(wait)));
    }

    /// Half-open at once: the next callers are probes.
    pub fn half_open(&self) {
        self.circuit.force(Breaker::half_open);
    }

    /// Refuses everything, until it is moved by hand.
    pub fn force_open(&self) {
        self.circuit.force(Breaker::force_open);
    }

    /// Lets everything pass and counts nothing, until it is moved by hand.
    pub fn force_closed(&self) {
        self.circuit.force(|breaker, _| breaker.force_closed());
    }

    /// Switched off: lets everything pass and counts nothing, until it is moved by hand.
    pub fn disable(&self) {
        self.circuit.force(|breaker, _| breaker.disable());
    }

    /// Lets everything pass, counts, and says in its [counts](Self::counts) and
    /// [events](Self::subscribe) when it would have opened, until it is moved by hand.
    pub fn metrics_only(&self) {
        self.circuit.force(|breaker, _| breaker.metrics_only());
    }

    /// Closed, and as if nothing had ever happened: in every state, closed included.
    pub fn reset(&self) {
        self.circuit.force(|breaker, _| breaker.reset());
    }
}
