//! Collecting request bodies at the door.

use std::{
    error::Error,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, request::Parts};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::ReplayBody;
use crate::{departure, error::BoxError};

/// As much as a request may have, unless told otherwise.
const LIMIT: u64 = 8 * 1024 * 1024;

/// A request body that is here as a whole. Cloning it shares the bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BufferedBody {
    data: Bytes,
}

impl BufferedBody {
    /// The bytes that haven't been sent yet.
    pub fn into_bytes(self) -> Bytes {
        self.data
    }
}

impl<T: Into<Bytes>> From<T> for BufferedBody {
    fn from(data: T) -> Self {
        Self { data: data.into() }
    }
}

impl ReplayBody for BufferedBody {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn peek(&self) -> Option<&[u8]> {
        Some(&self.data)
    }
}

impl Body for BufferedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = mem::take(&mut self.data);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}

impl fmt::Debug for BufferedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A prompt is nobody's business but the provider's.
        write!(f, "BufferedBody({} bytes)", self.data.len())
    }
}

/// A request body is larger than [`BufferBodyLayer::limit`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyTooLarge {
    /// The limit, in bytes.
    pub limit: u64,
}

impl fmt::Display for BodyTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request body is larger than {} bytes", self.limit)
    }
}

impl Error for BodyTooLarge {}

/// Collects request bodies, so that layers further in can send them again and read them ahead.
///
/// | setting | default |
/// |---|---|
/// | [`limit`](Self::limit) | 8 MiB |
///
/// A body that is ready as a whole goes on in the same poll, by the service that was readied. For
/// one that isn't, the readied service is given up, so that a slow sender keeps nobody else
/// waiting, and a fresh clone is readied once the body is here. Trailers of requests are dropped.
///
/// # Errors
///
/// [`BodyTooLarge`] above the limit, without reading on; the body's own error if it fails; else
/// the inner service's.
#[derive(Clone, Copy, Debug)]
pub struct BufferBodyLayer {
    limit: u64,
}

impl BufferBodyLayer {
    /// Collects bodies of up to 8 MiB.
    pub const fn new() -> Self {
        Self { limit: LIMIT }
    }

    /// Collects bodies of up to `bytes` bytes.
    ///
    /// # Panics
    ///
    /// If it is 0.
    #[track_caller]
    pub const fn limit(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "limit: 0 bytes would refuse every body");
        self.limit = bytes as u64;
        self
    }
}

impl Default for BufferBodyLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for BufferBodyLayer {
    type Service = BufferBody<S>;

    fn layer(&self, inner: S) -> BufferBody<S> {
        BufferBody {
            inner,
            limit: self.limit,
        }
    }
}

/// Collects request bodies; see [`BufferBodyLayer`].
#[derive(Clone, Debug)]
pub struct BufferBody<S> {
    inner: S,
    limit: u64,
}

impl<S, B> Service<Request<B>> for BufferBody<S>
where
    S: Service<Request<BufferedBody>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BufferBodyFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = self.limit;
        let state = if request.body().is_end_stream() {
            let request = request.map(|_| BufferedBody::default());
            State::Calling {
                future: self.inner.call(request),
            }
        } else if request.body().size_hint().lower() > limit {
            State::TooLarge
        } else {
            let clone = self.inner.clone();
            let (parts, body) = request.into_parts();
            State::Collecting {
                service: Some(mem::replace(&mut self.inner, clone)),
                readied: true,
                parts: Some(parts),
                body,
                collected: Collected::default(),
            }
        };
        BufferBodyFuture { state, limit }
    }
}

/// What has arrived of a body: one chunk stays as it is, more are put together.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn len(&self) -> u64 {
        self.first.len() as u64 + self.all.len() as u64
    }

    fn push(&mut self, mut data: impl Buf) {
        if self.len() == 0 {
            self.first = data.copy_to_bytes(data.remaining());
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&mem::take(&mut self.first));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            let len = chunk.len();
            self.all.extend_from_slice(chunk);
            data.advance(len);
        }
    }

    fn take(&mut self) -> BufferedBody {
        let this = mem::take(self);
        BufferedBody::from(if this.all.is_empty() {
            this.first
        } else {
            this.all.freeze()
        })
    }
}

pin_project! {
    /// Collects one request's body and sends it; see [`BufferBodyLayer`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops what was read; nothing else is held.
    #[must_use = "futures do nothing unless polled"]
    pub struct BufferBodyFuture<S, B>
    where
        S: Service<Request<BufferedBody>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
        limit: u64,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        // Reading the body. The service is the one that was readied, until there is a wait.
        Collecting {
            service: Option<S>,
            readied: bool,
            parts: Option<Parts>,
            #[pin]
            body: B,
            collected: Collected,
        },
        // The body is here; readying a fresh service for it.
        Readying { service: S, request: Option<Request<BufferedBody>> },
        // The inner service has the request.
        Calling { #[pin] future: F },
        // The request says itself that it is too large.
        TooLarge,
        // The outcome was given; nothing of the call is held any more.
        Done,
    }
}

impl<S, B> Future for BufferBodyFuture<S, B>
where
    S: Service<Request<BufferedBody>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.as_mut().poll_outcome(cx));
        self.project().state.set(State::Done);
        Poll::Ready(outcome)
    }
}

impl<S, B> BufferBodyFuture<S, B>
where
    S: Service<Request<BufferedBody>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    fn poll_outcome(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BoxError>> {
        let mut this = self.project();
        let limit = *this.limit;
        loop {
            if !matches!(*this.state, State::Calling { .. }) {
                // Whatever becomes of it before it is handed on, it hasn't left.
                departure::hold();
            }
            let next = match this.state.as_mut().project() {
                StateProj::Collecting {
                    service,
                    readied,
                    parts,
                    body,
                    collected,
                } => match body.poll_frame(cx) {
                    Poll::Pending => {
                        // Whoever waits holds nothing that others could use.
                        if mem::take(readied) {
                            *service = service.as_ref().cloned();
                        }
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(data) = frame.into_data() {
                            let len = collected.len().saturating_add(data.remaining() as u64);
                            if len > limit {
                                return Poll::Ready(Err(BodyTooLarge { limit }.into()));
                            }
                            collected.push(data);
                        }
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(None) => {
                        let parts = parts.take().expect("polled after it was ready");
                        let request = Request::from_parts(parts, collected.take());
                        let mut service = service.take().expect("polled after it was ready");
                        if *readied {
                            departure::hand_on();
                            State::Calling {
                                future: service.call(request),
                            }
                        } else {
                            State::Readying {
                                service,
                                request: Some(request),
                            }
                        }
                    }
                },
                StateProj::Readying { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let request = request.take().expect("polled after it was ready");
                    departure::hand_on();
                    State::Calling {
                        future: service.call(request),
                    }
                }
                StateProj::Calling { future } => {
                    return Poll::Ready(ready!(future.poll(cx)).map_err(Into::into));
                }
                StateProj::TooLarge => return Poll::Ready(Err(BodyTooLarge { limit }.into())),
                StateProj::Done => panic!("polled after it was ready"),
            };
            this.state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for BufferBodyFuture<S, B>
where
    S: Service<Request<BufferedBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferBodyFuture").finish_non_exhaustive()
    }
}

#[cfg(feature = "reqwest")]
impl From<BufferedBody> for reqwest::Body {
    fn from(body: BufferedBody) -> Self {
        Self::from(body.data)
    }
}

#[cfg(feature = "axum")]
impl From<BufferedBody> for axum_core::body::Body {
    fn from(body: BufferedBody) -> Self {
        Self::from(body.data)
    }
}
