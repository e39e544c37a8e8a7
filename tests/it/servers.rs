//! Limits on real servers: hyper and axum, many connections.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use axum::{Router, routing::post};
use http::{Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tower::{ServiceBuilder, service_fn};
use tower_quota::{Limit, Quota, RateLimitLayer, RespondLayer};

const HOUR: Duration = Duration::from_secs(3_600);
const CONNECTIONS: usize = 200;

fn fifty_an_hour() -> RateLimitLayer {
    let quota = Quota::new(Limit::requests(50, HOUR).transit(Duration::ZERO)).unwrap();
    RateLimitLayer::new(quota).reject().on_arrival()
}

/// A server that is gone with its test.
pub(crate) struct Server(pub(crate) SocketAddr, AbortHandle);

impl Server {
    /// Serves `app` with axum, on a port that is free.
    pub(crate) async fn of(app: Router) -> Self {
        let (listener, address) = listen().await.unwrap();
        let served = tokio::spawn(async move { axum::serve(listener, app).await });
        Self(address, served.abort_handle())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.1.abort();
    }
}

pub(crate) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What so many connections of their own get, one request each, all at the same time.
async fn ask(server: &Server) -> (usize, usize) {
    let url = format!("http://{}/", server.0);
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let url = url.clone();
        tasks.spawn(async move {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let response = client.post(url).body("hello").send().await.unwrap();
            let status = response.status();
            if status == StatusCode::TOO_MANY_REQUESTS {
                for name in [
                    "retry-after",
                    "ratelimit",
                    "ratelimit-policy",
                    "x-ratelimit-limit",
                ] {
                    assert!(response.headers().contains_key(name), "{name}");
                }
            }
            status
        });
    }
    let statuses = tasks.join_all().await;
    let count = |status| statuses.iter().filter(|s| **s == status).count();
    (count(StatusCode::OK), count(StatusCode::TOO_MANY_REQUESTS))
}

#[tokio::test]
async fn under_axum_all_connections_share_one_limit() {
    let app = Router::new()
        .route("/", post(|body: String| async { body }))
        .layer(
            ServiceBuilder::new()
                .layer(RespondLayer::new())
                .layer(fifty_an_hour()),
        );
    let server = Server::of(app).await;
    assert_eq!(ask(&server).await, (50, 150));
}

#[tokio::test]
async fn under_hyper_all_connections_share_one_limit_and_stay_open() {
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(fifty_an_hour())
        .service(service_fn(|_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(String::from("hello")))
        }));
    let (listener, address) = listen().await.unwrap();
    let served = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            connections.spawn(async move {
                let connection = http1::Builder::new();
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let server = Server(address, served.abort_handle());
    assert_eq!(ask(&server).await, (50, 150));
    // A refusal doesn't end the connection: the next request goes over the same one.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..2 {
        let response = client
            .post(format!("http://{address}/"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let from = response.remote_addr().unwrap();
        assert_eq!(from, address);
        response.bytes().await.unwrap();
    }
}
