use std::task::{Context, Poll};

use tower::load::Load;
use tower_service::Service;

use super::Fullness;
use crate::quota::Quota;

/// An endpoint that tells a balancer how full its quota is. See the [module](super).
#[derive(Clone, Debug)]
pub struct Headroom<S> {
    inner: S,
    quota: Quota,
}

impl<S> Headroom<S> {
    /// `inner` by this quota: the one that its limiters hold.
    pub const fn new(inner: S, quota: Quota) -> Self {
        Self { inner, quota }
    }

    /// The endpoint.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The endpoint, alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Load for Headroom<S> {
    type Metric = Fullness;

    fn load(&self) -> Fullness {
        Fullness::new(self.quota.fullness())
    }
}

impl<S: Service<Req>, Req> Service<Req> for Headroom<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> S::Future {
        self.inner.call(request)
    }
}
