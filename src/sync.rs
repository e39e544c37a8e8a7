//! The seam under which locks and atomics are exchanged for those of a model checker: one that tries all interleavings of a few
//! tasks (loom, under `cfg(tower_quota_loom)`), or very many of more (shuttle, under `cfg(tower_quota_shuttle)`). See the
//! package `interleavings`.

use std::sync::PoisonError;

#[cfg(tower_quota_loom)]
use loom::sync as exchanged;
#[cfg(tower_quota_shuttle)]
use shuttle::sync as exchanged;
#[cfg(not(any(tower_quota_loom, tower_quota_shuttle)))]
use std::sync as exchanged;

pub(crate) use self::exchanged::{
    Arc, MutexGuard,
    atomic::{AtomicU64, Ordering, fence},
};

/// A mutex that doesn't care whether somebody panicked while holding it: what it guards is
/// consistent after each call.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(exchanged::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(exchanged::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
