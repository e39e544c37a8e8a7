//! What tower asks of every layer.

use std::{task::Context, task::Waker, time::Duration};

use bytes::Bytes;
use http::Request;
use tower::{Layer, Service, ServiceExt, layer::util::Identity};
use tower_quota::{
    BackoffRetryLayer, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, Cost, FallbackLayer,
    Limit, Quota, RateLimitLayer, Reason, Rejected, RespondLayer, TokenBudgetLayer,
    fallback::Unserved, headroom::HeadroomLayer,
};

use super::{Stack, stack};
use crate::support::mock::*;

type Wrap = fn(Mock<Bytes>) -> Stack<Bytes>;

fn tokens() -> TokenBudgetLayer<impl Clone + tower_quota::admission::Charge<Request<Bytes>>> {
    TokenBudgetLayer::per_minute(1_000).cost(|_: &Request<Bytes>| Cost::tokens(1))
}

/// Every layer over the strict mock. The door hands on bodies of another type.
const EVERY: [(&str, Wrap); 11] = [
    ("rate limit", |m| stack(RateLimitLayer::per_second(2), m)),
    ("token budget", |m| stack(tokens(), m)),
    ("retry", |m| stack(BackoffRetryLayer::new(), m)),
    ("fallback", |m| stack(FallbackLayer::to(Mock::new([OK])), m)),
    ("list", |m| {
        stack(
            FallbackLayer::chain([Mock::new([OK]), Mock::new([DOWN])]),
            m,
        )
    }),
    ("computed", |m| {
        let answer = |_: Unserved<Request<Bytes>>| http::Response::new(String::new());
        stack(FallbackLayer::respond(answer), m)
    }),
    ("headroom", |m| {
        let quota = Quota::new(Limit::requests_per_minute(1)).unwrap();
        stack(HeadroomLayer::new(quota), m)
    }),
    ("rewrite", |m| {
        stack(FallbackLayer::rewrite(|r: Request<Bytes>| r), m)
    }),
    ("breaker", |m| stack(CircuitBreakerLayer::new(), m)),
    ("gate", |m| stack(CircuitBreakerLayer::new().gate(), m)),
    ("respond", |m| stack(RespondLayer::new(), m)),
];

#[tokio::test(start_paused = true)]
async fn only_what_was_readied_is_called_once_and_again_and_in_clones() {
    for (name, wrap) in EVERY {
        let mock = Mock::new([OK]);
        let mut service = wrap(mock.clone());
        for _ in 0..3 {
            service
                .ready()
                .await
                .unwrap()
                .call(request())
                .await
                .unwrap();
        }
        // Many wait at a time, on clones that nobody has readied.
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..20 {
            calls.spawn(service.clone().oneshot(request()));
        }
        while let Some(answer) = calls.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status(), 200, "{name}");
        }
        assert_eq!((mock.calls(), mock.in_flight()), (23, 0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_own() {
    for (name, wrap) in EVERY {
        let mock = Mock::new([OK]);
        let mut service = wrap(mock.clone());
        mock.becomes(Readiness::Stuck);
        let (counter, waker) = Counter::new();
        let mut cx = Context::from_waker(&waker);
        assert!(service.poll_ready(&mut cx).is_pending(), "{name}");
        mock.becomes(Readiness::Ready);
        assert_eq!(counter.count(), 1, "{name}");
        assert!(service.poll_ready(&mut cx).is_ready(), "{name}");
        service.call(request()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_passes() {
    for (name, wrap) in EVERY {
        let mock = Mock::new([OK]);
        let mut service = wrap(mock.clone());
        mock.becomes(Readiness::Broken);
        let error = service.ready().await.map(|_| ());
        // A fallback takes it for an outcome like any other.
        match name {
            "fallback" | "list" | "computed" => {
                let answer = service.call(request()).await.unwrap();
                assert_eq!(answer.status(), 200);
            }
            "rewrite" => {
                let error = service.call(request()).await.unwrap_err();
                assert_eq!(error.to_string(), "broken", "{name}");
            }
            // Nothing is an error to a server.
            "respond" => {
                let answer = service.call(request()).await.unwrap();
                assert!(answer.status().is_server_error());
            }
            _ => assert_eq!(error.unwrap_err().to_string(), "broken", "{name}"),
        }
        assert_eq!(mock.calls(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_after_a_wait_passes_and_costs_nothing() {
    let layer = RateLimitLayer::per_second(1);
    let mock = Mock::new([OK]);
    let service = layer.layer(mock.clone());
    service.clone().oneshot(request()).await.unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    mock.becomes(Readiness::Broken);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "broken");
    let limit = layer.quota().snapshot().limits[0];
    assert_eq!((limit.used, limit.held), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn clones_and_all_services_of_a_layer_share() {
    let limit = RateLimitLayer::per_minute(2).reject();
    let (one, two) = (
        limit.layer(Mock::new([OK])),
        limit.clone().layer(Mock::new([OK])),
    );
    one.clone().oneshot(request()).await.unwrap();
    two.clone().oneshot(request()).await.unwrap();
    for service in [one.clone(), one, two.clone(), two] {
        let error = service.oneshot(request()).await.unwrap_err();
        let reason = Rejected::find(error.as_ref()).unwrap().reason;
        assert_eq!(reason, Reason::LimitReached);
    }
    let breaker = CircuitBreakerLayer::new().consecutive_failures(2);
    let (one, two) = (
        breaker.layer(Mock::new([DOWN])),
        breaker.clone().layer(Mock::new([DOWN])),
    );
    one.clone().oneshot(request()).await.unwrap();
    two.clone().oneshot(request()).await.unwrap();
    for service in [one.clone(), one, two.clone(), two] {
        assert!(service.oneshot(request()).await.is_err());
    }
    // A retry's budget: a reserve of ten.
    let (retry, mock) = (BackoffRetryLayer::new(), Mock::new([DOWN]));
    for _ in 0..50 {
        retry
            .clone()
            .layer(mock.clone())
            .oneshot(request())
            .await
            .unwrap();
    }
    assert!(mock.calls() <= 50 + 10 + 5, "{}", mock.calls());
}

#[tokio::test(start_paused = true)]
async fn a_layer_inside_of_itself_is_one_layer() {
    let mock = Mock::new([OK]);
    let limit = RateLimitLayer::per_minute(3).reject();
    let service = limit.layer(limit.layer(mock.clone()));
    for _ in 0..3 {
        service.clone().oneshot(request()).await.unwrap();
    }
    service.oneshot(request()).await.unwrap_err();
    let breaker = CircuitBreakerLayer::new().consecutive_failures(3);
    let service = breaker.layer(breaker.layer(mock.clone()));
    service.oneshot(request()).await.unwrap();
    assert_eq!(mock.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_door_calls_what_it_readied_whether_the_body_is_there_or_not() {
    let mock = Mock::<Bytes>::new([OK]);
    let inner = tower::ServiceBuilder::new()
        .map_request(|r: Request<BufferedBody>| r.map(BufferedBody::into_bytes))
        .service(mock.clone());
    let service = BufferBodyLayer::new().layer(inner);
    let frames = |late: bool| {
        let frames = futures_util::StreamExt::then(
            futures_util::stream::iter(["{", "}"]),
            move |part| async move {
                if late {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(part)))
            },
        );
        http_body_util::StreamBody::new(Box::pin(frames))
    };
    for late in [false, true] {
        let request = Request::new(frames(late));
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(mock.bodies(), ["{}", "{}"]);
}

#[test]
fn no_layer_and_no_call_needs_a_runtime_until_somebody_waits() {
    let mut cx = Context::from_waker(Waker::noop());
    for (name, wrap) in EVERY {
        let mut service = wrap(Mock::new([OK]));
        assert!(service.poll_ready(&mut cx).is_ready(), "{name}");
        let mut call = service.call(request());
        assert!(poll(call.as_mut()).is_ready(), "{name}");
    }
    let _ = stack::<_, _, Bytes, _>(Identity::new(), Mock::new([OK]));
}
