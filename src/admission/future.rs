//! A request's way through a limiting layer.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    answers::Answers,
    body::Watch,
    core::cost::Cost,
    error::{BoxError, Rejected, RejectedError, Scope},
    quota::{
        Grant, Priority, Quota, Reserved, Waiting,
        departure::{self, Offer, Seen},
    },
    verdict::{Classify, Verdict},
};

/// What a limiting layer does with an outcome.
pub(crate) trait Aftermath {
    /// Keeps hold of the grant until the answer's body ends.
    type Watch: Watch;

    /// Whether it does something about an error in a stream, for which its head is held back.
    const READS_STREAMS: bool;

    /// An answer arrived. `facts` are its status and headers, where it has any.
    fn answered(
        &self,
        verdict: Verdict,
        facts: Option<(StatusCode, &HeaderMap)>,
        grant: Grant,
    ) -> Self::Watch;
}

/// What a request meets at a limiting layer.
pub(crate) struct Door<'a> {
    pub(crate) quota: &'a Quota,
    pub(crate) cost: Cost,
    pub(crate) priority: Priority,
    /// Refuse instead of waiting.
    pub(crate) reject: bool,
    /// Whose limit it is.
    pub(crate) scope: Scope,
}

/// A request that couldn't go at once. Boxed, so that those who can stay small.
struct Parked<S, Req> {
    turn: Turn,
    since: Instant,
    // A fresh clone; the instance that was readied is dropped, which gives its reservation back.
    service: S,
    request: Option<Req>,
}

enum Turn {
    // What layers further out, on the same quota, have charged for it.
    Queued(Waiting, Cost),
    Granted(Option<Grant>),
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, P>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        // Refused at the door: says so when first polled.
        Refused { rejected: Option<Rejected> },
        // In the quota's line; or its turn has come and the inner service isn't ready.
        Parked { parked: Box<Parked<S, Req>> },
        // With the inner service. The charge gets its date when that is first polled, or, where another layer of ours
        // further in holds the request, when that lets go.
        Sent { #[pin] future: S::Future, grant: Option<Grant>, taken: bool },
        // The answer is there; as much of it is read as its verdict needs.
        Reading { #[pin] reading: P::Reading, grant: Option<Grant> },
        // Answered.
        Done,
    }
}

pin_project! {
    /// The future of both limiting layers.
    pub(crate) struct Admission<S, Req, P, A>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        answers: P,
        aftermath: A,
        scope: Scope,
        #[pin]
        state: State<S, Req, P>,
    }
}

impl<S, Req, P, A> Admission<S, Req, P, A>
where
    S: Service<Req> + Clone,
    P: Answers<S::Response>,
{
    /// Decides on a request. `inner` was readied: it is called at once, or replaced and dropped.
    pub(crate) fn new(
        inner: &mut S,
        request: Req,
        door: Door<'_>,
        answers: P,
        aftermath: A,
    ) -> Self {
        let scope = door.scope;
        // A layer further out, on the same quota, may have charged part of it.
        let begun = departure::take_offer(door.quota.id());
        let state = match reserve(&door, begun.as_ref()) {
            Reserved::Granted(grant) => {
                send(inner, request, grant.covered(begun.unwrap_or_default()))
            }
            Reserved::Queued(waiting) => {
                departure::hold();
                let service = inner.clone();
                drop(mem::replace(inner, service.clone()));
                State::Parked {
                    parked: Box::new(Parked {
                        turn: Turn::Queued(waiting, begun.unwrap_or_default()),
                        since: Instant::now(),
                        service,
                        request: Some(request),
                    }),
                }
            }
            Reserved::Refused(rejected) => State::Refused {
                rejected: Some(rejected),
            },
        };
        Self {
            answers,
            aftermath,
            scope,
            state,
        }
    }
}

/// Takes what a request needs, less what has been charged already.
fn reserve(door: &Door<'_>, charged: Option<&Cost>) -> Reserved {
    let Door { quota, cost, .. } = door;
    let rest;
    let cost = match charged {
        Some(charged) => {
            rest = cost.clone().without(charged);
            &rest
        }
        None => cost,
    };
    let begun = charged.is_some();
    if door.reject {
        match quota.reserve_now(cost, begun) {
            Ok(grant) => Reserved::Granted(grant),
            Err(rejected) => Reserved::Refused(rejected),
        }
    } else {
        quota.reserve(cost, begun, door.priority)
    }
}

/// What a layer further in, on the same quota, may take instead of charging again.
fn offer(grant: &Grant, taken: bool) -> Offer {
    Offer {
        quota: grant.quota_id(),
        charged: (!taken && !grant.has_left()).then(|| grant.total()),
    }
}

fn send<S, Req, P>(inner: &mut S, request: Req, mut grant: Grant) -> State<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    grant.hand_on();
    let (future, seen) = departure::scope(offer(&grant, false), || inner.call(request));
    heed(seen, &mut grant);
    State::Sent {
        future,
        grant: Some(grant),
        taken: seen.taken,
    }
}

/// Does what layers further in have said.
fn heed(seen: Seen, grant: &mut Grant) {
    if seen.left {
        depart(grant);
    } else if seen.held {
        grant.hold();
    }
}

/// The request has left: dates its charge and tells whoever is further out. Once.
fn depart(grant: &mut Grant) {
    if !grant.has_left() {
        grant.depart();
        departure::leave();
    }
}

/// Waits of a second or more are worth knowing.
fn report(waited: Duration, turn: &Result<Grant, Rejected>) {
    match turn {
        Ok(grant) if waited >= Duration::from_secs(1) => {
            tracing::info!(?waited, cost = ?grant.cost(), "waited for the quota");
        }
        Ok(grant) => tracing::debug!(?waited, cost = ?grant.cost(), "waited for the quota"),
        Err(rejected) => tracing::debug!(?waited, %rejected, "refused by the quota"),
    }
}

impl<S, Req> Parked<S, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    /// Waits for the turn, then for the inner service.
    fn poll_grant(
        &mut self,
        cx: &mut Context<'_>,
        scope: Scope,
    ) -> Poll<Result<(Grant, Req), BoxError>> {
        if let Turn::Queued(waiting, charged) = &mut self.turn {
            let turn = ready!(waiting.poll_turn(cx));
            report(self.since.elapsed(), &turn);
            let grant = turn.map_err(|rejected| RejectedError::boxed(rejected.scope(scope)))?;
            let charged = mem::take(charged);
            self.turn = Turn::Granted(Some(grant.covered(charged)));
        }
        ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
        match (&mut self.turn, self.request.take()) {
            (Turn::Granted(grant), Some(request)) => {
                let grant = grant.take().expect("granted once");
                Poll::Ready(Ok((grant, request)))
            }
            _ => unreachable!("a parked request is sent once"),
        }
    }
}

impl<S, Req, P, A> Future for Admission<S, Req, P, A>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<P::Out<()>>,
    A: Aftermath,
{
    type Output = Result<P::Out<A::Watch>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Refused { rejected } => {
                    let rejected = rejected.take().expect("polled after it was ready");
                    this.state.set(State::Done);
                    return Poll::Ready(Err(RejectedError::boxed(rejected.scope(*this.scope))));
                }
                StateProj::Parked { parked } => {
                    let Poll::Ready(turn) = parked.poll_grant(cx, *this.scope) else {
                        departure::hold();
                        return Poll::Pending;
                    };
                    match turn {
                        Ok((grant, request)) => {
                            let sent = send(&mut parked.service, request, grant);
                            this.state.set(sent);
                        }
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                StateProj::Sent {
                    future,
                    grant,
                    taken,
                } => {
                    let held = grant.as_mut().expect("taken once the answer is there");
                    let (poll, seen) = departure::scope(offer(held, *taken), || future.poll(cx));
                    *taken |= seen.taken;
                    heed(seen, held);
                    // Silence of who held it means that nobody asked, and an error that comes at once says itself
                    // whether the request left.
                    match &poll {
                        Poll::Ready(Err(_)) => {}
                        Poll::Pending if held.is_held() => {}
                        _ => depart(held),
                    }
                    let outcome = ready!(poll);
                    let grant = grant.take();
                    match outcome {
                        Ok(answer) => {
                            let reading = if A::READS_STREAMS {
                                this.answers.read(answer)
                            } else {
                                this.answers.glance(answer)
                            };
                            this.state.set(State::Reading { reading, grant });
                        }
                        Err(error) => {
                            this.state.set(State::Done);
                            let error = error.into();
                            if let Some(mut grant) = grant {
                                match this.answers.classify(Err(&error)) {
                                    Verdict::Refused | Verdict::Transient { sent: false } => {
                                        grant.refund();
                                    }
                                    // Dropped while another layer held it: it never left.
                                    _ if grant.is_held() => {}
                                    _ => depart(&mut grant),
                                }
                            }
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                StateProj::Reading { reading, grant } => {
                    let answer = ready!(reading.poll(cx));
                    let grant = grant.take().expect("taken once the answer is read");
                    this.state.set(State::Done);
                    let verdict = this.answers.classify(Ok(&answer));
                    let facts = this.answers.facts(&answer);
                    let watch = this.aftermath.answered(verdict, facts, grant);
                    return Poll::Ready(Ok(this.answers.watch(answer, watch)));
                }
                StateProj::Done => panic!("polled after it was ready"),
            }
        }
    }
}
