//! The layer and its service.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    marker::PhantomData,
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{Fields, RespondBody, RespondFuture, problem, upstream};
use crate::{
    error::{BoxError, Rejected},
    observe::target,
    quota::Allowance,
};

type Render = dyn Fn(&Rejected) -> Response<Bytes> + Send + Sync;

/// Every error becomes a response: the service never fails.
#[derive(Clone, Copy, Debug)]
pub struct Answered;

/// Refusals become responses, other errors stay errors.
#[derive(Clone, Copy, Debug)]
pub struct Passed;

/// What becomes of errors that aren't refusals: [`Answered`] or [`Passed`].
pub trait Others: sealed::Sealed {
    /// The error of the service.
    type Error;

    #[doc(hidden)]
    fn answer(error: BoxError) -> Result<Response<Bytes>, Self::Error>;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Answered {}
    impl Sealed for super::Passed {}
}

impl Others for Answered {
    type Error = Infallible;

    fn answer(error: BoxError) -> Result<Response<Bytes>, Infallible> {
        Ok(problem::failure(error.as_ref()))
    }
}

impl Others for Passed {
    type Error = BoxError;

    fn answer(error: BoxError) -> Result<Response<Bytes>, BoxError> {
        Err(error)
    }
}

/// How errors become responses.
pub(super) struct Rules<E> {
    // `None` is our own way.
    render: Option<Arc<Render>>,
    fields: Fields,
    // What a provider further in says of its limits is hidden.
    hides: bool,
    others: PhantomData<fn() -> E>,
}

impl<E> Clone for Rules<E> {
    fn clone(&self) -> Self {
        Self {
            render: self.render.clone(),
            fields: self.fields,
            hides: self.hides,
            others: PhantomData,
        }
    }
}

impl<E: Others> Rules<E> {
    pub(super) fn answer<B>(&self, error: BoxError) -> Result<Response<RespondBody<B>>, E::Error> {
        let cause: &(dyn Error + 'static) = error.as_ref();
        let response = match Rejected::find(cause) {
            Some(rejected) => self.refuse(rejected),
            None => E::answer(error)?,
        };
        Ok(response.map(RespondBody::text))
    }

    /// Passes an answer of the inner service on.
    pub(super) fn pass<B>(&self, mut answer: Response<B>) -> Response<RespondBody<B>> {
        if self.hides {
            if let Some(rejected) = upstream::refusal(&answer) {
                let status = answer.status().as_u16();
                tracing::debug!(target: target::RESPOND, status, "the provider's refusal is hidden");
                let mut refusal = self.refuse(&rejected);
                refusal
                    .extensions_mut()
                    .extend(mem::take(answer.extensions_mut()));
                return refusal.map(RespondBody::text);
            }
            upstream::hide(answer.headers_mut());
        }
        let (head, body) = answer.into_parts();
        let mut answer = Response::from_parts(head, RespondBody::inner(body));
        if let Some(allowance) = Allowance::of(&answer).cloned() {
            self.fields.of_allowance(&allowance, answer.headers_mut());
        }
        answer
    }

    fn refuse(&self, rejected: &Rejected) -> Response<Bytes> {
        match &self.render {
            None => problem::refusal(rejected, self.fields),
            Some(render) => render(rejected),
        }
    }
}

/// Turns refusals into responses; see the [module](crate::respond).
///
/// | setting | default |
/// |---|---|
/// | [`with`](Self::with) | 429, 503 or 413 with `Retry-After` and a problem+json |
/// | [`fields`](Self::fields) | the draft's and the classic ones |
/// | [`hide_upstream`](Self::hide_upstream) | off: a provider's own 429 passes as it is |
/// | [`pass_errors`](Self::pass_errors) | other errors become 504 and 502 |
pub struct RespondLayer<E = Answered> {
    rules: Rules<E>,
}

impl RespondLayer {
    /// Turns every error into a response.
    pub const fn new() -> Self {
        Self {
            rules: Rules {
                render: None,
                fields: Fields::Both,
                hides: false,
                others: PhantomData,
            },
        }
    }
}

impl Default for RespondLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> RespondLayer<E> {
    /// Answers refusals by `render`, which may begin with what is the default, [`refusal`](super::refusal), and has to do with all of it
    /// otherwise. See [`Rejected::detail`] for what a caller may be told.
    pub fn with<T: Into<Bytes>>(
        mut self,
        render: impl Fn(&Rejected) -> Response<T> + Send + Sync + 'static,
    ) -> Self {
        self.rules.render = Some(Arc::new(move |rejected| render(rejected).map(Into::into)));
        self
    }

    /// Which header fields tell callers of their limits. What [`with`](Self::with) answers has none but its own,
    /// of which [`refusal`](super::refusal) makes some.
    pub const fn fields(mut self, fields: Fields) -> Self {
        self.rules.fields = fields;
        self
    }

    /// For servers in front of a provider: its own refusals (429, or for want of money) become refusals of what callers share,
    /// 503 with the provider's `Retry-After`, so that nobody takes them for its own limit; and of all its answers the
    /// fields that tell of its limits are taken out (`RateLimit`, `X-RateLimit-Limit-Requests` and the like). What they say is
    /// about an account that all callers share.
    pub const fn hide_upstream(mut self) -> Self {
        self.rules.hides = true;
        self
    }

    /// Leaves errors that aren't refusals as they are, boxed.
    pub fn pass_errors(self) -> RespondLayer<Passed> {
        RespondLayer {
            rules: Rules {
                render: self.rules.render,
                fields: self.rules.fields,
                hides: self.rules.hides,
                others: PhantomData,
            },
        }
    }
}

impl<E> Clone for RespondLayer<E> {
    fn clone(&self) -> Self {
        Self {
            rules: self.rules.clone(),
        }
    }
}

impl<E> fmt::Debug for RespondLayer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespondLayer").finish_non_exhaustive()
    }
}

impl<S, E> Layer<S> for RespondLayer<E> {
    type Service = Respond<S, E>;

    fn layer(&self, inner: S) -> Respond<S, E> {
        Respond {
            inner,
            failed: None,
            rules: self.rules.clone(),
        }
    }
}

/// Turns refusals into responses; see [`RespondLayer`].
pub struct Respond<S, E = Answered> {
    inner: S,
    // Why the inner service can't be called: the answer to the next request.
    failed: Option<BoxError>,
    rules: Rules<E>,
}

impl<S: Clone, E> Clone for Respond<S, E> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            failed: None,
            rules: self.rules.clone(),
        }
    }
}

impl<S: fmt::Debug, E> fmt::Debug for Respond<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, A, B, E> Service<Request<A>> for Respond<S, E>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    E: Others,
{
    type Response = Response<RespondBody<B>>;
    type Error = E::Error;
    type Future = RespondFuture<S::Future, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        if self.failed.is_none()
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            self.failed = Some(error.into());
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let rules = self.rules.clone();
        match self.failed.take() {
            Some(error) => RespondFuture::failed(error, rules),
            None => RespondFuture::new(self.inner.call(request), rules),
        }
    }
}
