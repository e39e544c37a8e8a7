//! The whole stack for a long time at the highest rate that the machine sustains: nothing grows.
//!
//! `cargo test --release --all-features --test trust -- --ignored --nocapture soak` takes a minute; `SOAK_SECONDS=600` before it,
//! ten; any other number, as long as that.

use std::{
    convert::Infallible,
    env, fs,
    future::{Ready, poll_fn, ready},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{runtime, task::JoinSet, time::sleep};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_quota::{
    Backoff, BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota, RateLimitLayer,
    TokenBudgetLayer,
};

use crate::support::{Stack, books, stack};

type Body = Full<Bytes>;

const ASKED: &str = r#"{"model":"gpt-4.1-mini","max_tokens":20,"messages":[{"role":"user","content":"Is anything growing?"}]}"#;
const SERVED: &str = r#"{"choices":[{"message":{"content":"No."}}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}"#;

/// Callers that nothing holds back, and such that wait for a limit nearly all of the time.
const FREE: usize = 64;
const HELD: usize = 256;
const HELD_RATE: u64 = 20_000;

/// One of a hundred can't be served, and is tried again.
#[derive(Clone)]
struct Model(Arc<AtomicU64>);

impl Service<Request<Body>> for Model {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut answer = Response::new(Body::from(SERVED));
        if self.0.fetch_add(1, Relaxed) % 100 == 99 {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            *answer.body_mut() = Body::default();
        }
        ready(Ok(answer))
    }
}

fn quota(requests: u64) -> Quota {
    let second = Duration::from_secs(1);
    Quota::builder()
        .limit(Limit::requests(requests, second))
        .limit(Limit::tokens(requests * 1_000, second))
        .build()
        .unwrap()
}

fn five(quota: &Quota) -> Stack<Body> {
    let model = Model(Arc::default());
    let breaker = CircuitBreakerLayer::new();
    let wait = Duration::from_millis(1);
    let layers = ServiceBuilder::new()
        .layer(FallbackLayer::to(model.clone()))
        .layer(BackoffRetryLayer::new().backoff(Backoff::exponential(wait, wait)))
        .layer(breaker.gate())
        .layer(RateLimitLayer::new(quota.clone()))
        .layer(TokenBudgetLayer::new(quota.clone()))
        .layer(breaker)
        .into_inner();
    stack(layers, model)
}

/// What one kind of callers has done.
#[derive(Default)]
struct Done {
    calls: AtomicU64,
    polls: AtomicU64,
}

/// Calls until told to stop, and counts how often each call had to be polled.
async fn caller(service: Stack<Body>, done: Arc<Done>, stop: Arc<AtomicBool>) {
    while !stop.load(Relaxed) {
        let request =
            Request::post("/v1/chat/completions").header("content-type", "application/json");
        let request = request.body(Body::from(ASKED)).unwrap();
        let mut call = pin!(service.clone().oneshot(request));
        let answer = poll_fn(|cx| {
            done.polls.fetch_add(1, Relaxed);
            call.as_mut().poll(cx)
        });
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let read = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read, SERVED);
        done.calls.fetch_add(1, Relaxed);
        tokio::task::yield_now().await;
    }
}

/// In KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells what a process takes");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.and_then(|size| size.parse().ok()).expect("a number")
}

/// How things stand at the end of an interval.
struct Look {
    resident: u64,
    tasks: usize,
    // Of the free and of the held, since the look before.
    calls: [u64; 2],
    polls: [u64; 2],
}

impl Look {
    /// Polls a call, in hundredths.
    fn each(&self, kind: usize) -> u64 {
        100 * self.polls[kind] / self.calls[kind].max(1)
    }
}

#[test]
#[ignore = "takes a minute, and a build that is optimised"]
fn soak_nothing_grows() {
    let seconds = env::var("SOAK_SECONDS").map_or(60, |seconds| seconds.parse().expect("a number"));
    let span = Duration::from_secs(seconds);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let (free, held) = (quota(1 << 40), quota(HELD_RATE));
    let looks = runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let done = [Arc::<Done>::default(), Arc::default()];
        let mut callers = JoinSet::new();
        for (quota, callers_of, done) in [(&free, FREE, &done[0]), (&held, HELD, &done[1])] {
            let stack = five(quota);
            for _ in 0..callers_of {
                callers.spawn(caller(stack.clone(), Arc::clone(done), Arc::clone(&stop)));
            }
        }
        let (begun, mut looks) = (Instant::now(), Vec::new());
        let mut before = [(0, 0); 2];
        while begun.elapsed() < span {
            sleep(span / 20).await;
            let now = [0, 1].map(|i| (done[i].calls.load(Relaxed), done[i].polls.load(Relaxed)));
            looks.push(Look {
                resident: resident(),
                tasks: runtime::Handle::current().metrics().num_alive_tasks(),
                calls: [0, 1].map(|i| now[i].0 - before[i].0),
                polls: [0, 1].map(|i| now[i].1 - before[i].1),
            });
            before = now;
        }
        stop.store(true, Relaxed);
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
        looks
    });
    println!(
        "| KiB resident | tasks | calls, free | polls each, % | calls, held | polls each, % |\n|---|---|---|---|---|---|"
    );
    for look in &looks {
        let (calls, each) = (look.calls, [look.each(0), look.each(1)]);
        let Look {
            resident, tasks, ..
        } = look;
        println!(
            "| {resident} | {tasks} | {} | {} | {} | {} |",
            calls[0], each[0], calls[1], each[1]
        );
    }
    // Warm after a fifth.
    let (first, rest) = looks[3..].split_first().unwrap();
    for look in rest {
        assert!(look.resident * 100 <= first.resident * 102, "memory grows");
        assert_eq!(look.tasks, first.tasks);
        // Polled when it is called, and once more where it has waited for its turn; one of a hundred is tried again.
        for (kind, most) in [(0, 110), (1, 210)] {
            assert!(look.calls[kind] > 0, "callers starve");
            let each = look.each(kind);
            assert!(each <= most, "{each} polls for 100 calls");
        }
    }
    for quota in [&free, &held] {
        let (limits, in_flight, waiting) = books(quota);
        assert_eq!((in_flight, waiting), (0, 0));
        assert!(limits.iter().all(|(_, held)| *held == 0), "{limits:?}");
    }
}
