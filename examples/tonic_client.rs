//! tonic behind the layers: a limit that a server states in its trailers is waited for.
//!
//! ```sh
//! cargo run --all-features --example tonic_client
//! ```
//!
//! It brings its own gRPC server, which refuses every fourth call: `RESOURCE_EXHAUSTED` and `grpc-retry-pushback-ms` in the trailers,
//! under a 200 and after an empty body.
//!
//! What to look at: tonic's client is generic over its service, so the layers stand between it and the channel; generated clients
//! (`GreeterClient::new(stack)`) take them as well. All calls are served: a refusal is waited out for as long as the server says, and
//! the quota is paused meanwhile. The codec is written by hand so that no `protoc` is needed.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Instant,
};

use axum::{Router, response::IntoResponse, routing::post};
use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, Request, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tonic::{
    Status,
    body::Body,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};
use tower::ServiceBuilder;
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, RateLimitLayer,
};

static CALLS: AtomicU32 = AtomicU32::new(0);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?;
    let app = Router::new().route("/box.Echo/Say", post(say));
    tokio::spawn(async { axum::serve(listener, app).await });

    let channel = server.connect().await?;
    let breaker = CircuitBreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(RateLimitLayer::per_minute(500)) // ours; the server's is told by its trailers
        .layer(breaker)
        .map_request(|request: Request<BufferedBody>| request.map(Body::new))
        .service(channel);
    let mut client = Grpc::new(stack);

    let began = Instant::now();
    for i in 0..9 {
        client.ready().await?;
        let (path, request) = ("/box.Echo/Say", tonic::Request::new(format!("call {i}")));
        let answer = client.unary(request, PathAndQuery::from_static(path), Text);
        let said = answer.await?.into_inner();
        println!("{:>7.1?}  {said}", began.elapsed());
    }
    println!("9 of 9 served by {} calls", CALLS.load(Relaxed));
    Ok(())
}

async fn say(message: Bytes) -> impl IntoResponse {
    let refused = CALLS.fetch_add(1, Relaxed) % 4 == 3;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", if refused { 8 } else { 0 }.into());
    if refused {
        trailers.insert("grpc-retry-pushback-ms", 400.into());
    }
    let message = if refused { Bytes::new() } else { message };
    let body = Full::new(message).with_trailers(async { Some(Ok(trailers)) });
    (
        [("content-type", "application/grpc")],
        axum::body::Body::new(body),
    )
}

/// Texts as messages.
#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;
    fn encode(&mut self, text: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| Status::internal("no text"))
    }
}
