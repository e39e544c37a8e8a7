use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Estimated, notes::Notes};
use crate::{
    admission::{Admission, Aftermath, Charge, Limiter},
    answers::{Answers, Depth, Http},
    body::Watch,
    core::{cost::Cost, settlement::Settle},
    error::{BoxError, Scope},
    provider::{self, UsageScanner},
    quota::{Grant, Quota},
    verdict::{Classify, Provider, Usage, Verdict},
};

/// A service within limits on requests and tokens. Made by [`TokenBudgetLayer`](super::TokenBudgetLayer); clones share
/// the limits.
#[derive(Clone, Debug)]
pub struct TokenBudget<S, C = Estimated, P = Http> {
    pub(super) inner: S,
    pub(super) limiter: Limiter<C, P>,
    pub(super) settle: Settle,
}

impl<S, C, P> TokenBudget<S, C, P> {
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The quota that requests take from, where there is no key.
    pub const fn quota(&self) -> &Quota {
        self.limiter.quota()
    }
}

impl<S, C, P, Req> Service<Req> for TokenBudget<S, C, P>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    C: Charge<Req>,
    P: Answers<S::Response> + Classify<P::Out<()>> + Clone,
{
    type Response = P::Out<Settling>;
    type Error = BoxError;
    type Future = TokenBudgetFuture<S, Req, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (limiter, settle) = (&self.limiter, self.settle);
        let learn = |lesson: Option<_>| {
            let is_own = limiter.is_on_arrival();
            let learn = Learn {
                settle: match settle {
                    Settle::Auto if is_own => Settle::TrueUp,
                    settle => settle,
                },
                provider: limiter.provider::<S::Response>(),
                is_own,
            };
            (learn, lesson.map(|lesson| Notes::new(Some(lesson))))
        };
        // Nothing is done before: where unwinding has the request to drop, it is moved once more.
        let admission = limiter.admit(&mut self.inner, request, Scope::Shared, learn);
        TokenBudgetFuture { admission }
    }
}

/// Teaches the quota what an answer says, and settles.
#[derive(Clone, Copy)]
struct Learn {
    settle: Settle,
    provider: Option<Provider>,
    // The limits are the server's own: what a provider says of its limits isn't about them.
    is_own: bool,
}

impl Aftermath for Learn {
    type Watch = Settling;
    // Of what the answer can teach.
    type Notes = Option<Notes>;

    const DEPTH: Depth = Depth::Streams;

    #[inline]
    fn reserves(&self, cost: &mut Cost, quota: &Quota) {
        if self.settle == Settle::RealTime {
            quota.expect_output(cost);
        }
    }

    fn answered(
        self,
        notes: &mut Option<Notes>,
        verdict: Verdict,
        facts: Option<(StatusCode, &HeaderMap)>,
        mut grant: Grant,
    ) -> Settling {
        if let Some((_, headers)) = facts
            && !self.is_own
            && let Some(status) = provider::told_status(self.provider, headers)
            && !status.is_empty()
        {
            grant.observe(&status);
        }
        match verdict {
            Verdict::Success => {
                return Settling {
                    grant: Some(grant),
                    settle: self.settle,
                    scans: facts.is_some_and(|(_, headers)| UsageScanner::may_read(headers)),
                    notes: notes.take(),
                };
            }
            Verdict::RateLimited {
                resource,
                retry_after,
                ..
            } => {
                if !self.is_own {
                    grant.refused(resource, retry_after);
                }
                refused(grant, self.settle);
            }
            Verdict::TooLarge | Verdict::Permanent => refused(grant, self.settle),
            // Charged as if it had been served: nobody knows how far it came.
            _ => drop(grant),
        }
        Settling {
            grant: None,
            settle: self.settle,
            scans: false,
            notes: None,
        }
    }
}

/// The provider has refused it: the request counts; its tokens, where it gives back, don't.
fn refused(grant: Grant, settle: Settle) {
    let used = grant.used(&Usage::default());
    grant.settle(&used, settle);
}

/// Reads the usage as the answer's body passes, and settles at its end. Until then the request
/// keeps its place in flight; a body that is dropped early keeps its charge.
#[derive(Debug)]
pub struct Settling {
    grant: Option<Grant>,
    settle: Settle,
    // Whether the answer may tell what was used.
    scans: bool,
    notes: Option<Notes>,
}

impl Watch for Settling {
    #[inline]
    fn chunk(&mut self, data: &[u8]) {
        if self.scans {
            let notes = self.notes.get_or_insert_with(|| Notes::new(None));
            notes.push(data);
        }
    }

    fn finish(mut self) {
        let usage = self.notes.take().and_then(Notes::finish);
        match (self.grant.take(), usage) {
            (Some(grant), Some(usage)) => {
                if self.settle == Settle::RealTime {
                    grant.hear_output(usage.output_tokens);
                }
                let used = grant.used(&usage);
                grant.settle(&used, self.settle);
            }
            (Some(grant), None) => grant.served(),
            (None, _) => {}
        }
    }
}

pin_project! {
    /// The future of [`TokenBudget`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TokenBudgetFuture<S, Req, P = Http>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        #[pin]
        admission: Admission<S, Req, P, Learn>,
    }
}

impl<S, Req, P> fmt::Debug for TokenBudgetFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBudgetFuture").finish_non_exhaustive()
    }
}

impl<S, Req, P> Future for TokenBudgetFuture<S, Req, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<P::Out<()>>,
{
    type Output = Result<P::Out<Settling>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().admission.poll(cx)
    }
}
