//! Answers that are computed here.

use http::StatusCode;
use tower_quota::{BoxError, CircuitBreakerLayer, RateLimitLayer, fallback::Unserved};

use super::{
    chain::{causes_of, served},
    *,
};

fn page(text: &str) -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())))
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_computed_of_the_request_and_of_why_it_wasnt_served() {
    let layer = FallbackLayer::respond(|unserved: Unserved<Request<Bytes>>| {
        let cause = unserved.causes.last();
        let path = unserved.request.as_ref().map(|r| r.uri().path().to_owned());
        page(&format!("{:?} {path:?}", cause.status()))
    })
    .name("page");
    let answer = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(served(&answer), Some(("page", 1)));
    assert_eq!(causes_of(&answer).len(), 1);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"Some(500) Some("/v1/chat")"#);
    let answer = layer
        .layer(Mock::new([OK]))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(served(&answer), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_copied_gets_one_too() {
    let layer = FallbackLayer::respond(|unserved: Unserved<Request<Once>>| {
        page(if unserved.request.is_some() {
            "unsent"
        } else {
            "sent"
        })
    });
    let first = Mock::new([DOWN]);
    let once = || Request::new(Once("{}".into()));
    for (readiness, expected) in [(Readiness::Ready, "sent"), (Readiness::Broken, "unsent")] {
        first.becomes(readiness);
        let answer = layer.layer(first.taking()).oneshot(once()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_may_compute_it_and_fail() {
    let layer = FallbackLayer::respond_async(|unserved: Unserved<Request<Bytes>>| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match unserved.causes.last().verdict() {
            Verdict::TooLarge => Err("nothing in the cache"),
            _ => Ok(page("cached")),
        }
    });
    let answer = layer
        .layer(Mock::new([DOWN]))
        .oneshot(request())
        .await
        .unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "cached");
    let large = Mock::new([Step::Judged(Verdict::TooLarge)]);
    let error = layer.layer(large).oneshot(request()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no fallback served either: nothing in the cache"
    );
    assert_eq!(
        Causes::find(error.as_ref()).unwrap().last().status(),
        Some(StatusCode::IM_A_TEAPOT)
    );
}

#[tokio::test(start_paused = true)]
async fn it_leaves_nothing_and_so_asks_no_limit() {
    let layer = FallbackLayer::respond(|_: Unserved<Request<Bytes>>| page("here"));
    let limit = RateLimitLayer::per_minute(1).reject();
    let first = Mock::new([DOWN]);
    let service = limit.layer(layer.layer(first.clone()));
    let start = tokio::time::Instant::now();
    let answer = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!((first.calls(), start.elapsed()), (1, Duration::ZERO));
    assert!(service.oneshot(request()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn as_the_last_of_a_stack_it_knows_all_causes() {
    let inner = FallbackLayer::to(Mock::new([Step::Error("b")])).layer(Mock::new([DOWN]));
    let outer = FallbackLayer::respond(|unserved: Unserved<Request<Bytes>>| {
        page(&unserved.causes.len().to_string())
    });
    let answer = outer.layer(inner).oneshot(request()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "2");
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_the_cause_that_is_told() {
    let first = Mock::new([OK]);
    let breaker = CircuitBreakerLayer::new();
    breaker.handle().force_open();
    let layer = FallbackLayer::respond(|unserved: Unserved<Request<Bytes>>| {
        let error = unserved.causes.last().error().unwrap();
        page(&format!("{:?}", Rejected::find(error).unwrap().reason))
    });
    let answer = layer.layer(breaker.layer(first.clone())).oneshot(request());
    let body = answer.await.unwrap().into_body().collect().await.unwrap();
    assert_eq!((body.to_bytes(), first.calls()), ("CircuitOpen".into(), 0));
}

#[tokio::test(start_paused = true)]
async fn of_any_type() {
    let down = service_fn(|_: u32| async { Err::<u32, BoxError>("down".into()) });
    let layer = FallbackLayer::respond(|unserved: Unserved<u32>| unserved.request.unwrap() + 1);
    assert_eq!(layer.opaque().layer(down).oneshot(4).await.unwrap(), 5);
}
