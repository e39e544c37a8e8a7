//! A request that couldn't go at once.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use tower_service::Service;

use super::door::{Door, Manners};
use crate::{
    core::cost::Cost,
    departure,
    error::{BoxError, Refusal, RejectedError},
    quota::{Grant, Quota, Rank, Reserved, Waiting},
};

/// A request that couldn't go at once. Boxed, so that those who can stay small.
pub(super) struct Parked<S, Req> {
    turn: Turn,
    // A fresh clone; the instance that was readied is dropped, which gives its reservation back.
    service: S,
    request: Option<Req>,
    manners: Manners,
}

pub(super) enum Turn {
    // Something in between tries again: those further out are asked for another charge first.
    Asking {
        quota: Quota,
        cost: Cost,
        rank: Rank,
    },
    // In the quota's line; and what layers further out, on the same quota, have charged.
    Queued(Waiting, Cost),
    Granted(Option<Grant>),
}

impl<S: Clone, Req> Parked<S, Req> {
    pub(super) fn new(turn: Turn, inner: &mut S, request: Req, manners: Manners) -> Box<Self> {
        departure::hold();
        let service = inner.clone();
        drop(mem::replace(inner, service.clone()));
        Box::new(Self {
            turn,
            service,
            request: Some(request),
            manners,
        })
    }
}

impl<S, Req> Parked<S, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    /// Waits for the turn, then for the inner service, which is to be called at once.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Grant, Req, &mut S), BoxError>> {
        let ready = self.poll_ready(cx);
        if ready.is_pending() {
            departure::hold();
        }
        ready!(ready)?;
        match (&mut self.turn, self.request.take()) {
            (Turn::Granted(grant), Some(request)) => {
                let grant = grant.take().expect("granted once");
                Poll::Ready(Ok((grant, request, &mut self.service)))
            }
            _ => unreachable!("a parked request is sent once"),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            self.turn = match &mut self.turn {
                Turn::Asking { quota, cost, rank } => {
                    let asked = ready!(departure::again(cx, Some(quota.id())));
                    asked.map_err(RejectedError::boxed)?;
                    let door = Door {
                        quota,
                        cost,
                        rank: *rank,
                        manners: self.manners,
                    };
                    let charged = departure::take_offer(quota.id());
                    match door.reserve(charged.as_ref()) {
                        Reserved::Granted(mut grant) => {
                            grant.covered_by(charged);
                            Turn::Granted(Some(grant))
                        }
                        Reserved::Queued(waiting) => {
                            Turn::Queued(waiting, charged.unwrap_or_default())
                        }
                        Reserved::Refused(refusal) => {
                            departure::give_back(quota.id(), &charged.unwrap_or_default());
                            return Poll::Ready(Err(self.refusal(refusal)));
                        }
                    }
                }
                Turn::Queued(waiting, charged) => {
                    let turn = ready!(waiting.poll_turn(cx));
                    let charged = mem::take(charged);
                    match turn {
                        Ok(mut grant) => {
                            grant.covered_by(Some(charged));
                            Turn::Granted(Some(grant))
                        }
                        Err(rejected) => {
                            departure::give_back(waiting.quota_id(), &charged);
                            return Poll::Ready(Err(self.refusal(rejected.into())));
                        }
                    }
                }
                Turn::Granted(_) => return self.service.poll_ready(cx).map_err(Into::into),
            };
        }
    }

    fn refusal(&self, refusal: Refusal) -> BoxError {
        refusal.scope(self.manners.scope()).error()
    }
}
