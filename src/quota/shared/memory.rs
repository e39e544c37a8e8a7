//! A store for one process.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use super::{
    PoolId,
    store::{LossFuture, QuotaStore, StoreFuture, changed},
};
use crate::{
    core::pool::{Call, Pool, PoolLimit},
    quota::sync::Mutex,
};

/// A store in this process's memory: for tests, and the reference for others.
pub struct MemoryStore {
    pools: Mutex<HashMap<PoolId, Option<Pool>>>,
    origin: Instant,
    wall: SystemTime,
    losses: watch::Sender<()>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// A store without any pool.
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// The same whose clock shows that now.
    pub fn starting_at(wall: SystemTime) -> Self {
        Self {
            pools: Mutex::new(HashMap::new()),
            origin: Instant::now(),
            wall,
            losses: watch::Sender::new(()),
        }
    }

    /// Forgets everything, as a store does that loses its memory.
    pub fn forget(&self) {
        let pools = std::mem::take(&mut *self.pools.lock());
        drop(pools);
        self.losses.send_replace(());
    }

    fn clock(&self) -> u64 {
        let began = self.wall.duration_since(SystemTime::UNIX_EPOCH);
        micros(began.unwrap_or_default() + self.origin.elapsed())
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl QuotaStore for MemoryStore {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        Box::pin(async move {
            let now = self.clock();
            let mut pools = self.pools.lock();
            let pool = pools.entry(pool.clone()).or_default();
            Ok(Pool::call(pool, now, limits, call))
        })
    }

    fn lost(&self) -> LossFuture<'_> {
        changed(&self.losses)
    }
}
