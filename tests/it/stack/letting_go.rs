//! What a retry keeps of an answer that failed, while it sleeps.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::sleep;
use tower::ServiceBuilder;
use tower::ServiceExt;
use tower_quota::{
    BackoffRetryLayer, BoxError, CircuitBreakerLayer, Limit, RateLimitLayer, Verdict,
};

use super::patient_with;

/// One frame, then nothing for ever; says when it is dropped.
struct Endless {
    first: Option<Bytes>,
    dropped: Arc<AtomicBool>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_retry_has_let_go_of_the_failed_answers_connection() {
    for status in [500, 202] {
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&dropped);
        let quota = patient_with([Limit::requests_per_minute(10)], 1);
        // A status that only this client takes for a failure keeps its place until its body's end.
        let retry = BackoffRetryLayer::new().random(|| u64::MAX).classify(
            |outcome: Result<&Response<_>, &BoxError>| match outcome {
                Ok(response) if response.status() == StatusCode::OK => Verdict::Success,
                _ => Verdict::Transient { sent: true },
            },
        );
        let tries = Arc::new(AtomicU16::new(0));
        let service = ServiceBuilder::new()
            .layer(retry)
            .layer(RateLimitLayer::new(quota.clone()))
            .layer(CircuitBreakerLayer::new())
            .service_fn(move |_: http::Request<Bytes>| {
                let body = Endless {
                    first: Some(Bytes::from_static(b"{}")),
                    dropped: Arc::clone(&flag),
                };
                let status = match tries.fetch_add(1, Ordering::SeqCst) {
                    0 => status,
                    _ => 200,
                };
                let answer = Response::builder().status(status).body(body);
                std::future::ready(Ok::<_, BoxError>(answer.unwrap()))
            });
        let call = tokio::spawn(service.oneshot(http::Request::new(Bytes::new())));
        sleep(Duration::from_millis(1_200)).await;
        assert!(dropped.load(Ordering::SeqCst), "{status}");
        assert_eq!(call.await.unwrap().unwrap().status(), 200, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_returned_after_all_still_says_what_was_read_of_it() {
    let tries = Arc::new(AtomicU16::new(0));
    let service = ServiceBuilder::new()
        .layer(
            BackoffRetryLayer::new()
                .random(|| u64::MAX)
                .deadline(Duration::from_secs(9)),
        )
        .layer(CircuitBreakerLayer::new())
        .service_fn(move |_: http::Request<Bytes>| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if !first {
                    // Cut short by the deadline.
                    sleep(Duration::from_secs(60)).await;
                }
                let body = Endless {
                    first: Some(Bytes::from_static(b"what went wrong")),
                    dropped: Arc::default(),
                };
                let answer = Response::builder().status(500).body(body);
                Ok::<_, BoxError>(answer.unwrap())
            }
        });
    let answer = service
        .oneshot(http::Request::new(Bytes::new()))
        .await
        .unwrap();
    assert_eq!(answer.status(), 500);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "what went wrong");
}
