//! Bodies pass whole and in order, whoever looks at them.

use std::{
    cell::Cell,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_quota::{
    BodyTooLarge, BufferBodyLayer, BufferedBody, Verdict,
    answers::{Answers, Depth, Http},
    body::{MeteredBody, Watch},
};

type Step = Result<Frame<Bytes>, &'static str>;

/// Yields its steps, pending once before each where told to; counts how often it is polled.
struct Script {
    steps: std::vec::IntoIter<Step>,
    pause: bool,
    paused: bool,
    polls: Rc<Cell<usize>>,
}

fn script(steps: Vec<Step>, pause: bool) -> (Script, Rc<Cell<usize>>) {
    let polls = Rc::new(Cell::new(0));
    let script = Script {
        steps: steps.into_iter(),
        pause,
        paused: false,
        polls: polls.clone(),
    };
    (script, polls)
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.pause && !self.paused {
            self.paused = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.paused = false;
        self.polls.set(self.polls.get() + 1);
        Poll::Ready(self.steps.next())
    }
}

fn data(text: &'static str) -> Step {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn trailers() -> Step {
    let mut map = HeaderMap::new();
    map.insert("x-end", "1".parse().unwrap());
    Ok(Frame::trailers(map))
}

fn answer<B>(status: u16, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn read<B: Body>(response: Response<B>) -> Response<MeteredBody<B>> {
    Http.read(response, Depth::Streams).answer().await
}

/// Everything a body yields, in words.
async fn yields<B: Body<Data = Bytes>>(body: B) -> Vec<String>
where
    B::Error: std::fmt::Debug,
{
    let mut body = Box::pin(body);
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        seen.push(match frame {
            Ok(frame) if frame.is_trailers() => "trailers".to_owned(),
            Ok(frame) => String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap(),
            Err(error) => format!("{error:?}"),
        });
    }
    seen
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Witness(Log, bool);

impl Witness {
    fn new(log: &Log) -> Self {
        Self(log.clone(), false)
    }
}

impl Watch for Witness {
    fn chunk(&mut self, data: &[u8]) {
        let text = String::from_utf8_lossy(data).into_owned();
        self.0.0.lock().unwrap().push(text);
    }

    fn finish(mut self) {
        self.1 = true;
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let word = if self.1 { "whole" } else { "cut" };
        self.0.0.lock().unwrap().push(word.to_owned());
    }
}

const LIMITED: &str = r#"{"error":{"code":"insufficient_quota","message":""}}"#;

#[tokio::test(start_paused = true)]
async fn a_success_is_not_looked_at() {
    let (body, polls) = script(vec![data("a")], false);
    let response = read(answer(200, body)).await;
    assert_eq!(polls.get(), 0);
    assert_eq!(
        Verdict::of(&response),
        None,
        "no mark on the way that works"
    );
    assert_eq!(yields(response.into_body()).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_was_told_is_not_told_again() {
    let (body, polls) = script(vec![data(LIMITED)], false);
    let mut response = answer(429, body);
    response.extensions_mut().insert(Verdict::Permanent);
    let response = read(response).await;
    assert_eq!(polls.get(), 0);
    assert_eq!(Verdict::of(&response), Some(Verdict::Permanent));
}

#[tokio::test(start_paused = true)]
async fn an_error_passes_whole_and_in_order() {
    for pause in [false, true] {
        let (head, tail) = LIMITED.split_at(20);
        let steps = vec![data(head), data(tail), trailers()];
        let response = read(answer(429, script(steps, pause).0)).await;
        assert_eq!(Verdict::of(&response), Some(Verdict::QuotaExhausted));
        assert_eq!(
            yields(response.into_body()).await,
            [head, tail, "trailers"],
            "pause: {pause}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_while_it_is_read_fails_in_its_place() {
    let steps = vec![data("{"), Err("reset"), data("never")];
    let response = read(answer(500, script(steps, true).0)).await;
    assert_eq!(
        Verdict::of(&response),
        Some(Verdict::Transient { sent: true })
    );
    let log = Log::default();
    let response = Http.watch(response, Witness::new(&log));
    assert_eq!(yields(response.into_body()).await, ["{", "\"reset\""]);
    assert_eq!(log.lines(), ["{", "cut"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_error_is_read_to_64_kib_and_handed_on_whole() {
    let chunk = Bytes::from(vec![b' '; 10_000]);
    let steps: Vec<Step> = (0..20).map(|_| Ok(Frame::data(chunk.clone()))).collect();
    let (body, polls) = script(steps, false);
    let response = read(answer(429, body)).await;
    assert_eq!(polls.get(), 7);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 200_000);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_hangs_is_waited_for_a_second() {
    let start = tokio::time::Instant::now();
    let hangs = stream::iter([data(LIMITED)]).chain(stream::pending());
    let response = read(answer(429, StreamBody::new(hangs))).await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(Verdict::of(&response), Some(Verdict::QuotaExhausted));
    let mut body = Box::pin(response.into_body());
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), LIMITED);
    assert!(body.frame().now_or_never().is_none());
}

proptest::proptest! {
    #[test]
    fn whatever_a_body_yields_passes_unchanged(
        status in proptest::sample::select(vec![200_u16, 404, 429, 500]),
        chunks in proptest::collection::vec("[a-z{}\":]{0,12}", 0..8),
        pause in proptest::bool::ANY,
        ending in 0..3,
    ) {
        let mut steps: Vec<Step> = chunks
            .iter()
            .map(|chunk| Ok(Frame::data(Bytes::from(chunk.clone()))))
            .collect();
        let mut expected = chunks;
        match ending {
            0 => {}
            1 => {
                steps.push(trailers());
                expected.push("trailers".to_owned());
            }
            _ => {
                steps.push(Err("reset"));
                expected.push("\"reset\"".to_owned());
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let log = Log::default();
        let seen = runtime.block_on(async {
            let response = read(answer(status, script(steps, pause).0)).await;
            yields(Http.watch(response, Witness::new(&log)).into_body()).await
        });
        proptest::prop_assert_eq!(seen, expected);
        let end = if ending == 2 { "cut" } else { "whole" };
        let lines = log.lines();
        proptest::prop_assert_eq!(lines.last().unwrap(), end);
    }
}

#[test]
fn without_a_runtime_nothing_is_waited_for() {
    let hangs = stream::iter([data(LIMITED)]).chain(stream::pending());
    let response = read(answer(429, StreamBody::new(hangs))).now_or_never();
    assert_eq!(
        Verdict::of(&response.unwrap()),
        Some(Verdict::QuotaExhausted)
    );
}

#[tokio::test(start_paused = true)]
async fn the_size_is_told_right_all_along() {
    let response = read(answer(429, Full::new(Bytes::from_static(b"hello")))).await;
    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "hello"
    );
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());

    let (unknown, _) = script(vec![data("hello")], false);
    let body = read(answer(429, unknown)).await.into_body();
    assert_eq!(
        body.size_hint().exact(),
        Some(5),
        "it has ended while it was read"
    );
    let empty = read(answer(404, Full::new(Bytes::new()))).await;
    assert_eq!(Verdict::of(&empty), Some(Verdict::Permanent));
    assert!(empty.into_body().is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_at_the_last_frame_has_read_it_whole() {
    for status in [200, 429] {
        let log = Log::default();
        let response = read(answer(status, Full::new(Bytes::from_static(b"hi")))).await;
        let mut body = Http.watch(response, Witness::new(&log)).into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(log.lines(), ["hi", "whole"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_drops_the_body_before_its_end_cuts_it() {
    let log = Log::default();
    let response = read(answer(200, script(vec![data("a"), data("b")], false).0)).await;
    let mut body = Box::pin(Http.watch(response, Witness::new(&log)).into_body());
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(log.lines(), ["a", "cut"]);
}

/// A service that counts how often it was cloned, readied and called, and that refuses to be
/// called unless this very instance was readied.
struct Counted {
    counts: Arc<Counts>,
    ready: bool,
}

#[derive(Default)]
struct Counts {
    clones: AtomicUsize,
    readied: AtomicUsize,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.counts.clones.fetch_add(1, Ordering::Relaxed);
        Self {
            counts: self.counts.clone(),
            ready: false,
        }
    }
}

impl Service<Request<BufferedBody>> for Counted {
    type Response = Bytes;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Bytes, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.counts.readied.fetch_add(1, Ordering::Relaxed);
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<BufferedBody>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being readied"
        );
        std::future::ready(Ok(request.into_body().into_bytes()))
    }
}

fn counted(
    limit: usize,
) -> (
    impl Clone + Fn() -> tower_quota::body::BufferBody<Counted>,
    Arc<Counts>,
) {
    let counts = Arc::new(Counts::default());
    let shared = counts.clone();
    let make = move || {
        BufferBodyLayer::new().limit(limit).layer(Counted {
            counts: shared.clone(),
            ready: false,
        })
    };
    (make, counts)
}

/// Readies the service and calls it, without giving it away.
async fn send<S: Service<R>, R>(service: &mut S, request: R) -> Result<S::Response, S::Error> {
    service.ready().await?.call(request).await
}

#[tokio::test(start_paused = true)]
async fn a_body_arrives_whole_by_the_service_that_was_readied() {
    let (make, counts) = counted(100);
    let body = || Request::new(Full::new(Bytes::from_static(b"hello")));
    assert_eq!(make().oneshot(body()).await.unwrap(), "hello");
    assert_eq!(counts.readied.load(Ordering::Relaxed), 1);

    let (body, _) = script(vec![data("he"), data("ll"), data("o"), trailers()], false);
    let body = body.map_err(BoxError::from);
    assert_eq!(make().oneshot(Request::new(body)).await.unwrap(), "hello");
    assert_eq!(counts.readied.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_clones_nothing() {
    let (make, counts) = counted(100);
    let mut service = make();
    let request = Request::new(Full::new(Bytes::new()));
    send(&mut service, request).await.unwrap();
    assert_eq!(counts.clones.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_readies_afresh_when_it_is_here() {
    let (make, counts) = counted(100);
    let (body, _) = script(vec![data("hel"), data("lo")], true);
    let mut service = make();
    let body = body.map_err(BoxError::from);
    let answer = send(&mut service, Request::new(body)).await;
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!(counts.readied.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_above_the_limit_is_refused_without_reading_on() {
    let (make, counts) = counted(4);
    let error = make()
        .oneshot(Request::new(Full::new(Bytes::from_static(b"hello"))))
        .await
        .unwrap_err();
    assert_eq!(error.downcast_ref::<BodyTooLarge>().unwrap().limit, 4);
    assert_eq!(counts.clones.load(Ordering::Relaxed), 0, "told by its size");

    let (body, polls) = script(vec![data("hel"), data("lo"), data("!")], false);
    let error = make()
        .oneshot(Request::new(body.map_err(BoxError::from)))
        .await
        .unwrap_err();
    assert!(error.is::<BodyTooLarge>());
    assert_eq!(polls.get(), 2);

    let fits = Request::new(Full::new(Bytes::from_static(b"hell")));
    assert_eq!(make().oneshot(fits).await.unwrap(), "hell");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_passes_its_error() {
    let (make, _) = counted(4);
    let (body, _) = script(vec![data("he"), Err("reset")], true);
    let error = make()
        .oneshot(Request::new(body.map_err(BoxError::from)))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_buffered_body_says_its_size_and_keeps_its_secret() {
    let body = BufferedBody::from("hello");
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(format!("{body:?}"), "BufferedBody(5 bytes)");
    assert!(BufferedBody::default().is_end_stream());
    let twice = (body.clone().collect().await, body.collect().await);
    assert_eq!(twice.0.unwrap().to_bytes(), twice.1.unwrap().to_bytes());
}

#[test]
fn the_auto_traits_are_those_of_what_is_inside() {
    fn all<T: Send + Sync + Unpin>() {}
    all::<MeteredBody<Full<Bytes>>>();
    all::<BufferedBody>();
    all::<tower_quota::body::Peek<Full<Bytes>>>();
}
