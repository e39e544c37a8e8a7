//! What is written onto requests, and which of them may be sent twice.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    BackoffRetryLayer, BoxError, ReplayBody,
    backoff_retry::{Attempt, BackoffRetry, IDEMPOTENCY_KEY, MayRetry},
};

use super::longest;
use crate::support::mock::request;

const TRY: HeaderName = HeaderName::from_static("x-retry-attempt");

/// The requests that a failing service gets to see, without their bodies.
async fn seen<G>(layer: BackoffRetryLayer<G>, request: Request<Bytes>) -> Vec<Request<()>>
where
    G: MayRetry<Request<Bytes>>,
{
    let seen = RefCell::new(Vec::new());
    let log = &seen;
    let service = service_fn(move |request: Request<Bytes>| async move {
        log.borrow_mut().push(request.map(drop));
        let answer = Response::builder().status(500).body(String::new());
        Ok::<_, BoxError>(answer.unwrap())
    });
    let service: BackoffRetry<_, G> = layer.layer(service);
    service.oneshot(request).await.unwrap();
    seen.into_inner()
}

fn keys(seen: &[Request<()>], name: &HeaderName) -> Vec<String> {
    let key = |request: &Request<()>| {
        let all: Vec<_> = request.headers().get_all(name).iter().collect();
        assert!(all.len() <= 1);
        all.first().map(|key| key.to_str().unwrap().to_owned())
    };
    seen.iter().filter_map(key).collect()
}

#[tokio::test(start_paused = true)]
async fn all_tries_of_a_call_carry_one_key_and_no_two_calls_the_same() {
    let mut calls = HashSet::new();
    for _ in 0..100 {
        let seen = seen(longest().idempotency_key(), request()).await;
        let keys = keys(&seen, &IDEMPOTENCY_KEY);
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| *key == keys[0]));
        // A UUID of version 4.
        let parts: Vec<_> = keys[0].split('-').collect();
        assert_eq!(
            parts.iter().map(|p| p.len()).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']));
        assert!(
            calls.insert(keys[0].clone()),
            "the jitter's source has no say"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_there_is_kept_and_another_header_can_be_named() {
    let mut mine = request();
    mine.headers_mut()
        .insert(IDEMPOTENCY_KEY, "mine".parse().unwrap());
    let seen_mine = seen(longest().idempotency_key(), mine).await;
    assert_eq!(keys(&seen_mine, &IDEMPOTENCY_KEY), ["mine"; 3]);

    let name = HeaderName::from_static("x-request-token");
    let seen = seen(longest().idempotency_key_in(name.clone()), request()).await;
    assert_eq!(keys(&seen, &name).len(), 3);
    assert!(keys(&seen, &IDEMPOTENCY_KEY).is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_retry_layers_write_one_key() {
    let seen = RefCell::new(Vec::new());
    let log = &seen;
    let service = service_fn(move |request: Request<Bytes>| async move {
        log.borrow_mut().push(request.map(drop));
        let answer = Response::builder().status(500).body(String::new());
        Ok::<_, BoxError>(answer.unwrap())
    });
    let layer = longest().idempotency_key();
    layer
        .layer(layer.layer(service))
        .oneshot(request())
        .await
        .unwrap();
    let keys = keys(&seen.borrow(), &IDEMPOTENCY_KEY);
    assert_eq!(keys.len(), 9);
    assert_eq!(keys.into_iter().collect::<HashSet<_>>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_marked_as_a_retry_only_on_request_and_never_at_first() {
    let seen_bare = seen(longest(), request()).await;
    for bare in &seen_bare {
        assert!(bare.headers().is_empty() && bare.extensions().is_empty());
    }
    let layer = longest().attempt_header(TRY).attempt_extension();
    let seen = seen(layer, request()).await;
    assert!(seen[0].headers().is_empty() && seen[0].extensions().is_empty());
    assert_eq!(keys(&seen, &TRY), ["2", "3"]);
    let numbers: Vec<_> = seen.iter().map(|r| Attempt::of(r).number()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_idempotent_by_method_or_key_is_sent_twice() {
    let with = |method: Method| {
        let mut request = request();
        *request.method_mut() = method;
        request
    };
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
    ] {
        assert_eq!(
            seen(longest().idempotent_only(), with(method)).await.len(),
            3
        );
    }
    for method in [Method::POST, Method::PATCH] {
        let layer = longest().idempotent_only();
        assert_eq!(seen(layer, with(method.clone())).await.len(), 1);
        let layer = longest().idempotent_only().idempotency_key();
        assert_eq!(seen(layer, with(method.clone())).await.len(), 3);
        let mut keyed = with(method);
        keyed
            .headers_mut()
            .insert(IDEMPOTENCY_KEY, "k".parse().unwrap());
        assert_eq!(seen(longest().idempotent_only(), keyed).await.len(), 3);
    }
}

/// A body that counts its copies.
struct Counted(Rc<Cell<u32>>);

impl ReplayBody for Counted {
    fn replay(&self) -> Option<Self> {
        self.0.set(self.0.get() + 1);
        Some(Self(Rc::clone(&self.0)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_copied_only_where_another_try_may_follow() {
    let copies = Rc::new(Cell::new(0));
    let service = service_fn(|_: Request<Counted>| async {
        let answer = Response::builder().status(500).body(String::new());
        Ok::<_, BoxError>(answer.unwrap())
    });
    for (layer, tries, expected) in [
        (longest().attempts(1), 1, 0),
        (longest().attempts(1).deadline(super::SECOND), 1, 0),
        (longest().attempts(2), 2, 1),
        (longest().attempts(4), 4, 3),
    ] {
        copies.set(0);
        let request = Request::new(Counted(Rc::clone(&copies)));
        layer.layer(service).oneshot(request).await.unwrap();
        assert_eq!(copies.get(), expected, "{tries} tries");
    }
    copies.set(0);
    let gated = longest().only(|_: &Request<Counted>| false);
    let request = Request::new(Counted(Rc::clone(&copies)));
    gated.layer(service).oneshot(request).await.unwrap();
    assert_eq!(copies.get(), 0, "what may not be sent twice isn't copied");
}
