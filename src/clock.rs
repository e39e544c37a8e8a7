//! Time as the rooms without a clock of their own count it, and the one look at the clock that the layers of a stack share.

use std::{cell::Cell, sync::OnceLock};

use tokio::time::Instant;

use crate::core::time::{Time, nanos};

/// Counts from the first instant that was asked for, since constructors touch no runtime.
#[derive(Debug, Default)]
pub(crate) struct Clock(OnceLock<Instant>);

impl Clock {
    pub(crate) fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// When that was; zero for what was before the first.
    pub(crate) fn at(&self, instant: Instant) -> Time {
        let origin = *self.0.get_or_init(|| instant);
        Time::from_nanos(nanos(instant.saturating_duration_since(origin)))
    }
}

thread_local! {
    // The last look at the clock since somebody was called or polled.
    static LOOKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Somebody further in is called or polled now: what the clock said before is of no use after it.
#[inline]
pub(crate) fn forget() {
    LOOKED.set(None);
}

/// Looks at the clock.
#[inline]
pub(crate) fn look() -> Instant {
    let now = Instant::now();
    LOOKED.set(Some(now));
    now
}

/// What somebody further in has seen of the clock since this layer called or polled it, so that a whole stack looks once; a
/// look of one's own where nobody has. Asked right after whoever [forgot](forget) before has called or polled.
#[inline]
pub(crate) fn looked() -> Instant {
    LOOKED.get().unwrap_or_else(look)
}
