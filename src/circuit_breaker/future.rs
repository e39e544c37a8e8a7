use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::policy::{Entry, Guard};
use crate::{
    answers::{Answers, Depth, Http, Read},
    error::BoxError,
    verdict::{Classify, Verdict},
};

pin_project! {
    /// The future of [`CircuitBreaker`](super::CircuitBreaker). Dropped, it gives its ticket back.
    #[must_use = "futures do nothing unless polled"]
    pub struct CircuitBreakerFuture<S, Req, P = Http>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        #[pin]
        state: State<S::Future, P::Reading>,
        guard: Option<Guard>,
        answers: P,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        // The inner service has the request.
        Calling { #[pin] future: F },
        // The answer is there; what it means isn't known yet.
        Reading { #[pin] reading: R },
        // It was never sent.
        Refused { error: Option<BoxError> },
        // The outcome was given; nothing of the call is held any more.
        Done,
    }
}

impl<S, Req, P> CircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    // The ticket is held by whoever calls this: where unwinding has something to drop, the future that `inner` returns is moved
    // once more. Inlined, it would have.
    #[inline(never)]
    pub(super) fn calling(
        inner: &mut S,
        request: Req,
        entry: &mut Entry<'_>,
        answers: impl FnOnce() -> P,
    ) -> Self {
        let future = inner.call(request);
        Self {
            state: State::Calling { future },
            guard: Some(entry.guard()),
            answers: answers(),
        }
    }

    pub(super) const fn refused(error: BoxError, answers: P) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
            guard: None,
            answers,
        }
    }
}

impl<S, Req, P> Future for CircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<<P as Answers<S::Response>>::Out<()>>,
{
    type Output = Result<P::Out<()>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    let guard = this.guard.as_mut().expect("polled after ready");
                    let polled = guard.enter(|| future.poll(cx));
                    let verdict = match &polled {
                        Poll::Ready(Ok(answer)) => this.answers.at_sight(answer, Depth::Streams),
                        _ => None,
                    };
                    if let Some(verdict) = verdict {
                        this.state.set(State::Done);
                        report(this.guard, verdict);
                        // Not moved before, which it would be twice then.
                        let Poll::Ready(Ok(answer)) = polled else {
                            unreachable!("it was looked at");
                        };
                        return Poll::Ready(Ok(this.answers.pass(answer, ())));
                    }
                    match polled {
                        Poll::Pending => {
                            guard.pending();
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(answer)) => {
                            match guard.enter(|| this.answers.read(answer, Depth::Streams)) {
                                Read::Now(out) => Ok(out),
                                Read::Later(reading) => {
                                    this.state.set(State::Reading { reading });
                                    continue;
                                }
                            }
                        }
                        Poll::Ready(Err(error)) => Err(error.into()),
                    }
                }
                StateProj::Reading { reading } => {
                    let guard = this.guard.as_mut().expect("polled after ready");
                    match guard.enter(|| reading.poll(cx)) {
                        Poll::Pending => {
                            guard.pending();
                            return Poll::Pending;
                        }
                        Poll::Ready(out) => Ok(out),
                    }
                }
                StateProj::Done => panic!("polled after ready"),
                StateProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after ready")));
                }
            };
            let guard = this.guard.as_mut().expect("looked at above");
            let verdict = guard.enter(|| this.answers.classify(outcome.as_ref()));
            this.state.set(State::Done);
            report(this.guard, verdict);
            return Poll::Ready(outcome);
        }
    }
}

#[inline]
fn report(guard: &mut Option<Guard>, verdict: Verdict) {
    if let Some(guard) = guard {
        guard.report(verdict);
    }
    *guard = None;
}

impl<S, Req, P> fmt::Debug for CircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerFuture")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
