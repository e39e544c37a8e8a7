//! An inner service with as many await points as there are: before it is ready, before it answers, before each frame.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::Service;
use tower_quota::BoxError;

/// It pends so often at each of its await points.
const PENDS: u32 = 2;
/// What a request is charged beforehand, and what its answer says that it used.
pub const ESTIMATE: u64 = 100;
pub const USED: u64 = 60;

const ANSWER: [&str; 2] = [
    r#"{"choices": [], "usage": {"prompt_tokens": 50, "#,
    r#""completion_tokens": 10, "total_tokens": 60}}"#,
];
const EVENTS: [&str; 4] = [
    ": be patient\n\n",
    "data: {\"choices\": [{\"delta\": {\"role\": \"assistant\"}}]}\n\n",
    "data: {\"choices\": [{\"delta\": {\"content\": \"Hello\"}}]}\n\n",
    "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 50, \"completion_tokens\": 10, \"total_tokens\": 60}}\n\ndata: [DONE]\n\n",
];
const ERROR: [&str; 2] = [
    r#"{"error": {"message": "no", "#,
    r#""type": "server_error"}}"#,
];

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Answer,
    Stream,
    /// An error answer with this status, and a hint of a second.
    Status(u16),
    /// An error that says that it never left.
    Refused,
    /// An error that doesn't.
    Reset,
    /// An answer that breaks off.
    Broken,
}

#[derive(Default)]
pub struct Log {
    fates: VecDeque<Fate>,
    /// No more waits, and nothing but answers.
    pub kind: bool,
    pub calls: u64,
    /// What was called, less what was seen never to have left.
    pub requests: u64,
    pub tokens: u64,
    /// What answers that refuse are known not to have used.
    pub refused: u64,
    /// Futures and bodies that somebody still has.
    pub alive: u64,
}

pub type Shared = Arc<Mutex<Log>>;

pub fn log(shared: &Shared) -> MutexGuard<'_, Log> {
    shared.lock().unwrap()
}

/// Panics where it is called without having been readied.
pub struct Inner {
    log: Shared,
    pends: u32,
    readied: bool,
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        Self::of(&self.log)
    }
}

impl Inner {
    /// Its calls end so, and answers come after that.
    pub fn new(fates: &[Fate]) -> (Self, Shared) {
        let shared = Shared::default();
        log(&shared).fates = fates.iter().copied().collect();
        (Self::of(&shared), shared)
    }

    fn of(log: &Shared) -> Self {
        Self {
            log: Arc::clone(log),
            pends: PENDS,
            readied: false,
        }
    }
}

/// Counts who is alive.
struct Alive(Shared);

impl Alive {
    fn new(shared: &Shared) -> Self {
        log(shared).alive += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        log(&self.0).alive -= 1;
    }
}

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Frames>;
    type Error = BoxError;
    type Future = Calling;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.pends > 0 && !log(&self.log).kind {
            self.pends -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.readied = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Calling {
        assert!(self.readied, "called without being readied");
        (self.readied, self.pends) = (false, PENDS);
        let fate = {
            let mut log = log(&self.log);
            log.calls += 1;
            log.requests += 1;
            log.tokens += ESTIMATE;
            let next = log.fates.pop_front();
            next.filter(|_| !log.kind).unwrap_or(Fate::Answer)
        };
        Calling {
            alive: Alive::new(&self.log),
            fate,
            pends: PENDS,
        }
    }
}

pub struct Calling {
    alive: Alive,
    fate: Fate,
    pends: u32,
}

impl Future for Calling {
    type Output = Result<Response<Frames>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = Arc::clone(&self.alive.0);
        if self.pends > 0 && !log(&shared).kind {
            self.pends -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut answer = Response::builder();
        let frames: &[&str] = match self.fate {
            Fate::Answer => &ANSWER,
            Fate::Broken => &ANSWER[..1],
            Fate::Stream => &EVENTS,
            Fate::Status(status) => {
                answer = answer.status(status).header("retry-after", "1");
                &ERROR
            }
            Fate::Refused => {
                let mut log = log(&shared);
                log.requests -= 1;
                log.tokens -= ESTIMATE;
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()));
            }
            Fate::Reset => {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()));
            }
        };
        let is_stream = self.fate == Fate::Stream;
        let kind = ["application/json", "text/event-stream"][usize::from(is_stream)];
        let body = Frames {
            frames: frames.iter().copied().collect(),
            fate: self.fate,
            ended: false,
            pends: PENDS,
            alive: Alive::new(&shared),
        };
        Poll::Ready(Ok(answer.header("content-type", kind).body(body).unwrap()))
    }
}

/// A body that says that it has ended when it is asked for more, and not before.
pub struct Frames {
    frames: VecDeque<&'static str>,
    fate: Fate,
    ended: bool,
    pends: u32,
    alive: Alive,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let shared = Arc::clone(&self.alive.0);
        if self.pends > 0 && !log(&shared).kind {
            self.pends -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.pends = PENDS;
        Poll::Ready(match self.frames.pop_front() {
            Some(frame) => Some(Ok(Frame::data(Bytes::from_static(frame.as_bytes())))),
            None if self.fate == Fate::Broken => {
                Some(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))
            }
            None => {
                if !std::mem::replace(&mut self.ended, true) {
                    let mut log = log(&shared);
                    match self.fate {
                        Fate::Answer | Fate::Stream => log.tokens -= ESTIMATE - USED,
                        Fate::Status(404 | 429) => log.refused += ESTIMATE,
                        _ => {}
                    }
                }
                None
            }
        })
    }
}
