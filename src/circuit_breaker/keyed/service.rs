use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use tower_service::Service;

use super::{KeyedCircuitBreakerFuture, future::Late, keys::Which};
use crate::{
    answers::{Answers, Http},
    circuit_breaker::{
        CircuitBreakerFuture,
        circuit::Circuit,
        house::House,
        lobby::Seat,
        policy::{Entry, Policy},
    },
    error::BoxError,
    verdict::Classify,
};

/// The service of [`KeyedCircuitBreakerLayer`](super::KeyedCircuitBreakerLayer).
#[derive(Clone, Debug)]
pub struct KeyedCircuitBreaker<S, W, P = Http> {
    gated: GatedByKey<S>,
    by: W,
    policy: Policy,
    answers: P,
}

impl<S, W, P> KeyedCircuitBreaker<S, W, P> {
    pub(super) const fn new(gated: GatedByKey<S>, by: W, policy: Policy, answers: P) -> Self {
        Self {
            gated,
            by,
            policy,
            answers,
        }
    }
}

impl<S, Req, W, P> Service<Req> for KeyedCircuitBreaker<S, W, P>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    W: Which<Req>,
    P: Answers<S::Response> + Classify<<P as Answers<S::Response>>::Out<()>> + Clone,
{
    type Response = P::Out<()>;
    type Error = BoxError;
    type Future = KeyedCircuitBreakerFuture<S, Req, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.gated.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let circuit = self.by.circuit(&request);
        let (policy, answers) = (self.policy, self.answers.clone());
        if !self.gated.readied {
            return match self.gated.late(circuit, request) {
                Ok(late) => KeyedCircuitBreakerFuture::late(late, policy, answers),
                Err(refused) => CircuitBreakerFuture::refused(refused, answers).into(),
            };
        }
        let ticket = match circuit.admit() {
            Ok(ticket) => ticket,
            // A refused call leaves the inner service ready for the next one.
            Err(wait) => {
                return CircuitBreakerFuture::refused(circuit.refusal(wait), answers).into();
            }
        };
        self.gated.readied = false;
        let entry = &mut Entry::new(&circuit, &policy, ticket);
        CircuitBreakerFuture::calling(&mut self.gated.inner, request, entry, || answers).into()
    }
}

/// An inner service that isn't waited for while any circuit refuses: whose request comes isn't
/// known before it is called.
#[derive(Debug)]
pub(super) struct GatedByKey<S> {
    pub(super) inner: S,
    seat: Seat<House>,
    // Whether the inner service may be called.
    pub(super) readied: bool,
}

impl<S> GatedByKey<S> {
    pub(super) const fn new(inner: S, house: Arc<House>) -> Self {
        Self {
            inner,
            seat: Seat::new(house),
            readied: false,
        }
    }

    /// Ready when the inner service is, or when some circuit refuses.
    pub(super) fn poll_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<Req>,
        S::Error: Into<BoxError>,
    {
        let polled = self.inner.poll_ready(cx).map_err(Into::into);
        self.readied = matches!(polled, Poll::Ready(Ok(())));
        if polled.is_pending() {
            self.seat.wait(cx.waker());
            if self.seat.host.refusing.load(Ordering::Acquire) == 0 {
                return Poll::Pending;
            }
        }
        self.seat.leave();
        match polled {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// A call whose inner service isn't ready: it waits for itself, in the place that its service
    /// has in line.
    pub(super) fn late<Req>(
        &mut self,
        circuit: Arc<Circuit>,
        request: Req,
    ) -> Result<Late<S, Req>, BoxError>
    where
        S: Clone,
    {
        circuit.pass().map_err(|wait| circuit.refusal(wait))?;
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        Ok(Late::new(inner, request, circuit))
    }
}

impl<S: Clone> Clone for GatedByKey<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            seat: self.seat.clone(),
            readied: false,
        }
    }
}
