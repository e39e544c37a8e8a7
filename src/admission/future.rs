//! A request's way through a limiting layer.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    aftermath::{Aftermath, allowance, failed, hear, judge, told},
    door::{Door, Manners},
    parked::{Parked, Turn},
    sent::{Sent, Told},
};
use crate::{
    answers::{Answers, Read},
    core::cost::Cost,
    departure::{self, Found, Offer, Scope},
    error::BoxError,
    quota::{Grant, Reserved},
    verdict::Classify,
};

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
        Sent { #[pin] future: S::Future },
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
        // What a request holds that is with the inner service.
        sent: Option<Sent>,
        // What was told while that was called, and isn't heard yet.
        told: Offer,
        #[pin]
        state: State<S, Req, P>,
    }

    impl<S, Req, P, A> PinnedDrop for Admission<S, Req, P, A>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
        A: Aftermath,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            hear_late(this.told, this.sent);
        }
    }
}

impl<S, Req, P, A> Admission<S, Req, P, A>
where
    S: Service<Req> + Clone,
    P: Answers<S::Response> + Clone,
    A: Aftermath,
{
    /// Decides on a request. `inner` was readied: it is called at once, or replaced and dropped.
    #[inline]
    pub(crate) fn new(
        inner: &mut S,
        request: Req,
        door: &Door<'_>,
        answers: &P,
        (aftermath, mut notes): (A, A::Notes),
    ) -> Self {
        let manners = door.manners;
        let (state, sent) = match departure::arrive(door.quota.id()) {
            Found::Nothing => match door.reserve(None) {
                Reserved::Granted(grant) => {
                    let sent = Sent::new(grant, manners);
                    let scope = &mut Some(sent.calling());
                    let held = (scope, &mut Some(sent), &mut notes);
                    return Self::calling(inner, request, held, (answers, aftermath, manners));
                }
                Reserved::Queued(waiting) => {
                    let turn = Turn::Queued(waiting, Cost::none());
                    (park(inner, request, turn, manners), None)
                }
                // Made where it goes to: what has to be moved for nothing is most of what a refusal costs.
                Reserved::Refused(refusal) => {
                    return Self {
                        answers: answers.clone(),
                        aftermath,
                        notes,
                        manners,
                        sent: None,
                        told: Offer::UNTOUCHED,
                        state: State::Refused {
                            refusal: Some(refusal.scope(manners.scope()).error()),
                        },
                    };
                }
            },
            Found::Offers => join(inner, request, door),
            Found::UsedUp => {
                let turn = Turn::Asking {
                    quota: door.quota.clone(),
                    cost: door.cost.clone(),
                    rank: door.rank,
                };
                (park(inner, request, turn, manners), None)
            }
        };
        Self {
            answers: answers.clone(),
            aftermath,
            notes,
            manners,
            sent,
            told: Offer::UNTOUCHED,
            state,
        }
    }

    // Takes what the request holds only once `inner` was called, and hears of what it has told when it is polled: where there is
    // anything to decide, or to drop while unwinding, the future that it returns is moved once more. Inlined, it would be.
    #[inline(never)]
    fn calling(
        inner: &mut S,
        request: Req,
        (scope, sent, notes): (&mut Option<Scope>, &mut Option<Sent>, &mut A::Notes),
        (answers, aftermath, manners): (&P, A, Manners),
    ) -> Self {
        let future = inner.call(request);
        Self {
            state: State::Sent { future },
            told: Scope::end_near(scope),
            sent: sent.take(),
            notes: mem::take(notes),
            answers: answers.clone(),
            aftermath,
            manners,
        }
    }
}

/// Layers further out may have charged the request on the same quota: only the rest is to be charged.
#[inline(never)]
fn join<S, Req, P>(inner: &mut S, request: Req, door: &Door<'_>) -> (State<S, Req, P>, Option<Sent>)
where
    S: Service<Req> + Clone,
    P: Answers<S::Response>,
{
    let (charged, manners) = (departure::take_offer(door.quota.id()), door.manners);
    match door.reserve(charged.as_ref()) {
        Reserved::Granted(mut grant) => {
            grant.covered_by(charged);
            let (future, sent) = send(inner, request, grant, manners);
            (State::Sent { future }, Some(sent))
        }
        Reserved::Queued(waiting) => {
            let turn = Turn::Queued(waiting, charged.unwrap_or_default());
            (park(inner, request, turn, manners), None)
        }
        Reserved::Refused(refusal) => {
            departure::give_back(door.quota.id(), &charged.unwrap_or_default());
            let refusal = Some(refusal.scope(manners.scope()).error());
            (State::Refused { refusal }, None)
        }
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

/// The request goes on to a service, of which is heard at once.
fn send<S, Req>(inner: &mut S, request: Req, grant: Grant, manners: Manners) -> (S::Future, Sent)
where
    S: Service<Req>,
{
    let mut sent = Sent::new(grant, manners);
    let scope = sent.calling();
    let future = inner.call(request);
    sent.called(scope);
    (future, sent)
}

/// What was told while the inner service was called is heard, once.
#[inline]
fn hear_late(told: &mut Offer, sent: &mut Option<Sent>) {
    let told = mem::replace(told, Offer::UNTOUCHED);
    if let Some(sent) = sent {
        sent.hear_late(told);
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
                StateProj::Refused { refusal } => {
                    return Poll::Ready(Err(refusal.take().expect("polled after it was ready")));
                }
                StateProj::Parked { parked } => match ready!(parked.poll(cx)) {
                    Ok((grant, request, service)) => {
                        let (future, sent) = send(service, request, grant, *this.manners);
                        *this.sent = Some(sent);
                        this.state.set(State::Sent { future });
                    }
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StateProj::Sent { mut future } => {
                    hear_late(this.told, this.sent);
                    let held = this.sent.as_mut().expect("taken once the answer is there");
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
                        let grant = this.sent.take().expect("looked at above").grant;
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
                            if let Some(sent) = this.sent.take() {
                                failed(&*this.answers, *this.manners, sent, &error);
                            }
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    };
                    let grant = this.sent.take().expect("looked at above").grant;
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
