//! A stream of events passes all layers that read it ahead, byte by byte as it came.

#![no_main]

use std::{
    collections::VecDeque,
    future::{Future, poll_fn, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    BackoffRetryLayer, BoxError, CircuitBreakerLayer, Cost, FallbackLayer, Limit, Quota,
    TokenBudgetLayer,
};

/// Comes in pieces, and now and then not at once.
struct Pieces(VecDeque<Bytes>, bool);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

/// Nothing here waits: no timer, and no line.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((size, events)) = data.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let (events, kept) = (Bytes::copy_from_slice(events), events.to_vec());
    let client = service_fn(move |_: Request<Bytes>| {
        let pieces = (0..events.len())
            .step_by(size)
            .map(|at| events.slice(at..(at + size).min(events.len())));
        let answer = Response::builder()
            .header("content-type", "text/event-stream")
            .body(Pieces(pieces.collect(), false));
        ready(Ok::<_, BoxError>(answer.expect("an answer")))
    });
    let quota = Quota::new(Limit::tokens_per_minute(1 << 40)).expect("a quota");
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(10))
        .layer(CircuitBreakerLayer::new().layer(client));
    let service = BackoffRetryLayer::new().attempts(1).layer(service);
    let unserved = FallbackLayer::to(service_fn(|_: Request<Bytes>| {
        ready(Err::<Response<Pieces>, BoxError>("nobody".into()))
    }));
    let service = unserved.on(|_| false).layer(service);
    at_once(async move {
        let answer = service
            .oneshot(Request::new(Bytes::new()))
            .await
            .expect("an answer");
        let (mut body, mut seen) = (pin!(answer.into_body()), Vec::new());
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let Ok(data) = frame.expect("no error").into_data() else {
                panic!("no trailers were sent");
            };
            seen.extend_from_slice(&data);
        }
        assert_eq!(seen, kept);
    });
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.limits[0].held), (0, 0));
});
