//! A request's way along the links, and what those before it left.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, StatusCode};
use tower_service::Service;

use super::{
    causes::{self, Cause, Causes, FallbackError},
    memory::Seen,
    merge::Merge,
    plan::{self, Choice, Plan},
    second::{Second, Unserved},
    service::Chain,
};
use crate::{
    answers::{Answers, CopyRequest},
    error::BoxError,
    observe::target,
    verdict::{Classify, Verdict},
};

pub(super) type FirstAnswer<C, Req> = <<C as Chain<Req>>::First as Service<Req>>::Response;
pub(super) type SecondAnswer<C, Req> = <<C as Chain<Req>>::Second as Second<Req>>::Response;
type Out<P, A> = <P as Answers<A>>::Out<()>;
pub(super) type Merged<C, Req> =
    <<C as Chain<Req>>::Answers as Merge<FirstAnswer<C, Req>, SecondAnswer<C, Req>>>::Merged;

/// What falling back needs. There is none where the request couldn't be copied.
pub(super) struct Spare<T, Req> {
    pub(super) second: T,
    // As it came, for links that haven't got it.
    request: Option<Req>,
    // As it goes to the link that is asked. Boxed: there is none where the first serves.
    bound: Option<Box<Req>>,
}

impl<T, Req> Spare<T, Req> {
    pub(super) const fn new(second: T, request: Option<Req>) -> Self {
        Self {
            second,
            request,
            bound: None,
        }
    }
}

/// What became of a member.
pub(super) enum Outcome<C: Chain<Req>, Req> {
    First(Result<Out<C::Answers, FirstAnswer<C, Req>>, BoxError>),
    Second(Result<Out<C::Answers, SecondAnswer<C, Req>>, BoxError>),
}

impl<C: Chain<Req>, Req> Outcome<C, Req> {
    fn verdict(&self, answers: &C::Answers) -> Verdict {
        match self {
            Self::First(outcome) => answers.classify(outcome.as_ref()),
            Self::Second(outcome) => C::verdict(answers, outcome.as_ref()),
        }
    }

    /// Where marks are, or the error.
    fn marks<'a>(&'a self, answers: &C::Answers) -> Result<Option<&'a Extensions>, &'a BoxError> {
        match self {
            Self::First(Ok(out)) => Ok(Merge::<_, SecondAnswer<C, Req>>::marks_of_first(
                answers, out,
            )),
            Self::Second(Ok(out)) => Ok(Merge::<FirstAnswer<C, Req>, _>::marks_of_second(
                answers, out,
            )),
            Self::First(Err(error)) | Self::Second(Err(error)) => Err(error),
        }
    }

    fn status(&self, answers: &C::Answers) -> Option<StatusCode> {
        let facts = match self {
            Self::First(Ok(out)) => Answers::<FirstAnswer<C, Req>>::facts(answers, out),
            Self::Second(Ok(out)) => Answers::<SecondAnswer<C, Req>>::facts(answers, out),
            Self::First(Err(_)) | Self::Second(Err(_)) => None,
        };
        facts.map(|(status, _)| status)
    }

    /// Lets go of what is of no use while another is tried.
    fn let_go(self, answers: &C::Answers) -> Self {
        match self {
            Self::First(outcome) => {
                Self::First(outcome.map(|out| Answers::<FirstAnswer<C, Req>>::let_go(answers, out)))
            }
            Self::Second(outcome) => Self::Second(
                outcome.map(|out| Answers::<SecondAnswer<C, Req>>::let_go(answers, out)),
            ),
        }
    }
}

/// The last real outcome, until the next member has the request.
struct Put<C: Chain<Req>, Req> {
    outcome: Outcome<C, Req>,
    cause: Cause,
    // How many causes came before it.
    at: usize,
}

pub(super) struct Trip<C: Chain<Req>, Req> {
    pub(super) plan: Arc<Plan>,
    pub(super) spare: Option<Spare<C::Second, Req>>,
    // Who has the request, or is asked: 0 is the first service.
    member: usize,
    // What was remembered of it when it was called.
    seen: Seen,
    // Boxed: there is none where the first serves.
    put: Option<Box<Put<C, Req>>>,
    // Of the outcome before, or what was remembered of the first service.
    verdict: Verdict,
    causes: Vec<Cause>,
    // The first service, where it was passed over: asked after all where nobody else can be. Boxed: hardly ever.
    resort: Option<Box<C::First>>,
    fell: bool,
    // Somebody may have been sent the request.
    left: bool,
}

impl<C: Chain<Req>, Req> Trip<C, Req> {
    pub(super) const fn new(
        plan: Arc<Plan>,
        seen: Seen,
        spare: Option<Spare<C::Second, Req>>,
        resort: Option<Box<C::First>>,
    ) -> Self {
        Self {
            plan,
            spare,
            member: 0,
            seen,
            put: None,
            verdict: Verdict::Success,
            causes: Vec::new(),
            resort,
            fell: false,
            left: false,
        }
    }

    /// The request goes where it was decided that it goes, past the first service; `false` where it can't.
    pub(super) fn pass_over(&mut self, choice: Choice, answers: &C::Answers) -> bool {
        if let Some(cause) = choice.skipped.first() {
            self.verdict = cause.verdict();
        }
        self.go_on(Some(choice), answers)
    }

    /// The first service has answered with a success: whether that is what the caller gets, with nothing more to it.
    pub(super) fn has_served(&mut self) -> bool {
        let served = self.member == 0 && self.causes.is_empty() && self.plan.keeps_successes();
        if served {
            let memory = &self.plan.memory;
            memory.learn(0, self.seen, &Verdict::Success, None);
            self.spare = None;
        }
        served
    }

    /// What the caller gets then.
    pub(super) fn first(
        &self,
        answer: FirstAnswer<C, Req>,
        answers: &C::Answers,
    ) -> Merged<C, Req> {
        let out = Answers::<FirstAnswer<C, Req>>::pass(answers, answer, ());
        Merge::<FirstAnswer<C, Req>, SecondAnswer<C, Req>>::first(answers, out, None)
    }

    /// There is an outcome of whoever was asked. `Ok` where another is to be asked, and whether the request may have left; else
    /// the outcome that the caller gets.
    pub(super) fn judge(
        &mut self,
        outcome: Outcome<C, Req>,
        answers: &C::Answers,
    ) -> Result<bool, Result<Merged<C, Req>, BoxError>> {
        let verdict = outcome.verdict(answers);
        let memory = &self.plan.memory;
        let span = causes::span(memory.spans(), &verdict, outcome.marks(answers));
        let sends = self.member == 0 || C::Second::SENDS;
        self.left |= sends && verdict.was_sent();
        if sends {
            memory.learn(self.member, self.seen, &verdict, span);
        }
        let (by, at) = (self.member, self.causes.len());
        self.verdict = verdict;
        if !self.go_on(None, answers) {
            return Err(self.end(outcome, by, &verdict, answers));
        }
        let cause = Cause::failed(self.plan.served_by(by), verdict, span)
            .status_of(outcome.status(answers));
        let outcome = match verdict {
            Verdict::Success => outcome,
            _ => outcome.let_go(answers),
        };
        self.put = Some(Box::new(Put { outcome, cause, at }));
        Ok(verdict.was_sent())
    }

    /// The link that was asked can't be readied. `true` where another is asked.
    pub(super) fn unready(&mut self, error: BoxError, answers: &C::Answers) -> bool {
        let verdict = C::verdict(answers, Err(&error));
        let span = self.plan.memory.spans().of(&verdict, Some(&error));
        self.plan
            .memory
            .learn(self.member, self.seen, &verdict, span);
        let cause = Cause::failed(self.plan.served_by(self.member), verdict, span);
        let at = self.causes.len();
        causes::put_down(&mut self.causes, at, cause, Err(error));
        if let Some(spare) = &mut self.spare
            && spare.request.is_none()
            && !C::Second::REWRITES
        {
            spare.request = spare.bound.take().map(|request| *request);
        }
        self.go_on(None, answers)
    }

    /// Chooses who is asked next, and makes the request what it has to be there.
    fn go_on(&mut self, mut choice: Option<Choice>, answers: &C::Answers) -> bool {
        let Some(spare) = &mut self.spare else {
            return false;
        };
        loop {
            let next = choice.take();
            let Some(next) = next.or_else(|| self.plan.next(self.member, &self.verdict)) else {
                return false;
            };
            let lasts = self.plan.has_more(next.member) || self.resort.is_some();
            let copy = match &spare.request {
                Some(request) if C::Second::SENDS && lasts => answers.copy(request),
                _ => None,
            };
            // Nothing was sent yet, and the first service must not go without the request.
            if C::Second::REWRITES && self.resort.is_some() && copy.is_none() {
                return false;
            }
            self.member = next.member;
            spare.bound = match mem::replace(&mut spare.request, copy) {
                Some(request) => match spare.second.rewrite(next.member, request) {
                    Some(request) => Some(Box::new(request)),
                    None => continue,
                },
                None if C::Second::SENDS => return false,
                None => None,
            };
            self.causes.extend(next.skipped);
            self.seen = self.plan.look(self.member);
            let (name, verdict) = (self.plan.served_by(self.member).name(), self.verdict);
            let first = !mem::replace(&mut self.fell, true);
            let passed = self.resort.is_some();
            tell(name, verdict, first, passed);
            return true;
        }
    }

    /// The link that is asked, to be readied.
    pub(super) fn asked(&mut self) -> (&mut C::Second, usize) {
        let spare = self.spare.as_mut().expect("there are links");
        (&mut spare.second, self.member)
    }

    /// Calls the link that was readied.
    pub(super) fn call(&mut self, answers: &C::Answers) -> <C::Second as Second<Req>>::Future {
        if let Some(put) = self.put.take() {
            let Put { outcome, cause, at } = *put;
            let why = match outcome {
                Outcome::First(Err(error)) | Outcome::Second(Err(error)) => Err(error),
                ref answered => Ok(answered.marks(answers).ok().flatten()),
            };
            causes::put_down(&mut self.causes, at, cause, why);
        }
        // From here on there is a real outcome.
        self.resort = None;
        let causes = Causes::new(self.causes.clone()).expect("somebody didn't serve");
        let spare = self.spare.as_mut().expect("there are links");
        let request = spare.bound.take().map(|request| *request);
        spare.second.call(Unserved { request, causes })
    }

    /// Nobody else can be asked: the last real outcome, if there is one.
    pub(super) fn last(
        &mut self,
        answers: &C::Answers,
    ) -> Option<Result<Merged<C, Req>, BoxError>> {
        let put = *self.put.take()?;
        let (by, verdict) = (put.cause.index(), put.cause.verdict());
        Some(self.end(put.outcome, by, &verdict, answers))
    }

    /// Readies the first service after all.
    pub(super) fn poll_return(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.member = 0;
        let first = self.resort.as_mut().expect("it was passed over");
        let ready = first.poll_ready(cx).map_err(Into::into);
        if let Poll::Ready(Err(_)) = ready {
            self.resort = None;
        }
        ready
    }

    /// Calls the first service after all, as the last who can be asked, or as ever.
    pub(super) fn call_first(
        &mut self,
        last: bool,
        answers: &C::Answers,
    ) -> <C::First as Service<Req>>::Future {
        let spare = self.spare.take().expect("it was passed over");
        let mut first = self.resort.take().expect("it was passed over");
        self.seen = self.plan.look(0);
        let request = spare.request.expect("kept as long as nobody was asked");
        if !last {
            let copy = answers.copy(&request);
            self.spare =
                (copy.is_some() || !C::Second::SENDS).then(|| Spare::new(spare.second, copy));
        }
        first.call(request)
    }

    /// The outcome is given: the request and the services that might have got it are of no use any more.
    pub(super) fn let_go(&mut self) {
        (self.spare, self.resort, self.put) = (None, None, None);
    }

    /// The outcome that the caller gets, with why the others didn't serve.
    fn end(
        &mut self,
        outcome: Outcome<C, Req>,
        by: usize,
        verdict: &Verdict,
        answers: &C::Answers,
    ) -> Result<Merged<C, Req>, BoxError> {
        // Whatever is computed here is meant to be an answer.
        let serves = !C::Second::SENDS || plan::serves(verdict);
        let causes = mem::take(&mut self.causes);
        let by = self.plan.served_by(by);
        match outcome {
            Outcome::First(Ok(out)) => Ok(answers.first(out, Causes::new(causes))),
            Outcome::Second(Ok(out)) => Ok(answers.second(out, by, serves, Causes::new(causes))),
            // Nobody else was asked.
            Outcome::First(Err(error)) => Err(error),
            Outcome::Second(Err(error)) => {
                let sealed = !C::Second::SENDS && self.left;
                Err(FallbackError::boxed(error, by, causes, sealed))
            }
        }
    }
}

/// A call goes to another link. News is what a service answered, once a call; that it is passed over, or that a circuit or a limit
/// of ours refuses, is so for every call until that ends.
fn tell(link: &str, verdict: Verdict, first: bool, passed: bool) {
    if !first {
        tracing::debug!(target: target::FALLBACK, link, ?verdict, "falling back further");
    } else if passed || verdict == Verdict::Refused {
        tracing::debug!(target: target::FALLBACK, link, ?verdict, passed, "falling back");
    } else {
        tracing::info!(target: target::FALLBACK, link, ?verdict, passed, "falling back");
    }
}
