//! Providers and threads that mean no good.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::{
    runtime,
    time::{Instant, advance},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Anchor, BackoffRetryLayer, BoxError, CircuitBreakerLayer, Cost, Limit, Quota, RateLimitLayer,
    Reason, Rejected, Settle, TokenBudgetLayer, Usage, Verdict,
    quota::{KeyedQuotas, Tier},
};

use super::{MINUTE, books, patient, patient_with};
use crate::support::{
    poll_once,
    probe::{Probe, request},
};

fn both() -> Quota {
    patient([
        Limit::requests_per_minute(100),
        Limit::tokens_per_minute(1_000),
    ])
}

pub(super) fn answer(
    status: u16,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Response<Full<Bytes>> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::from(body)).unwrap()
}

/// One request of 10 tokens that is answered so.
async fn ask(quota: &Quota, settle: Settle, answer: Response<Full<Bytes>>) {
    let probe = Probe::new();
    probe.answer(Ok(answer));
    let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(10));
    let service = layer.settle(settle).layer(probe);
    let answer = service.oneshot(request()).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nonsense_in_headers_changes_nothing() {
    for value in [
        "NaN",
        "-1e9",
        "inf",
        "",
        "1e400",
        "0x10",
        "99999999999999999999999",
        "🦀",
    ] {
        let quota = both();
        let headers = [
            ("retry-after", value),
            ("retry-after-ms", value),
            ("x-ratelimit-limit-tokens", value),
            ("x-ratelimit-remaining-tokens", value),
            ("x-ratelimit-reset-tokens", value),
        ];
        for status in [200, 429, 503] {
            ask(&quota, Settle::Keep, answer(status, &headers, "{}")).await;
        }
        assert_eq!(quota.snapshot().limits[1].paused, Duration::ZERO, "{value}");
        assert_eq!(quota.snapshot().paused, Duration::ZERO, "{value}");
        assert_eq!(books(&quota), (vec![(3, 0), (30, 0)], 0, 0), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_remainder_above_the_limit_raises_nothing_and_a_negative_one_reads_as_none() {
    let quota = both();
    let more = [("x-ratelimit-remaining-tokens", "18446744073709551615")];
    ask(&quota, Settle::Keep, answer(200, &more, "{}")).await;
    assert_eq!(quota.snapshot().limits[1].left, 990);
    let debt = [("x-ratelimit-remaining-tokens", "-27689")];
    ask(&quota, Settle::Keep, answer(200, &debt, "{}")).await;
    assert_eq!(quota.snapshot().limits[1].left, 0);
    // Others are forgotten by and by.
    advance(MINUTE * 4).await;
    assert_eq!(books(&quota).0, [(0, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn any_usage_is_survived_and_forgotten_after_a_window() {
    let most = r#"{"usage": {"prompt_tokens": 18446744073709551615, "completion_tokens": 18446744073709551615, "total_tokens": 18446744073709551615}}"#;
    let odd =
        r#"{"usage": {"prompt_tokens": -5, "completion_tokens": 1e300, "total_tokens": null}}"#;
    for body in [most, odd, r#"{"usage": {"total_tokens": 1e19}}"#] {
        for settle in [Settle::Keep, Settle::Auto, Settle::TrueUp] {
            let quota = both();
            for _ in 0..3 {
                quota.resume();
                let probe = Probe::new();
                probe.answer(Ok(answer(200, &[], body)));
                let layer = TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(0));
                let answer = layer.settle(settle).layer(probe).oneshot(request()).await;
                answer.unwrap().into_body().collect().await.unwrap();
            }
            let (limits, in_flight, _) = books(&quota);
            assert!(
                limits[1].0 >= 1_000 && limits[1].1 == 0 && in_flight == 0,
                "{limits:?}"
            );
            assert_eq!(quota.snapshot().limits[1].left, 0);
            advance(MINUTE * 2).await;
            assert_eq!(books(&quota).0, [(0, 0), (0, 0)], "{body} {settle:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_usage_without_end_stops_no_kind_of_limit_for_good() {
    let limit = || Limit::tokens_per_minute(1_000);
    let of = |limit| Quota::new(limit).unwrap();
    let tier = Tier::new(Quota::builder().limit(limit())).unwrap();
    let of_a_key = KeyedQuotas::new(move |_: &u8| tier.clone()).get(&1);
    for (quota, minutes) in [
        (of(limit()), 2),
        (of(limit().burst(100)), 2),
        (of(limit().fixed(Anchor::utc()).burst(100)), 3),
        (of(limit().bucket()), 66),
        (of_a_key, 66),
    ] {
        for _ in 0..2 {
            let permit = quota.try_acquire(Cost::tokens(1)).unwrap();
            permit.settle(Usage::new(u64::MAX, u64::MAX));
            let refused = quota.try_acquire(Cost::tokens(1)).unwrap_err();
            let wait = refused.retry_after.unwrap();
            assert!(wait <= minutes * MINUTE, "{quota:?}: {wait:?}");
            advance(wait).await;
        }
        quota.try_acquire(Cost::tokens(1)).unwrap().cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn costs_of_nothing_pass_and_costs_of_everything_never_fit() {
    let quota = both();
    let ask = |cost: Cost| {
        let layer = TokenBudgetLayer::new(quota.clone()).cost(move |_: &_| cost.clone());
        layer.layer(Probe::new()).oneshot(request())
    };
    for cost in [
        Cost::none(),
        Cost::tokens(0),
        Cost::input_output(0, 0),
        Cost::request(),
    ] {
        ask(cost).await.unwrap();
    }
    assert_eq!(books(&quota).0, [(3, 0), (0, 0)]);
    let much = [
        Cost::tokens(u64::MAX),
        Cost::input_output(u64::MAX, u64::MAX),
        Cost::request().requests(u64::MAX),
    ];
    for cost in much {
        let error = ask(cost).await.unwrap_err();
        assert_eq!(
            Rejected::find(error.as_ref()).unwrap().reason,
            Reason::TooLarge
        );
    }
    assert_eq!(books(&quota), (vec![(3, 0), (0, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_headers_are_read_like_ten() {
    for status in [200, 429, 500] {
        let mut full = answer(status, &[("retry-after", "3")], "{}");
        for n in 0..10_000 {
            let name = http::HeaderName::try_from(format!("x-ratelimit-{n}-remaining-tokens-{n}"));
            full.headers_mut()
                .insert(name.unwrap(), "1".parse().unwrap());
        }
        let quota = both();
        ask(&quota, Settle::Auto, full).await;
        assert_eq!(books(&quota).0[0], (1, 0));
    }
}

fn without_end<B>(outcome: Result<&Response<B>, &BoxError>) -> Verdict {
    let retry_after = Some(Duration::MAX);
    match outcome.map(|answer| answer.status().as_u16()) {
        Ok(429) => Verdict::RateLimited {
            resource: None,
            window: None,
            retry_after,
        },
        Ok(503) => Verdict::Overloaded { retry_after },
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Refused,
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_end_pauses_without_a_panic_and_ends_by_hand() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_minute(100))
        .limit(Limit::tokens_per_minute(1_000))
        .build()
        .unwrap();
    let breaker = CircuitBreakerLayer::new().max_hint(Duration::MAX);
    let probe = Probe::new();
    let service = BackoffRetryLayer::new()
        .max_hint(Duration::MAX)
        .classify(without_end)
        .layer(
            TokenBudgetLayer::new(quota.clone())
                .cost(|_: &_| Cost::tokens(1))
                .classify(without_end)
                .layer(breaker.clone().classify(without_end).layer(probe.clone())),
        );
    probe.answer(Ok(answer(429, &[], "{}")));
    let mut first = Box::pin(service.clone().oneshot(request()));
    assert!(poll_once(&mut first).is_pending());
    assert!(quota.snapshot().paused > MINUTE * 60 * 24 * 366);
    let error = service.clone().oneshot(request()).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(rejected.reason, Reason::WaitTooLong);
    quota.resume();
    drop(first);
    probe.answer(Ok(answer(503, &[], "{}")));
    let mut second = Box::pin(service.clone().oneshot(request()));
    assert!(poll_once(&mut second).is_pending());
    let error = service.clone().oneshot(request()).await.unwrap_err();
    let rejected = Rejected::find(error.as_ref()).unwrap();
    assert_eq!(rejected.reason, Reason::CircuitOpen);
    breaker.handle().reset();
    service.oneshot(request()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_midway_keeps_the_charge_frees_its_place_and_fails_the_same_way() {
    for status in [200, 500] {
        let quota = patient_with([Limit::tokens_per_minute(1_000)], 1);
        let client = service_fn(move |_: Request<Bytes>| {
            let frames = [
                Ok(Frame::data(Bytes::from("{\"usage\": "))),
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ];
            let body = StreamBody::new(stream::iter(frames));
            let answer = Response::builder().status(status).body(body);
            std::future::ready(Ok::<_, BoxError>(answer.unwrap()))
        });
        let service = TokenBudgetLayer::new(quota.clone())
            .cost(|_: &_| Cost::tokens(100))
            .settle(Settle::TrueUp)
            .layer(CircuitBreakerLayer::new().layer(client));
        for _ in 0..2 {
            let answer = service.clone().oneshot(Request::new(Bytes::new())).await;
            let mut body = answer.unwrap().into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first, "{\"usage\": ");
            let error = body.frame().await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(quota.snapshot().in_flight, 0, "{status}");
        }
        assert_eq!(books(&quota), (vec![(200, 0)], 0, 0), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_dropped_on_another_thread_frees_its_place_for_who_waits_here() {
    let quota = patient_with([Limit::requests_per_minute(100)], 1);
    let service = RateLimitLayer::new(quota.clone()).layer(Probe::new());
    let answer = service.clone().oneshot(request()).await.unwrap();
    let waiting = tokio::spawn(service.oneshot(request()));
    tokio::task::yield_now().await;
    assert_eq!(quota.snapshot().waiting, 1);
    std::thread::spawn(move || drop(answer)).join().unwrap();
    let start = Instant::now();
    drop(waiting.await.unwrap().unwrap());
    assert_eq!((books(&quota).1, start.elapsed()), (0, Duration::ZERO));
}

#[test]
fn answers_outlive_their_runtime_and_waiters_on_another_are_served() {
    let runtime = || {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let quota = patient_with([Limit::requests_per_minute(3)], 1);
    let service = RateLimitLayer::new(quota.clone())
        .layer(CircuitBreakerLayer::new().layer(Probe::slow(Duration::from_millis(1))));
    let first = runtime();
    let answer = first.block_on(service.clone().oneshot(request())).unwrap();
    // Somebody waits there when it shuts down, and never hears of it.
    let mut stranded = Box::pin(service.clone().oneshot(request()));
    first.block_on(async { assert!(poll_once(&mut stranded).is_pending()) });
    let second = runtime();
    let waiting = second.spawn(service.clone().oneshot(request()));
    second.block_on(tokio::task::yield_now());
    drop(first);
    let body = answer.into_body().collect().now_or_never().unwrap();
    body.unwrap();
    drop(stranded);
    drop(second.block_on(waiting).unwrap().unwrap());
    assert_eq!((books(&quota).1, books(&quota).2), (0, 0));
    drop(second.block_on(service.oneshot(request())).unwrap());
}
