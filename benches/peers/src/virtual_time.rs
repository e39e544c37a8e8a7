//! A clock that stands still until everybody waits, and governor by that clock.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep},
};

/// A runtime whose clock is paused.
pub fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_time().start_paused(true);
    builder.build().expect("a runtime")
}

/// tokio's clock, for governor.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    start: Instant,
}

impl Clock for VirtualClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// governor's limiter by tokio's clock.
#[derive(Debug)]
pub struct VirtualGovernor {
    limiter: RateLimiter<NotKeyed, InMemoryState, VirtualClock, NoOpMiddleware<Duration>>,
    clock: VirtualClock,
}

impl VirtualGovernor {
    /// A limiter of such a quota.
    pub fn new(quota: governor::Quota) -> Self {
        let start = Instant::now();
        let clock = VirtualClock { start };
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { limiter, clock }
    }

    /// What its `until_n_ready` does, which sleeps in real time: asks, and sleeps for as long as it is told, until it is let.
    ///
    /// # Panics
    ///
    /// If that many never fit.
    pub async fn until_ready(&self, n: NonZeroU32) {
        while let Err(wait) = self.limiter.check_n(n).expect("as many as may be") {
            sleep(wait.wait_time_from(self.clock.now())).await;
        }
    }
}
