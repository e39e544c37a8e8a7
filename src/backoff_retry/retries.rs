//! What further tries need.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::{
    attempt::Attempt,
    budget::{RetryBudget, Withdrawal},
    cause::Cause,
    gave_up::GaveUp,
    policy::{Next, Policy, Progress},
};
use crate::{
    answers::CopyRequest,
    clock,
    error::BoxError,
    observe::target,
    spares::{Spare, Spares},
    verdict::Verdict,
};

/// What further tries and the deadline need: `K` is what is kept of the request, `A` an answer.
pub(super) struct Retries<S, K, A> {
    spare: Spare<S, Arc<Policy>>,
    // What the next try sends; taken by the last one.
    kept: Option<K>,
    // When the whole call has to end.
    deadline: Option<Instant>,
    // Whether the budget hasn't got the call's deposit yet.
    owes: bool,
    // Boxed: there is none where the first try succeeds at once.
    course: Option<Box<Course<S, A>>>,
}

/// The course of a call that isn't over with its first poll.
struct Course<S, A> {
    progress: Progress,
    // Who sends the next try.
    service: Option<S>,
    // The outcome of the last try that had one, while another is under way.
    last: Option<Result<A, BoxError>>,
    // Ends the wait; after it, strikes at the deadline.
    timer: Option<Pin<Box<Sleep>>>,
    // The retry that is under way or waited for.
    paid: Option<Withdrawal>,
}

impl<S, K, A> Retries<S, K, A> {
    /// A budget that takes late deposits gets the call's with its first outcome.
    #[inline]
    pub(super) fn new((spares, inner): (&Spares<S, Arc<Policy>>, &S), kept: Option<K>) -> Self
    where
        S: Clone,
    {
        let policy = spares.common();
        let deadline = policy.deadline.and_then(Policy::ends);
        let mut course = None;
        // Not ready yet: it is asked when its time has come.
        let spare = match kept {
            Some(_) => spares.one(inner, |own| {
                course = Some(Course::begin(deadline, Some(own)));
            }),
            None => spares.none(),
        };
        Self {
            owes: (policy.budget.as_ref()).is_some_and(RetryBudget::takes_late_deposits),
            spare,
            kept,
            deadline,
            course,
        }
    }

    #[inline]
    fn policy(&self) -> &Policy {
        self.spare.common()
    }

    /// An outcome is there, or there won't be any: with the first, the call's deposit is due, as of the last look at the clock
    /// of whoever has just been polled. `served`: it is a success, with nothing more to it.
    #[inline]
    pub(super) fn deposit(&mut self, served: bool) {
        if mem::take(&mut self.owes)
            && let Some(budget) = &self.spare.common().budget
        {
            budget.deposit_at(clock::looked);
        }
        if served {
            self.succeeded();
        }
    }

    pub(super) fn progress(&self) -> Progress {
        match &self.course {
            Some(course) => course.progress,
            None => Progress::first(self.deadline),
        }
    }

    fn course(&mut self) -> &mut Course<S, A> {
        let deadline = self.deadline;
        (self.course).get_or_insert_with(|| Course::begin(deadline, None))
    }

    /// Whether there is an outcome of a try before.
    pub(super) fn has_last(&self) -> bool {
        (self.course.as_ref()).is_some_and(|course| course.last.is_some())
    }

    pub(super) fn take_last(&mut self) -> Option<Result<A, BoxError>> {
        self.course.as_mut()?.last.take()
    }

    fn take_paid(&mut self) -> Option<Withdrawal> {
        self.course.as_mut()?.paid.take()
    }

    /// The try that was under way has succeeded.
    #[inline]
    pub(super) fn succeeded(&mut self) {
        if self.course.is_some()
            && let Some(paid) = self.take_paid()
        {
            paid.succeeded();
        } else if let Some(budget) = &self.policy().budget {
            budget.succeeded();
        }
    }

    /// How long to wait for another try; or why there is none, where the outcome doesn't say it.
    pub(super) fn next(
        &mut self,
        verdict: Verdict,
        cause: Cause,
    ) -> Result<Duration, Option<GaveUp>> {
        if verdict == Verdict::Success {
            self.succeeded();
            return Err(None);
        }
        // Asked again before it is paid for again: it is one retry at a time.
        drop(self.take_paid());
        let mut progress = self.progress();
        let (repeatable, tries) = (self.kept.is_some(), progress.made);
        match self
            .policy()
            .next(verdict, cause, repeatable, &mut progress)
        {
            Next::Final => {
                self.policy().tell_end(tries, verdict, None);
                Err(None)
            }
            Next::GiveUp(why) => {
                self.policy().tell_end(tries, verdict, Some(why));
                Err(Some(why))
            }
            Next::Retry(wait, paid) => {
                let course = self.course();
                (course.progress, course.paid) = (progress, paid);
                self.policy().tell_retry(tries, verdict, cause, wait);
                Ok(wait)
            }
        }
    }

    /// A limit or circuit further in has refused a retry: it is as if it had never been sent.
    pub(super) fn refused(&mut self) {
        tracing::debug!(target: target::RETRY, "not retried: a layer further in refuses");
        if let Some(paid) = self.take_paid() {
            paid.never_left();
        }
    }

    /// The try is over; the next comes after the wait.
    pub(super) fn wait(&mut self, wait: Duration, last: Result<A, BoxError>) {
        // An instant that can't be represented is never reached.
        let far = Duration::from_secs(86_400 * 365 * 30);
        let now = Instant::now();
        let at = now.checked_add(wait).unwrap_or_else(|| now + far);
        let course = self.course();
        course.last = Some(last);
        course.arm(at);
    }

    /// Whether the wait is over.
    pub(super) fn has_waited(&mut self, cx: &mut Context<'_>) -> bool {
        let course = self.course();
        let struck = course.struck(cx);
        if struck {
            course.timer = None;
        }
        struck
    }

    /// Makes the timer where there is none: a call that is answered at once needs none.
    pub(super) fn is_past_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline else {
            return false;
        };
        let course = self.course();
        if course.timer.is_none() {
            course.arm(deadline);
        }
        course.struck(cx)
    }

    /// `false` where it never will be.
    pub(super) fn poll_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<bool>
    where
        S: Service<Req>,
    {
        if self.kept.is_none() {
            return Poll::Ready(false);
        }
        if self.course().service.is_none() {
            self.course().service = self.spare.take();
        }
        match &mut self.course().service {
            Some(service) => service.poll_ready(cx).map(|ready| ready.is_ok()),
            None => Poll::Ready(false),
        }
    }

    /// Calls the service, which was readied in this poll.
    pub(super) fn send<P, Req>(&mut self, answers: &P) -> Option<S::Future>
    where
        S: Service<Req>,
        P: CopyRequest<Req, Kept = K>,
    {
        let kept = self.kept.take()?;
        let course = self.course();
        let mut service = course.service.take()?;
        let mut request = answers.restore(kept);
        course.progress.made += 1;
        let made = course.progress.made;
        let policy = Arc::clone(self.spare.common());
        let marks = &policy.marks;
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
        self.kept = (made < policy.attempts)
            .then(|| answers.keep(&request))
            .flatten();
        if let Some(paid) = &mut self.course().paid {
            paid.sent();
        }
        policy.tries.tried(true);
        let future = service.call(request);
        if self.kept.is_some() {
            self.course().service = Some(service);
        }
        Some(future)
    }
}

/// A call that is given up has begun all the same.
impl<S, K, A> Drop for Retries<S, K, A> {
    #[inline]
    fn drop(&mut self) {
        if self.owes {
            clock::forget();
            self.deposit(false);
        }
    }
}

impl<S, A> Course<S, A> {
    fn begin(deadline: Option<Instant>, service: Option<S>) -> Box<Self> {
        Box::new(Self {
            progress: Progress::first(deadline),
            service,
            last: None,
            timer: None,
            paid: None,
        })
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
}
