//! The seam: what a store has to do.

use std::{error::Error, fmt, future::Future, pin::Pin};

use tokio::sync::watch;

use super::PoolId;
use crate::{
    core::pool::{Call, PoolLimit, Reply},
    quota::sync::Arc,
};

/// The future of [`QuotaStore::call`].
pub type StoreFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply, StoreError>> + Send + 'a>>;

/// The future of [`QuotaStore::lost`].
pub type LossFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Resolves when something is next sent there.
pub(super) fn changed(losses: &watch::Sender<()>) -> LossFuture<'_> {
    let mut losses = losses.subscribe();
    Box::pin(async move {
        // It lives as long as this.
        let _ = losses.changed().await;
    })
}

/// Keeps the accounts of pools that many processes share.
///
/// All that a process has to say to a pool is one [`Call`]; the store does it whole or not at all, one call at a time for each
/// pool, on a clock of its own, which counts microseconds since 1970. What a call means is written at its types, and
/// [`conformance`](super::conformance), with the feature `testing`, puts any store to the test. [`MemoryStore`](super::MemoryStore)
/// is the shortest there is.
///
/// | a store has to | since |
/// |---|---|
/// | answer a call that comes twice, by its `process` and `seq`, as it did at first, and do it once | replies are lost |
/// | do nothing for a call with an `epoch` that isn't its own, and say so | its state may have been lost meanwhile |
/// | name another `epoch` whenever it begins with nothing | then processes replay what they have sent |
/// | begin with nothing where it doesn't know the call that a process has `heard` last | it has gone back in time, and lacks what was sent since |
/// | forget no pool earlier than after two days | a limit per day counts as long |
/// | not try again by itself what may have been done | nothing is charged twice |
pub trait QuotaStore: Send + Sync + 'static {
    /// Does what `call` says to a pool of these limits.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Whether the call was done may be unknown then: the same call comes again.
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a>;

    /// Resolves when pools may have lost their state from now on: a process that has sent something which still counts makes a call
    /// then, so that it replays that in time. By default never: then it finds out with its next call, or within seconds.
    fn lost(&self) -> LossFuture<'_> {
        Box::pin(std::future::pending())
    }
}

impl<S: QuotaStore + ?Sized> QuotaStore for Arc<S> {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        (**self).call(pool, limits, call)
    }

    fn lost(&self) -> LossFuture<'_> {
        (**self).lost()
    }
}

/// Why a store didn't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// It can't be reached, or not in time.
    Unavailable(String),
    /// It refuses for a reason that lasts: a wrong password, a command that isn't allowed, no memory. It is asked again, seldom.
    Rejected(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store can't be reached: {why}"),
            Self::Rejected(why) => write!(f, "the store refuses: {why}"),
        }
    }
}

impl Error for StoreError {}
