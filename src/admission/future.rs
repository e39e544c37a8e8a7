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
    sent::{Sent, Told},
};
use crate::{
    answers::{Answers, Depth, Read},
    body::Watch,
    core::cost::Cost,
    departure::{self, Found},
    error::BoxError,
    quota::{Allowance, Grant, Quota, Reserved},
    verdict::{Classify, Verdict},
};

/// What a limiting layer does with an outcome.
pub(crate) trait Aftermath: Copy {
    /// Keeps hold of the grant until the answer's body ends.
    type Watch: Watch;

    /// What it keeps for that from the request. Apart from it: what may have to be dropped is in memory, all of it, and what is
    /// moved from there right after it was written has to be waited for.
    type Notes;

    /// Whether it does something about an error in a stream, for which its head is held back.
    const DEPTH: Depth;

    /// Makes of a request's cost what it reserves. In place: moved right after it was written, it has to be waited for.
    #[inline]
    fn reserves(&self, _cost: &mut Cost, _quota: &Quota) {}

    /// An answer arrived. `facts` are its status and headers, where it has any.
    fn answered(
        self,
        notes: &mut Self::Notes,
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
        Refused { refusal: Option<BoxError> },
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
        A: Aftermath,
    {
        answers: P,
        aftermath: A,
        notes: A::Notes,
        manners: Manners,
        #[pin]
        state: State<S, Req, P>,
    }
}

impl<S, Req, P, A> Admission<S, Req, P, A>
where
    S: Service<Req> + Clone,
    P: Answers<S::Response>,
    A: Aftermath,
{
    /// Decides on a request. `inner` was readied: it is called at once, or replaced and dropped.
    #[inline]
    pub(crate) fn new(
        inner: &mut S,
        request: Req,
        door: &Door<'_>,
        answers: P,
        (aftermath, notes): (A, A::Notes),
    ) -> Self {
        let manners = door.manners;
        let state = match departure::arrive(door.quota.id()) {
            Found::Nothing => match door.reserve(None) {
                Reserved::Granted(grant) => {
                    return Self {
                        answers,
                        aftermath,
                        notes,
                        manners,
                        state: send(inner, request, grant, manners),
                    };
                }
                Reserved::Queued(waiting) => {
                    let turn = Turn::Queued(waiting, Cost::none());
                    park(inner, request, turn, manners)
                }
                // Made where it goes to: what has to be moved for nothing is most of what a refusal costs.
                Reserved::Refused(refusal) => {
                    return Self {
                        answers,
                        aftermath,
                        notes,
                        manners,
                        state: State::Refused {
                            refusal: Some(refusal.scope(manners.scope()).error()),
                        },
                    };
                }
            },
            Found::Charged => join(inner, request, door),
            Found::UsedUp => {
                let turn = Turn::Asking {
                    quota: door.quota.clone(),
                    cost: door.cost.clone(),
                    rank: door.rank,
                };
                park(inner, request, turn, manners)
            }
        };
        Self {
            answers,
            aftermath,
            notes,
            manners,
            state,
        }
    }
}

/// Layers further out, on the same quota, have charged the request: only the rest is to be charged.
#[inline(never)]
fn join<S, Req, P>(inner: &mut S, request: Req, door: &Door<'_>) -> State<S, Req, P>
where
    S: Service<Req> + Clone,
    P: Answers<S::Response>,
{
    let (charged, manners) = (departure::take_offer(door.quota.id()), door.manners);
    match door.reserve(charged.as_ref()) {
        Reserved::Granted(mut grant) => {
            grant.covered_by(charged);
            send(inner, request, grant, manners)
        }
        Reserved::Queued(waiting) => {
            let turn = Turn::Queued(waiting, charged.unwrap_or_default());
            park(inner, request, turn, manners)
        }
        Reserved::Refused(refusal) => State::Refused {
            refusal: Some(refusal.scope(manners.scope()).error()),
        },
    }
}

#[cold]
fn park<S, Req, P>(inner: &mut S, request: Req, turn: Turn, manners: Manners) -> State<S, Req, P>
where
    S: Service<Req> + Clone,
    P: Answers<S::Response>,
{
    State::Parked {
        parked: Parked::new(turn, inner, request, manners),
    }
}

#[inline]
fn send<S, Req, P>(inner: &mut S, request: Req, grant: Grant, manners: Manners) -> State<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    let mut sent = Sent::new(grant, manners);
    let scope = sent.calling();
    let future = inner.call(request);
    sent.called(scope);
    State::Sent {
        future,
        sent: Some(sent),
    }
}

/// What the caller has left, where it is to be told.
#[inline]
fn allowance(manners: Manners, grant: &Grant) -> Option<Allowance> {
    (manners.tells_caller()).then(|| grant.allowance())
}

/// Leaves it with the answer.
#[cold]
fn tell<R, P, W>(answers: &P, mut answer: P::Out<W>, allowance: Allowance) -> P::Out<W>
where
    P: Answers<R>,
    W: Watch,
{
    if let Some(marks) = answers.marks_mut(&mut answer) {
        allowance.join(marks);
    }
    answer
}

/// An answer of which nothing was read, with what the caller has left.
#[cold]
fn told<R, E, P, W>(
    answers: &P,
    outcome: Poll<Result<R, E>>,
    watch: W,
    allowance: Allowance,
) -> Poll<Result<P::Out<W>, BoxError>>
where
    E: Into<BoxError>,
    P: Answers<R>,
    W: Watch,
{
    let answer = |answer| tell(answers, answers.pass(answer, watch), allowance);
    outcome.map_ok(answer).map_err(Into::into)
}

/// The answer is read: what it means is known.
fn judge<R, P, A>(
    answers: &P,
    (aftermath, notes): (A, &mut A::Notes),
    manners: Manners,
    answer: P::Out<()>,
    grant: Grant,
) -> P::Out<A::Watch>
where
    P: Answers<R> + Classify<P::Out<()>>,
    A: Aftermath,
{
    let verdict = answers.classify(Ok(&answer));
    let allowance = allowance(manners, &grant);
    hear(manners, &grant, &verdict);
    let watch = aftermath.answered(notes, verdict, answers.facts(&answer), grant);
    let answer = answers.watch(answer, watch);
    match allowance {
        None => answer,
        Some(allowance) => tell(answers, answer, allowance),
    }
}

/// The quota hears what came of it.
#[inline]
fn hear(manners: Manners, grant: &Grant, verdict: &Verdict) {
    if !manners.is_on_arrival() {
        grant.heard(verdict);
    }
}

/// The request was answered by an error.
#[cold]
fn failed<R, P>(answers: &P, manners: Manners, mut sent: Sent, error: &BoxError)
where
    P: Answers<R> + Classify<P::Out<()>>,
{
    let verdict = answers.classify(Err(error));
    hear(manners, &sent.grant, &verdict);
    if !verdict.was_sent() {
        sent.grant.refund();
    } else if !sent.grant.is_held() {
        sent.depart();
    }
    // Dropped while another layer held it, it never left.
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
                StateProj::Refused { refusal } => {
                    return Poll::Ready(Err(refusal.take().expect("polled after it was ready")));
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
                StateProj::Sent { mut future, sent } => {
                    let held = sent.as_mut().expect("taken once the answer is there");
                    let scope = held.polling(cx);
                    let outcome = future.as_mut().poll(cx);
                    if held.polled(scope, Told::by(&outcome)) {
                        // What was asked for may be there already.
                        continue;
                    }
                    // Moved once, where it is given: whatever might unwind comes before.
                    if let Poll::Ready(Ok(answer)) = &outcome
                        && let Some(verdict) = this.answers.at_sight(answer, A::DEPTH)
                    {
                        let grant = sent.take().expect("looked at above").grant;
                        let facts = this.answers.head(answer);
                        let allowance = allowance(*this.manners, &grant);
                        hear(*this.manners, &grant, &verdict);
                        let watch = (this.aftermath).answered(this.notes, verdict, facts, grant);
                        this.state.set(State::Done);
                        if let Some(allowance) = allowance {
                            return told(&*this.answers, outcome, watch, allowance);
                        }
                        let answer = |answer| this.answers.pass(answer, watch);
                        return outcome.map_ok(answer).map_err(Into::into);
                    }
                    let answer = match outcome {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(answer)) => answer,
                        Poll::Ready(Err(error)) => {
                            let error = error.into();
                            if let Some(sent) = sent.take() {
                                failed(&*this.answers, *this.manners, sent, &error);
                            }
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    };
                    let grant = sent.take().expect("looked at above").grant;
                    match this.answers.read(answer, A::DEPTH) {
                        Read::Now(answer) => {
                            let after = (*this.aftermath, this.notes);
                            let answer = judge(&*this.answers, after, *this.manners, answer, grant);
                            this.state.set(State::Done);
                            return Poll::Ready(Ok(answer));
                        }
                        Read::Later(reading) => {
                            let grant = Some(grant);
                            this.state.set(State::Reading { reading, grant });
                        }
                    }
                }
                StateProj::Reading { reading, grant } => {
                    let answer = ready!(reading.poll(cx));
                    let grant = grant.take().expect("taken once the answer is read");
                    let after = (*this.aftermath, this.notes);
                    let answer = judge(&*this.answers, after, *this.manners, answer, grant);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(answer));
                }
                StateProj::Done => panic!("polled after it was ready"),
            }
        }
    }
}
