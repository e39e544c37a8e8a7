use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    answers::{Answers, Http},
    circuit_breaker::{
        CircuitBreakerFuture,
        circuit::Circuit,
        lobby::Seat,
        policy::{Entry, Policy},
    },
    departure,
    error::BoxError,
    verdict::Classify,
};

pin_project! {
    /// The future of [`KeyedCircuitBreaker`](super::KeyedCircuitBreaker). Dropped, it gives its
    /// ticket back.
    #[must_use = "futures do nothing unless polled"]
    pub struct KeyedCircuitBreakerFuture<S, Req, P = Http>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        #[pin]
        state: State<Late<S, Req>, CircuitBreakerFuture<S, Req, P>>,
        // What a late call is judged by, once it is called.
        terms: Option<(Policy, P)>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<L, F> {
        // Readying the inner service, as long as the circuit lets it.
        Readying { late: L },
        // The inner service has the request, or it was refused.
        Called { #[pin] future: F },
        // It never became ready; nothing of the call is held any more.
        Done,
    }
}

impl<S, Req, P> KeyedCircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    pub(super) const fn late(late: Late<S, Req>, policy: Policy, answers: P) -> Self {
        Self {
            state: State::Readying { late },
            terms: Some((policy, answers)),
        }
    }
}

impl<S, Req, P> From<CircuitBreakerFuture<S, Req, P>> for KeyedCircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    fn from(future: CircuitBreakerFuture<S, Req, P>) -> Self {
        Self {
            state: State::Called { future },
            terms: None,
        }
    }
}

impl<S, Req, P> Future for KeyedCircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<<P as Answers<S::Response>>::Out<()>>,
{
    type Output = Result<P::Out<()>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let late = match this.state.as_mut().project() {
                StateProj::Called { future } => return future.poll(cx),
                StateProj::Readying { late } => late,
                StateProj::Done => panic!("polled after ready"),
            };
            if let Err(error) = ready!(late.poll_ready(cx)) {
                this.state.set(State::Done);
                return Poll::Ready(Err(error));
            }
            let (policy, answers) = this.terms.take().expect("polled after ready");
            let future = match late.circuit().admit() {
                Ok(ticket) => {
                    let (inner, circuit, request) = late.hand_on();
                    let entry = &mut Entry::new(circuit, &policy, ticket);
                    CircuitBreakerFuture::calling(inner, request, entry, || answers)
                }
                Err(wait) => CircuitBreakerFuture::refused(late.circuit().refusal(wait), answers),
            };
            this.state.set(State::Called { future });
        }
    }
}

impl<S, Req, P> fmt::Debug for KeyedCircuitBreakerFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCircuitBreakerFuture")
            .field("called", &self.terms.is_none())
            .finish_non_exhaustive()
    }
}

/// A call whose inner service isn't ready yet.
pub(super) struct Late<S, Req> {
    inner: S,
    request: Option<Req>,
    seat: Seat<Circuit>,
}

impl<S, Req> Late<S, Req> {
    pub(super) const fn new(inner: S, request: Req, circuit: Arc<Circuit>) -> Self {
        Self {
            inner,
            request: Some(request),
            seat: Seat::new(circuit),
        }
    }

    pub(super) const fn circuit(&self) -> &Arc<Circuit> {
        &self.seat.host
    }
}

impl<S, Req> Late<S, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    fn pass(&self) -> Result<(), BoxError> {
        let circuit = self.circuit();
        circuit.pass().map_err(|wait| circuit.refusal(wait))
    }

    /// Waits for the inner service, as long as the circuit lets calls pass.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.pass()?;
        let polled = self.inner.poll_ready(cx).map_err(Into::into);
        if polled.is_pending() {
            departure::hold();
            self.seat.wait(cx.waker());
            // It may have opened before the seat was taken.
            self.pass()?;
        } else {
            if let Poll::Ready(Err(_)) = polled {
                departure::hold();
            }
            self.seat.leave();
        }
        polled
    }

    /// The inner service, which was readied, and what it is called with.
    pub(super) fn hand_on(&mut self) -> (&mut S, &Arc<Circuit>, Req) {
        let request = self.request.take().expect("called once");
        departure::hand_on();
        (&mut self.inner, &self.seat.host, request)
    }
}
