use std::sync::Arc;

use tower_layer::Layer;

use super::{
    ByKey, KeyedCircuitBreaker, KeyedCircuitGateLayer, KeyedCircuitHandle, keys::Housed,
    service::GatedByKey,
};
use crate::{answers::Http, circuit_breaker::policy::Policy};

/// A circuit for every key. Made by [`CircuitBreakerLayer::keyed`](crate::CircuitBreakerLayer::keyed),
/// with the settings of that layer.
///
/// The layer, its clones, its services and their handles share the circuits.
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyedCircuitBreakerLayer<W, P = Http> {
    by: W,
    policy: Policy,
    answers: P,
}

impl<W, P> KeyedCircuitBreakerLayer<W, P> {
    pub(in crate::circuit_breaker) const fn new(by: W, policy: Policy, answers: P) -> Self {
        Self {
            by,
            policy,
            answers,
        }
    }
}

impl<K, F, P> KeyedCircuitBreakerLayer<ByKey<K, F>, P> {
    /// At most so many keys have a circuit at a time, by default 10,000; see
    /// [keys](crate::circuit_breaker#keys) for which are forgotten.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn max_keys(self, keys: usize) -> Self {
        assert!(keys > 0, "max_keys: 0 isn't at least 1");
        self.by.keys.at_most(keys);
        self
    }

    /// What looks at the circuits and moves them by hand.
    pub fn handle(&self) -> KeyedCircuitHandle<K> {
        KeyedCircuitHandle::new(self.by.keys.clone())
    }

    /// A layer that only looks: it refuses while the circuit of a request's key refuses, and takes
    /// no ticket. Put it outside of the limiters, to spare callers the queue.
    pub fn gate(&self) -> KeyedCircuitGateLayer<ByKey<K, F>> {
        KeyedCircuitGateLayer::new(self.by.clone())
    }
}

impl<S, W: Housed + Clone, P: Clone> Layer<S> for KeyedCircuitBreakerLayer<W, P> {
    type Service = KeyedCircuitBreaker<S, W, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let gated = GatedByKey::new(inner, Arc::clone(self.by.house()));
        KeyedCircuitBreaker::new(gated, self.by.clone(), self.policy, self.answers.clone())
    }
}
