//! A provider that counts output as it is produced, whatever the request's maximum.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Cost, Limit, Quota, Settle, TokenBudgetLayer};

use crate::support::probe::request;

/// Output tokens a minute.
const LIMIT: u64 = 8_000;
/// What every request may come to, and what none of them does.
const MAX_TOKENS: u64 = 4_096;
/// For so long an answer streams.
const SECONDS: u64 = 10;

/// A bucket that output is taken from while it is produced; who comes while it is empty is refused.
struct Account {
    level: f64,
    at: Instant,
    // Nothing counts after it.
    until: Instant,
    produced: u64,
    served: u64,
    refused: u64,
}

impl Account {
    fn take(&mut self, tokens: u64) -> f64 {
        let now = Instant::now();
        let refilled = (now - self.at).as_secs_f64() * LIMIT as f64 / 60.0;
        self.at = now;
        self.level = (self.level + refilled).min(LIMIT as f64) - tokens as f64;
        if now <= self.until {
            self.produced += tokens;
        }
        self.level
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn answer(shared: &Arc<Mutex<Account>>) -> Answer {
    let mut account = shared.lock().unwrap();
    let left = account.take(0);
    let head = Response::builder()
        .header("anthropic-ratelimit-output-tokens-limit", LIMIT)
        .header(
            "anthropic-ratelimit-output-tokens-remaining",
            left.max(0.0) as u64,
        );
    if left <= 0.0 {
        account.refused += 1;
        let wait = (-left * 60.0 / LIMIT as f64).ceil().max(1.0);
        let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"output tokens per minute"}}"#;
        let head = head.status(429).header("retry-after", wait as u64);
        return head.body(Full::from(body).boxed_unsync()).unwrap();
    }
    account.served += 1;
    // 150 to 450 tokens, in no order.
    let each = 15 + account.served * 17 % 31;
    let shared = Arc::clone(shared);
    let deltas = stream::iter(0..SECONDS).then(move |_| {
        let shared = Arc::clone(&shared);
        async move {
            sleep(Duration::from_secs(1)).await;
            shared.lock().unwrap().take(each);
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\n".to_owned()
        }
    });
    let usage = |output| format!("{{\"input_tokens\":9,\"output_tokens\":{output}}}");
    let begin = format!(
        "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":{}}}}}\n\n",
        usage(1)
    );
    let end = format!(
        "data: {{\"type\":\"message_delta\",\"usage\":{}}}\n\n",
        usage(each * SECONDS)
    );
    let events = stream::iter([begin])
        .chain(deltas)
        .chain(stream::iter([end]));
    let body = StreamBody::new(events.map(|event| Ok(Frame::data(Bytes::from(event)))));
    let head = head.header("content-type", "text/event-stream");
    head.body(body.boxed_unsync()).unwrap()
}

/// Half an hour of more requests than fit: the share of the limit that was produced, and the share of
/// requests that was refused.
async fn saturate(settle: Settle) -> (f64, f64) {
    let minute = Duration::from_secs(60);
    let end = Instant::now() + 30 * minute;
    let account = Arc::new(Mutex::new(Account {
        level: LIMIT as f64,
        at: Instant::now(),
        until: end,
        produced: 0,
        served: 0,
        refused: 0,
    }));
    let shared = Arc::clone(&account);
    let quota = Quota::builder()
        .limit(Limit::output_tokens(LIMIT, minute).bucket())
        .max_wait(100 * minute)
        .build()
        .unwrap();
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::input_output(9, MAX_TOKENS))
        .settle(settle)
        .layer(service_fn(move |_| {
            let answer = answer(&shared);
            async move { Ok::<_, Infallible>(answer) }
        }));
    let workers = (0..100).map(|_| async {
        while Instant::now() < end {
            let answer = service.clone().oneshot(request()).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    });
    futures_util::future::join_all(workers).await;
    let account = account.lock().unwrap();
    let most = LIMIT as f64 * (1.0 + 30.0);
    let asked = account.served + account.refused;
    (
        account.produced as f64 / most,
        account.refused as f64 / asked as f64,
    )
}

#[tokio::test(start_paused = true)]
async fn output_that_is_counted_as_it_is_produced_isnt_waited_for() {
    let (used, refused) = saturate(Settle::RealTime).await;
    println!("real time: {used:.3} used, {refused:.4} refused");
    assert!(used >= 0.95 && refused <= 0.01, "{used:.3} {refused:.4}");
    let (kept, refused) = saturate(Settle::TrueUp).await;
    println!("true up: {kept:.3} used, {refused:.4} refused");
    assert!(kept < used - 0.2, "{kept:.3}");
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_is_what_answers_have_come_to() {
    let quota = Quota::builder()
        .limit(Limit::tokens_per_minute(100_000))
        .build()
        .unwrap();
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::input_output(30, MAX_TOKENS))
        .settle(Settle::RealTime)
        .layer(super::Provider::new(&[&[super::Step::Data(super::USAGE)]]).service());
    let used = || quota.snapshot().limits[0].used;
    // Nothing is known of the first.
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(used(), 30 + 512);
    answer.into_body().collect().await.unwrap();
    assert_eq!(used(), 50);
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(used(), 50 + 30 + 20);
    // One that is dropped keeps that, and teaches nothing.
    drop(answer);
    assert_eq!(used(), 100);
    drop(service.oneshot(request()).await.unwrap());
    assert_eq!(used(), 150);
}
