//! Numbers, clocks and bytes of those who mean no good.

mod clocks;
mod memory;
mod numbers;

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::Builder;
use tower::{layer::util::Identity, service_fn};
use tower_quota::{BoxError, BufferedBody};

use crate::support::{Stack, stack};

/// In virtual time.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

fn request(body: impl Into<Bytes>) -> Request<BufferedBody> {
    let body = BufferedBody::from(body.into());
    Request::post("/v1/chat/completions").body(body).unwrap()
}

/// A service that always answers so.
fn answering(status: u16, headers: &[(&str, &str)], body: &'static str) -> Stack<BufferedBody> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers: Vec<_> = headers.iter().map(owned).collect();
    let client = service_fn(move |_: Request<BufferedBody>| {
        let mut answer = Response::builder().status(status);
        for (name, value) in &headers {
            answer = answer.header(name, value);
        }
        let answer = answer.body(Full::<Bytes>::from(body)).unwrap();
        std::future::ready(Ok::<_, BoxError>(answer))
    });
    stack(Identity::new(), client)
}
