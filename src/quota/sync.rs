//! The seam under which locks can be exchanged for model-checked ones.

pub(crate) use std::sync::{Arc, Weak, atomic::AtomicU64, atomic::Ordering};
use std::sync::{MutexGuard, PoisonError};

/// A mutex that doesn't care whether somebody panicked while holding it: what it guards is
/// consistent after each call.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
