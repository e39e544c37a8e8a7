use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower::timeout::error::Elapsed;
use tower_service::Service;

use super::{budget::Ongoing, cause::Cause, gave_up::GaveUp, retries::Retries};
use crate::{
    answers::{Answers, CopyRequest, Depth, Http, Read},
    clock, departure,
    error::BoxError,
    observe::target,
    provider,
    verdict::{Classify, Verdict},
};

type Tries<S, Req, P> = Retries<
    S,
    <P as CopyRequest<Req>>::Kept,
    <P as Answers<<S as Service<Req>>::Response>>::Out<()>,
>;

pin_project! {
    /// The future of [`BackoffRetry`](super::BackoffRetry).
    #[must_use = "futures do nothing unless polled"]
    pub struct BackoffRetryFuture<S, Req, P = Http>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
        P: CopyRequest<Req>,
    {
        #[pin]
        state: State<S::Future, P::Reading>,
        // There is none where one try without a deadline is all there is.
        retries: Option<Tries<S, Req, P>>,
        // The request is under way until the outcome is given, where the budget asks for that.
        ongoing: Ongoing,
        answers: P,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        // The inner service has the request.
        Calling { #[pin] future: F },
        // The answer is there; what it means isn't known yet.
        Reading { #[pin] reading: R },
        // Waiting for the next try; nothing of the last one is held but its outcome.
        Waiting,
        // The time has come; limiters further out that have charged the last try charge the next.
        Asking,
        // Readying the inner service for the next try.
        Readying,
        // The outcome was given.
        Done,
    }
}

impl<S, Req, P> BackoffRetryFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response> + CopyRequest<Req> + Clone,
{
    // Takes what the call holds only once `inner` was called: where unwinding has something to drop, the future that it
    // returns is moved once more. Inlined, it would have.
    #[inline(never)]
    pub(super) fn calling(
        inner: &mut S,
        request: Req,
        (retries, ongoing): (&mut Option<Tries<S, Req, P>>, &mut Ongoing),
        answers: &P,
    ) -> Self {
        let future = inner.call(request);
        Self {
            state: State::Calling { future },
            retries: retries.take(),
            ongoing: std::mem::take(ongoing),
            answers: answers.clone(),
        }
    }
}

impl<S, Req, P> Future for BackoffRetryFuture<S, Req, P>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: Answers<S::Response> + Classify<<P as Answers<S::Response>>::Out<()>> + CopyRequest<Req>,
{
    type Output = Result<P::Out<()>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // What it ends with; `None` stands for the outcome before, with the reason that there is no other.
        let (outcome, why) = loop {
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    clock::forget();
                    let polled = future.poll(cx);
                    let served = match &polled {
                        Poll::Pending => false,
                        Poll::Ready(outcome) => {
                            let verdict = match outcome {
                                Ok(answer) => this.answers.at_sight(answer, Depth::Streams),
                                Err(_) => None,
                            };
                            let served = matches!(verdict, Some(Verdict::Success));
                            if let Some(retries) = this.retries {
                                retries.deposit(served);
                            }
                            served
                        }
                    };
                    if served {
                        this.state.set(State::Done);
                        // What is kept of the request, the outcome before and the call's place among those under way.
                        *this.retries = None;
                        *this.ongoing = Ongoing::default();
                        // Not moved before, which it would be twice then.
                        let Poll::Ready(Ok(answer)) = polled else {
                            unreachable!("it has served");
                        };
                        return Poll::Ready(Ok(this.answers.pass(answer, ())));
                    }
                    match polled {
                        Poll::Ready(Ok(answer)) => {
                            match this.answers.read(answer, Depth::Streams) {
                                Read::Now(out) => Some(Ok(out)),
                                Read::Later(reading) => {
                                    this.state.set(State::Reading { reading });
                                    continue;
                                }
                            }
                        }
                        Poll::Ready(Err(error)) => Some(Err(error.into())),
                        Poll::Pending => None,
                    }
                }
                StateProj::Reading { reading } => match reading.poll(cx) {
                    Poll::Ready(out) => Some(Ok(out)),
                    Poll::Pending => None,
                },
                StateProj::Waiting => {
                    let retries = this.retries.as_mut().expect("waiting for a retry");
                    if !retries.has_waited(cx) {
                        return Poll::Pending;
                    }
                    this.state.set(State::Asking);
                    continue;
                }
                StateProj::Asking => match departure::again(cx, None) {
                    Poll::Ready(Ok(())) => {
                        this.state.set(State::Readying);
                        continue;
                    }
                    Poll::Ready(Err(rejected)) => {
                        tracing::debug!(target: target::RETRY, %rejected, "not retried: a limit further out refuses");
                        break (None, Some(GaveUp::NotSent));
                    }
                    Poll::Pending => None,
                },
                StateProj::Readying => {
                    let retries = this.retries.as_mut().expect("readying a retry");
                    match retries.poll_ready(cx) {
                        Poll::Ready(true) => {
                            departure::hand_on();
                            if let Some(future) = retries.send(&*this.answers) {
                                this.state.set(State::Calling { future });
                                continue;
                            }
                            break (None, Some(GaveUp::NotSent));
                        }
                        // It can't be sent: the last real outcome is what counts.
                        Poll::Ready(false) => break (None, Some(GaveUp::NotSent)),
                        Poll::Pending => {
                            departure::hold();
                            None
                        }
                    }
                }
                StateProj::Done => panic!("polled after ready"),
            };
            match (outcome, this.retries.as_mut()) {
                (Some(outcome), None) => break (Some(outcome), None),
                (Some(outcome), Some(retries)) => {
                    let verdict = this.answers.classify(outcome.as_ref());
                    let status = |out| this.answers.facts(out).map(|(status, _)| status);
                    let cause = Cause::of(verdict, outcome.as_ref().map(status));
                    if verdict == Verdict::Refused && retries.has_last() {
                        departure::over(false);
                        retries.refused();
                        break (Some(outcome), None);
                    }
                    let verdict = verdict.or_asking(|| {
                        // Too long for a hint, but not to be cut short either.
                        let (_, headers) = this.answers.facts(outcome.as_ref().ok()?)?;
                        provider::is_endless(headers).then_some(Duration::MAX)
                    });
                    let wait = match retries.next(verdict, cause) {
                        Ok(wait) => wait,
                        Err(why) => break (Some(outcome), why),
                    };
                    departure::over(verdict.was_sent());
                    // Before it waits it lets go of the try, its answer's connection included.
                    this.state.set(State::Waiting);
                    retries.wait(wait, outcome.map(|out| this.answers.let_go(out)));
                }
                (None, Some(retries)) => {
                    if !retries.is_past_deadline(cx) {
                        return Poll::Pending;
                    }
                    tracing::debug!(target: target::RETRY, attempt = retries.progress().made, "cut short by the deadline");
                    break match retries.has_last() {
                        true => (None, Some(GaveUp::PastDeadline)),
                        false => (Some(Err(Elapsed::new().into())), None),
                    };
                }
                (None, None) => return Poll::Pending,
            }
        };
        let before = || this.retries.as_mut()?.take_last();
        let mut outcome = (outcome.or_else(before)).expect("a retry follows an outcome");
        if let (Some(why), Ok(answer)) = (why, &mut outcome) {
            this.answers.mark(answer, why);
        }
        this.state.set(State::Done);
        // Gives back what a retry that was never sent had paid.
        *this.retries = None;
        *this.ongoing = Ongoing::default();
        Poll::Ready(outcome)
    }
}

impl<S, Req, P> fmt::Debug for BackoffRetryFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response> + CopyRequest<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffRetryFuture")
            .field("progress", &self.retries.as_ref().map(Retries::progress))
            .finish_non_exhaustive()
    }
}
