//! Time as the rooms without a clock of their own count it, and the one look at the clock that the layers of a stack share.

use std::{cell::Cell, sync::OnceLock, time::Duration};

use tokio::time::Instant;

use crate::core::time::{Time, nanos};

/// An instant in one count that everybody shares, so that what one has seen of the clock others need not reckon anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// Where the count was at the first instant that anybody asked for. Others may have been before: clocks of tests run apart.
const FIRST: u64 = 1 << 62;

impl Moment {
    pub(crate) fn now() -> Self {
        Self::of(Instant::now())
    }

    pub(crate) fn of(instant: Instant) -> Self {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        let origin = *ORIGIN.get_or_init(|| instant);
        Self(match instant.checked_duration_since(origin) {
            Some(after) => FIRST.saturating_add(nanos(after)),
            None => FIRST.saturating_sub(nanos(origin.duration_since(instant))),
        })
    }

    /// The time, where it was `base` at `origin`; `base` for what was before.
    #[inline]
    pub(crate) const fn on(self, (origin, base): (Self, Time)) -> Time {
        base.plus(self.0.saturating_sub(origin.0))
    }

    /// How long after `earlier` this is; zero where it isn't.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Counts from the first instant that was asked for, since constructors touch no runtime.
#[derive(Debug, Default)]
pub(crate) struct Clock(OnceLock<Moment>);

impl Clock {
    pub(crate) fn now(&self) -> Time {
        self.at(Moment::now())
    }

    /// When that was; zero for what was before the first.
    pub(crate) fn at(&self, moment: Moment) -> Time {
        let origin = *self.0.get_or_init(|| moment);
        moment.on((origin, Time::ZERO))
    }
}

thread_local! {
    // The last look at the clock since somebody was called or polled.
    static LOOKED: Cell<Option<Moment>> = const { Cell::new(None) };
}

/// Somebody further in is called or polled now: what the clock said before is of no use after it.
#[inline]
pub(crate) fn forget() {
    LOOKED.set(None);
}

/// Looks at the clock.
#[inline]
pub(crate) fn look() -> Moment {
    let now = Moment::now();
    LOOKED.set(Some(now));
    now
}

/// What somebody further in has seen of the clock since this layer called or polled it, so that a whole stack looks once; a
/// look of one's own where nobody has. Asked right after whoever [forgot](forget) before has called or polled.
#[inline]
pub(crate) fn looked() -> Moment {
    LOOKED.get().unwrap_or_else(look)
}

/// A runtime for a test whose clock is moved by hand.
#[cfg(test)]
pub(crate) fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}
