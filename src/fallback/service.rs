use std::{
    fmt,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{FallbackFuture, future::Spare, layer::Plan, merge::Merge, second::Second};
use crate::{
    answers::{Answers, CopyRequest, Http},
    error::BoxError,
    verdict::Classify,
};

/// The service of [`FallbackLayer`](super::FallbackLayer): `T` is [`To`](super::To) or
/// [`Rewritten`](super::Rewritten).
pub struct Fallback<S, T, P = Http> {
    inner: S,
    second: T,
    plan: Plan,
    answers: P,
    // What kept the first service from becoming ready: an outcome like any other.
    unready: Option<BoxError>,
}

impl<S, T, P> Fallback<S, T, P> {
    pub(super) const fn new(inner: S, second: T, plan: Plan, answers: P) -> Self {
        Self {
            inner,
            second,
            plan,
            answers,
            unready: None,
        }
    }
}

/// The parts of a [`Fallback`] that its future is made of.
pub trait Chain<Req> {
    /// The first service.
    type First: Service<Req, Error: Into<BoxError>>;
    /// The second service.
    type Second: Second<Req, Service: Service<Req, Error: Into<BoxError>>>;
    /// What their answers are.
    type Answers: Merge<
            <Self::First as Service<Req>>::Response,
            <<Self::Second as Second<Req>>::Service as Service<Req>>::Response,
        > + Classify<<Self::Answers as Answers<<Self::First as Service<Req>>::Response>>::Out<()>>;
}

impl<S, T, P, Req> Chain<Req> for Fallback<S, T, P>
where
    S: Service<Req, Error: Into<BoxError>>,
    T: Second<Req, Service: Service<Req, Error: Into<BoxError>>>,
    P: Merge<S::Response, <T::Service as Service<Req>>::Response>
        + Classify<<P as Answers<S::Response>>::Out<()>>,
{
    type First = S;
    type Second = T;
    type Answers = P;
}

impl<S, T, P, Req> Service<Req> for Fallback<S, T, P>
where
    S: Service<Req, Error: Into<BoxError>> + Clone,
    T: Second<Req, Service: Service<Req, Error: Into<BoxError>>> + Clone,
    P: Merge<S::Response, <T::Service as Service<Req>>::Response>
        + Classify<<P as Answers<S::Response>>::Out<()>>
        + CopyRequest<Req>
        + Clone,
{
    type Response = P::Merged;
    type Error = BoxError;
    type Future = FallbackFuture<Self, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.unready.is_some() {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                self.unready = Some(error.into());
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let spare = |request| Spare {
            second: self.second.clone(),
            plan: self.plan.clone(),
            request: Some(request),
        };
        let answers = self.answers.clone();
        if let Some(error) = self.unready.take() {
            // This instance must not be asked again; the next call is another's.
            let spare = spare(request);
            self.inner = self.inner.clone();
            return FallbackFuture::unready(error, spare, answers);
        }
        let spare = answers.copy(&request).map(spare);
        FallbackFuture::calling(self.inner.call(request), spare, answers)
    }
}

impl<S: Clone, T: Clone, P: Clone> Clone for Fallback<S, T, P> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.second.clone(),
            self.plan.clone(),
            self.answers.clone(),
        )
    }
}

impl<S: fmt::Debug, T: fmt::Debug, P: fmt::Debug> fmt::Debug for Fallback<S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .field("second", &self.second)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
