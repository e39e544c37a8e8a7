//! An inner service that keeps to tower's contract and remembers what it was asked.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::Service;
use tower_quota::BoxError;

type Answer = Result<Response<Full<Bytes>>, BoxError>;

#[derive(Default)]
struct Log {
    calls: Vec<Instant>,
    answers: VecDeque<Answer>,
}

/// Answers 200 after `latency`, or what was scripted. Panics where it is called without having
/// been readied.
pub struct Probe {
    log: Arc<Mutex<Log>>,
    latency: Duration,
    readied: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            latency: self.latency,
            readied: false,
        }
    }
}

impl Probe {
    pub fn new() -> Self {
        Self::slow(Duration::ZERO)
    }

    pub fn slow(latency: Duration) -> Self {
        Self {
            log: Arc::default(),
            latency,
            readied: false,
        }
    }

    /// What the next call answers.
    pub fn answer(&self, answer: Answer) {
        self.log.lock().unwrap().answers.push_back(answer);
    }

    /// When each call came.
    pub fn calls(&self) -> Vec<Instant> {
        self.log.lock().unwrap().calls.clone()
    }

    pub fn count(&self) -> usize {
        self.log.lock().unwrap().calls.len()
    }

    /// The most calls that came within any stretch of `window`.
    pub fn most_in(&self, window: Duration) -> usize {
        let calls = self.calls();
        let within = |at: &Instant| {
            calls
                .iter()
                .filter(|c| *c >= at && **c < *at + window)
                .count()
        };
        calls.iter().map(within).max().unwrap_or(0)
    }
}

impl Service<Request<Full<Bytes>>> for Probe {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.readied = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Full<Bytes>>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.readied),
            "called without having been readied"
        );
        let mut log = self.log.lock().unwrap();
        log.calls.push(Instant::now());
        let answer = log.answers.pop_front();
        let latency = self.latency;
        Box::pin(async move {
            if !latency.is_zero() {
                sleep(latency).await;
            }
            answer.unwrap_or_else(|| Ok(Response::new(Full::default())))
        })
    }
}

pub fn request() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}
