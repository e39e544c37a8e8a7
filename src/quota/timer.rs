//! The quota's one timer. Its waker is the quota itself, so that the line moves though no waiter is
//! polled.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::core::time::Time;

/// What came of setting the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Armed {
    /// It fires in time.
    Set,
    /// The instant has passed: whoever asked looks after the line at once.
    Past,
    /// This isn't a runtime: whoever waits has to be woken, to set it on its own.
    NoRuntime,
}

/// One timer that only ever moves earlier, until it fires.
///
/// A runtime that shuts down fires its timers early, and polling one of them afterwards panics.
/// So a timer is never set anew: each instant gets a timer of the runtime that asks for it.
#[derive(Debug)]
pub(super) struct Timer {
    origin: Instant,
    // When it fires; `u64::MAX` where it isn't set.
    armed: AtomicU64,
    // When somebody wants it to fire at the latest.
    wanted: AtomicU64,
    sleep: Mutex<Option<Pin<Box<Sleep>>>>,
    again: AtomicBool,
}

impl Timer {
    pub(super) const fn new(origin: Instant) -> Self {
        Self {
            origin,
            armed: AtomicU64::new(u64::MAX),
            wanted: AtomicU64::new(u64::MAX),
            sleep: Mutex::new(None),
            again: AtomicBool::new(false),
        }
    }

    /// Makes it fire at `at`, or earlier if it was to anyway.
    ///
    /// A timer set to a past instant may wake inside the call, and the waker may come back here:
    /// hence no lock is waited for.
    pub(super) fn arm(&self, at: Time, waker: &Waker) -> Armed {
        let wanted = self.wanted.fetch_min(at.nanos(), Ordering::SeqCst);
        if wanted.min(at.nanos()) >= self.armed.load(Ordering::SeqCst) {
            return Armed::Set;
        }
        if Handle::try_current().is_err() {
            return Armed::NoRuntime;
        }
        self.again.store(true, Ordering::SeqCst);
        // Whoever holds the lock looks at `again` after letting go of it.
        while self.again.load(Ordering::SeqCst) {
            let Some(mut slot) = self.sleep.try_lock() else {
                return Armed::Set;
            };
            self.again.store(false, Ordering::SeqCst);
            let at = self.wanted.load(Ordering::SeqCst);
            // Nothing wanted: somebody cleared it and looks after the line.
            if at == u64::MAX {
                continue;
            }
            self.armed.store(at, Ordering::SeqCst);
            let deadline = self.origin + Duration::from_nanos(at);
            let old = slot.replace(Box::pin(sleep_until(deadline)));
            let polled = slot.as_mut().map(|sleep| {
                // A task that has used up its budget would make the timer look as if it had fired.
                Pin::new(&mut unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(waker))
            });
            drop(slot);
            drop(old);
            if polled == Some(Poll::Ready(())) {
                self.clear();
                return Armed::Past;
            }
        }
        Armed::Set
    }

    /// Whether it fires at `at` or earlier.
    pub(super) fn fires_by(&self, at: Time) -> bool {
        self.armed.load(Ordering::SeqCst) <= at.nanos()
    }

    fn clear(&self) {
        self.armed.store(u64::MAX, Ordering::SeqCst);
        self.wanted.store(u64::MAX, Ordering::SeqCst);
    }

    /// The timer fired; it must be armed anew if it is to fire again. False where it fired before its time: its runtime shuts
    /// down.
    pub(super) fn fired(&self, now: Time) -> bool {
        let early = now.nanos() < self.armed.load(Ordering::SeqCst);
        self.clear();
        if early {
            let sleep = self.sleep.try_lock().and_then(|mut slot| slot.take());
            drop(sleep);
        }
        !early
    }
}
