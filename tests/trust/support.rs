//! What several suites need.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

#[path = "../support/stacks.rs"]
pub mod stacks;

pub use stacks::{Refusing, Stack, books, counting, stack};

/// Whether somebody was woken.
pub struct Bell(AtomicBool);

impl Bell {
    /// Rung, so that whatever it belongs to is polled a first time.
    pub fn rung() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    /// Whether it was rung since it was last asked.
    pub fn rang(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }

    pub fn ring(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
