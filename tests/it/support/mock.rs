//! A service by hand: strict about readiness, scripted, and it remembers what happened.

use std::{
    collections::VecDeque,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, Sleep, sleep};
use tower::Service;
use tower_quota::{BoxError, Reason, Rejected, RejectedError, Verdict};

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) fn request() -> Request<Bytes> {
    Request::post("http://provider.test/v1/chat")
        .body(Bytes::from_static(br#"{"model":"big","messages":[]}"#))
        .unwrap()
}

/// What the mock does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// An answer with this status.
    Status(u16),
    /// An answer that a layer further in has judged so.
    Judged(Verdict),
    /// An error, with this message.
    Error(&'static str),
    /// A refusal of a layer further in.
    Refuse,
    /// No answer, ever.
    Hang,
    /// Success after a while.
    Slow(Duration),
    /// A panic in `call`.
    PanicInCall,
    /// A panic when polled.
    PanicInPoll,
}

pub(crate) const OK: Step = Step::Status(200);
pub(crate) const DOWN: Step = Step::Status(500);
pub(crate) const ALL: [(Step, bool); 8] = [
    // Verdicts, and whether they may work next time.
    (OK, false),
    (RATE_LIMITED, true),
    (OVERLOADED, true),
    (DOWN, true),
    (Step::Judged(Verdict::QuotaExhausted), false),
    (Step::Judged(Verdict::TooLarge), false),
    (Step::Judged(Verdict::Permanent), false),
    (Step::Refuse, false),
];
pub(crate) const RATE_LIMITED: Step = rate_limited(None);
pub(crate) const OVERLOADED: Step = overloaded(None);

pub(crate) const fn rate_limited(retry_after: Option<Duration>) -> Step {
    Step::Judged(Verdict::RateLimited {
        resource: None,
        window: None,
        retry_after,
    })
}

pub(crate) const fn overloaded(retry_after: Option<Duration>) -> Step {
    Step::Judged(Verdict::Overloaded { retry_after })
}

/// How it answers `poll_ready`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Readiness {
    Ready,
    Stuck,
    Broken,
}

#[derive(Debug)]
struct Log {
    steps: VecDeque<Step>,
    otherwise: Step,
    readiness: Readiness,
    wakers: Vec<Waker>,
    calls: Vec<Instant>,
    bodies: Vec<Bytes>,
    ready_polls: usize,
    in_flight: usize,
}

/// Panics when it is called without having been readied. Its clones aren't ready.
#[derive(Debug)]
pub(crate) struct Mock<B = Bytes> {
    log: Arc<Mutex<Log>>,
    readied: bool,
    body: PhantomData<fn(B)>,
}

impl Mock {
    /// The steps in turn, then the last one for ever.
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut steps: VecDeque<_> = steps.into_iter().collect();
        let otherwise = steps.pop_back().unwrap_or(OK);
        Self {
            log: Arc::new(Mutex::new(Log {
                steps,
                otherwise,
                readiness: Readiness::Ready,
                wakers: Vec::new(),
                calls: Vec::new(),
                bodies: Vec::new(),
                ready_polls: 0,
                in_flight: 0,
            })),
            readied: false,
            body: PhantomData,
        }
    }
}

impl<B> Mock<B> {
    /// The same service for requests with another body.
    pub(crate) fn taking<C>(&self) -> Mock<C> {
        Mock {
            log: Arc::clone(&self.log),
            readied: false,
            body: PhantomData,
        }
    }

    pub(crate) fn becomes(&self, readiness: Readiness) {
        let mut log = self.log.lock().unwrap();
        log.readiness = readiness;
        let wakers = std::mem::take(&mut log.wakers);
        drop(log);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn does(&self, step: Step) {
        let mut log = self.log.lock().unwrap();
        log.steps.clear();
        log.otherwise = step;
    }

    pub(crate) fn calls(&self) -> usize {
        self.log.lock().unwrap().calls.len()
    }

    /// When it was called, since `start`.
    pub(crate) fn times(&self, start: Instant) -> Vec<Duration> {
        let log = self.log.lock().unwrap();
        log.calls.iter().map(|at| *at - start).collect()
    }

    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        self.log.lock().unwrap().bodies.clone()
    }

    pub(crate) fn ready_polls(&self) -> usize {
        self.log.lock().unwrap().ready_polls
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.log.lock().unwrap().in_flight
    }
}

impl<B> Clone for Mock<B> {
    fn clone(&self) -> Self {
        self.taking()
    }
}

impl<B: AsRef<[u8]>> Service<Request<B>> for Mock<B> {
    type Response = Answer;
    type Error = BoxError;
    type Future = MockFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut log = self.log.lock().unwrap();
        log.ready_polls += 1;
        match log.readiness {
            Readiness::Ready => {
                self.readied = true;
                Poll::Ready(Ok(()))
            }
            Readiness::Stuck => {
                log.wakers.push(cx.waker().clone());
                Poll::Pending
            }
            Readiness::Broken => Poll::Ready(Err("broken".into())),
        }
    }

    fn call(&mut self, request: Request<B>) -> MockFuture {
        assert!(self.readied, "called without being readied");
        self.readied = false;
        let mut log = self.log.lock().unwrap();
        log.calls.push(Instant::now());
        log.bodies
            .push(Bytes::copy_from_slice(request.body().as_ref()));
        let otherwise = log.otherwise;
        let step = log.steps.pop_front().unwrap_or(otherwise);
        if matches!(step, Step::PanicInCall) {
            drop(log);
            panic!("in call");
        }
        log.in_flight += 1;
        MockFuture {
            log: Arc::clone(&self.log),
            step,
            sleep: None,
        }
    }
}

pub(crate) struct MockFuture {
    log: Arc<Mutex<Log>>,
    step: Step,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Drop for MockFuture {
    fn drop(&mut self) {
        self.log.lock().unwrap().in_flight -= 1;
    }
}

impl Future for MockFuture {
    type Output = Result<Answer, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = |status: u16| {
            Response::builder()
                .status(status)
                .body(Full::new(Bytes::from(status.to_string())))
                .unwrap()
        };
        Poll::Ready(match self.step {
            Step::Status(status) => Ok(answer(status)),
            Step::Judged(verdict) => {
                let mut judged = answer(418);
                judged.extensions_mut().insert(verdict);
                Ok(judged)
            }
            Step::Error(message) => Err(message.into()),
            Step::Refuse => Err(RejectedError::from(Rejected::new(Reason::LimitReached)).into()),
            Step::Hang => return Poll::Pending,
            Step::Slow(wait) => {
                let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(wait)));
                match sleep.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => Ok(answer(200)),
                }
            }
            Step::PanicInCall => unreachable!(),
            Step::PanicInPoll => panic!("in poll"),
        })
    }
}

/// Polls once, by hand.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that counts.
pub(crate) struct Counter(pub(crate) std::sync::atomic::AtomicUsize);

impl std::task::Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Counter {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self(0.into()));
        let waker = Waker::from(Arc::clone(&counter));
        (counter, waker)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// A body that can be sent once.
#[derive(Debug)]
pub(crate) struct Once(pub(crate) Bytes);

impl AsRef<[u8]> for Once {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl tower_quota::body::ReplayBody for Once {
    fn replay(&self) -> Option<Self> {
        None
    }
}

pub(crate) fn assert_send<T: Send>(_: &T) {}
pub(crate) fn assert_sync<T: Sync>(_: &T) {}
pub(crate) fn assert_clone<T: Clone>(_: &T) {}
