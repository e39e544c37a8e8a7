//! What several suites need.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tower::{
    Layer, Service, ServiceExt,
    util::{BoxCloneService, MapResponse},
};
use tower_quota::{BoxError, Quota};

pub type Answer = UnsyncBoxBody<Bytes, BoxError>;
/// Any stack, in a box.
pub type Stack<B> = BoxCloneService<Request<B>, Response<Answer>, BoxError>;

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

/// Whether somebody was woken.
pub struct Bell(AtomicBool);

impl Bell {
    /// Rung, so that whatever it belongs to is polled a first time.
    pub fn rung() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    /// Whether it was rung since it was last asked.
    pub fn rang(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }

    pub fn ring(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
