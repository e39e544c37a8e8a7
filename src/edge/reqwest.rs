//! reqwest at both ends.

use std::{
    error::Error,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::reqwest::{Client, ResponseBuilderExt, Url};
use bytes::Bytes;
use http::Extensions;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::BoxError;

/// A request that can't be turned into the other type: its URI isn't an absolute URL.
#[derive(Debug)]
pub struct UnsendableRequest {
    source: ::reqwest::Error,
}

impl fmt::Display for UnsendableRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request can't be sent by reqwest: its URI must be an absolute URL")
    }
}

impl Error for UnsendableRequest {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Sends `http::Request`s by a `reqwest::Client`: the innermost service of a stack.
///
/// The body may be anything that `reqwest::Body` can be made from, [`BufferedBody`](crate::BufferedBody)
/// too. The URL of the answer, after redirects, stays with it: `reqwest::Response::from` finds it.
///
/// # Errors
///
/// The client's, and [`UnsendableRequest`].
#[derive(Clone, Default)]
pub struct ReqwestService {
    client: Client,
}

// A client shows its default headers, and with them the keys that some providers want there.
impl fmt::Debug for ReqwestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestService").finish_non_exhaustive()
    }
}

impl ReqwestService {
    /// Sends by `client`.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl<B: Into<::reqwest::Body>> Service<http::Request<B>> for ReqwestService {
    type Response = http::Response<::reqwest::Body>;
    type Error = BoxError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<::reqwest::Request>::poll_ready(&mut self.client, cx).map_err(boxed)
    }

    fn call(&mut self, request: http::Request<B>) -> ReqwestFuture {
        let state = match ::reqwest::Request::try_from(request) {
            Ok(request) => Sending::Sent {
                answer: self.client.call(request),
            },
            Err(source) => Sending::Unsendable {
                error: Some(UnsendableRequest { source }),
            },
        };
        ReqwestFuture { state }
    }
}

/// reqwest's error without the query of its URL.
fn boxed(mut error: ::reqwest::Error) -> BoxError {
    if let Some(url) = error.url_mut() {
        url.set_query(None);
    }
    error.into()
}

pin_project! {
    /// The answer of [`ReqwestService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ReqwestFuture {
        #[pin]
        state: Sending,
    }
}

pin_project! {
    #[project = SendingProj]
    enum Sending {
        // The client has the request.
        Sent { #[pin] answer: <Client as Service<::reqwest::Request>>::Future },
        // It never got it.
        Unsendable { error: Option<UnsendableRequest> },
    }
}

impl Future for ReqwestFuture {
    type Output = Result<http::Response<::reqwest::Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            SendingProj::Sent { answer } => {
                let answer = ready!(answer.poll(cx)).map_err(boxed)?;
                let url = marked(answer.url().clone());
                let mut answer = http::Response::<::reqwest::Body>::from(answer);
                answer.extensions_mut().extend(url);
                Poll::Ready(Ok(answer))
            }
            SendingProj::Unsendable { error } => {
                let error = error.take().expect("polled after it was ready");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl fmt::Debug for ReqwestFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestFuture").finish_non_exhaustive()
    }
}

/// The extension in which reqwest looks for a response's URL. Its type is reqwest's own.
fn marked(url: Url) -> Extensions {
    http::Response::builder()
        .url(url)
        .body(())
        .map(|mut response| mem::take(response.extensions_mut()))
        .unwrap_or_default()
}

/// Takes `reqwest::Request`s and gives `reqwest::Response`s over a stack of http types: the
/// outermost layer of a stack for those who hold reqwest's types.
///
/// A response has the URL that [`ReqwestService`] found, or else, where a layer made it, the
/// request's. Put a [`BufferBodyLayer`](crate::BufferBodyLayer) inside, since reqwest's own body
/// is copied whenever the request is.
///
/// # Errors
///
/// The inner service's, and [`UnsendableRequest`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ReqwestLayer(());

impl ReqwestLayer {
    /// The door.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for ReqwestLayer {
    type Service = ReqwestDoor<S>;

    fn layer(&self, inner: S) -> ReqwestDoor<S> {
        ReqwestDoor { inner }
    }
}

/// reqwest's types outside, http's inside; see [`ReqwestLayer`].
#[derive(Clone, Debug)]
pub struct ReqwestDoor<S> {
    inner: S,
}

impl<S, B> Service<::reqwest::Request> for ReqwestDoor<S>
where
    S: Service<http::Request<::reqwest::Body>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: Body + Send + Sync + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = ::reqwest::Response;
    type Error = BoxError;
    type Future = ReqwestDoorFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: ::reqwest::Request) -> Self::Future {
        let url = request.url().clone();
        let state = match http::Request::try_from(request) {
            Ok(request) => Passing::Inside {
                answer: self.inner.call(request),
                url: Some(url),
            },
            Err(source) => Passing::Unsendable {
                error: Some(UnsendableRequest { source }),
            },
        };
        ReqwestDoorFuture { state }
    }
}

pin_project! {
    /// The answer of [`ReqwestDoor`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ReqwestDoorFuture<F> {
        #[pin]
        state: Passing<F>,
    }
}

pin_project! {
    #[project = PassingProj]
    enum Passing<F> {
        // The inner service has the request; the URL is the request's.
        Inside { #[pin] answer: F, url: Option<Url> },
        // It never got it.
        Unsendable { error: Option<UnsendableRequest> },
    }
}

impl<F, B, E> Future for ReqwestDoorFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    E: Into<BoxError>,
    B: Body + Send + Sync + 'static,
    B::Data: Into<Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<::reqwest::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            PassingProj::Inside { answer, url } => {
                let mut answer = ready!(answer.poll(cx)).map_err(Into::into)?;
                if let Some(url) = url.take() {
                    // What the answer has already comes last and counts.
                    let mut extensions = marked(url);
                    extensions.extend(mem::take(answer.extensions_mut()));
                    *answer.extensions_mut() = extensions;
                }
                Poll::Ready(Ok(answer.map(::reqwest::Body::wrap).into()))
            }
            PassingProj::Unsendable { error } => {
                let error = error.take().expect("polled after it was ready");
                Poll::Ready(Err(error.into()))
            }
        }
    }
}

impl<F> fmt::Debug for ReqwestDoorFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestDoorFuture").finish_non_exhaustive()
    }
}
