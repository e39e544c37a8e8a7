use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;

use super::{
    CircuitBreakerFuture,
    circuit::Circuit,
    lobby::Seat,
    policy::{Entry, Policy},
};
use crate::{
    answers::{Answers, Http},
    error::BoxError,
    verdict::Classify,
};

/// The circuit has closed since the caller was told that it is open; the inner service wasn't
/// readied, so that the caller has to come back: at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// The service of [`CircuitBreakerLayer`](super::CircuitBreakerLayer).
#[derive(Debug)]
pub struct CircuitBreaker<S, P = Http> {
    gated: Gated<S>,
    policy: Policy,
    answers: P,
}

impl<S, P> CircuitBreaker<S, P> {
    pub(super) const fn new(inner: S, circuit: Arc<Circuit>, policy: Policy, answers: P) -> Self {
        Self {
            gated: Gated::new(inner, circuit),
            policy,
            answers,
        }
    }
}

impl<S: Clone, P: Clone> Clone for CircuitBreaker<S, P> {
    fn clone(&self) -> Self {
        Self {
            gated: self.gated.clone(),
            policy: self.policy,
            answers: self.answers.clone(),
        }
    }
}

impl<S, Req, P> Service<Req> for CircuitBreaker<S, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<<P as Answers<S::Response>>::Out<()>> + Clone,
{
    type Response = P::Out<()>;
    type Error = BoxError;
    type Future = CircuitBreakerFuture<S, Req, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.gated.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let ticket = match self.gated.check(Circuit::admit) {
            Ok(ticket) => ticket,
            Err(refused) => return CircuitBreakerFuture::refused(refused, self.answers.clone()),
        };
        let entry = &mut Entry::new(&self.gated.seat.host, &self.policy, ticket);
        let answers = || self.answers.clone();
        CircuitBreakerFuture::calling(&mut self.gated.inner, request, entry, answers)
    }
}

/// An inner service that isn't waited for while the circuit refuses.
#[derive(Debug)]
pub(super) struct Gated<S> {
    pub(super) inner: S,
    seat: Seat<Circuit>,
    // Whether the inner service may be called.
    readied: bool,
}

impl<S> Gated<S> {
    pub(super) const fn new(inner: S, circuit: Arc<Circuit>) -> Self {
        Self {
            inner,
            seat: Seat::new(circuit),
            readied: false,
        }
    }

    /// Ready when the inner service is, or when the circuit refuses anyway.
    pub(super) fn poll_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<Req>,
        S::Error: Into<BoxError>,
    {
        if self.seat.host.look().is_err() {
            self.seat.leave();
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                self.readied = true;
                self.seat.leave();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.readied = false;
                self.seat.leave();
                Poll::Ready(Err(error.into()))
            }
            Poll::Pending => {
                self.readied = false;
                self.seat.wait(cx.waker());
                // It may have opened before the seat was taken.
                if self.seat.host.look().is_err() {
                    self.seat.leave();
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending
            }
        }
    }

    /// Passes if the circuit says so and the inner service was readied.
    pub(super) fn check<T>(
        &mut self,
        ask: impl FnOnce(&Circuit) -> Result<T, Option<Duration>>,
    ) -> Result<T, BoxError> {
        if !self.readied {
            // Told that it is open, the caller came without the inner service's consent.
            let wait = self.seat.host.pass().err();
            return Err(self.seat.host.refusal(wait.unwrap_or(Some(AT_ONCE))));
        }
        // A refused call leaves the inner service ready for the next one.
        let passed = ask(&self.seat.host).map_err(|wait| self.seat.host.refusal(wait))?;
        self.readied = false;
        Ok(passed)
    }
}

impl<S: Clone> Clone for Gated<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            seat: self.seat.clone(),
            readied: false,
        }
    }
}
