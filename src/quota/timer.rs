//! The quota's one timer. Its waker is the quota itself, so that the line moves though no waiter is
//! polled.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
};

use tokio::{
    runtime::Handle,
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    line::Line,
    sync::{Arc, AtomicU64, Mutex, Ordering, Weak},
};
use crate::core::time::Time;

/// What came of setting the timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Armed {
    /// It fires in time.
    Set,
    /// The instant has passed: whoever asked looks after the line at once.
    Past,
    /// This isn't a runtime with timers: whoever waits has to be woken, to set it on its own.
    NoRuntime,
}

/// What it means that a timer has woken the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fired {
    /// The instant has come; nothing is set any more.
    Due,
    /// Its runtime shuts down; nothing is set any more.
    ShutDown,
    /// It was an older one; the timer that took its place is still set.
    Replaced,
}

/// The timer's waker: the quota itself, as long as somebody has a handle on it.
pub(super) struct Tick(pub(super) Weak<Line>);

impl Wake for Tick {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(line) = self.0.upgrade() {
            line.tick();
        }
    }
}

/// One timer that only ever moves earlier, until it fires.
///
/// A runtime that shuts down fires its timers early, and polling one of them afterwards panics.
/// So a timer is never set anew: each instant gets a timer of the runtime that asks for it. And a
/// new timer has no waker yet that it could wake, under the lock, while it is set.
#[derive(Debug)]
pub(super) struct Timer {
    // When the time is `base`.
    origin: Instant,
    base: Time,
    sleep: Mutex<Option<Pin<Box<Sleep>>>>,
    // When it fires, `u64::MAX` where it isn't set. Written under the lock.
    armed: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Timer {
    pub(super) fn new(origin: Instant, base: Time) -> Self {
        Self {
            origin,
            base,
            sleep: Mutex::new(None),
            armed: AtomicU64::new(NEVER),
        }
    }

    /// Whether it fires at `at` or earlier.
    pub(super) fn fires_by(&self, at: Time) -> bool {
        self.armed.load(Ordering::SeqCst) <= at.nanos()
    }

    /// Makes it fire at `at`, or earlier if it was to anyway.
    pub(super) fn arm(&self, at: Time, now: Time, waker: &Waker) -> Armed {
        let mut slot = self.sleep.lock();
        // One that should have fired already may be of a runtime that nobody drives any more.
        if self.fires_by(at) && !self.fires_by(now) {
            return Armed::Set;
        }
        let Some(sleep) = self.start(at, waker) else {
            return Armed::NoRuntime;
        };
        let Some(sleep) = sleep else {
            return Armed::Past;
        };
        let old = slot.replace(sleep);
        self.armed.store(at.nanos(), Ordering::SeqCst);
        drop(slot);
        drop(old);
        Armed::Set
    }

    /// A timer for `at` on this runtime; `Some(None)` where that has passed.
    fn start(&self, at: Time, waker: &Waker) -> Option<Option<Pin<Box<Sleep>>>> {
        Handle::try_current().ok()?;
        let deadline = self.origin + at.since(self.base);
        // tokio panics where the runtime has no time driver, or has shut it down already, and has no way
        // to ask. This may be a drop, or somebody who doesn't wait at all.
        catch_unwind(AssertUnwindSafe(|| {
            let mut sleep = Box::pin(sleep_until(deadline));
            // A task that has used up its budget would make the timer look as if it had fired.
            let mut polled = unconstrained(sleep.as_mut());
            match Pin::new(&mut polled).poll(&mut Context::from_waker(waker)) {
                Poll::Pending => Some(sleep),
                Poll::Ready(()) => None,
            }
        }))
        .ok()
    }

    /// A timer has woken the quota.
    pub(super) fn fired(&self, now: Time) -> Fired {
        let mut slot = self.sleep.lock();
        let fired = if self.fires_by(now) {
            Fired::Due
        } else if slot.as_ref().is_some_and(|sleep| sleep.is_elapsed()) {
            Fired::ShutDown
        } else {
            return Fired::Replaced;
        };
        self.armed.store(NEVER, Ordering::SeqCst);
        let old = slot.take();
        drop(slot);
        drop(old);
        fired
    }
}
