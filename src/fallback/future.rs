use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    outcome::{FirstAnswer, Outcome, SecondAnswer},
    plan::Choice,
    second::Second,
    service::Chain,
    trip::{Merged, Trip},
};
use crate::{
    answers::{Answers, Depth, Read},
    departure,
    error::{BoxError, RejectedError},
    observe::target,
    verdict::Verdict,
};

type Reading<P, A> = <P as Answers<A>>::Reading;

pin_project! {
    /// The future of [`Fallback`](super::Fallback), which is `C`.
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<C, Req>
    where
        C: Chain<Req>,
    {
        #[pin]
        state: State<
            <C::First as Service<Req>>::Future,
            Reading<C::Answers, FirstAnswer<C, Req>>,
            Late<
                <C::Second as Second<Req>>::Future,
                Reading<C::Answers, SecondAnswer<C, Req>>,
            >,
        >,
        // None once the outcome was given: nothing of the call is held any more.
        trip: Option<Trip<C, Req>>,
        answers: C::Answers,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R, L> {
        // The first service has the request.
        Calling { #[pin] future: F },
        // Its answer is there; what it means isn't known yet.
        Reading { #[pin] reading: R },
        // It couldn't even be readied.
        Unready { error: Option<BoxError> },
        // It is passed over: it is remembered as down.
        Passing { choice: Option<Choice> },
        // Somebody couldn't serve; limiters further out that have charged it charge the next.
        Asking,
        // Readying the next link.
        Readying,
        // A link has the request.
        Falling { #[pin] late: L },
        // Readying the first service after all: it is back, or `last`, since no link can be asked.
        Returning { last: bool },
        // The outcome was given; nothing of the call is held any more.
        Done,
    }
}

pin_project! {
    #[project = LateProj]
    enum Late<F, R> {
        // A link has the request.
        Calling { #[pin] future: F },
        // Its answer is there, to be read as the first's is.
        Reading { #[pin] reading: R },
    }
}

impl<C: Chain<Req>, Req> FallbackFuture<C, Req> {
    /// The first service is readied, and nobody remembers it as down.
    // Takes what the call holds only once `first` was called: where unwinding has something to drop, the future that it
    // returns is moved once more. Inlined, it would have.
    #[inline(never)]
    pub(super) fn calling(
        first: &mut C::First,
        request: Req,
        trip: &mut Option<Trip<C, Req>>,
        answers: &C::Answers,
    ) -> Self
    where
        C::Answers: Clone,
    {
        let future = first.call(request);
        Self {
            state: State::Calling { future },
            trip: trip.take(),
            answers: answers.clone(),
        }
    }

    pub(super) const fn unready(error: BoxError, trip: Trip<C, Req>, answers: C::Answers) -> Self {
        Self {
            state: State::Unready { error: Some(error) },
            trip: Some(trip),
            answers,
        }
    }

    /// The first service isn't readied: it was down. It is passed over if it still is.
    pub(super) fn passing(choice: Option<Choice>, trip: Trip<C, Req>, answers: C::Answers) -> Self {
        let state = if choice.is_some() {
            State::Passing { choice }
        } else {
            State::Returning { last: false }
        };
        Self {
            state,
            trip: Some(trip),
            answers,
        }
    }
}

impl<C: Chain<Req>, Req> Future for FallbackFuture<C, Req> {
    type Output = Result<Merged<C, Req>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answers = &*this.answers;
        let trip = this.trip.as_mut().expect("polled after ready");
        let last = loop {
            let mut asked = true;
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    let polled = future.poll(cx);
                    let served = match &polled {
                        Poll::Ready(Ok(answer)) => {
                            let verdict = Answers::<FirstAnswer<C, Req>>::at_sight(
                                answers,
                                answer,
                                Depth::Streams,
                            );
                            matches!(verdict, Some(Verdict::Success)) && trip.has_served()
                        }
                        _ => false,
                    };
                    if served {
                        this.state.set(State::Done);
                        *this.trip = None;
                        // Not moved before, which it would be twice then.
                        let Poll::Ready(Ok(answer)) = polled else {
                            unreachable!("it has served");
                        };
                        return Poll::Ready(Ok(Trip::<C, Req>::first(answer, answers)));
                    }
                    match polled {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(answer)) => match answers.read(answer, Depth::Streams) {
                            Read::Now(out) => Outcome::First(Ok(out)),
                            Read::Later(reading) => {
                                this.state.set(State::Reading { reading });
                                continue;
                            }
                        },
                        Poll::Ready(Err(error)) => Outcome::First(Err(error.into())),
                    }
                }
                StateProj::Reading { reading } => match reading.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(out) => Outcome::First(Ok(out)),
                },
                StateProj::Unready { error } => {
                    asked = false;
                    Outcome::First(Err(error.take().expect("polled after ready")))
                }
                StateProj::Passing { choice } => {
                    departure::hold();
                    let choice = choice.take().expect("polled after ready");
                    let asking = trip.pass_over(choice, answers);
                    this.state.set(if asking {
                        State::Asking
                    } else {
                        State::Returning { last: true }
                    });
                    continue;
                }
                StateProj::Asking if !C::Second::SENDS => {
                    this.state.set(State::Readying);
                    continue;
                }
                StateProj::Asking => match departure::again(cx, None) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {
                        this.state.set(State::Readying);
                        continue;
                    }
                    Poll::Ready(Err(rejected)) => {
                        tracing::debug!(target: target::FALLBACK, %rejected, "not falling back: a limit further out refuses");
                        let refused = || Err(RejectedError::boxed(rejected));
                        break trip.last(answers).unwrap_or_else(refused);
                    }
                },
                StateProj::Readying => {
                    let (links, link) = trip.asked();
                    match links.poll_ready(link, cx) {
                        Poll::Pending => {
                            departure::hold();
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(())) => {
                            if C::Second::SENDS {
                                departure::hand_on();
                            }
                            let future = trip.call(answers);
                            this.state.set(State::Falling {
                                late: Late::Calling { future },
                            });
                        }
                        // It can't be sent there: the outcome before is what counts.
                        Poll::Ready(Err(error)) => {
                            let asking = trip.unready(error.into(), answers);
                            if !asking && let Some(last) = trip.last(answers) {
                                break last;
                            }
                            this.state.set(if asking {
                                State::Asking
                            } else {
                                State::Returning { last: true }
                            });
                        }
                    }
                    continue;
                }
                StateProj::Falling { mut late } => match late.as_mut().project() {
                    LateProj::Calling { future } => match future.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(answer)) => match answers.read(answer, Depth::Streams) {
                            Read::Now(out) => Outcome::Second(Ok(out)),
                            Read::Later(reading) => {
                                late.set(Late::Reading { reading });
                                continue;
                            }
                        },
                        Poll::Ready(Err(error)) => Outcome::Second(Err(error.into())),
                    },
                    LateProj::Reading { reading } => match reading.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(out) => Outcome::Second(Ok(out)),
                    },
                },
                StateProj::Returning { last } => match trip.poll_return(cx) {
                    Poll::Pending => {
                        departure::hold();
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => {
                        departure::hand_on();
                        let future = trip.call_first(*last, answers);
                        this.state.set(State::Calling { future });
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        asked = false;
                        if *last {
                            trip.stays();
                        }
                        Outcome::First(Err(error))
                    }
                },
                StateProj::Done => panic!("polled after ready"),
            };
            match trip.judge(outcome, answers) {
                // A try before, of somebody further out, may have left: that stands.
                Ok(_) if !asked => departure::hold(),
                Ok(sent) => departure::over(sent),
                Err(last) => break last,
            }
            this.state.set(State::Asking);
        };
        this.state.set(State::Done);
        *this.trip = None;
        Poll::Ready(last)
    }
}

impl<C: Chain<Req>, Req> fmt::Debug for FallbackFuture<C, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture")
            .field(
                "can_fall_back",
                &self.trip.as_ref().is_some_and(Trip::falls_back),
            )
            .finish_non_exhaustive()
    }
}
