//! Where a request goes that the first service couldn't serve.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::causes::Causes;
use crate::error::BoxError;

/// A request that nobody has served yet.
#[derive(Clone, Debug)]
pub struct Unserved<Req> {
    /// The request, unless it can't be copied and has been sent already.
    pub request: Option<Req>,
    /// Why it wasn't served, in the order in which the members of the chain were asked.
    pub causes: Causes,
}

/// The links of a [`Fallback`](super::Fallback), counted from 1, and what becomes of a request on its way there:
/// [`To`], [`Links`], [`Rewritten`], [`Computed`](super::Computed) or
/// [`ComputedAsync`](super::ComputedAsync).
pub trait Second<Req> {
    /// The answer.
    type Response;
    /// The error.
    type Error: Into<BoxError>;
    /// Resolves to either.
    type Future: Future<Output = Result<Self::Response, Self::Error>>;

    /// Whether a request leaves: not where the answer is computed here.
    const SENDS: bool = true;

    /// Whether it may turn a request down.
    const REWRITES: bool = false;

    /// Readies a link.
    fn poll_ready(&mut self, link: usize, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// The request as it goes there, or `None` where it can't.
    fn rewrite(&self, _link: usize, request: Req) -> Option<Req> {
        Some(request)
    }

    /// Calls the link that was readied. There is a request wherever it is sent.
    fn call(&mut self, unserved: Unserved<Req>) -> Self::Future;
}

fn request<Req>(unserved: Unserved<Req>) -> Req {
    unserved.request.expect("there is one to be sent")
}

/// Another service gets the request as it is.
#[derive(Clone, Debug)]
pub struct To<T>(pub(super) T);

impl<Req, T: Service<Req, Error: Into<BoxError>>> Second<Req> for To<T> {
    type Response = T::Response;
    type Error = T::Error;
    type Future = T::Future;

    fn poll_ready(&mut self, _: usize, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, unserved: Unserved<Req>) -> T::Future {
        self.0.call(request(unserved))
    }
}

/// Other services, in order, get the request as it is.
pub struct Links<T> {
    pub(super) all: Arc<[T]>,
    // The one that is asked: a clone.
    asked: Option<(usize, T)>,
}

impl<T> Links<T> {
    pub(super) fn new(all: impl IntoIterator<Item = T>) -> Self {
        Self {
            all: all.into_iter().collect(),
            asked: None,
        }
    }
}

impl<Req, T: Service<Req, Error: Into<BoxError>> + Clone> Second<Req> for Links<T> {
    type Response = T::Response;
    type Error = T::Error;
    type Future = T::Future;

    fn poll_ready(&mut self, link: usize, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        if self.asked.as_ref().is_none_or(|(asked, _)| *asked != link) {
            self.asked = Some((link, self.all[link - 1].clone()));
        }
        let (_, service) = self.asked.as_mut().expect("set above");
        service.poll_ready(cx)
    }

    fn call(&mut self, unserved: Unserved<Req>) -> T::Future {
        let (_, mut service) = self.asked.take().expect("readied");
        service.call(request(unserved))
    }
}

impl<T> Clone for Links<T> {
    fn clone(&self) -> Self {
        Self {
            all: Arc::clone(&self.all),
            asked: None,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Links<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.all).finish()
    }
}

/// The same service gets other requests, in order. In a layer, the rewriting alone.
pub struct Rewritten<S, F> {
    pub(super) service: S,
    pub(super) rewrites: Arc<[Arc<F>]>,
}

impl<Req, S, F, O> Second<Req> for Rewritten<S, F>
where
    S: Service<Req, Error: Into<BoxError>>,
    F: Fn(Req) -> O,
    O: Into<Option<Req>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    const REWRITES: bool = true;

    fn poll_ready(&mut self, _: usize, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn rewrite(&self, link: usize, request: Req) -> Option<Req> {
        self.rewrites[link - 1](request).into()
    }

    fn call(&mut self, unserved: Unserved<Req>) -> S::Future {
        self.service.call(request(unserved))
    }
}

impl<S: Clone, F> Clone for Rewritten<S, F> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            rewrites: Arc::clone(&self.rewrites),
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Rewritten<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewritten")
            .field("service", &self.service)
            .field("times", &self.rewrites.len())
            .finish_non_exhaustive()
    }
}
