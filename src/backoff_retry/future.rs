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
use tower::timeout::error::Elapsed;
use tower_service::Service;

use super::{
    attempt::Attempt,
    budget::{Ongoing, Withdrawal},
    cause::Cause,
    gave_up::GaveUp,
    policy::{Next, Policy, Progress},
};
use crate::{
    answers::{Answers, CopyRequest, Depth, Http, Read},
    departure,
    error::BoxError,
    observe::target,
    provider,
    verdict::{Classify, Verdict},
};

/// What further tries and the deadline need. There is none where one try without a deadline is all there is.
pub(super) struct Retries<S, Req> {
    pub(super) policy: Arc<Policy>,
    // Who sends the next try, and what; taken by the last one.
    pub(super) again: Option<(S, Req)>,
    pub(super) progress: Progress,
    // Ends the wait; after it, strikes at the deadline.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    // The retry that is under way or waited for.
    pub(super) paid: Option<Withdrawal>,
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
        // The request is under way until the outcome is given.
        ongoing: Option<Ongoing>,
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
        ongoing: Option<Ongoing>,
        answers: P,
    ) -> Self {
        Self {
            state: State::Calling { future },
            last: None,
            retries,
            ongoing,
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
        // What it ends with; `None` stands for the outcome before, with the reason that there is no other.
        let (outcome, why) = loop {
            let outcome = match this.state.as_mut().project() {
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Ready(Ok(answer)) => {
                        let verdict = this.answers.at_sight(&answer, Depth::Streams);
                        if matches!(verdict, Some(Verdict::Success)) {
                            if let Some(retries) = this.retries {
                                retries.succeeded();
                            }
                            this.state.set(State::Done);
                            // The copy, the outcome before and the call's place among those under way.
                            (*this.retries, *this.last, *this.ongoing) = (None, None, None);
                            return Poll::Ready(Ok(this.answers.pass(answer, ())));
                        }
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
                    retries.timer = None;
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
                    if verdict == Verdict::Refused && this.last.is_some() {
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
                    *this.last = Some(Box::new(outcome.map(|out| this.answers.let_go(out))));
                    retries.arm(wait);
                }
                (None, Some(retries)) => {
                    if !retries.is_past_deadline(cx) {
                        return Poll::Pending;
                    }
                    tracing::debug!(target: target::RETRY, attempt = retries.progress.made, "cut short by the deadline");
                    break match this.last.is_some() {
                        true => (None, Some(GaveUp::PastDeadline)),
                        false => (Some(Err(Elapsed::new().into())), None),
                    };
                }
                (None, None) => return Poll::Pending,
            }
        };
        let before = || this.last.take().map(|last| *last);
        let mut outcome = (outcome.or_else(before)).expect("a retry follows an outcome");
        if let (Some(why), Ok(answer)) = (why, &mut outcome) {
            this.answers.mark(answer, why);
        }
        this.state.set(State::Done);
        // Gives back what a retry that was never sent had paid.
        *this.retries = None;
        *this.ongoing = None;
        Poll::Ready(outcome)
    }
}

impl<S: Service<Req>, Req> Retries<S, Req> {
    /// The try that was under way has succeeded.
    fn succeeded(&mut self) {
        match (self.paid.take(), &self.policy.budget) {
            (Some(paid), _) => paid.succeeded(),
            (None, Some(budget)) => budget.succeeded(),
            (None, None) => {}
        }
    }

    /// How long to wait for another try; or why there is none, where the outcome doesn't say it.
    fn next(&mut self, verdict: Verdict, cause: Cause) -> Result<Duration, Option<GaveUp>> {
        if verdict == Verdict::Success {
            self.succeeded();
            return Err(None);
        }
        // Asked again before it is paid for again: it is one retry at a time.
        drop(self.paid.take());
        let (repeatable, tries) = (self.again.is_some(), self.progress.made);
        match (self.policy).next(verdict, cause, repeatable, &mut self.progress) {
            Next::Final => {
                self.policy.tell_end(tries, verdict, None);
                Err(None)
            }
            Next::GiveUp(why) => {
                self.policy.tell_end(tries, verdict, Some(why));
                Err(Some(why))
            }
            Next::Retry(wait, paid) => {
                self.paid = paid;
                self.policy.tell_retry(tries, verdict, cause, wait);
                Ok(wait)
            }
        }
    }

    /// A limit or circuit further in has refused a retry: it is as if it had never been sent.
    fn refused(&mut self) {
        tracing::debug!(target: target::RETRY, "not retried: a layer further in refuses");
        if let Some(paid) = self.paid.take() {
            paid.never_left();
        }
    }

    fn arm(&mut self, wait: Duration) {
        // An instant that can't be represented is never reached.
        let far = Duration::from_secs(86_400 * 365 * 30);
        let now = Instant::now();
        let at = now.checked_add(wait).unwrap_or_else(|| now + far);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(sleep_until(at))),
        }
    }

    /// Whether the timer has struck.
    fn struck(&mut self, cx: &mut Context<'_>) -> bool {
        (self.timer.as_mut()).is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
    }

    /// Makes the timer where there is none: a call that is answered at once needs none.
    fn is_past_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.progress.deadline else {
            return false;
        };
        if self.timer.is_none() {
            self.timer = Some(Box::pin(sleep_until(deadline)));
        }
        self.struck(cx)
    }

    /// `false` where it never will be.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.again {
            Some((service, _)) => service.poll_ready(cx).map(|ready| ready.is_ok()),
            None => Poll::Ready(false),
        }
    }

    /// Calls the service, which was readied in this poll.
    fn send<P: CopyRequest<Req>>(&mut self, answers: &P) -> Option<S::Future> {
        let (mut service, mut request) = self.again.take()?;
        self.progress.made += 1;
        let made = self.progress.made;
        let marks = &self.policy.marks;
        if let Some(name) = &marks.attempt_header
            && let Some(headers) = answers.headers_mut(&mut request)
        {
            // As many headers as there can be have no room for another.
            let _ = headers.try_insert(name, made.into());
        }
        if marks.attempt_extension
            && let Some(extensions) = answers.extensions_mut(&mut request)
        {
            extensions.insert(Attempt(made));
        }
        let copy = (made < self.policy.attempts)
            .then(|| answers.copy(&request))
            .flatten();
        if let Some(paid) = &mut self.paid {
            paid.sent();
        }
        self.policy.tries.tried(true);
        let future = service.call(request);
        self.again = copy.map(|request| (service, request));
        Some(future)
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
