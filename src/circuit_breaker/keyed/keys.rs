//! Which circuit a request belongs to, and which are kept.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex},
};

use crate::{
    circuit_breaker::{circuit::Circuit, events::Name, house::House},
    core::breaker::{Settings, Worth},
    lock::lock,
};

/// How many keys have a circuit of their own, at the most.
const MOST_KEYS: usize = 10_000;
/// How many keys are looked at when a new one comes, to forget idle ones, …
const LOOK_AT: usize = 2;
/// … and when there is no room left.
const LOOK_AT_FULL: usize = 8;

/// The circuits of all keys.
pub(in crate::circuit_breaker) struct Keys<K> {
    house: Arc<House>,
    settings: Settings,
    kept: Mutex<Kept<K>>,
}

struct Kept<K> {
    circuits: HashMap<Arc<K>, Arc<Circuit>>,
    // In the order in which they are looked at when room is needed.
    order: VecDeque<Arc<K>>,
    most: usize,
}

impl<K> Keys<K> {
    fn new(house: Arc<House>, settings: Settings) -> Self {
        Self {
            house,
            settings,
            kept: Mutex::new(Kept {
                circuits: HashMap::new(),
                order: VecDeque::new(),
                most: MOST_KEYS,
            }),
        }
    }

    pub(super) const fn house(&self) -> &Arc<House> {
        &self.house
    }

    pub(super) fn at_most(&self, keys: usize) {
        lock(&self.kept).most = keys;
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.kept).circuits.len()
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Keys<K> {
    /// The circuit of `key`, if it has one.
    pub(super) fn known(&self, key: &K) -> Option<Arc<Circuit>> {
        lock(&self.kept).circuits.get(key).cloned()
    }

    /// The circuit of `key`.
    pub(super) fn get(&self, key: K) -> Arc<Circuit> {
        if let Some(circuit) = self.known(&key) {
            return circuit;
        }
        let key = Arc::new(key);
        let name: Name = Arc::clone(&key) as Name;
        let circuit = Circuit::new(self.settings.clone(), name, Arc::clone(&self.house));
        let mut kept = lock(&self.kept);
        if let Some(first) = kept.circuits.get(&key) {
            let first = Arc::clone(first);
            // Ours and its key are dropped outside of the lock.
            drop(kept);
            return first;
        }
        let forgotten = kept.make_room();
        if kept.circuits.len() < kept.most {
            kept.circuits.insert(Arc::clone(&key), Arc::clone(&circuit));
            kept.order.push_back(key);
        }
        drop(kept);
        drop(forgotten);
        circuit
    }
}

impl<K: Hash + Eq> Kept<K> {
    /// Looks at a few of those that it hasn't looked at for longest. Forgets those that are idle,
    /// and where there is still no room, one that is closed but has counted something. Never one
    /// that is open, was moved by hand, or has somebody's calls, handles or listeners out.
    fn make_room(&mut self) -> Vec<(Arc<K>, Arc<Circuit>)> {
        let full = self.circuits.len() >= self.most;
        let look_at = if full { LOOK_AT_FULL } else { LOOK_AT };
        let mut forgotten = Vec::new();
        // Out of turn until it is known whether it goes.
        let mut second_best = None;
        for _ in 0..look_at.min(self.order.len()) {
            let Some(key) = self.order.pop_front() else {
                break;
            };
            let worth = self.circuits.get(&key).map(|circuit| {
                // The key is held here, by the map and by the circuit; and by who listens to it alone.
                if Arc::strong_count(circuit) > 1 || Arc::strong_count(&key) > 3 {
                    Worth::Much
                } else {
                    circuit.worth()
                }
            });
            match worth {
                Some(Worth::Nothing) => forgotten.extend(self.circuits.remove_entry(&key)),
                Some(Worth::Little) if second_best.is_none() => second_best = Some(key),
                _ => self.order.push_back(key),
            }
        }
        match second_best {
            Some(key) if self.circuits.len() >= self.most => {
                forgotten.extend(self.circuits.remove_entry(&key));
            }
            Some(key) => self.order.push_back(key),
            None => {}
        }
        forgotten
    }
}

/// Tells a request's circuit by a key. Made by
/// [`CircuitBreakerLayer::keyed`](crate::CircuitBreakerLayer::keyed).
pub struct ByKey<K, F> {
    pub(super) keys: Arc<Keys<K>>,
    key: Arc<F>,
}

impl<K, F> ByKey<K, F> {
    pub(in crate::circuit_breaker) fn new(key: F, house: Arc<House>, settings: Settings) -> Self {
        Self {
            keys: Arc::new(Keys::new(house, settings)),
            key: Arc::new(key),
        }
    }
}

impl<K, F> Clone for ByKey<K, F> {
    fn clone(&self) -> Self {
        Self {
            keys: Arc::clone(&self.keys),
            key: Arc::clone(&self.key),
        }
    }
}

impl<K, F> fmt::Debug for ByKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

/// Where circuits belong.
pub(super) trait Housed {
    fn house(&self) -> &Arc<House>;
}

impl<K, F> Housed for ByKey<K, F> {
    fn house(&self) -> &Arc<House> {
        self.keys.house()
    }
}

/// Which circuit a request belongs to.
pub(super) trait Which<Req> {
    fn circuit(&self, request: &Req) -> Arc<Circuit>;
}

impl<Req, K, F> Which<Req> for ByKey<K, F>
where
    F: Fn(&Req) -> K,
    K: Hash + Eq + Send + Sync + 'static,
{
    fn circuit(&self, request: &Req) -> Arc<Circuit> {
        self.keys.get((self.key)(request))
    }
}
