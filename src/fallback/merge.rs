//! How the answers of two services become one type.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::causes::{self, Causes, ServedBy};
use crate::{
    answers::{Answers, Http, Judged, Opaque},
    body::MeteredBody,
    error::BoxError,
    verdict::{Classify, Provider, Verdict},
};

/// Makes one type of the answers of two services.
///
/// [`Http`] takes responses with any two bodies, [`Opaque`] two answers of one type.
#[diagnostic::on_unimplemented(
    message = "answers of type `{A}` and `{B}` have no type in common",
    note = "`Http` merges `http::Response`s whatever their bodies; after `.opaque()`, both services must answer with the same type"
)]
pub trait Merge<A, B>: Answers<A> + Answers<B> {
    /// Either's answer.
    type Merged;

    /// The first service's; `causes` are those of links that couldn't be asked.
    fn first(&self, answer: <Self as Answers<A>>::Out<()>, causes: Option<Causes>) -> Self::Merged;

    /// That of the link `by`, marked as such where there is room for it and it `serves`.
    fn second(
        &self,
        answer: <Self as Answers<B>>::Out<()>,
        by: &ServedBy,
        serves: bool,
        causes: Option<Causes>,
    ) -> Self::Merged;

    /// Where the first service's answer may carry marks.
    fn marks_of_first<'a>(
        &self,
        _answer: &'a <Self as Answers<A>>::Out<()>,
    ) -> Option<&'a Extensions> {
        None
    }

    /// Where a link's answer may carry marks.
    fn marks_of_second<'a>(
        &self,
        _answer: &'a <Self as Answers<B>>::Out<()>,
    ) -> Option<&'a Extensions> {
        None
    }

    /// What a link's outcome means, where the user's judgement is of the first's answers alone.
    fn verdict_of_second(
        &self,
        outcome: Result<&<Self as Answers<B>>::Out<()>, &BoxError>,
    ) -> Verdict;
}

impl<A, B> Merge<Response<A>, Response<B>> for Http
where
    A: Body,
    A::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Merged = Response<FallbackBody<MeteredBody<A>, MeteredBody<B>>>;

    fn first(&self, answer: Response<MeteredBody<A>>, causes: Option<Causes>) -> Self::Merged {
        let mut answer = answer.map(|body| FallbackBody {
            either: Either::First { body },
        });
        if let Some(causes) = causes {
            causes.add(answer.extensions_mut(), false);
        }
        answer
    }

    fn second(
        &self,
        answer: Response<MeteredBody<B>>,
        by: &ServedBy,
        serves: bool,
        causes: Option<Causes>,
    ) -> Self::Merged {
        let mut answer = answer.map(|body| FallbackBody {
            either: Either::Second { body },
        });
        causes::sign(answer.extensions_mut(), by, serves);
        if let Some(causes) = causes {
            causes.add(answer.extensions_mut(), true);
        }
        answer
    }

    fn marks_of_first<'a>(&self, answer: &'a Response<MeteredBody<A>>) -> Option<&'a Extensions> {
        Some(answer.extensions())
    }

    fn marks_of_second<'a>(&self, answer: &'a Response<MeteredBody<B>>) -> Option<&'a Extensions> {
        Some(answer.extensions())
    }

    fn verdict_of_second(&self, outcome: Result<&Response<MeteredBody<B>>, &BoxError>) -> Verdict {
        self.classify(outcome)
    }
}

impl<A, B> Merge<Response<A>, Response<B>> for Provider
where
    A: Body,
    A::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Merged = Response<FallbackBody<MeteredBody<A>, MeteredBody<B>>>;

    fn first(&self, answer: Response<MeteredBody<A>>, causes: Option<Causes>) -> Self::Merged {
        Merge::<Response<A>, Response<B>>::first(&Http, answer, causes)
    }

    fn second(
        &self,
        answer: Response<MeteredBody<B>>,
        by: &ServedBy,
        serves: bool,
        causes: Option<Causes>,
    ) -> Self::Merged {
        Merge::<Response<A>, Response<B>>::second(&Http, answer, by, serves, causes)
    }

    fn marks_of_first<'a>(&self, answer: &'a Response<MeteredBody<A>>) -> Option<&'a Extensions> {
        Some(answer.extensions())
    }

    fn marks_of_second<'a>(&self, answer: &'a Response<MeteredBody<B>>) -> Option<&'a Extensions> {
        Some(answer.extensions())
    }

    fn verdict_of_second(&self, outcome: Result<&Response<MeteredBody<B>>, &BoxError>) -> Verdict {
        Classify::classify(self, outcome)
    }
}

impl<R> Merge<R, R> for Opaque {
    type Merged = R;

    fn first(&self, answer: R, _: Option<Causes>) -> R {
        answer
    }

    fn second(&self, answer: R, _: &ServedBy, _: bool, _: Option<Causes>) -> R {
        answer
    }

    fn verdict_of_second(&self, outcome: Result<&R, &BoxError>) -> Verdict {
        self.classify(outcome)
    }
}

impl<A, B, P: Merge<A, B>, F> Merge<A, B> for Judged<P, F> {
    type Merged = P::Merged;

    fn first(&self, answer: <P as Answers<A>>::Out<()>, causes: Option<Causes>) -> P::Merged {
        self.inner().first(answer, causes)
    }

    fn second(
        &self,
        answer: <P as Answers<B>>::Out<()>,
        by: &ServedBy,
        serves: bool,
        causes: Option<Causes>,
    ) -> P::Merged {
        self.inner().second(answer, by, serves, causes)
    }

    fn marks_of_first<'a>(&self, answer: &'a <P as Answers<A>>::Out<()>) -> Option<&'a Extensions> {
        self.inner().marks_of_first(answer)
    }

    fn marks_of_second<'a>(
        &self,
        answer: &'a <P as Answers<B>>::Out<()>,
    ) -> Option<&'a Extensions> {
        self.inner().marks_of_second(answer)
    }

    fn verdict_of_second(
        &self,
        outcome: Result<&<P as Answers<B>>::Out<()>, &BoxError>,
    ) -> Verdict {
        self.inner().verdict_of_second(outcome)
    }
}

pin_project! {
    /// The body of the answer of either service, unchanged.
    pub struct FallbackBody<A, B> {
        #[pin]
        either: Either<A, B>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<A, B> {
        First { #[pin] body: A },
        Second { #[pin] body: B },
    }
}

impl<A, B> Body for FallbackBody<A, B>
where
    A: Body<Data = Bytes>,
    A::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().either.project() {
            EitherProj::First { body } => body.poll_frame(cx).map_err(Into::into),
            EitherProj::Second { body } => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.either {
            Either::First { body } => body.is_end_stream(),
            Either::Second { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.either {
            Either::First { body } => body.size_hint(),
            Either::Second { body } => body.size_hint(),
        }
    }
}

impl<A, B> fmt::Debug for FallbackBody<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.either {
            Either::First { .. } => "FallbackBody(first)",
            Either::Second { .. } => "FallbackBody(second)",
        })
    }
}
