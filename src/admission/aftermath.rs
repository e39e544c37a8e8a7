//! What becomes of a request's charge once there is an outcome.

use std::task::Poll;

use http::{HeaderMap, StatusCode};

use super::{door::Manners, sent::Sent};
use crate::{
    answers::{Answers, Depth},
    body::Watch,
    core::cost::Cost,
    error::BoxError,
    quota::{Allowance, Grant, Quota},
    verdict::{Classify, Verdict},
};

/// What a limiting layer does with an outcome.
pub(crate) trait Aftermath: Copy {
    /// Keeps hold of the grant until the answer's body ends.
    type Watch: Watch;

    /// What it keeps for that from the request. Apart from it: what may have to be dropped is in memory, all of it, and what is
    /// moved from there right after it was written has to be waited for.
    type Notes: Default;

    /// Whether it does something about an error in a stream, for which its head is held back.
    const DEPTH: Depth;

    /// Makes of a request's cost what it reserves. In place: moved right after it was written, it has to be waited for.
    #[inline]
    fn reserves(&self, _cost: &mut Cost, _quota: &Quota) {}

    /// An answer arrived. `facts` are its status and headers, where it has any.
    fn answered(
        self,
        notes: &mut Self::Notes,
        verdict: Verdict,
        facts: Option<(StatusCode, &HeaderMap)>,
        grant: Grant,
    ) -> Self::Watch;
}

/// What the caller has left, where it is to be told.
#[inline]
pub(super) fn allowance(manners: Manners, grant: &Grant) -> Option<Allowance> {
    (manners.tells_caller()).then(|| grant.allowance())
}

/// Leaves it with the answer.
#[cold]
fn tell<R, P, W>(answers: &P, mut answer: P::Out<W>, allowance: Allowance) -> P::Out<W>
where
    P: Answers<R>,
    W: Watch,
{
    if let Some(marks) = answers.marks_mut(&mut answer) {
        allowance.join(marks);
    }
    answer
}

/// An answer of which nothing was read, with what the caller has left.
#[cold]
pub(super) fn told<R, E, P, W>(
    answers: &P,
    outcome: Poll<Result<R, E>>,
    watch: W,
    allowance: Allowance,
) -> Poll<Result<P::Out<W>, BoxError>>
where
    E: Into<BoxError>,
    P: Answers<R>,
    W: Watch,
{
    let answer = |answer| tell(answers, answers.pass(answer, watch), allowance);
    outcome.map_ok(answer).map_err(Into::into)
}

/// The answer is read: what it means is known.
pub(super) fn judge<R, P, A>(
    answers: &P,
    (aftermath, notes): (A, &mut A::Notes),
    manners: Manners,
    answer: P::Out<()>,
    grant: Grant,
) -> P::Out<A::Watch>
where
    P: Answers<R> + Classify<P::Out<()>>,
    A: Aftermath,
{
    let verdict = answers.classify(Ok(&answer));
    let allowance = allowance(manners, &grant);
    hear(manners, &grant, &verdict);
    let watch = aftermath.answered(notes, verdict, answers.facts(&answer), grant);
    let answer = answers.watch(answer, watch);
    match allowance {
        None => answer,
        Some(allowance) => tell(answers, answer, allowance),
    }
}

/// The quota hears what came of it.
#[inline]
pub(super) fn hear(manners: Manners, grant: &Grant, verdict: &Verdict) {
    if !manners.is_on_arrival() {
        grant.heard(verdict);
    }
}

/// The request was answered by an error.
#[cold]
pub(super) fn failed<R, P>(answers: &P, manners: Manners, mut sent: Sent, error: &BoxError)
where
    P: Answers<R> + Classify<P::Out<()>>,
{
    let verdict = answers.classify(Err(error));
    hear(manners, &sent.grant, &verdict);
    if !verdict.was_sent() {
        sent.grant.refund();
    } else if !sent.grant.is_held() {
        sent.depart();
    }
    // Dropped while another layer held it, it never left.
}
