use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower_service::Service;

use super::{
    BackoffRetryFuture, attempt,
    budget::RetryBudget,
    gate::{Always, MayRetry},
    policy::Policy,
    retries::Retries,
};
use crate::{
    answers::{Answers, CopyRequest, Http},
    error::BoxError,
    observe::target,
    verdict::Classify,
};

/// The service of [`BackoffRetryLayer`](super::BackoffRetryLayer).
pub struct BackoffRetry<S, G = Always, P = Http> {
    pub(super) inner: S,
    pub(super) policy: Arc<Policy>,
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
        let policy = &self.policy;
        if let Some(name) = &policy.marks.key
            && let Some(headers) = self.answers.headers_mut(&mut request)
            // As many headers as there can be have no room for another.
            && attempt::put_key(headers, name).is_err()
        {
            tracing::debug!(target: target::RETRY, "no room for an idempotency key");
        }
        // One try is all there is, and nobody asks what came of it.
        let alone = policy.attempts == 1 && policy.deadline.is_none();
        let kept = if policy.attempts > 1 && self.gate.may_retry(&request) {
            self.answers.keep(&request)
        } else {
            None
        };
        let mut retries = (!alone).then(|| {
            let deadline = (policy.deadline).and_then(|d| Instant::now().checked_add(d));
            // Not ready yet: it is asked when its time has come.
            let again = kept.map(|kept| (self.inner.clone(), kept));
            Retries::new(Arc::clone(policy), again, deadline)
        });
        let mut ongoing = policy.budget.as_ref().and_then(RetryBudget::enter);
        policy.tries.tried(false);
        let held = (&mut retries, &mut ongoing);
        BackoffRetryFuture::calling(&mut self.inner, request, held, &self.answers)
    }
}

impl<S: Clone, G, P: Clone> Clone for BackoffRetry<S, G, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: Arc::clone(&self.policy),
            gate: Arc::clone(&self.gate),
            answers: self.answers.clone(),
        }
    }
}

impl<S: fmt::Debug, G, P: fmt::Debug> fmt::Debug for BackoffRetry<S, G, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffRetry")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
