//! The time-outs of those who stand further in, by their real types.

use std::{future::pending, time::Duration};

use bytes::Bytes;
use http::Request;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, Jitter, Verdict, backoff_retry::Cause,
    provider::classify_error,
};

use super::{MS, SECOND, longest};
use crate::support::mock::*;

const SENT: Verdict = Verdict::Transient { sent: true };

fn told_apart() -> BackoffRetryLayer {
    let exactly = |ms| Backoff::constant(MS(ms)).jitter(Jitter::None);
    longest()
        .attempts(2)
        .backoff(exactly(100))
        .backoff_for(Cause::TimedOut, exactly(200))
        .backoff_for(Cause::Connection, exactly(300))
}

/// How long a retry waits after this error.
async fn wait_after(error: BoxError) -> Duration {
    let error = std::cell::RefCell::new(Some(error));
    let take = &error;
    let service = service_fn(move |_: Request<Bytes>| async move {
        match take.borrow_mut().take() {
            Some(error) => Err(error),
            None => Ok(Answer::default()),
        }
    });
    let start = Instant::now();
    told_apart()
        .layer(service)
        .oneshot(request())
        .await
        .unwrap();
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn towers_time_out_is_tried_again() {
    let mock = Mock::new([Step::Hang, Step::Hang, OK]);
    let start = Instant::now();
    let service = ServiceBuilder::new()
        .layer(longest())
        .timeout(SECOND)
        .service(mock.clone());
    assert_eq!(service.oneshot(request()).await.unwrap().status(), 200);
    assert_eq!(mock.times(start), [MS(0), MS(1_500), MS(3_500)]);

    let mut hangs = ServiceBuilder::new()
        .timeout(SECOND)
        .service(Mock::new([Step::Hang]));
    let error = hangs
        .ready()
        .await
        .unwrap()
        .call(request())
        .await
        .unwrap_err();
    assert_eq!(classify_error(error.as_ref()), SENT);
    assert_eq!(wait_after(error).await, MS(200));
}

#[tokio::test(start_paused = true)]
async fn tokios_time_out_is_tried_again() {
    let elapsed = timeout(SECOND, pending::<()>()).await.unwrap_err();
    assert_eq!(classify_error(&elapsed), SENT);
    let io: std::io::Error = timeout(SECOND, pending::<()>()).await.unwrap_err().into();
    assert_eq!(classify_error(&io), SENT);
    assert_eq!(wait_after(elapsed.into()).await, MS(200));
    assert_eq!(wait_after(io.into()).await, MS(200));
}

#[cfg(any(feature = "hyper", feature = "reqwest"))]
mod over_loopback {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;

    const NOT_SENT: Verdict = Verdict::Transient { sent: false };

    /// Reads a request, says this much and closes; or, where it is to say nothing, says nothing for ever.
    async fn server(says: Option<&'static str>) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (mut peer, _) = listener.accept().await.unwrap();
                let _ = peer.read(&mut [0; 4_096]).await;
                match says {
                    Some(says) => peer.write_all(says.as_bytes()).await.unwrap(),
                    None => pending().await,
                }
            }
        });
        (address, task)
    }

    /// An address where nobody takes a connection, and those that fill its queue.
    #[cfg(target_os = "linux")]
    async fn full() -> (SocketAddr, impl Sized) {
        use tokio::net::{TcpSocket, TcpStream};
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(stream) = timeout(SECOND, TcpStream::connect(address)).await {
            filling.push(stream.unwrap());
            assert!(filling.len() < 100);
        }
        (address, (listener, filling))
    }

    #[cfg(feature = "hyper")]
    mod hypers {
        use http_body_util::Full;
        use hyper_util::{
            client::legacy::{Client, connect::HttpConnector},
            rt::TokioExecutor,
        };

        use super::*;

        async fn error(connector: HttpConnector, address: SocketAddr) -> BoxError {
            let client = Client::builder(TokioExecutor::new()).build(connector);
            let request = Request::get(format!("http://{address}/"));
            let request = request.body(Full::<Bytes>::default()).unwrap();
            client.request(request).await.unwrap_err().into()
        }

        #[tokio::test(start_paused = true)]
        async fn an_answer_that_breaks_off_was_sent_and_is_a_connections_fault() {
            for says in ["", "HTTP/1.1 200 O"] {
                let (address, _server) = server(Some(says)).await;
                let error = error(HttpConnector::new(), address).await;
                assert_eq!(classify_error(error.as_ref()), SENT, "{error:?}");
                assert_eq!(wait_after(error).await, MS(300), "{says}");
            }
        }

        #[cfg(target_os = "linux")]
        #[tokio::test(start_paused = true)]
        async fn a_connection_that_times_out_was_not_sent() {
            let (address, _full) = full().await;
            let mut connector = HttpConnector::new();
            connector.set_connect_timeout(Some(SECOND));
            let error = error(connector, address).await;
            assert_eq!(classify_error(error.as_ref()), NOT_SENT, "{error:?}");
            assert_eq!(wait_after(error).await, MS(200));
        }
    }

    #[cfg(feature = "reqwest")]
    mod reqwests {
        use super::*;

        #[tokio::test(start_paused = true)]
        async fn an_answer_that_does_not_come_in_time_was_sent() {
            let (address, _server) = server(None).await;
            let client = reqwest::Client::builder()
                .timeout(SECOND)
                .no_proxy()
                .build()
                .unwrap();
            let error = client
                .get(format!("http://{address}/"))
                .send()
                .await
                .unwrap_err();
            assert!(error.is_timeout() && !error.is_connect());
            assert_eq!(classify_error(&error), SENT);
            assert_eq!(wait_after(error.into()).await, MS(200));
        }

        #[tokio::test(start_paused = true)]
        async fn an_answer_that_breaks_off_was_sent_and_is_a_connections_fault() {
            let (address, _server) = server(Some("HTTP/1.1 200 O")).await;
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let error = client
                .get(format!("http://{address}/"))
                .send()
                .await
                .unwrap_err();
            assert_eq!(classify_error(&error), SENT, "{error:?}");
            assert_eq!(wait_after(error.into()).await, MS(300));
        }

        #[cfg(target_os = "linux")]
        #[tokio::test(start_paused = true)]
        async fn a_connection_that_times_out_was_not_sent() {
            let (address, _full) = full().await;
            let client = reqwest::Client::builder()
                .connect_timeout(SECOND)
                .no_proxy()
                .build()
                .unwrap();
            let error = client
                .get(format!("http://{address}/"))
                .send()
                .await
                .unwrap_err();
            assert!(error.is_timeout() && error.is_connect());
            assert_eq!(classify_error(&error), NOT_SENT);
            assert_eq!(wait_after(error.into()).await, MS(200));
        }
    }
}
