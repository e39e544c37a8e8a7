//! What a request and an answer are: [`Http`] for http types, [`Provider`] for those of one provider, [`Opaque`] for any
//! others.
//!
//! Every layer has one type parameter for it, `Http` by default. `.provider(..)` and `.opaque()` on a layer choose the others:
//!
//! ```
//! use tower_quota::{BackoffRetryLayer, Provider, answers::{Http, Opaque}};
//!
//! let http: BackoffRetryLayer<_, Http> = BackoffRetryLayer::new();
//! let told: BackoffRetryLayer<_, Provider> = BackoffRetryLayer::new().provider(Provider::Groq);
//! let other: BackoffRetryLayer<_, Opaque> = BackoffRetryLayer::new().opaque(); // every answer counts as a success
//! # let _ = (http, told, other);
//! ```

use std::future::{Future, Ready};

use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use http_body::Body;

mod judged;
mod kept;

pub use self::{judged::Judged, kept::KeptRequest};
pub use crate::{
    body::{Depth, Read},
    marked::Marked,
};
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

    /// The verdict of an answer of which nothing has to be read, where its head tells it: that of nearly every success.
    /// `None` where there is more to it; [`read`](Self::read) it then.
    fn at_sight(&self, answer: &R, depth: Depth) -> Option<Verdict> {
        let _ = (answer, depth);
        None
    }

    /// Reads what the verdict needs: a bounded part of an error, and of a stream what comes before its
    /// first content, since that may be an error under a success's status. Nothing of any other success.
    fn read(&self, answer: R, depth: Depth) -> Read<Self::Out<()>, Self::Reading>;

    /// Whose answers these are, where that is known beforehand.
    fn provider(&self) -> Option<Provider> {
        None
    }

    /// Status and headers, where there are any.
    fn facts<'a>(&self, answer: &'a Self::Out<()>) -> Option<(StatusCode, &'a HeaderMap)>;

    /// The same of an answer as it came.
    fn head<'a>(&self, answer: &'a R) -> Option<(StatusCode, &'a HeaderMap)>;

    /// Lets `watch` see the body; where there is none, the watch ends here.
    fn watch<W: Watch>(&self, answer: Self::Out<()>, watch: W) -> Self::Out<W>;

    /// The same of an answer of which nothing was read.
    fn pass<W: Watch>(&self, answer: R, watch: W) -> Self::Out<W>;

    /// Where marks are left for the caller to find, where an answer has a place for them.
    fn marks_mut<'a, W: Watch + 'a>(
        &self,
        answer: &'a mut Self::Out<W>,
    ) -> Option<&'a mut Extensions> {
        let _ = answer;
        None
    }

    /// Leaves a mark for the caller to find, where an answer has a place for it.
    fn mark<M: Clone + Send + Sync + 'static>(&self, answer: &mut Self::Out<()>, mark: M) {
        if let Some(marks) = self.marks_mut(answer) {
            marks.insert(mark);
        }
    }

    /// Keeps of an answer what has been read, and lets go of the rest: its connection, and what
    /// is held until its end. For answers that are put by while something else is tried.
    fn let_go(&self, answer: Self::Out<()>) -> Self::Out<()> {
        answer
    }
}

/// Copies requests, so that they can be sent again.
///
/// What is kept meanwhile is a part of each call's future: keep it small.
///
/// ```
/// use tower_quota::answers::CopyRequest;
///
/// struct Prompts;
///
/// impl CopyRequest<String> for Prompts {
///     type Kept = Box<str>;
///
///     fn keep(&self, prompt: &String) -> Option<Box<str>> {
///         Some(prompt.as_str().into())
///     }
///
///     fn restore(&self, kept: Box<str>) -> String {
///         kept.into()
///     }
/// }
/// # assert_eq!(Prompts.copy(&"Hi".to_owned()).as_deref(), Some("Hi"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't copy requests of type `{Req}`",
    note = "`Http` copies `http::Request<B>` where `B: ReplayBody` (put `BufferBodyLayer::new()` outside); `.opaque()` copies any request that is `Clone`"
)]
pub trait CopyRequest<Req> {
    /// What is kept of a request that is under way: `Req` itself, or whatever it can be made of again.
    type Kept;

    /// What it takes to send the request again, or `None` where that can't be had: then one try is all there is.
    fn keep(&self, request: &Req) -> Option<Self::Kept>;

    /// The request, to be sent again.
    fn restore(&self, kept: Self::Kept) -> Req;

    /// A copy of the request, or `None` where it can't be had.
    fn copy(&self, request: &Req) -> Option<Req> {
        self.keep(request).map(|kept| self.restore(kept))
    }

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

    #[inline]
    fn at_sight(&self, answer: &Response<B>, depth: Depth) -> Option<Verdict> {
        Peek::at_sight(answer, depth)
    }

    fn read(&self, answer: Response<B>, depth: Depth) -> Read<Self::Out<()>, Peek<B>> {
        Peek::begin(answer, depth, None)
    }

    fn facts<'a>(
        &self,
        answer: &'a Response<MeteredBody<B>>,
    ) -> Option<(StatusCode, &'a HeaderMap)> {
        Some((answer.status(), answer.headers()))
    }

    #[inline]
    fn head<'a>(&self, answer: &'a Response<B>) -> Option<(StatusCode, &'a HeaderMap)> {
        Some((answer.status(), answer.headers()))
    }

    fn watch<W: Watch>(
        &self,
        answer: Response<MeteredBody<B>>,
        watch: W,
    ) -> Response<MeteredBody<B, W>> {
        answer.map(|body| body.watch(watch))
    }

    #[inline]
    fn pass<W: Watch>(&self, answer: Response<B>, watch: W) -> Response<MeteredBody<B, W>> {
        answer.map(|body| MeteredBody::watched(body, watch))
    }

    fn marks_mut<'a, W: Watch + 'a>(
        &self,
        answer: &'a mut Response<MeteredBody<B, W>>,
    ) -> Option<&'a mut Extensions> {
        Some(answer.extensions_mut())
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

/// As [`Http`], and it is known beforehand whose answers they are. Made by the layers' `provider`.
impl<B: Body> Answers<Response<B>> for Provider {
    type Out<W: Watch> = Response<MeteredBody<B, W>>;
    type Reading = Peek<B>;

    #[inline]
    fn at_sight(&self, answer: &Response<B>, depth: Depth) -> Option<Verdict> {
        Peek::at_sight(answer, depth)
    }

    fn read(&self, answer: Response<B>, depth: Depth) -> Read<Self::Out<()>, Peek<B>> {
        Peek::begin(answer, depth, Some(*self))
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

    #[inline]
    fn head<'a>(&self, answer: &'a Response<B>) -> Option<(StatusCode, &'a HeaderMap)> {
        Some((answer.status(), answer.headers()))
    }

    fn watch<W: Watch>(
        &self,
        answer: Response<MeteredBody<B>>,
        watch: W,
    ) -> Response<MeteredBody<B, W>> {
        Http.watch(answer, watch)
    }

    #[inline]
    fn pass<W: Watch>(&self, answer: Response<B>, watch: W) -> Response<MeteredBody<B, W>> {
        Http.pass(answer, watch)
    }

    fn marks_mut<'a, W: Watch + 'a>(
        &self,
        answer: &'a mut Response<MeteredBody<B, W>>,
    ) -> Option<&'a mut Extensions> {
        Http.marks_mut(answer)
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

macro_rules! copy_http {
    ($($answers:ty)+) => {$(
        impl<B: ReplayBody> CopyRequest<Request<B>> for $answers {
            type Kept = KeptRequest<B>;

            #[inline]
            fn keep(&self, request: &Request<B>) -> Option<KeptRequest<B>> {
                KeptRequest::of(request)
            }

            fn restore(&self, kept: KeptRequest<B>) -> Request<B> {
                kept.into_request()
            }

            fn headers_mut<'a>(&self, request: &'a mut Request<B>) -> Option<&'a mut HeaderMap> {
                Some(request.headers_mut())
            }

            fn extensions_mut<'a>(&self, request: &'a mut Request<B>) -> Option<&'a mut Extensions> {
                Some(request.extensions_mut())
            }
        }
    )+};
}

copy_http!(Http Provider);

/// Requests and answers are of any type and stay as they are: an answer is a success, an error is
/// judged by its kind, and a request's hold ends with the answer's arrival.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opaque;

impl<R> Answers<R> for Opaque {
    type Out<W: Watch> = R;
    type Reading = Ready<R>;

    #[inline]
    fn at_sight(&self, _: &R, _: Depth) -> Option<Verdict> {
        Some(Verdict::Success)
    }

    fn read(&self, answer: R, _: Depth) -> Read<R, Ready<R>> {
        Read::Now(answer)
    }

    fn facts<'a>(&self, _: &'a R) -> Option<(StatusCode, &'a HeaderMap)> {
        None
    }

    fn head<'a>(&self, _: &'a R) -> Option<(StatusCode, &'a HeaderMap)> {
        None
    }

    fn watch<W: Watch>(&self, answer: R, watch: W) -> R {
        watch.finish();
        answer
    }

    #[inline]
    fn pass<W: Watch>(&self, answer: R, watch: W) -> R {
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
    type Kept = Req;

    fn keep(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    fn restore(&self, kept: Req) -> Req {
        kept
    }
}
