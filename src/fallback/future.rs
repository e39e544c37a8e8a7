use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{layer::Plan, merge::Merge, second::Second, service::Chain};
use crate::{
    answers::Answers,
    departure,
    error::BoxError,
    verdict::{Classify, Verdict},
};

/// What falling back needs. There is none where the request couldn't be copied.
pub(super) struct Spare<T, Req> {
    pub(super) second: T,
    pub(super) plan: Plan,
    // Taken when it goes to the second service.
    pub(super) request: Option<Req>,
}

type FirstAnswer<C, Req> = <<C as Chain<Req>>::First as Service<Req>>::Response;
type SecondService<C, Req> = <<C as Chain<Req>>::Second as Second<Req>>::Service;
type SecondAnswer<C, Req> = <SecondService<C, Req> as Service<Req>>::Response;
type Out<P, A> = <P as Answers<A>>::Out<()>;
type Reading<P, A> = <P as Answers<A>>::Reading;
type FirstOutcome<C, Req> = Result<Out<<C as Chain<Req>>::Answers, FirstAnswer<C, Req>>, BoxError>;
type Merged<C, Req> =
    <<C as Chain<Req>>::Answers as Merge<FirstAnswer<C, Req>, SecondAnswer<C, Req>>>::Merged;

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
                <SecondService<C, Req> as Service<Req>>::Future,
                Reading<C::Answers, SecondAnswer<C, Req>>,
            >,
        >,
        // The first service's outcome, until the second has the request. Boxed: there is none
        // where the first serves.
        first: Option<Box<FirstOutcome<C, Req>>>,
        spare: Option<Spare<C::Second, Req>>,
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
        // The first couldn't serve; limiters further out that have charged it charge the second.
        Asking,
        // Readying the second.
        Readying,
        // The second service has the request.
        Falling { #[pin] late: L },
    }
}

pin_project! {
    #[project = LateProj]
    enum Late<F, R> {
        // The second service has the request.
        Calling { #[pin] future: F },
        // Its answer is there, to be read as the first's is.
        Reading { #[pin] reading: R },
    }
}

impl<C: Chain<Req>, Req> FallbackFuture<C, Req> {
    pub(super) const fn calling(
        future: <C::First as Service<Req>>::Future,
        spare: Option<Spare<C::Second, Req>>,
        answers: C::Answers,
    ) -> Self {
        Self {
            state: State::Calling { future },
            first: None,
            spare,
            answers,
        }
    }

    pub(super) const fn unready(
        error: BoxError,
        spare: Spare<C::Second, Req>,
        answers: C::Answers,
    ) -> Self {
        Self {
            state: State::Unready { error: Some(error) },
            first: None,
            spare: Some(spare),
            answers,
        }
    }
}

impl<C: Chain<Req>, Req> Future for FallbackFuture<C, Req> {
    type Output = Result<Merged<C, Req>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answers = &*this.answers;
        loop {
            let first = match this.state.as_mut().project() {
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(answer)) => {
                        let reading = answers.read(answer);
                        this.state.set(State::Reading { reading });
                        continue;
                    }
                    Poll::Ready(Err(error)) => Err(error.into()),
                },
                StateProj::Reading { reading } => match reading.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(out) => Ok(out),
                },
                StateProj::Unready { error } => Err(error.take().expect("polled after ready")),
                StateProj::Asking => match departure::again(cx, None) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {
                        this.state.set(State::Readying);
                        continue;
                    }
                    Poll::Ready(Err(rejected)) => {
                        tracing::debug!(%rejected, "not falling back: a limit further out refuses");
                        let first = this.first.take().expect("polled after ready");
                        return Poll::Ready((*first).map(|out| answers.first(out)));
                    }
                },
                StateProj::Readying => {
                    let spare = this.spare.as_mut().expect("there is a second service");
                    match spare.second.service().poll_ready(cx) {
                        Poll::Pending => {
                            departure::hold();
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(())) => {
                            departure::hand_on();
                            let request = spare.request.take().expect("rewritten");
                            let future = spare.second.service().call(request);
                            *this.first = None;
                            this.state.set(State::Falling {
                                late: Late::Calling { future },
                            });
                            continue;
                        }
                        // It can't be sent: the first service's outcome is what counts.
                        Poll::Ready(Err(_)) => {
                            let first = this.first.take().expect("polled after ready");
                            return Poll::Ready((*first).map(|out| answers.first(out)));
                        }
                    }
                }
                StateProj::Falling { mut late } => match late.as_mut().project() {
                    LateProj::Calling { future } => match future.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(answer)) => {
                            let reading = answers.read(answer);
                            late.set(Late::Reading { reading });
                            continue;
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    },
                    LateProj::Reading { reading } => match reading.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(out) => {
                            let spare = this.spare.as_ref().expect("there is a second service");
                            let merged = answers.second(out, &spare.plan.served_by);
                            return Poll::Ready(Ok(merged));
                        }
                    },
                },
            };
            let verdict = answers.classify(first.as_ref());
            let falls_back = (this.spare.as_mut())
                .is_some_and(|spare| spare.plan.falls_back(&verdict) && spare.rewrite());
            if !falls_back {
                return Poll::Ready(first.map(|out| answers.first(out)));
            }
            tracing::debug!(?verdict, "falling back");
            departure::over(verdict.was_sent());
            this.state.set(State::Asking);
            // What the first still holds is of no use while the second is tried.
            *this.first = Some(Box::new(match verdict {
                Verdict::Success => first,
                _ => first.map(|out| Answers::<FirstAnswer<C, Req>>::let_go(answers, out)),
            }));
        }
    }
}

impl<T: Second<Req>, Req> Spare<T, Req> {
    /// Makes the request what it has to be there; `false` where it can't.
    fn rewrite(&mut self) -> bool {
        self.request = self
            .request
            .take()
            .and_then(|request| self.second.rewrite(request));
        self.request.is_some()
    }
}

impl<C: Chain<Req>, Req> fmt::Debug for FallbackFuture<C, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture")
            .field("can_fall_back", &self.spare.is_some())
            .finish_non_exhaustive()
    }
}
