//! The provider as a tower service: no socket, but all of the HTTP.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower_service::Service;

use super::{Provider, ProviderBody};
use crate::error::BoxError;

/// The provider as a tower service in this process, made by [`Provider::service`].
///
/// It takes its time with tokio's clock, so whole stacks run in paused time. A connection that is
/// closed without an answer is an [`io::Error`] of kind
/// [`ConnectionReset`](io::ErrorKind::ConnectionReset). It is always ready. Only the path of a
/// request's URI matters.
#[derive(Clone, Debug)]
pub struct ProviderService {
    provider: Provider,
}

impl ProviderService {
    pub(super) fn new(provider: Provider) -> Self {
        Self { provider }
    }
}

type Answered = Result<Response<ProviderBody>, BoxError>;

/// The future of [`ProviderService`]. Dropped, the request stays counted if it was.
#[must_use = "futures do nothing unless polled"]
pub struct ProviderFuture {
    inner: Pin<Box<dyn Future<Output = Answered> + Send>>,
}

impl fmt::Debug for ProviderFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderFuture").finish_non_exhaustive()
    }
}

impl Future for ProviderFuture {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<B> Service<Request<B>> for ProviderService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<ProviderBody>;
    type Error = BoxError;
    type Future = ProviderFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ProviderFuture {
        ProviderFuture {
            inner: Box::pin(serve(self.provider.clone(), request)),
        }
    }
}

/// A request's whole stay: its way, its count, its time, its answer.
pub(super) async fn serve<B>(provider: Provider, request: Request<B>) -> Answered
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    pass(provider.depart()).await;
    let reply = provider.handle_http(Instant::now(), &parts, &body);
    pass(reply.latency()).await;
    match reply.send(Instant::now()) {
        Some(answer) => Ok(answer),
        None => Err(io::Error::new(
            io::ErrorKind::ConnectionReset,
            "connection closed before the answer",
        )
        .into()),
    }
}

/// A sleep of no time would still wait for the timer's next tick.
async fn pass(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
