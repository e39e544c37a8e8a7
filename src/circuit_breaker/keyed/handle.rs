use std::{fmt, hash::Hash, sync::Arc};

use super::keys::Keys;
use crate::circuit_breaker::{CircuitEvents, CircuitHandle};

/// Looks at the circuits of all keys. Cheap to clone.
pub struct KeyedCircuitHandle<K> {
    keys: Arc<Keys<K>>,
}

impl<K> KeyedCircuitHandle<K> {
    pub(super) const fn new(keys: Arc<Keys<K>>) -> Self {
        Self { keys }
    }

    /// How many keys have a circuit now.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> KeyedCircuitHandle<K> {
    /// Sets the gauges as of now, see [`observe`](crate::observe#metrics): before they are rendered.
    #[cfg(feature = "metrics")]
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn publish_metrics(&self) {
        self.keys.house().told.publish();
    }

    /// The circuit of `key`, made where there is none yet. As long as its handle is kept it isn't
    /// forgotten.
    pub fn key(&self, key: &K) -> CircuitHandle {
        // Cloned outside of the lock.
        let circuit = self.keys.known(key);
        CircuitHandle::new(circuit.unwrap_or_else(|| self.keys.get(key.clone())))
    }

    /// What happens to all circuits from now on, with their keys.
    ///
    /// An event's `Debug` shows the key as the key's own does: let that of a secret be silent.
    pub fn subscribe(&self) -> CircuitEvents<K> {
        self.keys.house().hub.subscribe(None, |name| {
            let key = name.downcast_ref::<K>();
            key.expect("all circuits of a house are named alike")
                .clone()
        })
    }
}

impl<K> Clone for KeyedCircuitHandle<K> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.keys))
    }
}

/// Shows no keys, which may be secrets.
impl<K> fmt::Debug for KeyedCircuitHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCircuitHandle")
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}
