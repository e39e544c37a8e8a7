//! An inner service whose every answer is a matter of chance.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{task::yield_now, time::sleep};
use tower::Service;
use tower_quota::{BoxError, BufferedBody};

use super::super::{Dice, Tokens};

pub(super) struct Log {
    dice: Dice,
    pub(super) calls: u64,
    /// What was called, less what was seen never to have left.
    pub(super) requests: u64,
    pub(super) tokens: u64,
    pub(super) kind: bool,
}

/// Panics where it is called without having been readied.
pub(super) struct Chancy {
    log: Arc<Mutex<Log>>,
    readied: bool,
}

impl Clone for Chancy {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            readied: false,
        }
    }
}

impl Chancy {
    pub(super) fn new(seed: u64) -> (Self, Arc<Mutex<Log>>) {
        let log = Arc::new(Mutex::new(Log {
            dice: Dice(seed.wrapping_mul(77)),
            calls: 0,
            requests: 0,
            tokens: 0,
            kind: false,
        }));
        let this = Self {
            log: Arc::clone(&log),
            readied: false,
        };
        (this, log)
    }
}

type Answered = Result<Response<Full<Bytes>>, BoxError>;

impl Service<Request<BufferedBody>> for Chancy {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut log = self.log.lock().unwrap();
        if !log.kind && log.dice.below(4) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.readied = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<BufferedBody>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.readied),
            "called without being readied"
        );
        let tokens = request.extensions().get::<Tokens>().map_or(0, |t| t.0);
        let mut log = self.log.lock().unwrap();
        log.calls += 1;
        log.requests += 1;
        log.tokens += tokens;
        let yields = log.dice.below(3);
        let time = Duration::from_millis(log.dice.below(2) * log.dice.below(3_000));
        let fate = if log.kind { 0 } else { log.dice.below(20) };
        drop(log);
        let log = Arc::clone(&self.log);
        Box::pin(async move {
            for _ in 0..yields {
                yield_now().await;
            }
            if !time.is_zero() {
                sleep(time).await;
            }
            let answer = |status: u16, body: &'static str| {
                let answer = Response::builder()
                    .status(status)
                    .header("retry-after", "1");
                Ok(answer.body(Full::from(body)).unwrap())
            };
            match fate {
                0..9 => answer(200, "{}"),
                9..12 => answer(500, "{}"),
                12..14 => answer(429, "{}"),
                14 => answer(503, "{}"),
                15 => answer(404, "{}"),
                16..19 => {
                    let mut log = log.lock().unwrap();
                    log.requests -= 1;
                    log.tokens -= tokens;
                    Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
                }
                _ => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            }
        })
    }
}
