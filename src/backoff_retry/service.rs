use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::HeaderName;
use tower_service::Service;

use super::{
    BackoffRetryFuture, attempt,
    gate::{Always, MayRetry},
    policy::Policy,
    retries::Retries,
};
use crate::{
    answers::{Answers, CopyRequest, Http},
    error::BoxError,
    observe::target,
    spares::Spares,
    verdict::Classify,
};

/// The service of [`BackoffRetryLayer`](super::BackoffRetryLayer).
pub struct BackoffRetry<S, G = Always, P = Http> {
    pub(super) inner: S,
    pub(super) spares: Spares<S, Arc<Policy>>,
    pub(super) gate: Arc<G>,
    pub(super) answers: P,
}

impl<S, Req, G, P> Service<Req> for BackoffRetry<S, G, P>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    G: MayRetry<Req>,
    P: Answers<S::Response>
        + Classify<<P as Answers<S::Response>>::Out<()>>
        + CopyRequest<Req>
        + Clone,
{
    type Response = P::Out<()>;
    type Error = BoxError;
    type Future = BackoffRetryFuture<S, Req, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let policy = self.spares.common();
        if let Some(name) = &policy.marks.key {
            put_key(&self.answers, &mut request, name);
        }
        // One try is all there is, and nobody asks what came of it.
        let alone = policy.attempts == 1 && policy.deadline.is_none();
        let mut retries = if alone {
            None
        } else {
            let repeatable = policy.attempts > 1 && self.gate.may_retry(&request);
            let kept = if repeatable {
                self.answers.keep(&request)
            } else {
                None
            };
            Some(Retries::new((&self.spares, &self.inner), kept))
        };
        let mut ongoing = policy.begin(alone);
        policy.tries.tried(false);
        let held = (&mut retries, &mut ongoing);
        let future = BackoffRetryFuture::calling(&mut self.inner, request, held, &self.answers);
        // The future has taken them: there is nothing to drop.
        mem::forget((retries, ongoing));
        future
    }
}

#[cold]
#[inline(never)]
fn put_key<P: CopyRequest<Req>, Req>(answers: &P, request: &mut Req, name: &HeaderName) {
    if let Some(headers) = answers.headers_mut(request)
        // As many headers as there can be have no room for another.
        && attempt::put_key(headers, name).is_err()
    {
        tracing::debug!(target: target::RETRY, "no room for an idempotency key");
    }
}

impl<S: Clone, G, P: Clone> Clone for BackoffRetry<S, G, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            spares: self.spares.clone(),
            gate: Arc::clone(&self.gate),
            answers: self.answers.clone(),
        }
    }
}

impl<S: fmt::Debug, G, P: fmt::Debug> fmt::Debug for BackoffRetry<S, G, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffRetry")
            .field("inner", &self.inner)
            .field("policy", self.spares.common())
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
