//! Requests with headers and a body.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use peers::{
    Client, Once, PLENTY, Way, our_five, their_breaker, their_bulkhead, their_five, their_rate,
    tokens, walk,
};
use tower::ServiceBuilder;
use tower_quota::{CircuitBreakerLayer, RateLimitLayer};

/// With ten headers and 4 KiB, which can be sent again.
pub(crate) fn large() -> Vec<Way> {
    let make = {
        let mut request = Request::new(Full::new(Bytes::from(vec![b'a'; 4_096])));
        *request.method_mut() = Method::POST;
        for n in 0..10 {
            let name = HeaderName::try_from(format!("x-header-{n}")).expect("a name");
            let value = HeaderValue::from_static("some value of a usual length");
            request.headers_mut().insert(name, value);
        }
        move || request.clone()
    };
    let theirs = their_five!().service(Client);
    let bare = "bare service";
    vec![
        walk(bare, "", Client, make.clone(), Result::is_ok),
        walk(
            "five layers",
            "",
            our_five!(Full<Bytes>).service(Client),
            make.clone(),
            Result::is_ok,
        ),
        walk(
            "five layers",
            "tower-resilience",
            theirs,
            make,
            Result::is_ok,
        ),
    ]
}

/// With a body that can't be sent again: which peers' retry and fallback take none of, so that they have three layers here.
pub(crate) fn once() -> Vec<Way> {
    let make = || {
        let mut request = Request::new(Once);
        *request.method_mut() = Method::POST;
        request
    };
    let theirs = ServiceBuilder::new()
        .layer(their_rate(1 << 40))
        .layer(their_bulkhead(64))
        .layer(their_breaker!().0)
        .service(Client);
    let three = ServiceBuilder::new()
        .layer(RateLimitLayer::per_minute(PLENTY))
        .layer(tokens::<Once>())
        .layer(CircuitBreakerLayer::new())
        .service(Client);
    vec![
        walk("bare service", "", Client, make, Result::is_ok),
        walk(
            "five layers",
            "",
            our_five!(Once).service(Client),
            make,
            Result::is_ok,
        ),
        walk("without retry and fallback", "", three, make, Result::is_ok),
        walk(
            "without retry and fallback",
            "tower-resilience",
            theirs,
            make,
            Result::is_ok,
        ),
    ]
}
