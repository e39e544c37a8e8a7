//! A request's way along the links, and what those before it left.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{
    causes::{self, Cause, Causes, FallbackError},
    detour::{Detour, Put},
    memory::Seen,
    merge::Merge,
    outcome::{FirstAnswer, Outcome, SecondAnswer},
    plan::{self, Choice, Plan},
    second::{Second, Unserved},
    service::Chain,
};
use crate::{
    answers::{Answers, CopyRequest},
    error::BoxError,
    observe::target,
    spares::{Spare, Spares},
    verdict::Verdict,
};

pub(super) type Kept<C, Req> = <<C as Chain<Req>>::Answers as CopyRequest<Req>>::Kept;
pub(super) type Merged<C, Req> =
    <<C as Chain<Req>>::Answers as Merge<FirstAnswer<C, Req>, SecondAnswer<C, Req>>>::Merged;

pub(super) struct Trip<C: Chain<Req>, Req> {
    spare: Spare<C::Second, Arc<Plan>>,
    // Whether there are links that can be asked, which takes a request that can be sent again, or none.
    falls_back: bool,
    // Of the request as it came, for links that haven't got it.
    kept: Option<Kept<C, Req>>,
    // What was remembered of the member that has the request, or is asked, when it was called.
    seen: Seen,
    // Boxed: there is none where the first serves.
    detour: Option<Box<Detour<C, Req>>>,
}

impl<C: Chain<Req>, Req> Trip<C, Req> {
    /// The first service gets the request, of which this is `kept`.
    // Written where it stays: moved right after, it would have to be waited for.
    #[inline(always)]
    pub(super) fn first_asked(
        (spares, second): (&Spares<C::Second, Arc<Plan>>, &C::Second),
        kept: Option<Kept<C, Req>>,
    ) -> Self
    where
        C::Second: Clone,
    {
        let falls_back = kept.is_some() || !C::Second::SENDS;
        let mut detour = None;
        let spare = if falls_back {
            spares.one(second, |own| {
                detour = Some(Box::new(Detour::new(Some(own), None, None)));
            })
        } else {
            spares.none()
        };
        Self {
            seen: spare.common().look(0),
            spare,
            falls_back,
            kept,
            detour,
        }
    }

    /// Nobody has the request yet, nor will the first service, but as a last `resort`.
    pub(super) fn passing(
        (spares, second): (&Spares<C::Second, Arc<Plan>>, &C::Second),
        request: Req,
        resort: Option<C::First>,
    ) -> Self
    where
        C::Second: Clone,
    {
        let (spare, second) = (spares.none(), Some(second.clone()));
        Self {
            seen: spare.common().look(0),
            spare,
            falls_back: true,
            kept: None,
            detour: Some(Box::new(Detour::new(second, Some(request), resort))),
        }
    }

    #[inline]
    fn plan(&self) -> &Plan {
        self.spare.common()
    }

    /// Whether there is somebody to fall back onto.
    pub(super) const fn falls_back(&self) -> bool {
        self.falls_back
    }

    /// There is nobody any more.
    pub(super) const fn stays(&mut self) {
        self.falls_back = false;
    }

    /// Who has the request, or is asked.
    fn member(&self) -> usize {
        self.detour.as_ref().map_or(0, |detour| detour.member)
    }

    /// The request goes where it was decided that it goes, past the first service; `false` where it can't.
    pub(super) fn pass_over(&mut self, choice: Choice, answers: &C::Answers) -> bool {
        if let (Some(cause), Some(detour)) = (choice.skipped.first(), &mut self.detour) {
            detour.verdict = cause.verdict();
        }
        self.go_on(Some(choice), answers)
    }

    /// The first service has answered with a success: whether that is what the caller gets, with nothing more to it.
    #[inline]
    pub(super) fn has_served(&self) -> bool {
        let alone = |detour: &Detour<C, Req>| detour.member == 0 && detour.causes.is_empty();
        let served = self.detour.as_deref().is_none_or(alone) && self.plan().keeps_successes();
        // Of one that was up there is nothing new to learn.
        if served && self.seen != Seen::UP {
            let memory = &self.plan().memory;
            memory.learn(0, self.seen, &Verdict::Success, None);
        }
        served
    }

    /// What the caller gets then.
    pub(super) fn first(answer: FirstAnswer<C, Req>, answers: &C::Answers) -> Merged<C, Req> {
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
        let plan = Arc::clone(self.spare.common());
        let memory = &plan.memory;
        let span = causes::span(memory.spans(), &verdict, outcome.marks(answers));
        let by = self.member();
        let sends = by == 0 || C::Second::SENDS;
        let left = sends && verdict.was_sent();
        if sends {
            memory.learn(by, self.seen, &verdict, span);
        }
        if let Some(detour) = &mut self.detour {
            detour.left |= left;
        }
        let Some(next) = self.next(by, &verdict) else {
            return Err(self.end(outcome, by, &verdict, answers));
        };
        let new = || Box::new(Detour::new(None, None, None));
        let detour = self.detour.get_or_insert_with(new);
        detour.left |= left;
        detour.verdict = verdict;
        let at = detour.causes.len();
        if !self.go_on(Some(next), answers) {
            return Err(self.end(outcome, by, &verdict, answers));
        }
        let cause =
            Cause::failed(plan.served_by(by), verdict, span).status_of(outcome.status(answers));
        let outcome = match verdict {
            Verdict::Success => outcome,
            _ => outcome.let_go(answers),
        };
        if let Some(detour) = &mut self.detour {
            detour.put = Some(Put { outcome, cause, at });
        }
        Ok(verdict.was_sent())
    }

    /// The link that was asked can't be readied. `true` where another is asked.
    pub(super) fn unready(&mut self, error: BoxError, answers: &C::Answers) -> bool {
        let by = self.member();
        let verdict = C::verdict(answers, Err(&error));
        let memory = &self.plan().memory;
        let span = memory.spans().of(&verdict, Some(&error));
        memory.learn(by, self.seen, &verdict, span);
        let cause = Cause::failed(self.plan().served_by(by), verdict, span);
        let Some(detour) = &mut self.detour else {
            return false;
        };
        let at = detour.causes.len();
        causes::put_down(&mut detour.causes, at, cause, Err(error));
        if self.kept.is_none() && detour.request.is_none() && !C::Second::REWRITES {
            detour.request = detour.bound.take();
        }
        self.go_on(None, answers)
    }

    /// Who is asked after `member`, whose verdict this is, where somebody can be.
    fn next(&self, member: usize, verdict: &Verdict) -> Option<Choice> {
        let plan = self.falls_back.then(|| self.plan())?;
        plan.next(member, verdict)
    }

    /// Chooses who is asked next, and makes the request what it has to be there.
    fn go_on(&mut self, mut choice: Option<Choice>, answers: &C::Answers) -> bool {
        let Self {
            spare,
            falls_back: true,
            kept,
            seen,
            detour: Some(detour),
        } = self
        else {
            return false;
        };
        let plan = spare.common();
        if detour.second.is_none() {
            detour.second = spare.take();
        }
        let Some(second) = &detour.second else {
            return false;
        };
        loop {
            let next = choice.take();
            let Some(next) = next.or_else(|| plan.next(detour.member, &detour.verdict)) else {
                return false;
            };
            let lasts = plan.has_more(next.member) || detour.resort.is_some();
            let restored = || kept.take().map(|kept| answers.restore(kept));
            let request = detour.request.take().or_else(restored);
            *kept = match &request {
                Some(request) if C::Second::SENDS && lasts => answers.keep(request),
                _ => None,
            };
            // Nothing was sent yet, and the first service must not go without the request.
            if C::Second::REWRITES && detour.resort.is_some() && kept.is_none() {
                detour.request = request;
                return false;
            }
            detour.member = next.member;
            detour.bound = match request {
                Some(request) => match second.rewrite(next.member, request) {
                    None => continue,
                    bound => bound,
                },
                None if C::Second::SENDS => return false,
                None => None,
            };
            detour.causes.extend(next.skipped);
            *seen = plan.look(detour.member);
            let (name, verdict) = (plan.served_by(detour.member).name(), detour.verdict);
            let first = !mem::replace(&mut detour.fell, true);
            let passed = detour.resort.is_some();
            tell(name, verdict, first, passed);
            return true;
        }
    }

    /// The link that is asked, to be readied.
    pub(super) fn asked(&mut self) -> (&mut C::Second, usize) {
        let detour = self.detour.as_mut().expect("a link is asked");
        let second = detour.second.as_mut().expect("there are links");
        (second, detour.member)
    }

    /// Calls the link that was readied.
    pub(super) fn call(&mut self, answers: &C::Answers) -> <C::Second as Second<Req>>::Future {
        let detour = self.detour.as_mut().expect("a link is asked");
        if let Some(Put { outcome, cause, at }) = detour.put.take() {
            let why = match outcome {
                Outcome::First(Err(error)) | Outcome::Second(Err(error)) => Err(error),
                ref answered => Ok(answered.marks(answers).ok().flatten()),
            };
            causes::put_down(&mut detour.causes, at, cause, why);
        }
        // From here on there is a real outcome.
        detour.resort = None;
        let causes = Causes::new(detour.causes.clone()).expect("somebody didn't serve");
        let request = detour.bound.take();
        let second = detour.second.as_mut().expect("there are links");
        second.call(Unserved { request, causes })
    }

    /// Nobody else can be asked: the last real outcome, if there is one.
    pub(super) fn last(
        &mut self,
        answers: &C::Answers,
    ) -> Option<Result<Merged<C, Req>, BoxError>> {
        let put = self.detour.as_mut()?.put.take()?;
        let (by, verdict) = (put.cause.index(), put.cause.verdict());
        Some(self.end(put.outcome, by, &verdict, answers))
    }

    /// Readies the first service after all.
    pub(super) fn poll_return(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let detour = self.detour.as_mut().expect("it was passed over");
        detour.member = 0;
        let first = detour.resort.as_mut().expect("it was passed over");
        let ready = first.poll_ready(cx).map_err(Into::into);
        if let Poll::Ready(Err(_)) = ready {
            detour.resort = None;
        }
        ready
    }

    /// Calls the first service after all, as the last who can be asked, or as ever.
    pub(super) fn call_first(
        &mut self,
        last: bool,
        answers: &C::Answers,
    ) -> <C::First as Service<Req>>::Future {
        let detour = self.detour.as_mut().expect("it was passed over");
        let mut first = detour.resort.take().expect("it was passed over");
        self.seen = self.spare.common().look(0);
        let kept = self.kept.take();
        let restored = || kept.map(|kept| answers.restore(kept));
        let request = detour.request.take().or_else(restored);
        let request = request.expect("kept as long as nobody was asked");
        self.falls_back = false;
        if !last {
            self.kept = answers.keep(&request);
            self.falls_back = self.kept.is_some() || !C::Second::SENDS;
        }
        first.call(request)
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
        let detour = self.detour.as_mut();
        let (causes, left) = detour.map_or((Vec::new(), false), |detour| {
            (mem::take(&mut detour.causes), detour.left)
        });
        let by = self.plan().served_by(by);
        match outcome {
            Outcome::First(Ok(out)) => Ok(answers.first(out, Causes::new(causes))),
            Outcome::Second(Ok(out)) => Ok(answers.second(out, by, serves, Causes::new(causes))),
            // Nobody else was asked.
            Outcome::First(Err(error)) => Err(error),
            Outcome::Second(Err(error)) => {
                let sealed = !C::Second::SENDS && left;
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
