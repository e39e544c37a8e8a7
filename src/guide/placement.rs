//! What each layer costs, and where everything else stands in the stack.
//!
//! # What a layer costs
//!
//! | layer | on a request that is admitted and served |
//! |---|---|
//! | [`RateLimitLayer`] | of rolling windows of requests and tokens, while nobody waits, three atomic steps: one to take, one to date, one at the answer's end; of other limits, and where something is settled or somebody waits, a lock for each; no allocation |
//! | [`TokenBudgetLayer`] | the same for two limits and more; the estimate of the body, 1 µs for each KiB; the answer is read as it passes, of a stream its first events and last 4 KiB; no allocation of its own |
//! | [`CircuitBreakerLayer`] | of a closed circuit no lock for an admission or a success, one for a failure; no allocation |
//! | [`BackoffRetryLayer`] | one copy of the request, kept until the answer is judged, where another try is possible |
//! | [`FallbackLayer`] | one copy of the request, where there is somebody to fall back to; of its memory a look at one word |
//! | [`BufferBodyLayer`] | the body is collected once; copies further in share its bytes |
//! | a box around the stack | one allocation a call |
//!
//! An error answer's body is read by the first layer that sees it, up to 64 KiB, once for all. What waits may allocate. Nanoseconds, instructions
//! and allocations, beside those of other crates in one run: `cargo run --release --bin overhead` in `benches/peers` of the repository, and the README's figures.
//!
//! # Where everything else stands
//!
//! From the outside in:
//!
//! | what | where | why |
//! |---|---|---|
//! | a cache of answers, exact or by meaning | outermost, around the whole stack | a hit takes nothing from any quota, waits in no line and needs no circuit |
//! | one call for many who ask the same at once | with the cache | the same |
//! | the embeddings that a cache by meaning asks for | through a stack of their own, with their own quota | they are requests too, of another model |
//! | checks of what users may ask | outside | what is refused costs nothing |
//! | prompt compression, trimming, templates | outside of [`TokenBudgetLayer`]: `map_request`, or before the stack | the estimate is of what is sent |
//! | packing texts into one request | before the stack, by [`tokens::count_text`](crate::tokens::count_text) or a [`Calibration`](crate::tokens::Calibration) | one request instead of many, up to the tokens that a request may have |
//! | what can wait for hours | a provider's batch API, beside the stack | batches have limits of their own; or else [`Priority::Background`] |
//! | choosing the model by task | outside: tower's `Steer`, one stack for each | each has its quota and its circuit |
//! | several regions or accounts | around whole stacks: [`Split`](crate::Split), [`headroom`](crate::headroom) | a quota and a circuit for each |
//! | a span for the call | outermost | waits and retries are in it; its fields are [filled in](crate::observe#fields-of-your-span) |
//! | a span for each attempt | innermost, around the client | one for each that is sent |
//! | signatures with a date (SigV4), tokens that expire | innermost | each attempt is signed when it leaves |
//! | decompression of answers | inside of all layers (reqwest's own, or tower-http's) | the layers read errors and usage from the body |
//! | the provider's own prompt cache | no layer: keep the beginning of prompts as it is | what it serves is told in the usage; by their pages it doesn't count against the limits of Anthropic and Groq |
//! | `ConcurrencyLimit`, `Buffer`, `LoadShed` | not needed | [`max_in_flight`](crate::quota::QuotaBuilder::max_in_flight) holds until the answer's body ends; stacks are `Clone`; [`reject`](TokenBudgetLayer::reject) sheds |
//!
//! # A cache outside
//!
//! ```
//! # use std::{collections::HashMap, convert::Infallible, sync::{Arc, Mutex}};
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use tower_quota::{BoxError, Limit, Quota, RateLimitLayer};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
//! let quota = Quota::new(Limit::requests_per_minute(60))?;
//! let stack = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(quota.clone()).opaque())
//!     .service(service_fn(|question: String| async move { Ok::<_, Infallible>(format!("{question}? 42")) }));
//! let answers = Arc::new(Mutex::new(HashMap::new()));
//! let cached = service_fn(move |question: String| {
//!     let (answers, stack) = (answers.clone(), stack.clone());
//!     async move {
//!         if let Some(hit) = answers.lock().unwrap().get(&question) {
//!             return Ok(String::clone(hit));
//!         }
//!         let answer = stack.oneshot(question.clone()).await?;
//!         answers.lock().unwrap().insert(question, answer.clone());
//!         Ok::<_, BoxError>(answer)
//!     }
//! });
//! for _ in 0..1_000 {
//!     assert_eq!(cached.clone().oneshot("6 * 7".to_owned()).await?, "6 * 7? 42");
//! }
//! assert_eq!(quota.snapshot().limits[0].used, 1);
//! # Ok(()) }
//! ```
//!
//! A real one is bounded and lets answers grow old.
//!
//! # Trimming by headroom
//!
//! When the quota is nearly spent, a shorter prompt leaves now and a long one waits. What is left is in the snapshot, which costs a look at
//! the lock:
//!
//! ```
//! use tower_quota::{Cost, Limit, Quota, Resource, tokens};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! /// The newest parts of a conversation that fit into what is left, half of it at the most; always the last.
//! fn trimmed<'a>(quota: &Quota, parts: &'a [&'a str]) -> &'a [&'a str] {
//!     let limits = quota.snapshot().limits;
//!     let tokens = limits.iter().filter(|limit| limit.limit.resource == Resource::Tokens);
//!     let mut room = tokens.map(|limit| limit.left / 2).min().unwrap_or(u64::MAX);
//!     let mut from = parts.len().saturating_sub(1);
//!     for (at, part) in parts.iter().enumerate().rev() {
//!         let tokens = tokens::count_text(part);
//!         if tokens > room {
//!             break;
//!         }
//!         (room, from) = (room - tokens, at);
//!     }
//!     &parts[from..]
//! }
//!
//! let quota = Quota::new(Limit::tokens_per_minute(1_000))?;
//! let parts = ["An old question, long ago", "its answer", "What now?"];
//! assert_eq!(trimmed(&quota, &parts).len(), 3);
//! quota.try_acquire(Cost::tokens(990))?;
//! assert_eq!(trimmed(&quota, &parts), ["What now?"]);
//! # Ok(()) }
//! ```
//!
//! Say a smaller `max_tokens` first: with most providers all of it is reserved.

#[cfg(doc)]
use crate::{
    BackoffRetryLayer, BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, Priority,
    RateLimitLayer, TokenBudgetLayer,
};
