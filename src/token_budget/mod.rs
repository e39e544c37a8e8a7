//! Limits on requests *and* tokens, charged together before a request is sent and settled by what the
//! provider counted.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::{BoxError, BufferBodyLayer, Limit, Quota, TokenBudgetLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000))
//!     .build()?;
//! let client = service_fn(|_: Request<_>| async {
//!     let answer = r#"{"usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}}"#;
//!     Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::from(answer)))
//! });
//! let service = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new()) // the estimate reads the request's body
//!     .layer(TokenBudgetLayer::new(quota))
//!     .service(client);
//! # let _ = service.oneshot(Request::new(Full::<Bytes>::from(r#"{"messages": [{"content": "Hello"}], "max_tokens": 20}"#))).await?;
//! # Ok(()) }
//! ```
//!
//! With a cost of one's own, for requests of any type. Answers that aren't http's tell no usage, so that the charge stays; where it is to
//! be settled, hold a [`Permit`](crate::Permit) instead:
//!
//! ```
//! use tower_quota::{Cost, Limit, Quota, TokenBudgetLayer};
//!
//! struct Prompt { text: String, max_tokens: u64 }
//!
//! let quota = Quota::new(Limit::tokens_per_minute(30_000))?;
//! let layer = TokenBudgetLayer::new(quota)
//!     .cost(|prompt: &Prompt| Cost::input_output(prompt.text.len() as u64 / 4, prompt.max_tokens))
//!     .opaque();
//! # let _ = layer;
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # When
//!
//! In front of whoever limits tokens, in place of a [`RateLimitLayer`](crate::RateLimitLayer): a request and its tokens are taken
//! together or not at all. Also in front of servers of one's own, to bound what is [in flight](crate::quota::QuotaBuilder::max_in_flight).
//!
//! | setting | default |
//! |---|---|
//! | [`cost`](TokenBudgetLayer::cost) | one request, and the tokens estimated from its JSON body ([`Estimated`]) |
//! | [`calibrate`](TokenBudgetLayer::calibrate), [`uncalibrated`](TokenBudgetLayer::uncalibrated) | the layer's estimates learn, by themselves |
//! | [`exact`](https://docs.rs/tower-quota/latest/tower_quota/token_budget/struct.TokenBudgetLayer.html#method.exact) (feature `tiktoken`) | off: estimates |
//! | [`pools`](TokenBudgetLayer::pools) | off: all models share the quota |
//! | [`settle`](TokenBudgetLayer::settle) | [`Settle::Auto`] |
//! | [`reject`](TokenBudgetLayer::reject) | off: requests wait for their turn, about a minute at the most |
//! | [`on_arrival`](TokenBudgetLayer::on_arrival) | off: a request counts when it leaves |
//! | [`keyed`](TokenBudgetLayer::keyed), [`keyed_by`](TokenBudgetLayer::keyed_by), [`for_keys`](TokenBudgetLayer::for_keys) | off: all requests share the quota |
//! | [`in_turn`](TokenBudgetLayer::in_turn), [`shared_by`](TokenBudgetLayer::shared_by) | off: first come, first served |
//! | [`tell`](TokenBudgetLayer::tell) | off: admitted answers say nothing of what is left |
//! | [`priority`](TokenBudgetLayer::priority) | [`Priority::Standard`] |
//! | [`provider`](TokenBudgetLayer::provider) | told from each answer |
//! | [`opaque`](TokenBudgetLayer::opaque) | off: answers are `http::Response<_>` |
//!
//! # What it learns
//!
//! From an answer's head: what the provider says is left (`x-ratelimit-*`), where that is less than
//! what is left here; and how long to wait, from a 429, for which the quota is paused. From its body, as it passes: the
//! `usage`, by which the charge is settled: upwards always, downwards by [`Settle`]. An answer that is cut
//! off, ends with an error, or says nothing of its usage, keeps what was charged. [Streams](crate::body#streams) are read as they
//! pass: of a hundred megabytes at most 48 KiB are kept.
//!
//! By the usage the estimates learn too, each model's by itself; see [`tokens`](crate::tokens) for how well, and
//! [`Calibration`](crate::tokens::Calibration) for a handle on it.
//!
//! # Pools
//!
//! Most providers limit each model by itself. [`Pools`] are quotas by model, on one layer; those without one share the layer's:
//!
//! ```
//! use tower_quota::{Limit, Quota, TokenBudgetLayer, token_budget::Pools};
//!
//! let tokens = |n| Quota::new(Limit::tokens_per_minute(n));
//! let layer = TokenBudgetLayer::new(tokens(10_000)?).pools(
//!     Pools::new()
//!         .pool("gpt-4o", tokens(30_000)?) // and its dated snapshots: gpt-4o-2024-08-06
//!         .pool("gpt-4o-mini", tokens(200_000)?)
//!         .alias("our-deployment", "gpt-4o"),
//! );
//! # let _ = layer;
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! A 429 pauses the pool of the request that it answers, and no other.
//!
//! # Tenants
//!
//! Each with a quota of its own, in front of one that they share: [`KeyedQuotas`](crate::quota::KeyedQuotas) shows the
//! stack. A request takes from the tenant's first, waits in its line where that is to be, and holds what it took while it waits for
//! the shared one, which takes tenants in turn. What the shared one refuses, and whoever goes away before that, is given
//! back. A refusal's [`Scope`] tells whose limit it was.
//!
//! What the provider says of its limits is about the shared quota alone; the tenants' are settled by what was used.
//!
//! # Sharing
//!
//! Every service that one layer builds shares the layer's quota, and so do their clones. Layers that are given clones of one
//! [`Quota`] share it too; stacked on each other they charge a request once.
//!
//! # Cancellation
//!
//! A future that is dropped before the inner service was called gives everything back. Later its
//! charge stays, since the request may have arrived, and its place in flight is freed. The place is
//! taken until the answer's body ends or is dropped.
//!
//! # Errors
//!
//! A refusal is a [`Rejected`], found by [`Rejected::find`]; one whose reason is
//! [`Reason::TooLarge`] can never fit. Errors of the inner service pass as they are. Where
//! [`RespondLayer`](crate::RespondLayer) makes responses of refusals, the [`Scope`] decides on the status: without a key
//! it is [`Scope::Shared`], since callers share the quota, and becomes a 503; with a key it is [`Scope::Caller`] and
//! becomes a 429. What can never fit becomes a 413 either way.
//!
//! # Cost
//!
//! What a call pays on top of a service that answers at once; where it is refused, in all
//! (`cargo run --release --bin overhead` in `benches/peers`):
//!
//! <!-- overhead -->
//! | | ns | allocations | future | the fastest peer |
//! |---|---|---|---|---|
//! | admitted | 126 | 0 | 160 B |  |
//! | refused | 103 | 1 | 160 B |  |
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
//! [`on_arrival`](TokenBudgetLayer::on_arrival) counts a request once, and takes no lesson from the provider behind. Two quotas
//! are stacked in the same order everywhere: where some take them the other way round, each may hold what the other waits
//! for, until `max_wait`.

mod estimated;
mod layer;
mod notes;
mod pools;
mod service;

#[cfg(doc)]
use crate::{Priority, Quota, Reason, Rejected, Scope, Settle};

pub use estimated::Estimated;
pub use layer::TokenBudgetLayer;
pub use pools::{Pooled, Pools};
pub use service::{Settling, TokenBudget, TokenBudgetFuture};
