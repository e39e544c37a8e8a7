//! A layer that only looks.

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

use super::{circuit::Circuit, service::Gated};
use crate::error::BoxError;

/// Refuses while a circuit refuses, and takes no ticket. Made by
/// [`CircuitBreakerLayer::gate`](super::CircuitBreakerLayer::gate).
#[derive(Clone, Debug)]
pub struct CircuitGateLayer {
    circuit: Arc<Circuit>,
}

impl CircuitGateLayer {
    pub(super) const fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit }
    }
}

impl<S> Layer<S> for CircuitGateLayer {
    type Service = CircuitGate<S>;

    fn layer(&self, inner: S) -> CircuitGate<S> {
        CircuitGate {
            gated: Gated::new(inner, Arc::clone(&self.circuit)),
        }
    }
}

/// The service of [`CircuitGateLayer`].
#[derive(Clone, Debug)]
pub struct CircuitGate<S> {
    gated: Gated<S>,
}

impl<S, Req> Service<Req> for CircuitGate<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = CircuitGateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.gated.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.gated.check(Circuit::pass) {
            Ok(()) => CircuitGateFuture::calling(self.gated.inner.call(request)),
            Err(error) => CircuitGateFuture::refused(error),
        }
    }
}

pin_project! {
    /// The future of [`CircuitGate`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CircuitGateFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // The inner service has the request.
        Calling { #[pin] future: F },
        // It was never sent.
        Refused { error: Option<BoxError> },
        // The outcome was given; nothing of the call is held any more.
        Done,
    }
}

impl<F> CircuitGateFuture<F> {
    pub(super) const fn calling(future: F) -> Self {
        Self {
            state: State::Calling { future },
        }
    }

    pub(super) const fn refused(error: BoxError) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }
}

impl<F, R, E> Future for CircuitGateFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let outcome = match state.as_mut().project() {
            StateProj::Calling { future } => ready!(future.poll(cx)).map_err(Into::into),
            StateProj::Refused { error } => Err(error.take().expect("polled after ready")),
            StateProj::Done => panic!("polled after ready"),
        };
        state.set(State::Done);
        Poll::Ready(outcome)
    }
}

impl<F> fmt::Debug for CircuitGateFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitGateFuture").finish_non_exhaustive()
    }
}
