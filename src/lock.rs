//! Locks under which nothing is left half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not somebody panicked under it before: none of our locks is held while code of others runs, but for the
/// comparison of keys, which changes nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
