//! A request's way through a limiting layer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    door::{Door, Manners},
    parked::{Parked, Turn},
    sent::Sent,
};
use crate::{
    answers::Answers,
    body::Watch,
    core::cost::Cost,
    departure,
    error::{BoxError, Rejected, RejectedError},
    quota::{Grant, Quota, Reserved},
    verdict::{Classify, Verdict},
};

/// What a limiting layer does with an outcome.
pub(crate) trait Aftermath {
    /// Keeps hold of the grant until the answer's body ends.
    type Watch: Watch;

    /// Whether it does something about an error in a stream, for which its head is held back.
    const READS_STREAMS: bool;

    /// What a request reserves of its cost.
    fn reserves(&self, cost: Cost, _quota: &Quota) -> Cost {
        cost
    }

    /// An answer arrived. `facts` are its status and headers, where it has any.
    fn answered(
        &self,
        verdict: Verdict,
        facts: Option<(StatusCode, &HeaderMap)>,
        grant: Grant,
    ) -> Self::Watch;
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
        // With the inner service.
        Sent { #[pin] future: S::Future, sent: Option<Sent> },
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
        manners: Manners,
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
        let (quota, manners) = (door.quota, door.manners);
        let park = |turn, inner: &mut S, request| State::Parked {
            parked: Parked::new(turn, inner, request, manners),
        };
        let state = if departure::is_used_up(quota.id()) {
            let turn = Turn::Asking {
                quota: quota.clone(),
                cost: door.cost,
                rank: door.rank,
            };
            park(turn, inner, request)
        } else {
            // A layer further out, on the same quota, may have charged part of it.
            let begun = departure::take_offer(quota.id());
            match door.reserve(begun.as_ref()) {
                Reserved::Granted(grant) => {
                    let grant = grant.covered(begun.unwrap_or_default());
                    send(inner, request, grant, manners)
                }
                Reserved::Queued(waiting) => {
                    let turn = Turn::Queued(waiting, begun.unwrap_or_default());
                    park(turn, inner, request)
                }
                Reserved::Refused(rejected) => State::Refused {
                    rejected: Some(rejected),
                },
            }
        };
        Self {
            answers,
            aftermath,
            manners,
            state,
        }
    }
}

fn send<S, Req, P>(inner: &mut S, request: Req, grant: Grant, manners: Manners) -> State<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    let mut sent = Sent::new(grant, manners);
    let future = sent.call(|| inner.call(request));
    State::Sent {
        future,
        sent: Some(sent),
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
                    return Poll::Ready(Err(RejectedError::boxed(
                        rejected.scope(this.manners.scope),
                    )));
                }
                StateProj::Parked { parked } => match ready!(parked.poll(cx)) {
                    Ok((grant, request, service)) => {
                        let sent = send(service, request, grant, *this.manners);
                        this.state.set(sent);
                    }
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StateProj::Sent { future, sent } => {
                    let held = sent.as_mut().expect("taken once the answer is there");
                    let outcome = ready!(held.poll(future, cx));
                    if outcome.is_ok() {
                        held.answered();
                    }
                    let sent = sent.take();
                    match outcome {
                        Ok(answer) => {
                            let reading = if A::READS_STREAMS {
                                this.answers.read(answer)
                            } else {
                                this.answers.glance(answer)
                            };
                            let grant = sent.map(|sent| sent.grant);
                            this.state.set(State::Reading { reading, grant });
                        }
                        Err(error) => {
                            this.state.set(State::Done);
                            let error = error.into();
                            if let Some(mut sent) = sent {
                                let verdict = this.answers.classify(Err(&error));
                                if !this.manners.on_arrival {
                                    sent.grant.heard(&verdict);
                                }
                                if !verdict.was_sent() {
                                    sent.grant.refund();
                                } else if !sent.grant.is_held() {
                                    sent.depart();
                                }
                                // Dropped while another layer held it, it never left.
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
                    if !this.manners.on_arrival {
                        grant.heard(&verdict);
                    }
                    let facts = this.answers.facts(&answer);
                    let watch = this.aftermath.answered(verdict, facts, grant);
                    return Poll::Ready(Ok(this.answers.watch(answer, watch)));
                }
                StateProj::Done => panic!("polled after it was ready"),
            }
        }
    }
}
