use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{
    budget::Paid,
    policy::{Next, Policy, Progress},
};
use crate::{
    answers::{Answers, CopyRequest, Http},
    departure,
    error::BoxError,
    verdict::{Classify, Verdict},
};

/// What further tries need. There is none where one try is all there is.
pub(super) struct Retries<S, Req> {
    pub(super) policy: Arc<Policy>,
    pub(super) service: S,
    // Taken by the last try.
    pub(super) request: Option<Req>,
    pub(super) progress: Progress,
    // Ends the wait; after it, strikes at the deadline.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    // The retry that is under way or waited for.
    pub(super) paid: Option<Paid>,
}

pin_project! {
    /// The future of [`BackoffRetry`](super::BackoffRetry).
    #[must_use = "futures do nothing unless polled"]
    pub struct BackoffRetryFuture<S, Req, P = Http>
    where
        S: Service<Req>,
        P: Answers<S::Response>,
    {
        #[pin]
        state: State<S::Future, P::Reading>,
        // The outcome of the last try that had one, while another is under way.
        // Boxed: a call that succeeds at once never has one.
        last: Option<Box<Result<P::Out<()>, BoxError>>>,
        retries: Option<Retries<S, Req>>,
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
    P: Answers<S::Response>,
{
    pub(super) const fn new(
        future: S::Future,
        retries: Option<Retries<S, Req>>,
        answers: P,
    ) -> Self {
        Self {
            state: State::Calling { future },
            last: None,
            retries,
            answers,
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
        let outcome = loop {
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Ready(Ok(answer)) => {
                        let reading = this.answers.read(answer);
                        this.state.set(State::Reading { reading });
                        continue;
                    }
                    Poll::Ready(Err(error)) => Some(Err(error.into())),
                    Poll::Pending => None,
                },
                StateProj::Reading { reading } => match reading.poll(cx) {
                    Poll::Ready(out) => Some(Ok(out)),
                    Poll::Pending => None,
                },
                StateProj::Waiting => {
                    let retries = this.retries.as_mut().expect("waiting for a retry");
                    if !retries.struck(cx) {
                        return Poll::Pending;
                    }
                    retries.arm_deadline();
                    this.state.set(State::Asking);
                    continue;
                }
                StateProj::Asking => match departure::again(cx, None) {
                    Poll::Ready(Ok(())) => {
                        this.state.set(State::Readying);
                        continue;
                    }
                    Poll::Ready(Err(rejected)) => {
                        tracing::debug!(%rejected, "not retried: a limit further out refuses");
                        break this.last.take().map(|last| *last);
                    }
                    Poll::Pending => None,
                },
                StateProj::Readying => {
                    let retries = this.retries.as_mut().expect("readying a retry");
                    match retries.service.poll_ready(cx) {
                        Poll::Ready(Ok(())) => {
                            departure::hand_on();
                            if let Some(future) = retries.send(&*this.answers) {
                                this.state.set(State::Calling { future });
                                continue;
                            }
                            break this.last.take().map(|last| *last);
                        }
                        // It can't be sent: the last real outcome is what counts.
                        Poll::Ready(Err(_)) => break this.last.take().map(|last| *last),
                        Poll::Pending => {
                            departure::hold();
                            None
                        }
                    }
                }
                StateProj::Done => panic!("polled after ready"),
            };
            match (outcome, this.retries.as_mut()) {
                (Some(outcome), None) => break Some(outcome),
                (Some(outcome), Some(retries)) => {
                    let verdict = this.answers.classify(outcome.as_ref());
                    let Some(wait) = retries.next(verdict) else {
                        break Some(outcome);
                    };
                    departure::over(verdict.was_sent());
                    // Before it waits it lets go of the try, its answer's connection included.
                    this.state.set(State::Waiting);
                    *this.last = Some(Box::new(outcome.map(|out| this.answers.let_go(out))));
                    retries.sleep(wait);
                }
                (None, Some(retries)) if this.last.is_some() => {
                    if !retries.struck(cx) {
                        return Poll::Pending;
                    }
                    tracing::debug!("a retry was cut short by the deadline");
                    break this.last.take().map(|last| *last);
                }
                (None, _) => return Poll::Pending,
            }
        };
        this.state.set(State::Done);
        // Gives back what a retry that was never sent had paid.
        *this.retries = None;
        Poll::Ready(outcome.expect("a retry follows an outcome"))
    }
}

impl<S: Service<Req>, Req> Retries<S, Req> {
    /// How long to wait for another try, if there is to be one.
    fn next(&mut self, verdict: Verdict) -> Option<Duration> {
        if verdict == Verdict::Success
            && let Some(paid) = self.paid.take()
        {
            paid.succeeded();
        }
        // Without a request there is nothing to send, and nothing to pay for.
        self.request.as_ref()?;
        match self.policy.next(verdict, &mut self.progress) {
            Next::Return(why) => {
                if let Some(hint) = verdict.retry_after()
                    && hint > self.policy.max_hint
                {
                    tracing::info!(?hint, max = ?self.policy.max_hint, "not retried: the provider asks to wait too long");
                } else if verdict != Verdict::Success {
                    tracing::debug!(?verdict, tries = self.progress.made, why, "not retried");
                }
                None
            }
            Next::Retry(wait, paid) => {
                self.paid = paid;
                if wait >= Duration::from_secs(1) {
                    tracing::info!(?verdict, tries = self.progress.made, ?wait, "retrying");
                } else {
                    tracing::debug!(?verdict, tries = self.progress.made, ?wait, "retrying");
                }
                Some(wait)
            }
        }
    }

    fn sleep(&mut self, wait: Duration) {
        // An instant that can't be represented is never reached.
        let far = Duration::from_secs(86_400 * 365 * 30);
        let now = Instant::now();
        let until = now.checked_add(wait).unwrap_or_else(|| now + far);
        self.arm(until);
    }

    fn arm_deadline(&mut self) {
        match self.progress.deadline {
            Some(deadline) => self.arm(deadline),
            None => self.timer = None,
        }
    }

    fn arm(&mut self, at: Instant) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
    }

    /// Whether the timer has struck.
    fn struck(&mut self, cx: &mut Context<'_>) -> bool {
        (self.timer.as_mut()).is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
    }

    /// Calls the service, which was readied in this poll.
    fn send<P: CopyRequest<Req>>(&mut self, answers: &P) -> Option<S::Future> {
        let request = self.request.take()?;
        self.progress.made += 1;
        if self.progress.made < self.policy.attempts {
            self.request = answers.copy(&request);
        }
        if let Some(paid) = &mut self.paid {
            paid.sent();
        }
        Some(self.service.call(request))
    }
}

impl<S, Req, P> fmt::Debug for BackoffRetryFuture<S, Req, P>
where
    S: Service<Req>,
    P: Answers<S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffRetryFuture")
            .field("progress", &self.retries.as_ref().map(|r| &r.progress))
            .finish_non_exhaustive()
    }
}
