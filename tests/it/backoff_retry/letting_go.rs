//! What a sleeping retry holds.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, ServiceExt};
use tower_quota::{Backoff, BackoffRetryLayer, Jitter};

#[tokio::test(start_paused = true)]
async fn a_sleeping_retry_has_let_go_of_the_failed_answers_connection() {
    /// Longer than what is read of an error, so that its connection stays open.
    struct Endless {
        _connection: Arc<()>,
    }
    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8_192])))))
        }
    }
    let connection = Arc::new(());
    let handle = Arc::clone(&connection);
    let service = BackoffRetryLayer::new()
        .attempts(2)
        .backoff(Backoff::constant(Duration::from_secs(5)).jitter(Jitter::None))
        .layer(tower::service_fn(move |_: Request<Bytes>| {
            let body = Endless {
                _connection: Arc::clone(&handle),
            };
            let answer = Response::builder().status(500).body(body).unwrap();
            async move { Ok::<_, Infallible>(answer) }
        }));
    let mut call = Box::pin(service.oneshot(Request::new(Bytes::new())));
    assert!(futures_util::poll!(&mut call).is_pending());
    // The closure's own handle and ours.
    assert_eq!(Arc::strong_count(&connection), 2);
    assert_eq!(call.await.unwrap().status(), 500);
}
