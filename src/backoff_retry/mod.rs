//! Tries again what may work next time, politely.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::BackoffRetryLayer;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = tower::service_fn(|_: Request<Bytes>| async {
//! #     Ok::<_, std::io::Error>(Response::new(http_body_util::Empty::<Bytes>::new()))
//! # });
//!
//! // 3 tries, full jitter from 500 ms to 8 s, hints honoured to 60 s, a budget of 10 %.
//! let service = ServiceBuilder::new()
//!     .layer(BackoffRetryLayer::new())
//!     .service(client);
//! let response = service.oneshot(Request::new(Bytes::new())).await?;
//! # assert!(response.status().is_success());
//! # Ok(())
//! # }
//! ```
//!
//! Tuned:
//!
//! ```
//! use std::time::Duration;
//! use http::{Method, Request};
//! use tower_quota::{Backoff, BackoffRetryLayer, Jitter, RetryBudget};
//!
//! let retry = BackoffRetryLayer::new()
//!     .attempts(5)
//!     .backoff(Backoff::exponential(Duration::from_millis(200), Duration::from_secs(20)))
//!     .jitter(Jitter::Equal)
//!     .max_hint(Duration::from_secs(120))
//!     .deadline(Duration::from_secs(180))
//!     .budget(RetryBudget::percent(20).reserve(50))
//!     .only(|request: &Request<bytes::Bytes>| request.method() != Method::DELETE);
//! # let _ = retry;
//! ```
//!
//! The whole way, with the time-outs where they belong:
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_quota::{BackoffRetryLayer, CircuitBreakerLayer, Limit, Quota, TokenBudgetLayer};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # #[derive(Clone)] struct Client;
//! # impl tower::Service<Request<Bytes>> for Client {
//! #     type Response = Response<http_body_util::Empty<Bytes>>;
//! #     type Error = std::io::Error;
//! #     type Future = std::future::Ready<Result<Self::Response, std::io::Error>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), std::io::Error>> { Ok(()).into() }
//! #     fn call(&mut self, _: Request<Bytes>) -> Self::Future { std::future::ready(Ok(Response::default())) }
//! # }
//! # let client = Client;
//! # let quota = Quota::builder().limit(Limit::tokens_per_minute(30_000)).build()?;
//! let breaker = CircuitBreakerLayer::new();
//! let stack = ServiceBuilder::new()
//!     .timeout(Duration::from_secs(180))     // the deadline: of all attempts and waits
//!     .layer(BackoffRetryLayer::new())       // each attempt waits in line and pays
//!     .layer(breaker.gate())
//!     .layer(TokenBudgetLayer::new(quota))   // waits here, as long as it takes
//!     .layer(breaker)
//!     .timeout(Duration::from_secs(60))      // of one attempt: the client's time alone
//!     .service(client);
//! # fn is_a_service<S: tower::Service<Request<Bytes>>>(_: S) {} is_a_service(stack);
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # When
//!
//! What goes wrong now and then: a connection, a 5xx, overload, the odd 429. Limits that come every minute are a limiter's, what is down
//! for longer is a breaker's and a fallback's. Every setting and its default: [`BackoffRetryLayer`].
//!
//! # What is tried again
//!
//! | outcome | |
//! |---|---|
//! | rate limited (429), overloaded (503, 529) | after the provider's hint or the back-off, whichever is longer; never earlier than the hint |
//! | rate limited per hour, per day or longer, without a hint | never: what is left of the window is nobody's guess |
//! | transient (408, 409, 5xx, connections, time-outs) | after the back-off |
//! | all others | never: money doesn't come back by waiting, nor does a wrong request become right |
//!
//! An answer's `x-should-retry` outranks its status: with `false` it is returned, with `true` a 4xx is tried again
//! after the back-off. Exhausted money and requests that are too large stay what they are.
//!
//! An error in a stream under status 200 is one of these as long as nothing of its content was handed on; after
//! that nothing is tried again. See [streams](crate::body#streams).
//!
//! The time-outs of tower, tokio, hyper and reqwest are transient, however they are wrapped. Whether the request may have
//! reached the provider is told from the error: not where there was no connection.
//!
//! # How long it waits
//!
//! As the [`Backoff`](crate::Backoff) says, drawn for each wait; [`backoff_for`](BackoffRetryLayer::backoff_for) sets another
//! for a [`Cause`]. A hint is a floor: the wait is at least as long and up to
//! [half as much more](BackoffRetryLayer::hint_jitter), by no more than the schedule's maximum, so that the many that got
//! one hint don't come back as one. While a quota pauses for the hint, those that queue for it are let through
//! when it ends, in their order; only what was tried already waits a little longer.
//!
//! # When it gives up
//!
//! After the last attempt; at once for a hint longer than [`max_hint`](BackoffRetryLayer::max_hint) (60 s), a wait that would
//! go past the [`deadline`](BackoffRetryLayer::deadline), an empty [budget](RetryBudget), and a limit as above. Whatever happens,
//! the caller gets the last real outcome: of a retry that can't be sent, because the inner service fails to become ready or a
//! limit further out refuses another charge, that is the outcome before. Where a layer further in refuses it, an open circuit for
//! one, that refusal is the outcome: it says when to come back. Nothing is paid for it. A deadline that passes without any outcome is an error of its own, tower's
//! [`Elapsed`](tower::timeout::error::Elapsed).
//!
//! It says so: by an event, of level `INFO` where the provider asks to wait too long, else `DEBUG`, and by a [`GaveUp`] in the
//! extensions of an http answer. Errors are passed on as they are and carry no mark.
//!
//! # What may be sent twice
//!
//! Every request, by default. [`only`](BackoffRetryLayer::only) and
//! [`idempotent_only`](BackoffRetryLayer::idempotent_only) say which; [`idempotency_key`](BackoffRetryLayer::idempotency_key)
//! gives all tries of a call one key, by which a provider that knows the header answers twice and works once.
//!
//! A request is copied only where a retry is possible. One that can't be copied is tried once:
//! put `BufferBodyLayer` outside.
//!
//! # Sharing
//!
//! All services of a layer and all their clones share its budget; other layers share it where they
//! are given a clone of the same [`RetryBudget`]. Jitter is drawn for each wait.
//!
//! A retry goes through a clone of the inner service that nobody has polled before. Such clones are kept for the calls of a
//! service and its clones, as many as there were calls at a time, and at most 256: so most calls clone nothing.
//!
//! Each retry layer multiplies what the one inside of it does: two with a budget of 10 % each send at most 1.21 requests for
//! each one asked, after their reserves.
//!
//! # Cancellation
//!
//! A future that is dropped sends nothing more; a retry that it had paid for and not sent is paid
//! back to the budget.
//!
//! # Errors
//!
//! The last try's own; [`Rejected`](crate::Rejected) of a layer further in is never tried again.
//!
//! # Cost
//!
//! What a call without headers pays on top of a service that answers at once; each header and a body's bytes are copied once
//! (`cargo run --release --bin overhead` in `benches/peers`):
//!
//! <!-- overhead -->
//! | | ns | allocations | future | the fastest peer |
//! |---|---|---|---|---|
//! | a success | 62 | 0 | 176 B | 84 ns, tower |
//! <!-- end of overhead -->
//!
//! # Order in a stack
//!
//! Outside of the limiters and the breaker, so that each try pays and is judged; inside of a
//! fallback. A time-out for the single try belongs inside of the limiters, one for the whole call
//! outside of this layer: it cuts whatever is under way, where the layer's own
//! [`deadline`](BackoffRetryLayer::deadline) returns the outcome before.
//!
//! While it waits it holds no readied service and nothing of the failed try but its answer: with
//! http, the head and what was read of the body. An answer of another type is held whole.

mod attempt;
mod budget;
mod cause;
mod future;
mod gate;
mod gave_up;
mod layer;
mod policy;
mod retries;
mod service;
mod told;

pub use attempt::{Attempt, IDEMPOTENCY_KEY};
pub use budget::{Ongoing, RetryBudget, Withdrawal};
pub use cause::Cause;
pub use future::BackoffRetryFuture;
pub use gate::{Always, Idempotent, MayRetry};
pub use gave_up::GaveUp;
pub use layer::BackoffRetryLayer;
pub use service::BackoffRetry;
