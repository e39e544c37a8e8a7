//! What is told while the inner service is called, before anybody polls.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower::{Layer, Service, ServiceBuilder};

use super::RateLimitLayer;
use crate::{
    admission::OneRequest, answers::Opaque, core::limit::Limit, error::BoxError, quota::Quota,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Answers at once.
#[derive(Clone)]
struct Inner;

impl Service<u32> for Inner {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u32) -> Self::Future {
        ready(Ok(n))
    }
}

/// Polls as soon as it calls.
#[derive(Clone)]
struct Eager<S>(S);

impl<S: Service<u32, Response = u32, Error = BoxError>> Service<u32> for Eager<S> {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, n: u32) -> Self::Future {
        let answer = pin!(self.0.call(n)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(answer) = answer else {
            panic!("it answers at once");
        };
        ready(answer)
    }
}

fn quota(requests: u64) -> Quota {
    let limit = Limit::requests(requests, MINUTE).transit(Duration::ZERO);
    Quota::builder().limit(limit).build().expect("valid")
}

fn limited(quota: &Quota) -> RateLimitLayer<OneRequest, Opaque> {
    RateLimitLayer::new(quota.clone()).opaque()
}

fn used(quota: &Quota) -> (u64, u64) {
    let limit = &quota.snapshot().limits[0];
    (limit.used, limit.held)
}

fn call<S: Service<u32>>(service: &mut S) -> S::Future {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    service.call(1)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_layer_further_in_holds_is_given_back_when_nobody_ever_polls_it() {
    let (outer, inner) = (quota(10), quota(1));
    let layers = ServiceBuilder::new()
        .layer(limited(&outer))
        .layer(limited(&inner));
    let mut service = layers.service(Inner);
    assert_eq!(call(&mut service).await.ok(), Some(1));
    let waits = call(&mut service);
    assert_eq!((used(&outer), used(&inner)), ((1, 1), (1, 0)));
    drop(waits);
    assert_eq!((used(&outer), used(&inner)), ((1, 0), (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_has_left_while_it_was_called_is_charged_though_nobody_ever_polls_it() {
    let (outer, inner) = (quota(10), quota(10));
    let eager = Eager(limited(&inner).layer(Inner));
    let mut service = limited(&outer).layer(eager);
    let sent = call(&mut service);
    assert_eq!((used(&outer), used(&inner)), ((0, 1), (1, 0)));
    tokio::time::advance(MINUTE / 2).await;
    drop(sent);
    assert_eq!((used(&outer), used(&inner)), ((1, 0), (1, 0)));
    // From when that was found on: never earlier than it left.
    tokio::time::advance(MINUTE - Duration::from_secs(1)).await;
    assert_eq!(used(&outer), (1, 0));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(used(&outer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_left_while_it_was_called_is_charged_as_of_a_look_of_its_own() {
    let (outer, inner) = (quota(10), quota(10));
    let eager = Eager(limited(&inner).layer(Inner));
    let mut service = limited(&outer).layer(eager);
    let sent = call(&mut service);
    tokio::time::advance(MINUTE / 2).await;
    assert_eq!(sent.await.ok(), Some(1));
    tokio::time::advance(MINUTE - Duration::from_secs(1)).await;
    assert_eq!(
        used(&outer),
        (1, 0),
        "not as of what was seen of the clock before"
    );
}

#[tokio::test(start_paused = true)]
async fn however_many_layers_are_stacked_each_charges_a_request_once() {
    let quotas: Vec<Quota> = (0..20).map(|_| quota(10)).collect();
    let mut service = tower::util::BoxCloneSyncService::new(tower::ServiceExt::<u32>::map_err(
        Inner,
        BoxError::from,
    ));
    for quota in &quotas {
        service = tower::util::BoxCloneSyncService::new(limited(quota).layer(service));
    }
    for sent in 1..=3 {
        assert_eq!(call(&mut service).await.ok(), Some(1));
        assert!(quotas.iter().all(|quota| used(quota) == (sent, 0)));
    }
    drop(call(&mut service));
    assert!(
        quotas.iter().all(|quota| used(quota) == (4, 0)),
        "it was handed on"
    );
}
