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
        // The first service's outcome, until the second has the request.
        first: Option<Result<Out<C::Answers, FirstAnswer<C, Req>>, BoxError>>,
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
        // Its outcome is there; who answers?
        Judging,
        // The first couldn't serve; readying the second.
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
            state: State::Judging,
            first: Some(Err(error)),
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
            match this.state.as_mut().project() {
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(answer)) => {
                        let reading = answers.read(answer);
                        this.state.set(State::Reading { reading });
                    }
                    Poll::Ready(Err(error)) => {
                        *this.first = Some(Err(error.into()));
                        this.state.set(State::Judging);
                    }
                },
                StateProj::Reading { reading } => match reading.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(out) => {
                        *this.first = Some(Ok(out));
                        this.state.set(State::Judging);
                    }
                },
                StateProj::Judging => {
                    let first = this.first.take().expect("polled after ready");
                    let verdict = answers.classify(first.as_ref());
                    let spare = this.spare.as_mut().filter(|s| s.plan.falls_back(&verdict));
                    let request = spare.and_then(|spare| {
                        let request = spare.request.take()?;
                        spare.request = spare.second.rewrite(request);
                        spare.request.as_ref()?;
                        tracing::debug!(?verdict, to = spare.plan.served_by.name(), "falling back");
                        Some(())
                    });
                    if request.is_none() {
                        return Poll::Ready(first.map(|out| answers.first(out)));
                    }
                    // What the first still holds is of no use while the second is tried.
                    *this.first = Some(match verdict {
                        Verdict::Success => first,
                        _ => first.map(|out| Answers::<FirstAnswer<C, Req>>::let_go(answers, out)),
                    });
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    let spare = this.spare.as_mut().expect("there is a second service");
                    match spare.second.service().poll_ready(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(())) => {
                            let request = spare.request.take().expect("rewritten");
                            let future = spare.second.service().call(request);
                            *this.first = None;
                            this.state.set(State::Falling {
                                late: Late::Calling { future },
                            });
                        }
                        // It can't be sent: the first service's outcome is what counts.
                        Poll::Ready(Err(_)) => {
                            let first = this.first.take().expect("kept until now");
                            return Poll::Ready(first.map(|out| answers.first(out)));
                        }
                    }
                }
                StateProj::Falling { mut late } => match late.as_mut().project() {
                    LateProj::Calling { future } => match future.poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(answer)) => {
                            let reading = answers.read(answer);
                            late.set(Late::Reading { reading });
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
            }
        }
    }
}

impl<C: Chain<Req>, Req> fmt::Debug for FallbackFuture<C, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture")
            .field("can_fall_back", &self.spare.is_some())
            .finish_non_exhaustive()
    }
}
