//! At most so many requests in so much time; those that come too early wait, in order, or are
//! refused.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::{BoxError, RateLimitLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! // A hundred requests in any second, whoever sends them.
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::per_second(100).opaque())
//!     .service(service_fn(|n: u32| async move { Ok::<_, std::io::Error>(n + 1) }));
//! assert_eq!(service.oneshot(1).await?, 2);
//! # Ok(()) }
//! ```
//!
//! With a quota of one's own, a priority, and refusals instead of waiting:
//!
//! ```
//! use std::time::Duration;
//! use http::Request;
//! use tower_quota::{Limit, Priority, Quota, RateLimitLayer};
//!
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500).burst(50))
//!     .limit(Limit::requests_per_day(10_000))
//!     .max_in_flight(64)
//!     .max_wait(Duration::from_secs(10))
//!     .build()?;
//! let waits = RateLimitLayer::new(quota.clone()).priority(|request: &Request<String>| {
//!     match request.headers().get("x-priority") {
//!         Some(value) if value == "interactive" => Priority::Interactive,
//!         _ => Priority::Background,
//!     }
//! });
//! let refuses = RateLimitLayer::new(quota).reject();
//! # let _ = (waits, refuses);
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # When
//!
//! For requests alone, of any type, and for servers, by key. Where tokens are limited as well, put both limits into one [`Quota`] and
//! give it to [`TokenBudgetLayer`](crate::TokenBudgetLayer), which charges them together.
//!
//! | setting | default |
//! |---|---|
//! | [`reject`](RateLimitLayer::reject) | off: requests wait for their turn, about a minute at the most |
//! | [`on_arrival`](RateLimitLayer::on_arrival) | off: a request counts when it leaves |
//! | [`keyed`](RateLimitLayer::keyed), [`keyed_by`](RateLimitLayer::keyed_by), [`for_keys`](RateLimitLayer::for_keys) | off: all requests share the quota |
//! | [`in_turn`](RateLimitLayer::in_turn), [`shared_by`](RateLimitLayer::shared_by) | off: first come, first served |
//! | [`tell`](RateLimitLayer::tell) | off: admitted answers say nothing of what is left |
//! | [`priority`](RateLimitLayer::priority) | [`Priority::Standard`] |
//! | [`provider`](RateLimitLayer::provider) | told from each answer |
//! | [`opaque`](RateLimitLayer::opaque) | off: answers are `http::Response<_>` |
//!
//! # Sharing
//!
//! Every service that one layer builds shares the layer's quota, and so do their clones: one limit for all connections of a server.
//! Layers that are given clones of one [`Quota`] share it too; stacked on each other they charge a
//! request once.
//!
//! # Cancellation
//!
//! A future that is dropped before the inner service was called gives everything back. Later its
//! charge stays, since the request may have arrived, and its place in flight is freed.
//!
//! # Errors
//!
//! A refusal is a [`Rejected`], found by [`Rejected::find`]; errors of the inner service pass as they are.
//! [`RespondLayer`](crate::RespondLayer) makes responses of refusals: its [`Scope`] is [`Scope::Caller`], with a key or
//! without, which becomes a 429.
//!
//! # Cost
//!
//! What a call pays on top of a service that answers at once; where it is refused, in all
//! (`cargo run --release --bin overhead` in `benches/peers`):
//!
//! <!-- overhead -->
//! | | ns | allocations | future | the fastest peer |
//! |---|---|---|---|---|
//! | admitted | 110 | 0 | 144 B | 17 ns, governor, direct |
//! | refused | 99 | 1 | 144 B | 31 ns, governor, direct |
//! <!-- end of overhead -->
//!
//! # Order in a stack
//!
//! Inside of retries, so that each attempt pays; outside of the circuit breaker and of the
//! attempt's time-out, so that neither sees the wait. See [the crate's page](crate).
//!
//! A charge stands for one departure: outside of a [`BackoffRetryLayer`](crate::BackoffRetryLayer) or
//! [`FallbackLayer`](crate::FallbackLayer) each further try is charged too, before it leaves and in front of those who
//! haven't begun; so is each of anybody else's retry around another limit of ours. Where the limit refuses the try, the
//! last real outcome is returned. A retry that this crate can't see, in a client or on another task, counts as one call.
//! On servers, where callers are to pay for what they ask and not for what becomes of it,
//! [`on_arrival`](RateLimitLayer::on_arrival) counts a request once. Two quotas
//! are stacked in the same order everywhere: where some take them the other way round, each may hold what the other waits
//! for, until `max_wait`.

mod layer;
mod service;
#[cfg(test)]
mod tests;

#[cfg(doc)]
use crate::{Priority, Quota, Rejected, Scope};

pub use layer::RateLimitLayer;
pub use service::{InFlight, RateLimit, RateLimitFuture};
