//! Ways through layers to a trivial service, each walked as often as asked.

use std::{
    fmt::Debug,
    future::Future,
    hint::black_box,
    mem::size_of,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::Request;
use tower::{Layer, Service, layer::util::Identity};
use tower_quota::{BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, RateLimitLayer};

use crate::{Client, PLENTY, tokens};

/// The request of all ways where nothing else is said.
pub type Plain = Request<()>;

/// One way through layers.
pub struct Way {
    /// What the layers do.
    pub name: &'static str,
    /// Whose they are; empty where they are ours.
    pub peer: &'static str,
    /// Walks it so many times.
    pub send: Box<dyn FnMut(u32)>,
    /// The size of the outermost future.
    pub future: usize,
}

/// A way on which plain requests are admitted.
pub fn way<L>(name: &'static str, peer: &'static str, layer: L) -> Way
where
    L: Layer<Client, Service: Service<Plain, Error: Debug> + 'static>,
{
    walk(
        name,
        peer,
        layer.layer(Client),
        || Request::new(()),
        Result::is_ok,
    )
}

/// Makes a request, readies, calls, waits, and lets go of an answer that is as `expected`.
pub fn walk<S, Req>(
    name: &'static str,
    peer: &'static str,
    mut service: S,
    make: impl Fn() -> Req + 'static,
    expected: impl Fn(&Result<S::Response, S::Error>) -> bool + 'static,
) -> Way
where
    S: Service<Req, Error: Debug> + 'static,
{
    Way {
        name,
        peer,
        future: size_of::<S::Future>(),
        send: Box::new(move |calls| {
            let context = &mut Context::from_waker(Waker::noop());
            for _ in 0..calls {
                assert!(service.poll_ready(context).is_ready(), "{name} isn't ready");
                let answer = pin!(service.call(black_box(make()))).poll(context);
                let Poll::Ready(answer) = black_box(answer) else {
                    panic!("{name} waits");
                };
                assert!(expected(&answer), "{name} is answered otherwise");
            }
        }),
    }
}

/// All five of our layers, for requests with this body.
#[macro_export]
macro_rules! our_five {
    ($body:ty) => {
        tower::ServiceBuilder::new()
            .layer(tower_quota::FallbackLayer::to($crate::Client))
            .layer(tower_quota::BackoffRetryLayer::new())
            .layer(tower_quota::RateLimitLayer::per_minute($crate::PLENTY))
            .layer($crate::tokens::<$body>())
            .layer(tower_quota::CircuitBreakerLayer::new())
    };
}

/// Our layers, each alone and all five stacked, where a request is admitted at once.
///
/// Compiled into each program that uses them, so that what else is in this package doesn't change their code.
#[inline]
pub fn ours() -> Vec<Way> {
    vec![
        way("bare service", "", Identity::new()),
        way("rate limit", "", RateLimitLayer::per_minute(PLENTY)),
        way("token budget", "", tokens::<()>()),
        way("breaker", "", CircuitBreakerLayer::new()),
        way("gate", "", CircuitBreakerLayer::new().gate()),
        way("retry", "", BackoffRetryLayer::new()),
        way("fallback", "", FallbackLayer::to(Client)),
        way("five layers", "", our_five!(())),
    ]
}
