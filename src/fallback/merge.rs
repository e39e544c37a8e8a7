//! How the answers of two services become one type.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    answers::{Answers, Http, Judged, Opaque},
    body::MeteredBody,
    error::BoxError,
    verdict::Provider,
};

/// Which link of a fallback served an answer: in the extensions of a response that the first
/// didn't serve.
///
/// ```
/// use tower_quota::fallback::ServedBy;
///
/// # let response = http::Response::new(());
/// let by_whom = response.extensions().get::<ServedBy>();
/// assert!(by_whom.is_none(), "the first");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy(Arc<str>);

impl ServedBy {
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The link's name: `"fallback"` where it was given none.
    pub fn name(&self) -> &str {
        &self.0
    }
}

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

    /// The first service's.
    fn first(&self, answer: <Self as Answers<A>>::Out<()>) -> Self::Merged;

    /// The second service's, marked as such where there is room for it.
    fn second(&self, answer: <Self as Answers<B>>::Out<()>, served_by: &ServedBy) -> Self::Merged;
}

impl<A, B> Merge<Response<A>, Response<B>> for Http
where
    A: Body,
    A::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Merged = Response<FallbackBody<MeteredBody<A>, MeteredBody<B>>>;

    fn first(&self, answer: Response<MeteredBody<A>>) -> Self::Merged {
        answer.map(|body| FallbackBody {
            either: Either::First { body },
        })
    }

    fn second(&self, answer: Response<MeteredBody<B>>, served_by: &ServedBy) -> Self::Merged {
        let mut answer = answer.map(|body| FallbackBody {
            either: Either::Second { body },
        });
        // A fallback further in knows better.
        if answer.extensions().get::<ServedBy>().is_none() {
            answer.extensions_mut().insert(served_by.clone());
        }
        answer
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

    fn first(&self, answer: Response<MeteredBody<A>>) -> Self::Merged {
        Merge::<Response<A>, Response<B>>::first(&Http, answer)
    }

    fn second(&self, answer: Response<MeteredBody<B>>, served_by: &ServedBy) -> Self::Merged {
        Merge::<Response<A>, Response<B>>::second(&Http, answer, served_by)
    }
}

impl<R> Merge<R, R> for Opaque {
    type Merged = R;

    fn first(&self, answer: R) -> R {
        answer
    }

    fn second(&self, answer: R, _: &ServedBy) -> R {
        answer
    }
}

impl<A, B, P: Merge<A, B>, F> Merge<A, B> for Judged<P, F> {
    type Merged = P::Merged;

    fn first(&self, answer: <P as Answers<A>>::Out<()>) -> P::Merged {
        self.inner().first(answer)
    }

    fn second(&self, answer: <P as Answers<B>>::Out<()>, served_by: &ServedBy) -> P::Merged {
        self.inner().second(answer, served_by)
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
