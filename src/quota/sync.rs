//! What a quota shares and locks by.

pub(crate) use std::sync::{Arc, Weak};

pub(crate) use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
