//! Answers that are computed here.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use super::second::{Second, Unserved};
use crate::error::BoxError;

/// The answer is computed at once.
pub struct Computed<F>(pub(super) Arc<F>);

impl<Req, F, R> Second<Req> for Computed<F>
where
    F: Fn(Unserved<Req>) -> R,
{
    type Response = R;
    type Error = Infallible;
    type Future = Ready<Result<R, Infallible>>;

    const SENDS: bool = false;

    fn poll_ready(&mut self, _: usize, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, unserved: Unserved<Req>) -> Self::Future {
        ready(Ok((self.0)(unserved)))
    }
}

/// The answer is computed by a future.
pub struct ComputedAsync<F>(pub(super) Arc<F>);

impl<Req, F, T, R, E> Second<Req> for ComputedAsync<F>
where
    F: Fn(Unserved<Req>) -> T,
    T: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Response = R;
    type Error = E;
    type Future = T;

    const SENDS: bool = false;

    fn poll_ready(&mut self, _: usize, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, unserved: Unserved<Req>) -> T {
        (self.0)(unserved)
    }
}

impl<F> Clone for Computed<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> Clone for ComputedAsync<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> fmt::Debug for Computed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Computed")
    }
}

impl<F> fmt::Debug for ComputedAsync<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComputedAsync")
    }
}
