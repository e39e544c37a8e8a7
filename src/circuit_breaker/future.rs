use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::policy::Guard;
use crate::{
    answers::{Answers, Http},
    error::BoxError,
    verdict::Classify,
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
    }
}

impl<S, Req, P> CircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    pub(super) const fn calling(future: S::Future, guard: Guard, answers: P) -> Self {
        Self {
            state: State::Calling { future },
            guard: Some(guard),
            answers,
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
        if let StateProj::Refused { error } = this.state.as_mut().project() {
            return Poll::Ready(Err(error.take().expect("polled after ready")));
        }
        let guard = this.guard.as_mut().expect("polled after ready");
        let (state, answers) = (&mut this.state, &*this.answers);
        let judged = guard.enter(|| {
            loop {
                let outcome = match state.as_mut().project() {
                    StateProj::Calling { future } => match future.poll(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(Ok(answer)) => {
                            let reading = answers.read(answer);
                            state.set(State::Reading { reading });
                            continue;
                        }
                        Poll::Ready(Err(error)) => Err(error.into()),
                    },
                    StateProj::Reading { reading } => match reading.poll(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(out) => Ok(out),
                    },
                    StateProj::Refused { .. } => unreachable!("answered above"),
                };
                let verdict = answers.classify(outcome.as_ref());
                return Some((outcome, verdict));
            }
        });
        match judged {
            None => {
                guard.pending();
                Poll::Pending
            }
            Some((outcome, verdict)) => {
                if let Some(guard) = this.guard.take() {
                    guard.report(verdict);
                }
                Poll::Ready(outcome)
            }
        }
    }
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
