//! What became of a member of a chain.

use http::{Extensions, StatusCode};
use tower_service::Service;

use super::{merge::Merge, second::Second, service::Chain};
use crate::{
    answers::Answers,
    error::BoxError,
    verdict::{Classify, Verdict},
};

pub(super) type FirstAnswer<C, Req> = <<C as Chain<Req>>::First as Service<Req>>::Response;
pub(super) type SecondAnswer<C, Req> = <<C as Chain<Req>>::Second as Second<Req>>::Response;
type Out<P, A> = <P as Answers<A>>::Out<()>;

/// What became of a member.
pub(super) enum Outcome<C: Chain<Req>, Req> {
    First(Result<Out<C::Answers, FirstAnswer<C, Req>>, BoxError>),
    Second(Result<Out<C::Answers, SecondAnswer<C, Req>>, BoxError>),
}

impl<C: Chain<Req>, Req> Outcome<C, Req> {
    pub(super) fn verdict(&self, answers: &C::Answers) -> Verdict {
        match self {
            Self::First(outcome) => answers.classify(outcome.as_ref()),
            Self::Second(outcome) => C::verdict(answers, outcome.as_ref()),
        }
    }

    /// Where marks are, or the error.
    pub(super) fn marks<'a>(
        &'a self,
        answers: &C::Answers,
    ) -> Result<Option<&'a Extensions>, &'a BoxError> {
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

    pub(super) fn status(&self, answers: &C::Answers) -> Option<StatusCode> {
        let facts = match self {
            Self::First(Ok(out)) => Answers::<FirstAnswer<C, Req>>::facts(answers, out),
            Self::Second(Ok(out)) => Answers::<SecondAnswer<C, Req>>::facts(answers, out),
            Self::First(Err(_)) | Self::Second(Err(_)) => None,
        };
        facts.map(|(status, _)| status)
    }

    /// Lets go of what is of no use while another is tried.
    pub(super) fn let_go(self, answers: &C::Answers) -> Self {
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
