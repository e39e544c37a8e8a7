use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    admission::{Admission, Aftermath, Charge, Limiter, OneRequest},
    answers::{Answers, Depth, Http},
    body::Watch,
    error::{BoxError, Scope},
    quota::{Grant, Quota},
    verdict::{Classify, Verdict},
};

/// A service within limits on requests. Made by [`RateLimitLayer`](super::RateLimitLayer); clones share the limits.
#[derive(Clone, Debug)]
pub struct RateLimit<S, C = OneRequest, P = Http> {
    pub(super) inner: S,
    pub(super) limiter: Limiter<C, P>,
}

impl<S, C, P> RateLimit<S, C, P> {
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The quota that requests take from, where there is no key.
    pub const fn quota(&self) -> &Quota {
        self.limiter.quota()
    }
}

impl<S, C, P, Req> Service<Req> for RateLimit<S, C, P>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Charge<Req>,
    P: Answers<S::Response> + Classify<P::Out<()>> + Clone,
{
    type Response = P::Out<InFlight>;
    type Error = BoxError;
    type Future = RateLimitFuture<S, Req, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        RateLimitFuture {
            admission: self
                .limiter
                .admit(&mut self.inner, request, Scope::Caller, |_| (Hold, ())),
        }
    }
}

/// Keeps the grant as long as the answer's body.
#[derive(Clone, Copy)]
struct Hold;

impl Aftermath for Hold {
    type Watch = InFlight;
    type Notes = ();

    const DEPTH: Depth = Depth::Errors;

    fn answered(
        self,
        (): &mut (),
        verdict: Verdict,
        _facts: Option<(StatusCode, &HeaderMap)>,
        grant: Grant,
    ) -> InFlight {
        InFlight {
            _grant: matches!(verdict, Verdict::Success).then_some(grant),
        }
    }
}

/// A request's place in flight, kept until its answer's body ends.
#[derive(Debug)]
pub struct InFlight {
    _grant: Option<Grant>,
}

impl Watch for InFlight {}

pin_project! {
    /// The future of [`RateLimit`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RateLimitFuture<S, Req, P = Http>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        #[pin]
        admission: Admission<S, Req, P, Hold>,
    }
}

impl<S, Req, P> fmt::Debug for RateLimitFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitFuture").finish_non_exhaustive()
    }
}

impl<S, Req, P> Future for RateLimitFuture<S, Req, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<P::Out<()>>,
{
    type Output = Result<P::Out<InFlight>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().admission.poll(cx)
    }
}
