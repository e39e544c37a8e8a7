//! Stacks in boxes, and what is counted in them: of more than one suite.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::TryFutureExt;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tower::{
    Layer, Service, ServiceExt,
    util::{BoxCloneService, MapRequestLayer, MapResponse},
};
use tower_quota::{BoxError, BufferedBody, Quota, Rejected, backoff_retry::Attempt};

pub type Answer = UnsyncBoxBody<Bytes, BoxError>;
/// Any stack, in a box.
pub type Stack<B = BufferedBody> = BoxCloneService<Request<B>, Response<Answer>, BoxError>;

/// `inner` inside of `layer`, in a box.
pub fn stack<L, S, B, R>(layer: L, inner: S) -> Stack<B>
where
    L: Layer<S>,
    L::Service: Service<Request<B>, Response = Response<R>, Error: Into<BoxError> + 'static>,
    L::Service: Clone + Send + 'static,
    <L::Service as Service<Request<B>>>::Future: Send + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let boxed = |answer: Response<R>| answer.map(|b| b.map_err(Into::into).boxed_unsync());
    let service = MapResponse::new(layer.layer(inner), boxed);
    BoxCloneService::new(service.map_err(Into::into))
}

/// Used and held of each limit, in flight, waiting.
pub fn books(quota: &Quota) -> (Vec<(u64, u64)>, usize, usize) {
    let snapshot = quota.snapshot();
    let limits = snapshot.limits.iter().map(|l| (l.used, l.held));
    (limits.collect(), snapshot.in_flight, snapshot.waiting)
}

/// Counts the calls to `inner`.
pub fn counting(calls: &Arc<AtomicU64>, inner: Stack) -> Stack {
    let calls = Arc::clone(calls);
    let count = move |request: Request<BufferedBody>| {
        calls.fetch_add(1, SeqCst);
        request
    };
    stack(MapRequestLayer::new(count), inner)
}

/// Counts the retries that a layer further in refuses: they never left, and nothing was paid for them.
#[derive(Clone)]
pub struct Refusing {
    pub inner: Stack,
    pub refused: Arc<AtomicU64>,
}

impl Service<Request<BufferedBody>> for Refusing {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<BufferedBody>) -> Self::Future {
        let again = Attempt::of(&request).number() > 1;
        let refused = Arc::clone(&self.refused);
        let look = move |error: &BoxError| {
            if again && Rejected::find(error.as_ref()).is_some() {
                refused.fetch_add(1, SeqCst);
            }
        };
        Box::pin(self.inner.call(request).inspect_err(look))
    }
}
