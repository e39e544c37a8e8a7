//! What several tests need.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tower_quota::{Limit, Quota, quota::QuotaBuilder};

/// Counts how often it is woken.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counting {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let counting = Arc::new(Self::default());
        (Arc::clone(&counting), Waker::from(counting))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(waker))
}

/// A small source of random numbers, so that a seed names a history.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `to`, both included.
    pub(crate) fn upto(&mut self, to: u64) -> u64 {
        self.next() % (to + 1)
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A patient quota of this limit, without a transit allowance.
pub(crate) fn patient(limit: Limit) -> QuotaBuilder {
    Quota::builder()
        .limit(limit.transit(Duration::ZERO))
        .max_wait(Duration::from_secs(86_400))
        .max_queue(usize::MAX)
}

pub(crate) async fn advance(by: Duration) {
    // Each timer on the way fires at its own instant.
    tokio::time::sleep(by).await;
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}
