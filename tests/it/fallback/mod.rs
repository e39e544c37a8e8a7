//! Laws of `FallbackLayer`.

mod chain;
mod computed;
mod departure;
mod memory;
mod model;

use std::{pin::pin, task::Context, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_quota::{
    FallbackLayer, Rejected, Verdict,
    fallback::{Causes, ServedBy, swap_model},
};

use crate::support::mock::*;

#[tokio::test(start_paused = true)]
async fn it_falls_back_on_what_another_service_might_serve() {
    for (step, _) in ALL {
        let (first, second) = (Mock::new([step]), Mock::new([Step::Status(201)]));
        let service = FallbackLayer::to(second.clone()).layer(first.clone());
        let answer = service.oneshot(request()).await.unwrap();
        let stays = matches!(step, OK | Step::Judged(Verdict::Permanent));
        assert_eq!(second.calls(), usize::from(!stays), "{step:?}");
        assert_eq!(first.calls(), 1);
        let causes = Causes::of(&answer);
        assert_eq!(causes.map(Causes::len), (!stays).then_some(1), "{step:?}");
        let served_by = ServedBy::of(&answer);
        assert_eq!(served_by.is_none(), stays, "{step:?}");
        assert_eq!(answer.status() == 201, !stays);
        if !stays {
            assert_eq!(second.bodies(), [request().body()]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn which_verdicts_fall_back_is_the_users_choice() {
    let second = Mock::new([Step::Status(201)]);
    let layer = FallbackLayer::to(second.clone())
        .on(|verdict| matches!(verdict, Verdict::TooLarge))
        .name("large");
    let answer = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!((answer.status().as_u16(), second.calls()), (500, 0));
    let large = Mock::new([Step::Judged(Verdict::TooLarge)]);
    let answer = layer.layer(large).oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(ServedBy::of(&answer).unwrap().name(), "large");
}

#[tokio::test(start_paused = true)]
async fn the_second_may_have_another_body_and_another_error() {
    let second = service_fn(|_: Request<Bytes>| async {
        Ok::<_, std::io::Error>(Response::new(Empty::<Bytes>::new()))
    });
    let layer = FallbackLayer::to(second);
    let answer = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    assert!(
        answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
    let answer = layer
        .layer(Mock::new([OK]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "200"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_ones_outcome_is_returned_where_the_second_cannot_be_sent() {
    let first = Mock::new([Step::Status(502)]);
    // Never ready.
    let second = Mock::new([OK]);
    second.becomes(Readiness::Broken);
    let service = FallbackLayer::to(second.clone()).layer(first.clone());
    assert_eq!(service.oneshot(request()).await.unwrap().status(), 502);
    // Can't be copied.
    let second = Mock::new([OK]);
    let service = FallbackLayer::to(second.taking()).layer(first.taking());
    let once = Request::new(Once("{}".into()));
    assert_eq!(service.oneshot(once).await.unwrap().status(), 502);
    assert_eq!(second.calls(), 0);
    // Can't be rewritten.
    let layer = FallbackLayer::rewrite(|_: Request<Bytes>| None);
    assert_eq!(
        layer
            .layer(first.clone())
            .oneshot(request())
            .await
            .unwrap()
            .status(),
        502
    );
    assert_eq!(first.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_the_first_from_becoming_ready_is_an_outcome() {
    let (first, second) = (Mock::new([OK]), Mock::new([Step::Status(201)]));
    first.becomes(Readiness::Broken);
    let mut service = FallbackLayer::to(second.taking()).layer(first.taking());
    // It was never sent: it needs no copy.
    let once = || Request::new(Once("{}".into()));
    let answer = service.ready().await.unwrap().call(once()).await.unwrap();
    assert_eq!((answer.status().as_u16(), first.calls()), (201, 0));
    first.becomes(Readiness::Ready);
    let answer = service.ready().await.unwrap().call(once()).await.unwrap();
    assert_eq!((answer.status().as_u16(), first.calls()), (200, 1));
    // And returned where nothing falls back.
    first.becomes(Readiness::Broken);
    let layer = FallbackLayer::to(second.clone()).on(|_| false);
    let error = layer.layer(first).oneshot(request()).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn a_chain_stops_at_the_first_that_serves() {
    let down = || Mock::new([Step::Error("down")]);
    let (b, c, d, e) = (down(), down(), Mock::new([OK]), Mock::new([OK]));
    let service = FallbackLayer::to(b.clone()).name("b").layer(down());
    let service = FallbackLayer::to(c.clone()).name("c").layer(service);
    let service = FallbackLayer::to(d.clone()).name("d").layer(service);
    let service = FallbackLayer::to(e.clone()).name("e").layer(service);
    let answer = service.oneshot(request()).await.unwrap();
    assert_eq!([b, c, d, e].map(|mock| mock.calls()), [1, 1, 1, 0]);
    assert_eq!(ServedBy::of(&answer).unwrap().name(), "d");
}

#[tokio::test(start_paused = true)]
async fn the_last_ones_outcome_is_returned_whatever_it_is() {
    let layer = FallbackLayer::to(Mock::new([Step::Refuse]));
    let error = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some());
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_it_falls_back_to_nothing() {
    let (first, second) = (
        Mock::new([Step::Slow(Duration::from_secs(1))]),
        Mock::new([Step::Hang]),
    );
    let layer = FallbackLayer::to(second.clone());
    // Before the first answers, the second isn't even readied.
    for polls in 0..3 {
        let mut call = Box::pin(layer.layer(first.clone()).oneshot(request()));
        for _ in 0..polls {
            assert!(poll(call.as_mut()).is_pending());
        }
        drop(call);
        advance(Duration::from_secs(10)).await;
        assert_eq!(
            (second.ready_polls(), second.calls(), first.in_flight()),
            (0, 0, 0)
        );
    }
    // While the second is readied, and while it is called.
    second.becomes(Readiness::Stuck);
    for expected in [0, 1] {
        let mut call = Box::pin(layer.layer(Mock::new([DOWN])).oneshot(request()));
        assert!(poll(call.as_mut()).is_pending());
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(second.in_flight(), expected);
        drop(call);
        assert_eq!((second.calls(), second.in_flight()), (expected, 0));
        second.becomes(Readiness::Ready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rewritten_request_goes_to_the_same_service() {
    let mock = Mock::new([DOWN, OK]);
    let layer = FallbackLayer::rewrite(swap_model("small")).name("small");
    let mut sent = request();
    sent.headers_mut().insert(CONTENT_LENGTH, 29.into());
    let answer = layer.layer(mock.clone()).oneshot(sent).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(mock.bodies()[1], r#"{"model":"small","messages":[]}"#);

    let always = FallbackLayer::rewrite(|request: Request<Bytes>| request.map(|_| Bytes::new()));
    let mock = Mock::new([DOWN, OK]);
    always.layer(mock.clone()).oneshot(request()).await.unwrap();
    assert!(mock.bodies()[1].is_empty());
}

#[test]
fn swapping_the_model_leaves_every_other_byte_as_it_is() {
    let swap = swap_model::<Bytes>("new \"x\"");
    let swapped = |body: &'static str| {
        let mut request = Request::new(Bytes::from(body));
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, body.len().into());
        let swapped = swap(request)?;
        let length = swapped.headers()[CONTENT_LENGTH].to_str().unwrap();
        assert_eq!(length, swapped.body().len().to_string());
        Some(String::from_utf8(swapped.body().to_vec()).unwrap())
    };
    for (body, expected) in [
        (r#"{"model":"old"}"#, Some(r#"{"model":"new \"x\""}"#)),
        (
            " { \"n\": 1.0, \"mod\\u0065l\" : \"old\" , \"big\": 123456789012345678901 } ",
            Some(
                " { \"n\": 1.0, \"mod\\u0065l\" : \"new \\\"x\\\"\" , \"big\": 123456789012345678901 } ",
            ),
        ),
        (
            r#"{"a":{"model":"x"},"b":["model",":"],"c":"model","d\"}":"{","model":"old"}"#,
            Some(
                r#"{"a":{"model":"x"},"b":["model",":"],"c":"model","d\"}":"{","model":"new \"x\""}"#,
            ),
        ),
        (r#"{"a":{"model":"x"}}"#, None),
        (r#"{"model":7}"#, None),
        // Of keys that repeat themselves the last one counts.
        (
            r#"{"model":"a","model":"old"}"#,
            Some(r#"{"model":"a","model":"new \"x\""}"#),
        ),
        (r#"{"model":"a","model":null}"#, None),
        (r#"{"model":"a","model":{"model":"b"},"n":1}"#, None),
        (
            r#"{"model":7,"n":[1],"model":"old","o":{}}"#,
            Some(r#"{"model":7,"n":[1],"model":"new \"x\"","o":{}}"#),
        ),
        (r#"{"x":"model"}"#, None),
        (r#"["model","old"]"#, None),
        (r#"{"model":"old""#, None),
        ("", None),
    ] {
        assert_eq!(swapped(body).as_deref(), expected, "{body}");
    }
}

#[tokio::test]
async fn the_model_is_swapped_in_bodies_that_cant_lend_their_bytes() {
    let swap = swap_model::<Full<Bytes>>("small");
    let body = |text: &'static str| Full::new(Bytes::from(text));
    let swapped = swap(Request::new(body(r#"{"model":"large","n":1}"#))).expect("swapped");
    let bytes = swapped.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, r#"{"model":"small","n":1}"#);
    assert!(swap(Request::new(body("no JSON"))).is_none());
    assert!(swap(Request::new(Full::default())).is_none());
}

#[tokio::test(start_paused = true)]
async fn any_types_do() {
    let first = service_fn(|_: u32| async { Err::<u32, _>("down") });
    let second = service_fn(|n: u32| async move { Ok::<u32, std::io::Error>(n + 1) });
    let layer = FallbackLayer::to(second).opaque();
    assert_eq!(layer.layer(first).oneshot(1).await.unwrap(), 2);
    let judged = FallbackLayer::rewrite(|n: u32| n * 10).opaque().classify(
        |outcome: Result<&u32, &tower_quota::BoxError>| match outcome {
            Ok(n) if *n < 10 => Verdict::TooLarge,
            _ => Verdict::Success,
        },
    );
    let echo = service_fn(|n: u32| async move { Ok::<u32, std::io::Error>(n) });
    assert_eq!(judged.layer(echo).oneshot(3).await.unwrap(), 30);
}

#[test]
fn nothing_needs_a_runtime_and_what_is_send_stays_send() {
    let layer = FallbackLayer::to(Mock::new([OK]));
    let mut service = layer.layer(Mock::new([DOWN]));
    assert_send(&layer);
    assert_sync(&layer);
    assert_send(&service);
    assert_sync(&service);
    assert_clone(&service);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Service::<Request<Bytes>>::poll_ready(&mut service, &mut cx).is_ready());
    let call = service.call(request());
    assert_send(&call);
    let mut call = pin!(call);
    assert!(poll(call.as_mut()).is_ready());
}
