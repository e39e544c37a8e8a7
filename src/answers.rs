//! What a request and an answer are: [`Http`] for http types, [`Provider`] for those of one provider, [`Opaque`] for any
//! others.
//!
//! Every layer has one type parameter for it, `Http` by default.

use std::{
    fmt,
    future::{Future, Ready, ready},
    sync::Arc,
};

use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use http_body::Body;

use crate::{
    body::{MeteredBody, Peek, ReplayBody, Watch},
    error::BoxError,
    provider,
    verdict::{Classify, Provider, Verdict},
};

/// How a layer reads an answer, and how it keeps hold of a request until the answer has ended.
#[diagnostic::on_unimplemented(
    message = "`{Self}` doesn't know answers of type `{R}`",
    note = "for answers that aren't `http::Response<_>`, call `.opaque()` on the layer",
    note = "over reqwest, the innermost service is `ReqwestService::new(client)`, not the client, and `ReqwestLayer::new()` the first layer"
)]
pub trait Answers<R> {
    /// The answer that the layer gives; `W` watches its body.
    type Out<W: Watch>;
    /// Resolves once the answer's verdict can be told.
    type Reading: Future<Output = Self::Out<()>>;

    /// Reads what the verdict needs: a bounded part of an error, and of a stream what comes before its
    /// first content, since that may be an error under a success's status. Nothing of any other success.
    fn read(&self, answer: R) -> Self::Reading;

    /// The same for a layer that does nothing about an error in a stream: a success isn't held back.
    fn glance(&self, answer: R) -> Self::Reading {
        self.read(answer)
    }

    /// Whose answers these are, where that is known beforehand.
    fn provider(&self) -> Option<Provider> {
        None
    }

    /// Status and headers, where there are any.
    fn facts<'a>(&self, answer: &'a Self::Out<()>) -> Option<(StatusCode, &'a HeaderMap)>;

    /// Lets `watch` see the body; where there is none, the watch ends here.
    fn watch<W: Watch>(&self, answer: Self::Out<()>, watch: W) -> Self::Out<W>;

    /// Leaves a mark for the caller to find, where an answer has a place for it.
    fn mark<M: Clone + Send + Sync + 'static>(&self, answer: &mut Self::Out<()>, mark: M) {
        let _ = (answer, mark);
    }

    /// Keeps of an answer what has been read, and lets go of the rest: its connection, and what
    /// is held until its end. For answers that are put by while something else is tried.
    fn let_go(&self, answer: Self::Out<()>) -> Self::Out<()> {
        answer
    }
}

/// Copies requests, so that they can be sent again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't copy requests of type `{Req}`",
    note = "`Http` copies `http::Request<B>` where `B: ReplayBody` (put `BufferBodyLayer::new()` outside); `.opaque()` copies any request that is `Clone`"
)]
pub trait CopyRequest<Req> {
    /// A copy of the request, or `None` where it can't be had: then one try is all there is.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// The request's headers, where there are any.
    fn headers_mut<'a>(&self, request: &'a mut Req) -> Option<&'a mut HeaderMap> {
        let _ = request;
        None
    }

    /// The request's extensions, where there are any.
    fn extensions_mut<'a>(&self, request: &'a mut Req) -> Option<&'a mut Extensions> {
        let _ = request;
        None
    }
}

/// Requests and answers are `http` types.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http;

impl<B: Body> Answers<Response<B>> for Http {
    type Out<W: Watch> = Response<MeteredBody<B, W>>;
    type Reading = Peek<B>;

    fn read(&self, answer: Response<B>) -> Peek<B> {
        Peek::new(answer, None)
    }

    fn glance(&self, answer: Response<B>) -> Peek<B> {
        Peek::shallow(answer, None)
    }

    fn facts<'a>(
        &self,
        answer: &'a Response<MeteredBody<B>>,
    ) -> Option<(StatusCode, &'a HeaderMap)> {
        Some((answer.status(), answer.headers()))
    }

    fn watch<W: Watch>(
        &self,
        answer: Response<MeteredBody<B>>,
        watch: W,
    ) -> Response<MeteredBody<B, W>> {
        answer.map(|body| body.watch(watch))
    }

    fn mark<M: Clone + Send + Sync + 'static>(
        &self,
        answer: &mut Response<MeteredBody<B>>,
        mark: M,
    ) {
        answer.extensions_mut().insert(mark);
    }

    fn let_go(&self, answer: Response<MeteredBody<B>>) -> Response<MeteredBody<B>> {
        answer.map(MeteredBody::let_go)
    }
}

impl<B> Classify<Response<B>> for Http {
    fn classify(&self, outcome: Result<&Response<B>, &BoxError>) -> Verdict {
        match outcome {
            Ok(response) => Verdict::of(response)
                .unwrap_or_else(|| provider::classify(response.status(), response.headers(), &[])),
            Err(error) => provider::classify_error(error.as_ref()),
        }
    }
}

impl<B: ReplayBody> CopyRequest<Request<B>> for Http {
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        let mut copy = Request::new(request.body().replay()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }

    fn headers_mut<'a>(&self, request: &'a mut Request<B>) -> Option<&'a mut HeaderMap> {
        Some(request.headers_mut())
    }

    fn extensions_mut<'a>(&self, request: &'a mut Request<B>) -> Option<&'a mut Extensions> {
        Some(request.extensions_mut())
    }
}

/// As [`Http`], and it is known beforehand whose answers they are. Made by the layers' `provider`.
impl<B: Body> Answers<Response<B>> for Provider {
    type Out<W: Watch> = Response<MeteredBody<B, W>>;
    type Reading = Peek<B>;

    fn read(&self, answer: Response<B>) -> Peek<B> {
        Peek::new(answer, Some(*self))
    }

    fn glance(&self, answer: Response<B>) -> Peek<B> {
        Peek::shallow(answer, Some(*self))
    }

    fn provider(&self) -> Option<Self> {
        Some(*self)
    }

    fn facts<'a>(
        &self,
        answer: &'a Response<MeteredBody<B>>,
    ) -> Option<(StatusCode, &'a HeaderMap)> {
        Http.facts(answer)
    }

    fn watch<W: Watch>(
        &self,
        answer: Response<MeteredBody<B>>,
        watch: W,
    ) -> Response<MeteredBody<B, W>> {
        Http.watch(answer, watch)
    }

    fn mark<M: Clone + Send + Sync + 'static>(
        &self,
        answer: &mut Response<MeteredBody<B>>,
        mark: M,
    ) {
        Http.mark(answer, mark);
    }

    fn let_go(&self, answer: Response<MeteredBody<B>>) -> Response<MeteredBody<B>> {
        Http.let_go(answer)
    }
}

impl<B> Classify<Response<B>> for Provider {
    fn classify(&self, outcome: Result<&Response<B>, &BoxError>) -> Verdict {
        match outcome {
            Ok(response) => Verdict::of(response).unwrap_or_else(|| {
                Self::classify(*self, response.status(), response.headers(), &[])
            }),
            Err(error) => provider::classify_error(error.as_ref()),
        }
    }
}

impl<B: ReplayBody> CopyRequest<Request<B>> for Provider {
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        Http.copy(request)
    }

    fn headers_mut<'a>(&self, request: &'a mut Request<B>) -> Option<&'a mut HeaderMap> {
        Some(request.headers_mut())
    }

    fn extensions_mut<'a>(&self, request: &'a mut Request<B>) -> Option<&'a mut Extensions> {
        Some(request.extensions_mut())
    }
}

/// Requests and answers are of any type and stay as they are: an answer is a success, an error is
/// judged by its kind, and a request's hold ends with the answer's arrival.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opaque;

impl<R> Answers<R> for Opaque {
    type Out<W: Watch> = R;
    type Reading = Ready<R>;

    fn read(&self, answer: R) -> Ready<R> {
        ready(answer)
    }

    fn facts<'a>(&self, _: &'a R) -> Option<(StatusCode, &'a HeaderMap)> {
        None
    }

    fn watch<W: Watch>(&self, answer: R, watch: W) -> R {
        watch.finish();
        answer
    }
}

impl<R> Classify<R> for Opaque {
    fn classify(&self, outcome: Result<&R, &BoxError>) -> Verdict {
        match outcome {
            Ok(_) => Verdict::Success,
            Err(error) => provider::classify_error(error.as_ref()),
        }
    }
}

impl<Req: Clone> CopyRequest<Req> for Opaque {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

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

    fn read(&self, answer: R) -> P::Reading {
        self.answers.read(answer)
    }

    fn glance(&self, answer: R) -> P::Reading {
        self.answers.glance(answer)
    }

    fn provider(&self) -> Option<Provider> {
        self.answers.provider()
    }

    fn facts<'a>(&self, answer: &'a P::Out<()>) -> Option<(StatusCode, &'a HeaderMap)> {
        self.answers.facts(answer)
    }

    fn watch<W: Watch>(&self, answer: P::Out<()>, watch: W) -> P::Out<W> {
        self.answers.watch(answer, watch)
    }

    fn mark<M: Clone + Send + Sync + 'static>(&self, answer: &mut P::Out<()>, mark: M) {
        self.answers.mark(answer, mark);
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
