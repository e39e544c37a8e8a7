//! A future that has answered holds nothing of the call any more: neither the inner future, with whatever permit that has, nor
//! a ticket, nor a copy of the request. It may be kept for long: in a `join_all`, in a select, in a struct.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{sync::Semaphore, time::advance};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, FallbackLayer,
    RespondLayer, Split,
};

use crate::support::poll_once;

/// A request whose copies are counted.
#[derive(Debug)]
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Fails or succeeds, and keeps its request as long as its future lives, finished or not.
#[derive(Clone)]
struct Keeps {
    fails: bool,
    ready: Result<(), &'static str>,
}

struct Kept {
    _request: Counted,
    fails: bool,
}

impl Future for Kept {
    type Output = Result<u32, BoxError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(if self.fails {
            Err("down".into())
        } else {
            Ok(1)
        })
    }
}

impl Service<Counted> for Keeps {
    type Response = u32;
    type Error = BoxError;
    type Future = Kept;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(self.ready.map_err(Into::into))
    }

    fn call(&mut self, request: Counted) -> Kept {
        Kept {
            _request: request,
            fails: self.fails,
        }
    }
}

const SERVES: Keeps = Keeps {
    fails: false,
    ready: Ok(()),
};
const FAILS: Keeps = Keeps {
    fails: true,
    ready: Ok(()),
};
const BROKEN: Keeps = Keeps {
    fails: false,
    ready: Err("broken"),
};

/// Calls, waits for the outcome, and looks what is held while the future is still there.
async fn answers<S>(name: &str, mut service: S)
where
    S: Service<Counted>,
{
    let count = Arc::new(AtomicU64::new(0));
    let Ok(service) = service.ready().await else {
        panic!("{name}: ready");
    };
    let mut call = pin!(service.call(Counted::new(&count)));
    assert!(count.load(SeqCst) > 0, "{name} has no request");
    let mut polls = 0;
    while poll_once(&mut call).is_pending() {
        advance(std::time::Duration::from_secs(10)).await;
        polls += 1;
        assert!(polls < 100, "{name}");
    }
    assert_eq!(count.load(SeqCst), 0, "{name} keeps the request");
}

#[tokio::test(start_paused = true)]
async fn a_future_that_has_answered_holds_nothing_of_the_call() {
    let breaker = CircuitBreakerLayer::new;
    for inner in [SERVES, FAILS] {
        answers("breaker", breaker().opaque().layer(inner.clone())).await;
        let keyed = breaker().opaque().keyed(|_: &Counted| 1);
        answers("keyed breaker", keyed.layer(inner.clone())).await;
        answers("keyed gate", keyed.gate().layer(inner.clone())).await;
        answers("gate", breaker().gate().layer(inner.clone())).await;
        let retry = BackoffRetryLayer::new().opaque();
        answers("retry", retry.layer(inner.clone())).await;
        for second in [SERVES, FAILS, BROKEN] {
            let to = FallbackLayer::to(second.clone()).opaque();
            answers("fallback", to.layer(inner.clone())).await;
            let list = FallbackLayer::chain([FAILS, second]).opaque();
            answers("list of fallbacks", list.layer(inner.clone())).await;
        }
        let again = FallbackLayer::rewrite(|request: Counted| request).opaque();
        answers("rewritten", again.layer(inner.clone())).await;
        answers("split", Split::new([(1, inner)])).await;
    }
}

/// Not ready at first, then broken.
#[derive(Clone)]
struct Breaks(u32);

impl Service<Counted> for Breaks {
    type Response = u32;
    type Error = BoxError;
    type Future = Kept;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0 += 1;
        match self.0 {
            0..=2 => Poll::Pending,
            _ => Poll::Ready(Err("broken".into())),
        }
    }

    fn call(&mut self, _: Counted) -> Kept {
        unreachable!("it is never ready")
    }
}

/// With another key's circuit open, a call waits for the inner service in its own future.
#[tokio::test(start_paused = true)]
async fn a_late_call_whose_service_breaks_holds_nothing_either() {
    let layer = CircuitBreakerLayer::new().opaque().keyed(|_: &Counted| 1);
    layer.handle().key(&2).force_open();
    answers("late", layer.layer(Breaks(0))).await;
    answers("late at the gate", layer.gate().layer(Breaks(0))).await;
    answers("split", Split::new([(1, Breaks(0))])).await;
}

/// What tower's limit on concurrency shows: its permit goes with the future.
#[tokio::test(start_paused = true)]
async fn a_place_further_in_is_free_once_the_answer_is_there() {
    let places = Arc::new(Semaphore::new(1));
    let limited = ConcurrencyLimit::with_semaphore(SERVES, Arc::clone(&places));
    let mut service = CircuitBreakerLayer::new().opaque().layer(limited);
    let ready = service.ready().await.unwrap();
    let mut call = pin!(ready.call(Counted::new(&Arc::default())));
    assert_eq!(places.available_permits(), 0);
    assert!(poll_once(&mut call).is_ready());
    assert_eq!(places.available_permits(), 1);
}

/// Readies and calls.
async fn called<S: Service<R>, R>(service: &mut S, request: R) -> S::Future {
    let ready = poll_fn(|cx| service.poll_ready(cx)).await;
    assert!(ready.is_ok());
    service.call(request)
}

#[tokio::test(start_paused = true)]
async fn layers_of_http_alone_leave_no_place_behind_either() {
    let places = Arc::new(Semaphore::new(1));
    let inner = service_fn(|_: Request<BufferedBody>| async {
        Ok::<_, BoxError>(Response::new(String::new()))
    });
    let limited = ConcurrencyLimit::with_semaphore(inner, Arc::clone(&places));
    let mut responds = RespondLayer::new().layer(limited.clone());
    let request = Request::new(BufferedBody::default());
    let mut call = pin!(called(&mut responds, request).await);
    assert!(poll_once(&mut call).is_ready());
    assert_eq!(places.available_permits(), 1);

    for (body, fits) in [("", true), ("1234", true), ("12345", false)] {
        // Of a stream nobody knows beforehand how long it is.
        let frames = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(body)))]);
        let mut buffers = BufferBodyLayer::new().limit(4).layer(limited.clone());
        let request = Request::new(StreamBody::new(frames));
        let mut call = pin!(called(&mut buffers, request).await);
        let outcome = poll_once(&mut call).map(|outcome| outcome.is_ok());
        assert_eq!(outcome, Poll::Ready(fits), "{body}");
        assert_eq!(places.available_permits(), 1, "{body}");
    }
}
