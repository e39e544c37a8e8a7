//! Answers that the user judges.

use std::{fmt, sync::Arc};

use http::{Extensions, HeaderMap, StatusCode};

use super::{Answers, CopyRequest, Depth, Read};
use crate::{
    body::Watch,
    error::BoxError,
    verdict::{Classify, Provider, Verdict},
};

/// `P` with the user's own judgement. Made by the layers' `classify`.
pub struct Judged<P, F> {
    answers: P,
    judge: Arc<F>,
}

impl<P, F> Judged<P, F> {
    pub(crate) fn new(answers: P, judge: F) -> Self {
        Self {
            answers,
            judge: Arc::new(judge),
        }
    }

    pub(crate) const fn inner(&self) -> &P {
        &self.answers
    }
}

impl<P: Clone, F> Clone for Judged<P, F> {
    fn clone(&self) -> Self {
        Self {
            answers: self.answers.clone(),
            judge: Arc::clone(&self.judge),
        }
    }
}

impl<P: fmt::Debug, F> fmt::Debug for Judged<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged")
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}

impl<R, P: Answers<R>, F> Answers<R> for Judged<P, F> {
    type Out<W: Watch> = P::Out<W>;
    type Reading = P::Reading;

    // What it means is for the user to say, who sees it as the layer gives it.

    fn read(&self, answer: R, depth: Depth) -> Read<P::Out<()>, P::Reading> {
        self.answers.read(answer, depth)
    }

    fn provider(&self) -> Option<Provider> {
        self.answers.provider()
    }

    fn facts<'a>(&self, answer: &'a P::Out<()>) -> Option<(StatusCode, &'a HeaderMap)> {
        self.answers.facts(answer)
    }

    fn head<'a>(&self, answer: &'a R) -> Option<(StatusCode, &'a HeaderMap)> {
        self.answers.head(answer)
    }

    fn watch<W: Watch>(&self, answer: P::Out<()>, watch: W) -> P::Out<W> {
        self.answers.watch(answer, watch)
    }

    fn pass<W: Watch>(&self, answer: R, watch: W) -> P::Out<W> {
        self.answers.pass(answer, watch)
    }

    fn marks_mut<'a, W: Watch + 'a>(
        &self,
        answer: &'a mut P::Out<W>,
    ) -> Option<&'a mut Extensions> {
        self.answers.marks_mut(answer)
    }

    fn let_go(&self, answer: P::Out<()>) -> P::Out<()> {
        self.answers.let_go(answer)
    }
}

impl<R, P, F: Classify<R>> Classify<R> for Judged<P, F> {
    fn classify(&self, outcome: Result<&R, &BoxError>) -> Verdict {
        self.judge.classify(outcome)
    }
}

impl<Req, P: CopyRequest<Req>, F> CopyRequest<Req> for Judged<P, F> {
    type Kept = P::Kept;

    fn keep(&self, request: &Req) -> Option<P::Kept> {
        self.answers.keep(request)
    }

    fn restore(&self, kept: P::Kept) -> Req {
        self.answers.restore(kept)
    }

    fn copy(&self, request: &Req) -> Option<Req> {
        self.answers.copy(request)
    }

    fn headers_mut<'a>(&self, request: &'a mut Req) -> Option<&'a mut HeaderMap> {
        self.answers.headers_mut(request)
    }

    fn extensions_mut<'a>(&self, request: &'a mut Req) -> Option<&'a mut Extensions> {
        self.answers.extensions_mut(request)
    }
}
