//! A quota for every key.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
};

use super::{Quota, QuotaBuilder, sync::Mutex};
use crate::core::limit::Shape;

/// How many keys have a quota of their own, at the most.
const MOST_KEYS: usize = 100_000;
/// How many keys are looked at, at the most, to find an idle one.
const LOOK_AT: usize = 1_000;

/// A quota for every key, made when the key is first seen. Keys whose quota is unspent are forgotten; where there is no room left,
/// further keys share one quota, so that no stream of made-up keys takes memory or evicts anyone.
pub struct KeyedQuotas<K> {
    make: Box<dyn Fn(&K) -> Quota + Send + Sync>,
    keys: Mutex<Keys<K>>,
    most: usize,
}

struct Keys<K> {
    quotas: HashMap<K, Quota>,
    // In the order in which they are looked at when room is needed.
    order: VecDeque<K>,
    // What the keys beyond the bound share.
    overflow: Option<Quota>,
}

impl<K> fmt::Debug for KeyedQuotas<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedQuotas")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> KeyedQuotas<K> {
    /// Quotas that `make` makes, for at most 100,000 keys at a time.
    pub(crate) fn new(make: impl Fn(&K) -> Quota + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            keys: Mutex::new(Keys {
                quotas: HashMap::new(),
                order: VecDeque::new(),
                overflow: None,
            }),
            most: MOST_KEYS,
        }
    }

    /// The quota of `key`.
    pub(crate) fn get(&self, key: &K) -> Quota {
        if let Some(quota) = self.keys.lock().quotas.get(key) {
            return quota.clone();
        }
        // The user's function runs outside of the lock; whoever is first puts its quota in.
        let fresh = (self.make)(key);
        let mut keys = self.keys.lock();
        let evicted = keys.make_room(self.most);
        let quota = if keys.quotas.len() < self.most {
            keys.insert(key, fresh)
        } else {
            keys.overflow.get_or_insert(fresh).clone()
        };
        drop(keys);
        drop(evicted);
        quota
    }
}

impl QuotaBuilder {
    /// Limits without a stated shape become buckets.
    pub(super) fn for_key(mut self) -> Self {
        // What it is told by is that of the quota that it is made from.
        (self.keyed, self.alerts) = (true, None);
        for limit in &mut self.limits {
            limit.shape.get_or_insert(Shape::Bucket);
        }
        self
    }
}

impl<K: Hash + Eq + Clone> Keys<K> {
    fn insert(&mut self, key: &K, fresh: Quota) -> Quota {
        if let Some(quota) = self.quotas.get(key) {
            return quota.clone();
        }
        self.quotas.insert(key.clone(), fresh.clone());
        self.order.push_back(key.clone());
        fresh
    }

    /// Forgets idle keys: a few with every new one, up to a bound where there is no room left.
    fn make_room(&mut self, most: usize) -> Vec<Quota> {
        let full = self.quotas.len() >= most;
        let mut evicted = Vec::new();
        for _ in 0..if full { LOOK_AT } else { 2 } {
            let Some(key) = self.order.pop_front() else {
                break;
            };
            if self.quotas.get(&key).is_some_and(Quota::is_idle) {
                evicted.extend(self.quotas.remove(&key));
                if full {
                    break;
                }
            } else {
                self.order.push_back(key);
            }
        }
        evicted
    }
}
