//! The admitted path allocates nothing: from the call to the end of the answer's body.
//!
//! A binary of its own, since it counts by its own global allocator. It counts by thread, and each
//! test runs in one.
#![allow(
    clippy::print_stdout,
    reason = "figures that were measured are printed"
)]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, layer::layer_fn, load::Load};
use tower_quota::{
    Alerts, BackoffRetryLayer, BufferedBody, CircuitBreakerLayer, Cost, FallbackLayer, Limit,
    Quota, RateLimitLayer, RespondLayer, Split, TokenBudgetLayer, Usage,
    fallback::Unserved,
    headroom::HeadroomLayer,
    quota::{KeyedQuotas, QuotaBuilder, Tier},
    token_budget::Pools,
    tokens::Calibration,
};

const CALLS: u64 = 1_000;
const CHAT: &[u8] = br#"{"model":"gpt-4.1-mini","max_tokens":90,"messages":[{"role":"user","content":"What is a quota good for?"}]}"#;
const ANSWER: &[u8] = br#"{"choices":[{"message":{"content":"Peace"}}],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}"#;

/// Answers at once, with bytes that nobody has to copy.
#[derive(Clone)]
struct Client;

impl<B> Service<Request<B>> for Client {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(Bytes::from_static(ANSWER)))))
    }
}

/// A service of numbers.
#[derive(Clone)]
struct Echo;

impl Service<u64> for Echo {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        ready(Ok(n))
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should be there at once"),
    }
}

/// Readies and calls.
fn call<S: Service<Req, Error: std::fmt::Debug>, Req>(
    service: &mut S,
    request: Req,
) -> S::Response {
    let context = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(context) else {
        panic!("it should be ready");
    };
    now(service.call(request)).unwrap()
}

/// Reads a body to its end.
fn drain<B: Body>(body: B) {
    let mut body = pin!(body);
    let context = &mut Context::from_waker(Waker::noop());
    let mut bytes = 0;
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(context) {
        bytes += frame.data_ref().map_or(0, bytes::Buf::remaining);
    }
    assert_eq!(bytes, ANSWER.len());
}

/// Counts the allocations of `CALLS` calls after a first one.
#[track_caller]
fn allocates_nothing(mut work: impl FnMut()) {
    assert_eq!(count(&mut work), 0, "allocations in {CALLS} calls");
}

fn count(mut work: impl FnMut()) -> u64 {
    work();
    let counted = allocation_counter::measure(|| (0..CALLS).for_each(|_| work()));
    counted.count_total
}

/// Sends chats through `layer`, which gives http answers.
fn http<L, R>(layer: L) -> impl FnMut()
where
    L: Layer<Client>,
    L::Service: Service<Request<BufferedBody>, Response = Response<R>, Error: std::fmt::Debug>,
    R: Body,
{
    let mut service = layer.layer(Client);
    let body = BufferedBody::from(CHAT);
    move || {
        let answer = call(&mut service, Request::new(body.clone()));
        drain(answer.into_body());
    }
}

/// Sends numbers through `layer`.
fn numbers<L>(layer: L) -> impl FnMut()
where
    L: Layer<Echo>,
    L::Service: Service<u64, Response = u64, Error: std::fmt::Debug>,
{
    let mut service = layer.layer(Echo);
    move || assert_eq!(call(&mut service, 7), 7)
}

/// Limits of every kind, none of which is ever reached.
fn quota() -> Quota {
    const PLENTY: u64 = 1_000_000_000;
    Quota::builder()
        .limit(Limit::requests_per_minute(PLENTY))
        .limit(Limit::tokens_per_minute(PLENTY).bucket())
        .limit(Limit::requests_per_day(PLENTY))
        .max_in_flight(64)
        .build()
        .unwrap()
}

#[test]
fn the_counter_counts() {
    let boxes = count(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(boxes, CALLS);
}

#[test]
fn a_quota_allocates_nothing() {
    let quota = quota();
    allocates_nothing(|| drop(quota.try_acquire(Cost::tokens(9)).unwrap()));
    allocates_nothing(|| quota.try_acquire(Cost::request()).unwrap().cancel());
    allocates_nothing(|| {
        let permit = now(quota.acquire(Cost::input_output(7, 90))).unwrap();
        permit.settle(Usage::new(7, 1));
    });
}

/// Whoever watches costs nothing until there is something to tell.
#[test]
fn a_quota_that_is_watched_allocates_nothing() {
    let watched = || {
        Quota::builder()
            .limit(Limit::requests_per_minute(1_000_000))
            .limit(Limit::tokens_per_minute(1_000_000_000))
            .named("openai")
            .of_model("gpt-4.1-mini")
            .on_alert(|alert| panic!("{alert}"))
            .build()
            .unwrap()
    };
    let quota = watched();
    allocates_nothing(|| {
        quota
            .try_acquire(Cost::tokens(9))
            .unwrap()
            .settle(Usage::new(7, 1));
    });
    allocates_nothing(http(TokenBudgetLayer::new(watched())));
    allocates_nothing(http(BackoffRetryLayer::new().alerts(Alerts::new(|_| ()))));
}

#[test]
fn a_refusal_that_nobody_hears_of_allocates_nothing() {
    let quota = Quota::new(Limit::requests_per_day(1)).unwrap();
    drop(quota.try_acquire(Cost::request()).unwrap());
    allocates_nothing(|| assert!(quota.try_acquire(Cost::request()).is_err()));
}

#[test]
fn rate_limit_allocates_nothing() {
    allocates_nothing(http(RateLimitLayer::new(quota())));
    allocates_nothing(http(RateLimitLayer::new(quota()).reject()));
    allocates_nothing(numbers(RateLimitLayer::new(quota()).opaque()));
    let keyed = RateLimitLayer::new(quota()).keyed(|n: &u64| *n);
    allocates_nothing(numbers(keyed.opaque()));
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A quota with these settings for each number.
fn each(settings: QuotaBuilder, most: usize) -> KeyedQuotas<u64> {
    let tier = Tier::new(settings).unwrap();
    KeyedQuotas::new(move |_: &u64| tier.clone()).max_keys(most)
}

/// The bytes that `work` leaves, and the most that it had.
fn bytes<T>(work: impl FnOnce() -> T) -> (T, i64, u64) {
    let mut made = None;
    let counted = allocation_counter::measure(|| made = Some(work()));
    (made.unwrap(), counted.bytes_current, counted.bytes_max)
}

#[test]
fn a_key_that_was_seen_before_allocates_nothing() {
    let limits = || {
        Quota::builder()
            .limit(Limit::requests_per_minute(1_000_000))
            .limit(Limit::tokens_per_minute(1_000_000_000))
    };
    let quotas = each(limits(), 100);
    allocates_nothing(|| quotas.spend(&7, &Cost::tokens(9)).unwrap());
    allocates_nothing(|| {
        let permit = quotas.get(&7).try_acquire(Cost::tokens(9)).unwrap();
        permit.settle(Usage::new(2, 1));
    });
    let cost = |n: &u64| Cost::tokens(*n);
    let (tenants, shared) = (
        TokenBudgetLayer::unlimited(),
        TokenBudgetLayer::new(quota()),
    );
    let tenants = tenants
        .cost(cost)
        .for_keys(|n: &u64| *n % 3, quotas.clone());
    let shared = shared.cost(cost).shared_by(|n: &u64| *n % 3, quotas);
    allocates_nothing(numbers(tower::layer::util::Stack::new(
        shared.opaque(),
        tenants.opaque(),
    )));
    let none = each(
        Quota::builder().limit(Limit::requests(1, HOUR).bucket()),
        100,
    );
    none.spend(&7, &Cost::request()).unwrap();
    allocates_nothing(|| assert!(none.spend(&7, &Cost::request()).is_err()));
}

/// Whatever has been enlarged last: of which the table makes two halves each time.
#[test]
fn a_key_of_one_bucket_limit_takes_at_most_120_bytes() {
    for keys in [230_000, 500_000, 1_000_000] {
        let (quotas, left, _) = bytes(|| {
            let quotas = each(Quota::builder().limit(Limit::requests(10, HOUR)), 2_000_000);
            for key in 0..keys {
                quotas.spend(&key, &Cost::request()).unwrap();
            }
            quotas
        });
        assert_eq!(quotas.len() as u64, keys);
        let each = left as u64 / keys;
        println!("{keys} keys: {each} bytes each");
        assert!(each <= 120, "{keys} keys: {each} bytes each");
    }
}

#[test]
fn keys_of_more_limits_take_what_their_page_says() {
    for (names, most) in [
        (&["a", "b"][..], 112 + 16 + 64),
        (&["a", "b", "c", "d"], 112 + 16 + 128),
    ] {
        let limits = names.iter().map(|name| Limit::units(name, 10, HOUR));
        let settings = limits.fold(Quota::builder(), QuotaBuilder::limit);
        let (_, left, _) = bytes(|| {
            let quotas = each(settings, 10_000);
            for key in 0..1_000 {
                quotas.spend(&key, &Cost::request().unit("a", 1)).unwrap();
            }
            quotas
        });
        let each = left / 1_000;
        println!("{} limits: {each} bytes each", names.len());
        assert!(each <= most, "{names:?}: {each} bytes each");
    }
}

/// A rolling limit's charges take room as they come; and nothing is left of it when they are gone.
#[test]
fn a_key_of_a_rolling_limit_grows_with_use_and_shrinks_when_it_is_idle() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let minute = Duration::from_secs(60);
    let step = |span| runtime.block_on(tokio::time::advance(span));
    let settings = Quota::builder().limit(Limit::requests_per_minute(1_000).rolling());
    let _entered = runtime.enter();
    let quotas = each(settings, 100);
    let spend = |key| quotas.spend(&key, &Cost::request()).unwrap();
    // What is made once.
    spend(0);
    let (_, little, _) = bytes(|| spend(1));
    let (_, more, _) = bytes(|| {
        for _ in 0..120 {
            step(minute / 60);
            (0..2).for_each(spend);
        }
    });
    let more = more / 2;
    println!("a key of a rolling limit: {little} bytes, and {more} more with use");
    assert!((1_000..2_500).contains(&little), "{little} bytes");
    assert!((1_000..5_000).contains(&more), "{more} bytes");
    let (_, freed, _) = bytes(|| {
        step(3 * minute);
        // With requests of the other, which is used as little as it was at first.
        (0..40).for_each(|_| spend(0));
    });
    println!("{freed} bytes when one of them is idle");
    assert!(
        freed <= 300 - little - 2 * more,
        "{freed} of {little} and {more} bytes"
    );
}

/// Of a million random keys there are never more than there may be.
#[test]
fn made_up_keys_take_no_more_memory_than_the_bound() {
    const MOST: u64 = 20_000;
    let (quotas, left, most) = bytes(|| {
        let settings = Quota::builder().limit(Limit::requests(5, HOUR));
        let quotas = each(settings, MOST as usize);
        for key in 0..1_000_000u64 {
            let _ = quotas.spend(&key, &Cost::request());
        }
        quotas
    });
    assert!(quotas.len() as u64 <= MOST);
    println!("{left} bytes for {MOST} keys, {most} at the most");
    assert!(most / MOST <= 130, "{most} bytes at the most");
}

#[test]
fn token_budget_allocates_nothing() {
    let cost = |_: &Request<BufferedBody>| Cost::input_output(7, 90);
    allocates_nothing(http(TokenBudgetLayer::new(quota()).cost(cost)));
    let cost = |n: &u64| Cost::tokens(*n);
    allocates_nothing(numbers(TokenBudgetLayer::new(quota()).cost(cost).opaque()));
}

#[test]
fn estimating_a_chat_allocates_nothing() {
    allocates_nothing(http(TokenBudgetLayer::new(quota())));
}

/// Neither a model that was seen before nor what its answers teach.
#[test]
fn pools_and_learning_allocate_nothing() {
    let calibration = Calibration::new();
    let pools = Pools::new().pool("gpt-4.1-mini", quota());
    let layer = TokenBudgetLayer::new(quota()).calibrate(calibration.clone());
    allocates_nothing(http(layer.pools(pools)));
    assert_eq!(calibration.models()[0].answers, CALLS + 1);
}

#[test]
fn the_breaker_and_its_gate_allocate_nothing() {
    let breaker = || CircuitBreakerLayer::new().slow_calls(0.5, Duration::from_secs(9));
    allocates_nothing(http(breaker()));
    allocates_nothing(numbers(breaker().opaque()));
    allocates_nothing(http(breaker().gate()));
    allocates_nothing(numbers(breaker().gate()));
    let calls = CircuitBreakerLayer::new().last_calls(100);
    allocates_nothing(http(calls));
    let by_calls = breaker().window_in_steps_by_calls(Duration::from_secs(9), 3);
    allocates_nothing(http(by_calls));
    allocates_nothing(http(breaker().metrics_only()));
    // With a key that takes no allocation itself.
    allocates_nothing(http(breaker().keyed(|_: &Request<_>| 7)));
    allocates_nothing(numbers(breaker().opaque().keyed(|n: &u64| *n % 3)));
    allocates_nothing(numbers(breaker().keyed(|n: &u64| *n % 3).gate()));
}

/// A circuit by key, with the default window, its place among the others and a small key.
#[test]
fn a_key_takes_about_a_kilobyte() {
    const KEYS: u64 = 8_000;
    let layer = CircuitBreakerLayer::new().opaque().keyed(|n: &u64| *n);
    let mut service = layer.layer(Echo);
    let grown = allocation_counter::measure(|| {
        for key in 0..KEYS {
            call(&mut service, key);
        }
    });
    assert_eq!(layer.handle().keys() as u64, KEYS);
    let each = grown.bytes_current / KEYS as i64;
    assert!(each <= 1_024, "{each} bytes a key");
}

#[test]
fn stacked_they_allocate_nothing() {
    let breaker = CircuitBreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(breaker.gate())
        .layer(RateLimitLayer::new(quota()))
        .layer(TokenBudgetLayer::new(quota()))
        .layer(breaker);
    allocates_nothing(http(stack));
    let breaker = CircuitBreakerLayer::new().opaque();
    let stack = ServiceBuilder::new()
        .layer(breaker.gate())
        .layer(RateLimitLayer::new(quota()).opaque())
        .layer(
            TokenBudgetLayer::new(quota())
                .cost(|n: &u64| Cost::tokens(*n))
                .opaque(),
        )
        .layer(breaker);
    allocates_nothing(numbers(stack));
}

/// The memory costs the path where the first serves nothing.
#[test]
fn fallbacks_allocate_nothing_where_the_first_serves() {
    allocates_nothing(http(FallbackLayer::to(Client)));
    allocates_nothing(http(FallbackLayer::chain([Client, Client, Client])));
    allocates_nothing(http(FallbackLayer::rewrite(|request: Request<_>| request)));
    allocates_nothing(http(FallbackLayer::respond(|_: Unserved<Request<_>>| {
        Response::new(Full::new(Bytes::from_static(ANSWER)))
    })));
    allocates_nothing(numbers(FallbackLayer::to(Echo).opaque()));
    allocates_nothing(numbers(FallbackLayer::chain([Echo, Echo]).opaque()));
}

/// What is left is told where that was asked for, and costs something there alone.
#[test]
fn a_server_that_tells_nothing_allocates_nothing() {
    let told = |respond: RespondLayer, limit: RateLimitLayer| {
        http(ServiceBuilder::new().layer(respond).layer(limit))
    };
    allocates_nothing(told(RespondLayer::new(), RateLimitLayer::new(quota())));
    let hidden = RespondLayer::new().hide_upstream();
    allocates_nothing(told(hidden, RateLimitLayer::new(quota())));
    let three = told(RespondLayer::new(), RateLimitLayer::new(quota()).tell());
    let each = count(three) / CALLS;
    println!("allocations of an answer that tells of three limits: {each}");
    assert!(each <= 19, "{each}");
}

#[test]
fn sharing_out_allocates_nothing() {
    let split = Split::new([(60, Echo), (40, Echo)]);
    allocates_nothing(numbers(layer_fn(|_| split.clone())));
    let endpoint = HeadroomLayer::new(quota()).layer(Echo);
    allocates_nothing(|| assert_eq!(endpoint.load(), Default::default()));
}

#[test]
fn a_retry_with_a_deadline_allocates_nothing_where_the_first_try_is_answered_at_once() {
    let minute = Duration::from_secs(60);
    allocates_nothing(http(BackoffRetryLayer::new().deadline(minute)));
}

/// A request that may be sent again is kept in a pointer and its body; what only a second try needs is made for that.
#[test]
fn a_call_holds_little_while_it_is_under_way() {
    fn size<L>(_: L) -> usize
    where
        L: Layer<Client>,
        L::Service: Service<Request<Bytes>>,
    {
        size_of::<<L::Service as Service<Request<Bytes>>>::Future>()
    }
    let bare = size_of::<<Client as Service<Request<Bytes>>>::Future>();
    let retry = size(BackoffRetryLayer::new()) - bare;
    let fallback = size(FallbackLayer::to(Client)) - bare;
    let five = ServiceBuilder::new()
        .layer(FallbackLayer::to(Client))
        .layer(BackoffRetryLayer::new())
        .layer(RateLimitLayer::new(quota()))
        .layer(TokenBudgetLayer::new(quota()))
        .layer(CircuitBreakerLayer::new());
    let five = size(five) - bare;
    println!(
        "bytes that a future is larger: by a retry {retry}, by a fallback {fallback}, by all five {five}"
    );
    assert!(retry <= 96 && fallback <= 88, "{retry}, {fallback}");
    assert!(five <= 850, "{five}");
}

/// With a copy of a request that has no headers of its own.
#[test]
fn all_five_allocate_nothing() {
    let breaker = CircuitBreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(FallbackLayer::to(Client))
        .layer(BackoffRetryLayer::new())
        .layer(breaker.gate())
        .layer(RateLimitLayer::new(quota()))
        .layer(TokenBudgetLayer::new(quota()))
        .layer(breaker);
    allocates_nothing(http(stack));
}
