//! What a request holds while its answer streams, and what it is charged when that ends.

use std::time::Duration;

use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};
use tower_quota::{Cost, Limit, Quota, Settle, TokenBudgetLayer};

use super::{Step::*, *};
use crate::support::probe::request;

const BEGUN: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":30,\"output_tokens\":1}}}\n\n";
const TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
const DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":20}}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const GEMINI: &str = "data: {\"candidates\":[{}],\"usageMetadata\":{\"promptTokenCount\":30,\"candidatesTokenCount\":1,\"totalTokenCount\":31}}\n\n";

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::tokens_per_minute(1_000))
        .max_in_flight(100)
        .build()
        .unwrap()
}

fn state(quota: &Quota) -> (u64, usize) {
    let snapshot = quota.snapshot();
    (snapshot.limits[0].used, snapshot.in_flight)
}

async fn send(
    quota: &Quota,
    steps: &[Step],
) -> http::Response<impl http_body::Body<Data = bytes::Bytes, Error = &'static str>> {
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(400))
        .settle(Settle::TrueUp)
        .layer(Provider::new(&[steps]).service());
    service.oneshot(request()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_settles_by_the_usage_at_its_end_and_holds_its_place_until_then() {
    for steps in [
        &[Data(ROLE), Data(HELLO), Data(USAGE), Data(DONE)][..],
        &[Data(BEGUN), Data(TEXT), Data(DELTA), Data(STOP)],
        &[Data(HELLO), Data(USAGE), Trailers("x-end", "1")],
    ] {
        let quota = quota();
        let mut body = Box::pin(send(&quota, steps).await.into_body());
        for step in steps {
            assert_eq!(state(&quota), (400, 1), "{step:?}");
            body.frame().await.unwrap().unwrap();
        }
        while body.frame().await.is_some() {}
        assert_eq!(state(&quota), (50, 0), "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_or_breaks_keeps_its_charge_and_frees_its_place() {
    for steps in [
        &[Data(HELLO), Hang][..],
        &[Data(BEGUN), Data(TEXT), Data(DELTA), Hang],
        &[Data(HELLO), Data(USAGE), Hang],
        &[Data(GEMINI), Break],
        &[Data(BEGUN), Data(TEXT), Data(DELTA), Break],
    ] {
        let quota = quota();
        let body = send(&quota, steps).await.into_body();
        assert_eq!(state(&quota), (400, 1), "{steps:?}");
        let _ = tokio::time::timeout(Duration::from_secs(1), text(body)).await;
        assert_eq!(state(&quota), (400, 0), "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_after_its_content_keeps_its_charge() {
    for steps in [
        &[Data(HELLO), Data(OVERLOADED)][..],
        &[Data(BEGUN), Data(TEXT), Data(LIMITED)],
        &[Data(GEMINI), Data(LIMITED)],
        // An end that says nothing isn't a usage of nothing.
        &[Data(BEGUN), Data(TEXT)],
        &[Data(HELLO), Data(DONE)],
    ] {
        let quota = quota();
        let body = send(&quota, steps).await.into_body();
        text(body).await.unwrap();
        assert_eq!(state(&quota), (400, 0), "{steps:?}");
        assert!(
            quota.try_acquire(Cost::tokens(1)).is_ok(),
            "nothing is paused: {steps:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_all_head_holds_nothing() {
    let quota = quota();
    let service = TokenBudgetLayer::new(quota.clone())
        .cost(|_: &_| Cost::tokens(400))
        .layer(tower::service_fn(async |_| {
            let head = http::Response::builder().header("content-type", "text/event-stream");
            Ok::<_, std::convert::Infallible>(
                head.body(http_body_util::Empty::<bytes::Bytes>::new())
                    .unwrap(),
            )
        }));
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!(state(&quota), (400, 1));
    // Nobody asks an empty body for more.
    assert!(http_body::Body::is_end_stream(answer.body()));
    drop(answer);
    assert_eq!(state(&quota), (400, 0));
}
