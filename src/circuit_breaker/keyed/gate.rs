//! A layer that only looks, by key.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    future::Late,
    keys::{Housed, Which},
    service::GatedByKey,
};
use crate::{circuit_breaker::CircuitGateFuture, error::BoxError};

/// Refuses while the circuit of a request's key refuses, and takes no ticket. Made by
/// [`KeyedCircuitBreakerLayer::gate`](super::KeyedCircuitBreakerLayer::gate).
#[derive(Clone, Debug)]
pub struct KeyedCircuitGateLayer<W> {
    by: W,
}

impl<W> KeyedCircuitGateLayer<W> {
    pub(super) const fn new(by: W) -> Self {
        Self { by }
    }
}

impl<S, W: Housed + Clone> Layer<S> for KeyedCircuitGateLayer<W> {
    type Service = KeyedCircuitGate<S, W>;

    fn layer(&self, inner: S) -> KeyedCircuitGate<S, W> {
        KeyedCircuitGate {
            gated: GatedByKey::new(inner, Arc::clone(self.by.house())),
            by: self.by.clone(),
        }
    }
}

/// The service of [`KeyedCircuitGateLayer`].
#[derive(Clone, Debug)]
pub struct KeyedCircuitGate<S, W> {
    gated: GatedByKey<S>,
    by: W,
}

impl<S, Req, W> Service<Req> for KeyedCircuitGate<S, W>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    W: Which<Req>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = KeyedCircuitGateFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.gated.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let circuit = self.by.circuit(&request);
        let state = if !self.gated.readied {
            match self.gated.late(circuit, request) {
                Ok(late) => State::Readying { late },
                Err(refused) => CircuitGateFuture::refused(refused).into(),
            }
        } else if let Err(wait) = circuit.pass() {
            CircuitGateFuture::refused(circuit.refusal(wait)).into()
        } else {
            self.gated.readied = false;
            CircuitGateFuture::calling(self.gated.inner.call(request)).into()
        };
        KeyedCircuitGateFuture { state }
    }
}

pin_project! {
    /// The future of [`KeyedCircuitGate`].
    #[must_use = "futures do nothing unless polled"]
    pub struct KeyedCircuitGateFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<Late<S, Req>, CircuitGateFuture<S::Future>>,
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

impl<L, F> From<F> for State<L, F> {
    fn from(future: F) -> Self {
        Self::Called { future }
    }
}

impl<S, Req> Future for KeyedCircuitGateFuture<S, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

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
            let (inner, _, request) = late.hand_on();
            let future = CircuitGateFuture::calling(inner.call(request));
            this.state.set(State::Called { future });
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for KeyedCircuitGateFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCircuitGateFuture")
            .finish_non_exhaustive()
    }
}
