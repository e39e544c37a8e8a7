//! Layers over an inner service that pends wherever it can, and what must hold once everything was dropped.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, ServiceExt, layer::util::Identity, util::MapRequestLayer};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer,
    CircuitState, Cost, FallbackLayer, Jitter, Limit, Permit, Quota, RateLimitLayer, Rejected,
    RespondLayer, RetryBudget, Settle, Split, TokenBudgetLayer, fallback::Unserved,
};

use super::inner::{ESTIMATE, Fate, Inner, Shared, log};
use crate::support::{Bell, Refusing, Stack, books, counting, stack};

const HOUR: Duration = Duration::from_secs(3_600);
const RESERVE: u64 = 5;
const MODEL: &str = r#"{"model": "big", "messages": []}"#;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// The door, and a request whose body comes in pieces.
    Door,
    Respond,
    /// To the other service.
    Fallback,
    Chain,
    Rewrite,
    /// To an answer that takes a while.
    Computed,
    Retry,
    Gate,
    Requests,
    PerKey,
    Tokens,
    Breaker,
    KeyedGate,
    KeyedBreaker,
    Split,
}

/// How things stand when the call comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Before {
    Quiet,
    /// The quotas are paused, for a second.
    Paused,
    /// All places in flight are taken, for 700 ms.
    Busy,
    /// The circuit is open, for a second more.
    Open,
    /// The call is the probe.
    HalfOpen,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub parts: &'static [Part],
    pub before: Before,
    /// What becomes of calls to the first service, and to the other.
    pub fates: &'static [Fate],
    pub second: &'static [Fate],
}

impl Case {
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Whether the limits charge what goes to the other service too: they are further out.
    fn charges_both(&self) -> bool {
        let first = |which: &[Part]| self.parts.iter().position(|part| which.contains(part));
        let limits = first(&[Part::Requests, Part::PerKey, Part::Tokens]);
        limits < first(&[Part::Fallback, Part::Chain])
    }
}

impl Case {
    /// Whether whoever settles sees nothing but the last answer: somebody further in tries again.
    fn settles_once(&self) -> bool {
        use Part::{Chain, Computed, Fallback, Retry, Rewrite};
        let settles = self.parts.iter().position(|part| *part == Part::Tokens);
        let inside = &self.parts[settles.unwrap_or(self.parts.len())..];
        let again = [Chain, Computed, Fallback, Retry, Rewrite];
        inside.iter().any(|part| again.contains(part))
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<Permit, Rejected>> + Send>>;

pub struct World {
    case: Case,
    start: Instant,
    requests: Quota,
    tokens: Quota,
    breaker: CircuitBreakerLayer,
    keyed: tower_quota::circuit_breaker::KeyedCircuitHandle<u8>,
    budget: RetryBudget,
    first: Shared,
    second: Shared,
    // What the retry was asked, and what it asked for.
    asked: Arc<AtomicU64>,
    tried: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    /// The call's answer.
    pub status: Option<u16>,
    // Who takes the places in flight.
    busy: Vec<Permit>,
    // Who is behind the call in line.
    neighbour: Option<(Waiting, Arc<Bell>)>,
    service: Stack<BufferedBody>,
}

fn quota(limit: Limit) -> Quota {
    let builder = Quota::builder().limit(limit).max_in_flight(1);
    builder.max_wait(HOUR).build().unwrap()
}

/// A request's body that comes in two pieces, by and by.
struct Slow(VecDeque<Bytes>, bool);

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

fn slowly(request: Request<BufferedBody>) -> Request<Slow> {
    request.map(|body| {
        let mut all = body.into_bytes();
        let rest = all.split_off(all.len() / 2);
        Slow([all, rest].into(), false)
    })
}

async fn computed(_: Unserved<Request<BufferedBody>>) -> Result<Response<Full<Bytes>>, BoxError> {
    sleep(Duration::from_millis(300)).await;
    Ok(Response::new(Full::from("cached")))
}

fn key(_: &Request<BufferedBody>) -> u8 {
    1
}

impl World {
    pub async fn new(case: Case) -> Self {
        let start = Instant::now();
        let requests = quota(Limit::requests(1_000, HOUR));
        let tokens = quota(Limit::tokens(1_000_000, HOUR));
        let breaker = CircuitBreakerLayer::new()
            .consecutive_failures(2)
            .open_backoff(Backoff::constant(Duration::from_secs(1)).jitter(Jitter::None))
            // A probe that leaks isn't forgotten.
            .max_half_open(HOUR * 100);
        // Each request deposits a whole retry, and nothing ages here: so the balance is exact.
        let budget = RetryBudget::ratio(1, 1)
            .reserve(RESERVE as u32)
            .window(HOUR * 100);
        let (asked, tried, refused) = (Arc::default(), Arc::default(), Arc::default());
        let (inner, first) = Inner::new(case.fates);
        let (other, second) = Inner::new(case.second);
        let keyed = breaker.clone().keyed(key);
        let mut service: Stack<BufferedBody> = stack(Identity::new(), inner);
        for part in case.parts.iter().rev() {
            service = match part {
                Part::Door => {
                    let door = BufferBodyLayer::new().layer(service);
                    stack(MapRequestLayer::new(slowly), door)
                }
                Part::Respond => stack(RespondLayer::new().pass_errors(), service),
                Part::Fallback => stack(FallbackLayer::to(other.clone()), service),
                Part::Chain => {
                    let links = [other.clone(), other.clone()];
                    stack(FallbackLayer::chain(links), service)
                }
                Part::Rewrite => {
                    let again = |request: Request<BufferedBody>| Some(request);
                    stack(FallbackLayer::rewrite(again), service)
                }
                Part::Computed => stack(FallbackLayer::respond_async(computed), service),
                Part::Retry => {
                    let waits = Backoff::constant(Duration::from_millis(300));
                    let layer = BackoffRetryLayer::new()
                        .backoff(waits.jitter(Jitter::None))
                        .hint_jitter(0)
                        .attempt_extension()
                        .budget(budget.clone());
                    let inner = Refusing {
                        inner: counting(&tried, service),
                        refused: Arc::clone(&refused),
                    };
                    counting(&asked, stack(layer, inner))
                }
                Part::Gate => stack(breaker.gate(), service),
                Part::Requests => stack(RateLimitLayer::new(requests.clone()), service),
                Part::PerKey => {
                    let shared = requests.clone();
                    let layer = RateLimitLayer::unlimited();
                    stack(layer.keyed_by(key, move |_: &u8| shared.clone()), service)
                }
                Part::Tokens => {
                    let layer = TokenBudgetLayer::new(tokens.clone());
                    let cost = |_: &Request<BufferedBody>| Cost::tokens(ESTIMATE);
                    stack(layer.cost(cost).settle(Settle::TrueUp), service)
                }
                Part::Breaker => stack(breaker.clone(), service),
                Part::KeyedGate => stack(keyed.gate(), service),
                Part::KeyedBreaker => stack(keyed.clone(), service),
                Part::Split => {
                    let split = Split::new([(1, service.clone()), (1, service)]);
                    stack(Identity::new(), split)
                }
            };
        }
        let keyed = keyed.handle();
        let mut world = Self {
            case,
            start,
            requests,
            tokens,
            breaker,
            keyed,
            budget,
            first,
            second,
            asked,
            tried,
            refused,
            status: None,
            busy: Vec::new(),
            neighbour: None,
            service,
        };
        world.prepare().await;
        world
    }

    async fn prepare(&mut self) {
        let second = Duration::from_secs(1);
        match self.case.before {
            Before::Quiet => {}
            Before::Paused => {
                self.requests.pause_until(self.start + second);
                self.tokens.pause_until(self.start + second);
            }
            Before::Busy => {
                for quota in [&self.requests, &self.tokens] {
                    self.busy.push(quota.try_acquire(Cost::none()).unwrap());
                }
            }
            Before::Open | Before::HalfOpen => {
                self.breaker.handle().trip();
                self.keyed.key(&1).trip();
                if self.case.before == Before::HalfOpen {
                    advance(second).await;
                }
            }
        }
    }

    pub fn service(&self) -> Stack<BufferedBody> {
        self.service.clone()
    }

    pub fn request() -> Request<BufferedBody> {
        let body = BufferedBody::from(Bytes::from_static(MODEL.as_bytes()));
        Request::post("/v1/chat/completions").body(body).unwrap()
    }

    /// Somebody gets in line behind the call.
    pub fn join(&mut self) {
        if self.case.has(Part::Requests) {
            let waiting = Box::pin(self.requests.acquire(Cost::request()));
            self.neighbour = Some((waiting, Bell::rung()));
        }
    }

    /// What happens beside the call as time passes.
    pub fn tick(&mut self) {
        if self.start.elapsed() >= Duration::from_millis(700) {
            self.busy.drain(..).for_each(Permit::cancel);
        }
        if let Some((waiting, bell)) = &mut self.neighbour
            && bell.rang()
            && let Poll::Ready(permit) = bell.poll(waiting.as_mut())
        {
            permit.expect("the neighbour is patient").cancel();
            self.neighbour = None;
        }
    }

    pub fn calls(&self) -> [u64; 2] {
        [log(&self.first).calls, log(&self.second).calls]
    }

    pub fn retries(&self) -> u64 {
        self.tried.load(SeqCst) - self.asked.load(SeqCst)
    }

    /// The call is gone: what must hold.
    pub async fn check(mut self) {
        let alive = log(&self.first).alive + log(&self.second).alive;
        assert_eq!(alive, 0, "somebody still holds a try of it");
        let calls = self.calls();
        // Whoever was behind it has its turn in good time.
        for _ in 0..60 {
            self.tick();
            if self.neighbour.is_none() && self.busy.is_empty() {
                break;
            }
            advance(Duration::from_millis(50)).await;
        }
        assert!(self.neighbour.is_none(), "the line stands still");
        self.books();
        // Nothing is sent any more.
        for _ in 0..4 {
            advance(Duration::from_secs(15)).await;
        }
        assert_eq!(self.calls(), calls, "something was sent afterwards");
        self.works_again().await;
    }

    /// What has left of requests and of tokens.
    fn left(&self) -> (u64, u64) {
        let (mut requests, mut tokens) = (0, 0);
        let [all, one] = [2, 1].map(|n| [&self.first, &self.second][..n].to_vec());
        let charged = if self.case.charges_both() { all } else { one };
        for shared in charged {
            let log = log(shared);
            (requests, tokens) = (requests + log.requests, tokens + log.tokens);
            if !self.case.settles_once() {
                tokens -= log.refused;
            }
        }
        if self.case.settles_once() && matches!(self.status, Some(404 | 429)) {
            tokens -= ESTIMATE;
        }
        (requests, tokens)
    }

    /// Nothing is dated before it has left, nor later.
    pub fn dated(&self) {
        let (requests, _) = self.left();
        if self.case.has(Part::Requests) || self.case.has(Part::PerKey) {
            let (limits, ..) = books(&self.requests);
            assert_eq!(limits[0].0, requests, "{limits:?}");
        }
    }

    fn books(&self) {
        let (requests, tokens) = self.left();
        if self.case.has(Part::Requests) || self.case.has(Part::PerKey) {
            assert_eq!(books(&self.requests), (vec![(requests, 0)], 0, 0));
        }
        if self.case.has(Part::Tokens) {
            assert_eq!(books(&self.tokens), (vec![(tokens, 0)], 0, 0));
        }
        if self.case.has(Part::Retry) {
            let asked = self.asked.load(SeqCst);
            // A retry that a layer further in refuses has never left, and is paid back.
            let again = self.retries() - self.refused.load(SeqCst);
            assert_eq!(self.budget.balance(), Some(RESERVE + asked - again));
        }
    }

    /// No probe and no place is missing: a call succeeds.
    async fn works_again(&self) {
        log(&self.first).kind = true;
        let before = log(&self.first).calls;
        for _ in 0..3 {
            let answer = self.service().oneshot(Self::request()).await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap();
        }
        assert_eq!(log(&self.first).calls, before + 3, "not by the first");
        for (part, state) in [
            (Part::Breaker, self.breaker.handle().state()),
            (Part::KeyedBreaker, self.keyed.key(&1).state()),
        ] {
            if self.case.has(part) {
                assert_eq!(state, CircuitState::Closed);
            }
        }
    }
}
