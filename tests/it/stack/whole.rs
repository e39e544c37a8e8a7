//! The documented order, from the door to the provider.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep},
};
use tower::{Layer, ServiceBuilder, ServiceExt, timeout::TimeoutLayer};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, CircuitState,
    FallbackLayer, Limit, Quota, RateLimitLayer, Reason, Rejected, RetryBudget, TokenBudgetLayer,
    fallback::ServedBy, testing::Provider,
};

use super::{MINUTE, Stack, books, chat, cost, patient, stack};

const SECOND: Duration = Duration::from_secs(1);
const DOWN: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// BufferBody ▷ Fallback ▷ BackoffRetry ▷ gate ▷ RateLimit ▷ TokenBudget ▷ CircuitBreaker ▷ Timeout ▷ provider.
struct Whole {
    provider: Provider,
    backup: Provider,
    requests: Quota,
    tokens: Quota,
    breaker: CircuitBreakerLayer,
    retries: RetryBudget,
    gated: bool,
}

type Client = super::Stack<http_body_util::Full<Bytes>>;

impl Whole {
    fn new(requests: u64, tokens: u64) -> Self {
        Self {
            provider: Provider::openai().build().unwrap(),
            backup: Provider::openai().build().unwrap(),
            requests: patient([Limit::requests_per_minute(requests)]),
            tokens: patient([Limit::tokens_per_minute(tokens)]),
            breaker: CircuitBreakerLayer::new()
                .consecutive_failures(5)
                .open_backoff(Backoff::constant(5 * SECOND).jitter(tower_quota::Jitter::None)),
            retries: RetryBudget::ratio(1, 1).reserve(100),
            gated: true,
        }
    }

    fn inside_of_fallback(&self, attempts: u32) -> Stack {
        let retry = BackoffRetryLayer::new()
            .attempts(attempts)
            .budget(self.retries.clone())
            .hint_jitter(0)
            .random(|| u64::MAX);
        let client = ServiceBuilder::new()
            .layer(RateLimitLayer::new(self.requests.clone()))
            .layer(TokenBudgetLayer::new(self.tokens.clone()).cost(cost))
            .layer(self.breaker.clone())
            .layer(TimeoutLayer::new(10 * SECOND))
            .service(self.provider.service());
        if self.gated {
            stack(retry, self.breaker.gate().layer(client))
        } else {
            stack(retry, client)
        }
    }

    fn alone(&self, attempts: u32) -> Client {
        let door = BufferBodyLayer::new();
        stack(door, self.inside_of_fallback(attempts))
    }

    fn with_fallback(&self, attempts: u32) -> Client {
        let fallback = FallbackLayer::to(self.backup.service());
        let inner = fallback.layer(self.inside_of_fallback(attempts));
        stack(BufferBodyLayer::new(), inner)
    }

    /// (used, held) of requests and of tokens.
    fn spent(&self) -> [(u64, u64); 2] {
        let (requests, tokens) = (books(&self.requests), books(&self.tokens));
        assert_eq!((requests.1, tokens.1), (0, 0), "in flight");
        [requests.0[0], tokens.0[0]]
    }
}

fn reason(error: &BoxError) -> Reason {
    Rejected::find(error.as_ref()).expect("one of ours").reason
}

#[tokio::test(start_paused = true)]
async fn with_a_dead_upstream_nothing_leaves_after_the_trip_and_the_probe_is_answered_at_once() {
    let whole = Whole::new(10, 100_000);
    whole.provider.faults(|f| f.errors(1.0, DOWN));
    let service = whole.alone(1);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Ok(answer) => answered += u64::from(answer.status() == DOWN),
            Err(error) => refused += u64::from(reason(&error) == Reason::CircuitOpen),
        }
    }
    assert_eq!((answered, refused), (5, 195));
    assert_eq!(
        (whole.provider.report().requests, start.elapsed()),
        (5, Duration::ZERO)
    );
    assert_eq!(whole.spent(), [(5, 0), (25, 0)]);
    // The probe waits for nobody.
    whole.provider.faults(|f| f.errors(0.0, DOWN));
    advance(5 * SECOND).await;
    let start = Instant::now();
    let answer = service.clone().oneshot(chat(5)).await.unwrap();
    assert_eq!(
        (answer.status(), start.elapsed()),
        (StatusCode::OK, Duration::ZERO)
    );
    assert_eq!(whole.breaker.handle().state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_line_when_the_circuit_opens_is_refused_at_its_turn_and_pays_nothing() {
    let whole = Whole::new(2, 100_000);
    let service = whole.alone(7);
    for _ in 0..2 {
        service.clone().oneshot(chat(5)).await.unwrap();
    }
    let waiting = tokio::spawn(service.clone().oneshot(chat(5)));
    sleep(SECOND).await;
    whole.breaker.handle().force_open();
    let error = waiting.await.unwrap().err().unwrap();
    assert_eq!(reason(&error), Reason::CircuitOpen);
    assert_eq!(whole.spent(), [(0, 0), (0, 0)]);
    // Neither retried nor judged.
    let counts = whole.breaker.handle().counts();
    assert_eq!((counts.refused, counts.failures), (1, 0));
    assert_eq!(whole.provider.report().requests, 2);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_gives_the_quota_back_and_is_not_retried() {
    let mut whole = Whole::new(10, 100_000);
    whole.gated = false;
    let service = whole.alone(7);
    service.clone().oneshot(chat(50)).await.unwrap();
    let before = whole.spent();
    whole.breaker.handle().force_open();
    let start = Instant::now();
    for n in 1..=20 {
        let error = service.clone().oneshot(chat(50)).await.err().unwrap();
        assert_eq!(reason(&error), Reason::CircuitOpen);
        assert_eq!(whole.breaker.handle().counts().refused, n);
    }
    assert_eq!((whole.spent(), start.elapsed()), (before, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn our_own_refusals_say_nothing_about_the_provider() {
    let whole = Whole::new(10, 100);
    let service = whole.alone(3);
    for _ in 0..50 {
        let error = service.clone().oneshot(chat(101)).await.err().unwrap();
        assert_eq!(reason(&error), Reason::TooLarge);
    }
    let counts = whole.breaker.handle().counts();
    assert_eq!((counts.calls, counts.failures, counts.refused), (0, 0, 0));
    assert_eq!(
        (whole.spent(), whole.provider.report().requests),
        ([(0, 0); 2], 0)
    );
    // What the provider limits says nothing either.
    for _ in 0..20 {
        let limited = Response::builder().status(429).body("{}").unwrap();
        whole.provider.then_answer(limited);
        service.clone().oneshot(chat(5)).await.unwrap();
        advance(MINUTE * 2).await;
    }
    let counts = whole.breaker.handle().counts();
    assert_eq!(counts.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn each_try_pays() {
    let whole = Whole::new(10, 1_000);
    whole.provider.faults(|f| f.errors(1.0, DOWN));
    assert_eq!(
        whole.alone(3).oneshot(chat(50)).await.unwrap().status(),
        DOWN
    );
    assert_eq!(whole.spent(), [(3, 0), (150, 0)]);
    assert_eq!(whole.provider.report().admitted, 3);
}

#[tokio::test(start_paused = true)]
async fn a_hint_pauses_the_quota_and_the_retry_waits_for_it_and_no_longer() {
    let whole = Whole::new(10, 1_000);
    let service = whole.alone(3);
    let limited = Response::builder()
        .status(429)
        .header("retry-after", "7")
        .header("content-type", "application/json")
        .body(r#"{"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}"#)
        .unwrap();
    whole.provider.then_answer(limited);
    let start = Instant::now();
    let first = tokio::spawn(service.clone().oneshot(chat(5)));
    sleep(SECOND).await;
    let second = service.clone().oneshot(chat(5)).await.unwrap();
    assert_eq!(
        (second.status(), start.elapsed()),
        (StatusCode::OK, 7 * SECOND)
    );
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    let arrivals = whole.provider.arrivals();
    let times: Vec<_> = arrivals.iter().map(|a| a.at).collect();
    assert_eq!(times, [Duration::ZERO, 7 * SECOND, 7 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn without_money_the_answer_is_returned_at_once_and_the_circuit_opens() {
    let whole = Whole::new(10, 1_000);
    whole.provider.faults(|f| f.insufficient_quota(true));
    let answer = whole.alone(3).oneshot(chat(5)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("insufficient_quota"));
    assert_eq!(whole.provider.report().requests, 1);
    assert_eq!(whole.breaker.handle().state(), CircuitState::Open);
    // With somebody to fall back to, that one serves: this request, and the next without a try.
    let service = whole.with_fallback(3);
    for _ in 0..2 {
        let answer = service.clone().oneshot(chat(5)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(ServedBy::of(&answer).is_some());
    }
    let (first, second) = (whole.provider.report(), whole.backup.report());
    assert_eq!((first.requests, second.requests), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_falls_back_whoever_says_so() {
    let whole = Whole::new(10, 100);
    let service = whole.with_fallback(3);
    let answer = service.clone().oneshot(chat(101)).await.unwrap();
    assert!(ServedBy::of(&answer).is_some());
    assert_eq!(whole.provider.report().requests, 0);
    let large = r#"{"error": {"message": "This model's maximum context length is 8192 tokens", "type": "invalid_request_error", "code": "context_length_exceeded"}}"#;
    whole
        .provider
        .then_answer(Response::builder().status(400).body(large).unwrap());
    let answer = service.clone().oneshot(chat(5)).await.unwrap();
    assert!(ServedBy::of(&answer).is_some());
    assert_eq!(
        (
            whole.provider.report().requests,
            whole.backup.report().requests
        ),
        (1, 2)
    );
    assert_eq!(whole.breaker.handle().counts().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_is_tried_again_judged_and_paid_for() {
    let whole = Whole::new(10, 1_000);
    whole.provider.faults(|f| f.stalls(1.0, MINUTE));
    let start = Instant::now();
    let error = whole.alone(3).oneshot(chat(50)).await.err().unwrap();
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    let spent = 3 * 10 * SECOND + Duration::from_millis(500) + SECOND;
    assert_eq!(start.elapsed(), spent);
    assert_eq!(whole.breaker.handle().counts().failures, 3);
    assert_eq!(whole.spent(), [(3, 0), (150, 0)]);
}

#[tokio::test(start_paused = true)]
async fn every_answer_passes_byte_for_byte() {
    let whole = Whole::new(1_000, 1_000_000);
    let service = whole.alone(1);
    let mut dice = super::Dice(7);
    for status in [200, 201, 204, 400, 404, 429, 500, 503] {
        for length in [0, 1, 1_000, 64 * 1024 - 1, 64 * 1024, 200_000] {
            let body: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
            let answer = Response::builder().status(status).header("x-of", "theirs");
            whole
                .provider
                .then_answer(answer.body(body.clone()).unwrap());
            let answer = service.clone().oneshot(chat(5)).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["x-of"]),
                (status, &"theirs".parse().unwrap())
            );
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
            whole.breaker.handle().reset();
        }
    }
    assert_eq!(whole.spent()[0].1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_found_from_outside_of_all_layers() {
    let whole = Whole::new(1, 1_000);
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(1))
        .max_wait(SECOND)
        .build()
        .unwrap();
    let whole = Whole {
        requests: quota,
        ..whole
    };
    let service = whole.alone(3);
    service.clone().oneshot(chat(5)).await.unwrap();
    let error = service.oneshot(chat(5)).await.err().unwrap();
    assert_eq!(reason(&error), Reason::WaitTooLong);
    assert_eq!(whole.spent(), [(1, 0), (5, 0)]);
}
