//! Refuses calls to a service that fails, until it has recovered.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::CircuitBreakerLayer;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = tower::service_fn(|_: Request<Bytes>| async {
//! #     Ok::<_, std::io::Error>(Response::new(http_body_util::Empty::<Bytes>::new()))
//! # });
//!
//! // Opens at 50 % of at least 20 calls in 30 s, for 5 s doubling to 60 s; then one probe decides.
//! let service = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::new())
//!     .service(client);
//! let response = service.oneshot(Request::new(Bytes::new())).await?;
//! # assert!(response.status().is_success());
//! # Ok(())
//! # }
//! ```
//!
//! Tuned, with a handle and a gate outside of the limiters:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::{CircuitBreakerLayer, CircuitState};
//!
//! let breaker = CircuitBreakerLayer::new()
//!     .failure_rate(0.25)
//!     .min_calls(10)
//!     .window(Duration::from_secs(60))
//!     .consecutive_failures(5)
//!     .slow_calls(0.8, Duration::from_secs(20))
//!     .open_for(Duration::from_secs(2), Duration::from_secs(30))
//!     .probes(3);
//! let handle = breaker.handle();
//! let gate = breaker.gate();
//! assert_eq!(handle.state(), CircuitState::Closed);
//! # let _ = gate;
//! ```
//!
//! # When
//!
//! A service may be down for longer than callers can wait, and there is something better to do than to call it: fall back, refuse, or let it
//! recover. It is no limiter: a 429 doesn't count. Every setting and its default: [`CircuitBreakerLayer`], and for circuits by key
//! [`KeyedCircuitBreakerLayer`].
//!
//! # Keys
//!
//! A circuit for every model, host or tenant. By model, as a stack needs that falls back from one to another
//! ([`model_of`](crate::tokens::model_of) is a function of the crate's own; requests that name no model share a circuit):
//!
//! ```
//! # use http::{Request, Response};
//! # use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::{CircuitBreakerLayer, tokens::model_of};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = tower::service_fn(|_: Request<&'static str>| async {
//! #     Ok::<_, std::io::Error>(Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
//! # });
//!
//! let breaker = CircuitBreakerLayer::new().keyed(model_of);
//! let circuits = breaker.handle();
//! let service = ServiceBuilder::new().layer(breaker.gate()).layer(breaker).service(client);
//! service.oneshot(Request::new(r#"{"model": "gpt-4.1"}"#)).await?;
//! let counts = circuits.key(&Some("gpt-4.1".to_owned())).counts();
//! assert_eq!(counts.successes(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! By anything else that a request says:
//!
//! ```
//! use http::Request;
//! use tower_quota::CircuitBreakerLayer;
//!
//! let breaker = CircuitBreakerLayer::new()
//!     .consecutive_failures(5)
//!     .keyed(|request: &Request<bytes::Bytes>| request.uri().host().map(str::to_owned));
//! breaker.handle().key(&Some("api.example.com".to_owned())).force_open();
//! # assert_eq!(breaker.handle().keys(), 1);
//! ```
//!
//! At most [`max_keys`](KeyedCircuitBreakerLayer::max_keys) (10,000) have a circuit at a time, of
//! about 1 KB each with the default window. With every new key, two are looked at, the longest unseen first, and those that are idle
//! forgotten: closed, with nothing in the window and no failure last. Where there is no room, eight
//! are looked at; if none of them is idle, one goes that is closed but has counted something, or
//! whose open time is over (of a half-open one whose probes never answered, that of the opening that would have followed).
//! Other circuits that are open or half-open, were moved by hand or have calls,
//! handles or listeners out are never forgotten: if all eight are such, the new key's circuit isn't
//! kept beyond its calls, so that its failures aren't added up.
//!
//! Whose request comes isn't known before `call`. `poll_ready` waits for the inner service while
//! all circuits let calls pass; while any of them refuses it is always ready, and a call that
//! passes waits in its future, until its own circuit opens. Hence the inner service has to be
//! `Clone`.
//!
//! Keys appear nowhere but in the [events](KeyedCircuitHandle::subscribe) of a handle: not in what is [told](crate::observe) to
//! `tracing` and metrics.
//!
//! # What counts
//!
//! | outcome | the circuit |
//! |---|---|
//! | success, too large, permanent (400, 401, 404, 422) | success: the service is up |
//! | transient (5xx, time-outs, connections) | failure |
//! | overloaded (503, 529) | failure; with a hint it opens at once, for as long as the hint says, at most [`max_hint`](CircuitBreakerLayer::max_hint) |
//! | quota exhausted | opens at once, for [`exhausted_for`](CircuitBreakerLayer::exhausted_for) |
//! | rate limited (429), refused by a layer further in | neither: the ticket is given back |
//! | a panic | failure |
//!
//! A call counts from the instant at which it turned out not to be answered at once. The success
//! of an answer is known at its head; what its body does later doesn't count. An outcome of a
//! call that was admitted before the circuit last changed never counts.
//!
//! While half-open, at most the permitted number of probes is out, unless
//! [`extra_probe_every`](CircuitBreakerLayer::extra_probe_every) asks for more. If they haven't decided within
//! [`max_half_open`](CircuitBreakerLayer::max_half_open), the circuit opens again. So whoever asks is
//! a probe after the open time and the longest half-open time at the latest, whatever became of the probes before.
//!
//! A stream is judged by what comes before its first content. See [streams](crate::body#streams).
//!
//! # By hand
//!
//! | [handle](CircuitHandle) | the circuit | until |
//! |---|---|---|
//! | `trip()`, `open_for(wait)` | refuses | the schedule's time is over, or `wait`; then probes decide |
//! | `half_open()` | lets probes pass | they decide |
//! | `force_open()` | refuses | it is moved by hand |
//! | `force_closed()`, `disable()` | lets everything pass, counts nothing | it is moved by hand |
//! | `metrics_only()` | lets everything pass, counts, says when it would have opened | it is moved by hand |
//! | `reset()` | closed, as if nothing had ever happened | |
//!
//! [`disabled`](CircuitBreakerLayer::disabled) and [`metrics_only`](CircuitBreakerLayer::metrics_only) of the layer are
//! where it starts from.
//!
//! # Events
//!
//! ```
//! use tower_quota::{CircuitBreakerLayer, CircuitEvent};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//!
//! let breaker = CircuitBreakerLayer::new();
//! let mut events = breaker.handle().subscribe();
//! breaker.handle().trip();
//! match events.next().await {
//!     Some(CircuitEvent::Changed { from, to, wait, .. }) => println!("{from:?}, now {to:?} for {wait:?}"),
//!     Some(CircuitEvent::Missed { events, .. }) => println!("too late for {events} changes"),
//!     _ => {}
//! }
//! # }
//! ```
//!
//! They are a [`Stream`](futures_core::Stream) too. While nobody listens, none are made.
//!
//! # Sharing
//!
//! All services that a layer makes, their clones, its handles and gates are one circuit. Two
//! layers are two circuits.
//!
//! # Cancellation
//!
//! A future that is dropped gives its ticket back. It counts as a failure if the call had run for
//! [`slow_after`](CircuitBreakerLayer::slow_after) (10 s), so that the time-outs of a caller further
//! out are seen, and as nothing before.
//!
//! # Errors
//!
//! [`Rejected`](crate::Rejected) with [`Reason::CircuitOpen`](crate::Reason::CircuitOpen) and when
//! to come back: exact while open, a guess while probes are out, `None` while forced open. Else
//! the inner service's own.
//!
//! `poll_ready` is ready while the circuit refuses, however long the inner service would take, and
//! callers that wait for it already are woken when the circuit opens. If the circuit lets calls
//! pass again between such a `poll_ready` and its `call`, that call is refused and may come back at
//! once: the inner service wasn't asked whether it is ready.
//!
//! # Cost
//!
//! What a call pays on top of a service that answers at once; where it is refused, in all
//! (`cargo run --release --bin overhead` in `benches/peers`):
//!
//! <!-- overhead -->
//! | | ns | allocations | future | the fastest peer |
//! |---|---|---|---|---|
//! | closed | 60 | 0 | 208 B | 90 ns, failsafe |
//! | open | 50 | 1 | 208 B | 70 ns, failsafe |
//! | the gate of a closed one | 7 | 0 | 112 B |  |
//! | the gate of an open one | 49 | 1 | 112 B |  |
//! <!-- end of overhead -->
//!
//! A success takes no lock, as long as there are enough calls for a rate, or none has failed, and the step of the window lasts.
//! Where the [last calls](CircuitBreakerLayer::last_calls) count and slow ones don't, one that comes at once looks at no clock.
//!
//! # Order in a stack
//!
//! Next to the client, inside of retry and limiters: its samples are the client's alone, its
//! probe doesn't wait in a queue, and its refusal gives the quota back. A
//! [`gate`](CircuitBreakerLayer::gate) outside of the limiters spares callers the queue while the
//! circuit is open. A time-out for the single attempt belongs inside of the breaker.

mod calm;
mod checks;
mod circuit;
mod events;
mod future;
mod gate;
mod handle;
mod house;
mod keyed;
mod layer;
mod lobby;
mod policy;
mod service;
mod shut;
mod told;

pub use events::{CircuitEvent, CircuitEvents};
pub use future::CircuitBreakerFuture;
pub use gate::{CircuitGate, CircuitGateFuture, CircuitGateLayer};
pub use handle::CircuitHandle;
pub use keyed::{
    ByKey, KeyedCircuitBreaker, KeyedCircuitBreakerFuture, KeyedCircuitBreakerLayer,
    KeyedCircuitGate, KeyedCircuitGateFuture, KeyedCircuitGateLayer, KeyedCircuitHandle,
};
pub use layer::CircuitBreakerLayer;
pub use service::CircuitBreaker;
