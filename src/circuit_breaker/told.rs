//! Who is told of circuits, and of what. Nothing here runs under a circuit's lock.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire},
    },
    time::Duration,
};

use tracing::{Level, field::debug};

use super::CircuitBreakerLayer;
use crate::{
    core::breaker::{CircuitState, Move, Moves},
    lock::lock,
    observe::{IS_ON, Metrics, target},
};

/// How often a gauge is set again that has changed meanwhile.
const ROUNDS: usize = 4;

/// What the circuits of one layer are called, and how many of them are in each state. Nobody is told their keys.
pub(super) struct Told {
    voice: Mutex<Arc<Voice>>,
    in_state: [AtomicUsize; CircuitState::ALL.len()],
}

#[derive(Debug)]
struct Voice {
    pool: Option<Arc<str>>,
    metrics: Metrics,
}

impl Voice {
    fn new(pool: Option<Arc<str>>) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(pool.clone(), None),
            pool,
        })
    }
}

impl Default for Told {
    fn default() -> Self {
        Self {
            voice: Mutex::new(Voice::new(None)),
            in_state: Default::default(),
        }
    }
}

impl Told {
    /// The same name for others.
    pub(super) fn alike(&self) -> Self {
        Self {
            voice: Mutex::new(self.voice()),
            ..Self::default()
        }
    }

    fn named(&self, pool: Arc<str>) {
        let old = std::mem::replace(&mut *lock(&self.voice), Voice::new(Some(pool)));
        drop(old);
    }

    fn voice(&self) -> Arc<Voice> {
        Arc::clone(&lock(&self.voice))
    }

    /// A circuit is made, or begins anew in another state.
    pub(super) fn begins(&self, state: CircuitState) {
        self.in_state[state as usize].fetch_add(1, AcqRel);
    }

    /// A circuit is gone, or this state of it is.
    pub(super) fn ends(&self, state: CircuitState) {
        self.in_state[state as usize].fetch_sub(1, AcqRel);
    }

    /// A circuit has changed its state.
    pub(super) fn moved(&self, moves: &Moves) {
        let voice = self.voice();
        let pool = voice.pool.as_deref();
        for change in moves.iter() {
            let Move { from, to, wait } = change;
            let wait = wait.map(debug);
            if change.would_open() {
                tracing::info!(target: target::CIRCUIT, pool, wait, "circuit would have opened");
                voice.metrics.moved(from.name(), "would have opened");
                continue;
            }
            let (from_name, to_name) = (from.name(), to.name());
            tracing::info!(target: target::CIRCUIT, pool, from = from_name, to = to_name, wait, "circuit changed");
            voice.metrics.moved(from_name, to_name);
            self.begins(to);
            self.ends(from);
            for state in [from, to] {
                self.show(&voice, state);
            }
        }
    }

    /// A call was refused.
    pub(super) fn refused(&self, wait: Option<Duration>) {
        if !IS_ON && !tracing::enabled!(target: target::CIRCUIT, Level::DEBUG) {
            return;
        }
        let voice = self.voice();
        let (pool, wait) = (voice.pool.as_deref(), wait.map(debug));
        tracing::debug!(target: target::CIRCUIT, pool, wait, "refused: the circuit is open");
        voice.metrics.circuit_refused();
    }

    /// Sets all gauges.
    #[cfg(feature = "metrics")]
    pub(super) fn publish(&self) {
        let voice = self.voice();
        for state in CircuitState::ALL {
            self.show(&voice, state);
        }
    }

    /// Sets a gauge. Whoever else does so at the same time may be late: the last to set it has looked again.
    fn show(&self, voice: &Voice, state: CircuitState) {
        if !IS_ON {
            return;
        }
        let count = &self.in_state[state as usize];
        // Below none, where a move is told before the one that led there.
        let count = || count.load(Acquire).cast_signed().max(0);
        let mut shown = count();
        // A recorder that moves circuits itself has no last word.
        for _ in 0..ROUNDS {
            voice.metrics.circuits(state.name(), shown.cast_unsigned());
            let now = count();
            if now == shown {
                return;
            }
            shown = now;
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told")
            .field("pool", &self.voice().pool)
            .finish_non_exhaustive()
    }
}

impl<P> CircuitBreakerLayer<P> {
    /// What operators know it by, in events and metrics: best what the [quota](crate::quota::QuotaBuilder::named) is called. The
    /// circuits of keys are all called so.
    ///
    /// # Panics
    /// If it is empty.
    #[track_caller]
    pub fn named(self, pool: &str) -> Self {
        assert!(!pool.is_empty(), "named: {pool:?} is no name");
        self.house().told.named(pool.into());
        self
    }
}
