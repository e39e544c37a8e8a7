//! A hundred thousand requests through the whole stack, over real sockets, to a provider that drops, stalls, fails, is away for
//! a while and runs out of money for a while.
//!
//! Long, and so left to those who ask for it: `cargo test --release --all-features --test trust -- --ignored --nocapture chaos`.
//! `CHAOS_REQUESTS` says how many requests instead.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer,
    CircuitState, Cost, FallbackLayer, Limit, Quota, RateLimitLayer, Rejected, RetryBudget, Settle,
    TokenBudgetLayer, Verdict,
    edge::ReqwestService,
    fallback::{Causes, ServedBy},
    provider::classify_error,
    testing::{Outage, Provider, ProviderBox, When},
};

use crate::support::{Stack, books, stack, stacks::Answer};

const HOUR: Duration = Duration::from_secs(3_600);
const ESTIMATE: u64 = 400;
const AT_ONCE: usize = 100;
const MS: fn(u64) -> Duration = Duration::from_millis;

/// What was sent by the client itself, and what of it is known never to have left.
#[derive(Clone, Default)]
struct Sent {
    calls: Arc<AtomicU64>,
    unsent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

/// Counts around the client.
#[derive(Clone)]
struct Counting<S> {
    inner: S,
    sent: Sent,
}

impl<S, B> Service<Request<BufferedBody>> for Counting<S>
where
    S: Service<Request<BufferedBody>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<BufferedBody>) -> Self::Future {
        self.sent.calls.fetch_add(1, SeqCst);
        let (sent, calling) = (self.sent.clone(), self.inner.call(request));
        Box::pin(async move {
            let outcome = calling.await;
            if let Err(error) = &outcome
                && classify_error(error.as_ref()) == (Verdict::Transient { sent: false })
            {
                sent.unsent.fetch_add(1, SeqCst);
            }
            if let Ok(answer) = &outcome
                && answer.status() == StatusCode::BAD_REQUEST
            {
                sent.refused.fetch_add(1, SeqCst);
            }
            outcome
        })
    }
}

/// The whole of it, by one client.
struct World {
    first: ProviderBox,
    second: ProviderBox,
    requests: Quota,
    tokens: Quota,
    breaker: CircuitBreakerLayer,
    sent: Sent,
    service: Stack<Full<Bytes>>,
}

fn quota(limit: Limit) -> Quota {
    let builder = Quota::builder().limit(limit).max_in_flight(64);
    builder.max_wait(HOUR).build().unwrap()
}

impl World {
    async fn new<C, B>(client: C) -> Self
    where
        C: Service<Request<BufferedBody>, Response = Response<B>> + Clone + Send + 'static,
        C: Sync,
        C::Error: Into<BoxError> + 'static,
        C::Future: Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let provider = || Provider::openai().log_capacity(1_000);
        let bad = provider().seed(7).faults(|faults| {
            faults
                .drops(0.005, When::BeforeCounting)
                .drops(0.005, When::AfterCounting)
                .stalls(0.01, MS(400))
                .errors(0.02, StatusCode::BAD_GATEWAY)
        });
        let (first, second) = (
            bad.start().await.unwrap(),
            provider().start().await.unwrap(),
        );
        let requests = quota(Limit::requests(1 << 40, HOUR));
        let tokens = quota(Limit::tokens(1 << 50, HOUR));
        let breaker = CircuitBreakerLayer::new()
            .window(Duration::from_secs(2))
            .open_for(MS(50), MS(200))
            .exhausted_for(MS(300));
        let sent = Sent::default();
        let inner = Counting {
            inner: stack(tower::layer::util::Identity::new(), client.clone()),
            sent: sent.clone(),
        };
        let inner = ServiceBuilder::new()
            .layer(RateLimitLayer::new(requests.clone()))
            .layer(
                TokenBudgetLayer::new(tokens.clone())
                    .cost(|_: &Request<BufferedBody>| Cost::tokens(ESTIMATE))
                    .settle(Settle::TrueUp),
            )
            .layer(breaker.clone())
            .timeout(MS(200))
            .service(to(first.addr(), inner));
        let retry = BackoffRetryLayer::new()
            .backoff(Backoff::exponential(MS(2), MS(20)))
            .budget(RetryBudget::percent(20).reserve(100));
        let retried = retry.layer(breaker.gate().layer(inner));
        let other = to(
            second.addr(),
            stack(tower::layer::util::Identity::new(), client),
        );
        let fallback = FallbackLayer::to(other)
            .memory(MS(100))
            .exhausted_for(MS(100));
        let whole = BufferBodyLayer::new().layer(fallback.layer(retried));
        Self {
            first,
            second,
            requests,
            tokens,
            breaker,
            sent,
            service: stack(tower::layer::util::Identity::new(), whole),
        }
    }
}

/// The same service at that address.
fn to<S>(address: std::net::SocketAddr, inner: S) -> Stack<BufferedBody>
where
    S: Service<Request<BufferedBody>, Response = Response<Answer>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let there = move |mut request: Request<BufferedBody>| {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("http://{address}{path}").parse::<Uri>().unwrap();
        request
    };
    stack(tower::util::MapRequestLayer::new(there), inner)
}

fn chat(id: usize) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model": "gpt-4.1-mini", "max_tokens": {}, "messages": [{{"role": "user", "content": "message number {id}"}}]}}"#,
        20 + id % 80
    );
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap()
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// By which provider, and what it said was used.
    Answered {
        first: bool,
    },
    /// An error answer, whole and well-formed.
    Failed(u16),
    /// A refusal of ours, or an error of the client, whose verdict says so.
    Refused,
    Broken,
}

/// Asks, and looks whether what comes is right; also what of the estimate wasn't used.
async fn ask(service: Stack<Full<Bytes>>, id: usize) -> (End, u64) {
    let answer = match service.oneshot(chat(id)).await {
        Ok(answer) => answer,
        Err(error) => {
            let known = Rejected::find(error.as_ref()).is_some();
            let verdict = classify_error(error.as_ref());
            let transient = matches!(verdict, Verdict::Transient { .. });
            assert!(
                known || transient || Causes::find(error.as_ref()).is_some(),
                "{error:?}"
            );
            return (if known { End::Refused } else { End::Broken }, 0);
        }
    };
    let (status, by) = (
        answer.status().as_u16(),
        ServedBy::of(&answer).map(ServedBy::index),
    );
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status != 200 {
        return (End::Failed(status), 0);
    }
    let said = body["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default();
    let asked = format!("message number {id}");
    assert!(said.contains(&asked), "{asked:?} was answered by {said:?}");
    let used = body["usage"]["total_tokens"].as_u64().unwrap();
    let first = by.is_none_or(|index| index == 0);
    let unused = if first { ESTIMATE - used } else { 0 };
    (End::Answered { first }, unused)
}

/// In KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|n| n.parse().ok()).unwrap_or(0)
}

async fn chaos(name: &str, world: World, requests: usize) {
    let start = Instant::now();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let mut ends: BTreeMap<usize, End> = BTreeMap::new();
    let (mut unused, mut warm) = (0, 0);
    let mut heard = |joined: Result<(usize, (End, u64)), _>| {
        let joined: Result<_, tokio::task::JoinError> = joined;
        let (id, (end, rest)) = joined.expect("no panic");
        unused += rest;
        assert!(ends.insert(id, end).is_none(), "{id} ended twice");
    };
    for id in 0..requests {
        let permit = Arc::clone(&room).acquire_owned().await.unwrap();
        let service = world.service.clone();
        tasks.spawn(async move {
            let end = ask(service, id).await;
            drop(permit);
            (id, end)
        });
        while let Some(joined) = tasks.try_join_next() {
            heard(joined);
        }
        match id * 10 / requests {
            _ if id % (requests / 10).max(1) != 0 => {}
            3 => world.first.faults(|f| f.outage_as(Outage::Unavailable)),
            4 => {
                sleep(MS(500)).await;
                world.first.faults(|f| f.outage(false));
                warm = resident();
            }
            5 => world.first.faults(|f| f.outage_as(Outage::Closed)),
            6 => {
                sleep(MS(500)).await;
                world.first.faults(|f| f.outage(false));
            }
            7 => world.first.faults(|f| f.insufficient_quota(true)),
            8 => {
                sleep(MS(500)).await;
                world.first.faults(|f| f.insufficient_quota_after(None));
            }
            _ => {}
        }
    }
    while let Some(joined) = tasks.join_next().await {
        heard(joined);
    }
    let took = start.elapsed();
    let grown = resident().saturating_sub(warm);
    let mut sums: BTreeMap<End, usize> = BTreeMap::new();
    for end in ends.values() {
        *sums.entry(*end).or_default() += 1;
    }
    println!("{name}: {requests} requests in {took:.1?}: {sums:?}");
    println!("{name}: {grown} KiB more than at 40 % ({warm} KiB)");
    println!("{name}: {}", world.first.report());
    // Every one has ended, once.
    assert_eq!(ends.len(), requests);
    let answered = |first| sums.get(&End::Answered { first }).copied().unwrap_or(0);
    let all = answered(true) + answered(false);
    assert!(
        all * 100 >= requests * 99,
        "{all} of {requests} were answered"
    );
    assert!(
        answered(true) * 10 > requests * 3 && answered(false) * 200 > requests,
        "{sums:?}"
    );
    // The ledger is exact.
    let load = |n: &AtomicU64| n.load(SeqCst);
    let sent = &world.sent;
    let left = load(&sent.calls) - load(&sent.unsent);
    assert_eq!(books(&world.requests), (vec![(left, 0)], 0, 0));
    let refunded = unused + load(&sent.refused) * ESTIMATE;
    let used = left * ESTIMATE - refunded;
    assert_eq!(books(&world.tokens), (vec![(used, 0)], 0, 0));
    // Nobody was asked more often than the budget of retries allows, nor behind our back.
    let seen = world.first.report().requests;
    assert!(
        seen <= load(&sent.calls),
        "{seen} seen, {} sent",
        load(&sent.calls)
    );
    assert!(load(&sent.calls) * 10 <= requests as u64 * 12 + 1_000);
    assert!(world.second.report().requests >= answered(false) as u64);
    // It has recovered, and no memory was lost.
    assert_eq!(world.breaker.handle().state(), CircuitState::Closed);
    assert!(grown < 8 * 1_024, "{grown} KiB");
}

fn number() -> usize {
    let asked = std::env::var("CHAOS_REQUESTS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: real sockets, a hundred thousand requests"]
async fn in_chaos_every_request_ends_once_and_the_ledger_is_exact_with_reqwest() {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let world = World::new(ReqwestService::new(client)).await;
    chaos("reqwest", world, number() / 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: real sockets, a hundred thousand requests"]
async fn in_chaos_every_request_ends_once_and_the_ledger_is_exact_with_hyper() {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<BufferedBody>();
    let world = World::new(client).await;
    chaos("hyper", world, number() / 2).await;
}
