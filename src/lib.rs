//! Tower middleware that keeps a client inside its providers' limits, retries politely and
//! degrades gracefully.
//!
//! Calls to LLM APIs fail in ways of their own: limits on requests *and* tokens, per minute and per
//! day; 429s that mean "wait", "too large", "no money" or "overloaded"; hints that lie; answers that
//! stream. Five layers, each one concern, know these ways. They stack onto any tower service: hyper,
//! reqwest, axum, async-openai, or a function.
//!
//! | layer | what it does |
//! |---|---|
//! | [`RateLimitLayer`] | at most so many requests in any window; the rest wait, in order, or are refused |
//! | [`TokenBudgetLayer`] | the same for requests *and* tokens, charged before sending, settled by the provider's own count |
//! | [`BackoffRetryLayer`] | tries again what may work next time; never before the provider's hint |
//! | [`FallbackLayer`] | another service, the same with another request, or an answer computed here, where the first couldn't serve |
//! | [`CircuitBreakerLayer`] | refuses calls to a service that fails, until it has recovered |
//!
//! Beside them: [`BufferBodyLayer`] makes request bodies replayable, [`Split`] divides requests among services by weight,
//! [`headroom`] tells tower's balancers which endpoint has the most room, [`RespondLayer`] turns refusals into responses for servers,
//! [`Quota`] is the limiter itself, [`presets`] are the providers' published limits, and `testing` (a feature) is a provider in a box.
//!
//! **[The guide](guide)** goes [from 429s to calm](guide::calm), layer by layer; tells when to [wait, retry, fall back or
//! refuse](guide#wait-retry-fall-back-or-refuse), [what each provider's 429s mean](guide::providers), [how to name and share a
//! stack](guide::wiring), [what many tenants need](guide::tenants), [where caches and the like stand](guide::placement), and what tower's, governor's or tenacity's terms
//! are [called here](guide::coming_from).
//!
//! # The simple path
//!
//! ```
//! # use bytes::Bytes; use http::{Request, Response}; use http_body_util::Empty;
//! # use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::RateLimitLayer;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = service_fn(|_: Request<Bytes>| async { Ok::<_, std::io::Error>(Response::new(Empty::<Bytes>::new())) });
//! let client = ServiceBuilder::new()
//!     .layer(RateLimitLayer::per_minute(500)) // never more than 500 in any minute
//!     .service(client);
//! # client.oneshot(Request::new(Bytes::new())).await?; Ok(()) }
//! ```
//!
//! # The whole stack
//!
#![cfg_attr(feature = "reqwest", doc = "```")]
#![cfg_attr(not(feature = "reqwest"), doc = "```ignore")]
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::{
//!     BackoffRetryLayer, BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota,
//!     TokenBudgetLayer, edge::{ReqwestLayer, ReqwestService}, fallback::swap_model,
//!     tokens::model_of,
//! };
//!
//! # async fn example() -> Result<(), tower_quota::BoxError> {
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000))
//!     .build()?;
//! let (client, breaker) = (reqwest::Client::new(), CircuitBreakerLayer::new().keyed(model_of));
//! let stack = ServiceBuilder::new()
//!     .layer(ReqwestLayer::new())                                // reqwest's types outside, http's inside
//!     .layer(BufferBodyLayer::new())                             // bodies that can be sent again
//!     .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini"))) // outermost: around everything else
//!     .layer(BackoffRetryLayer::new())                           // each attempt pays, and is judged
//!     .layer(breaker.gate())                                     // nobody queues for a dead model
//!     .layer(TokenBudgetLayer::new(quota))                       // waits here
//!     .layer(breaker)                                            // judges the client alone
//!     .timeout(Duration::from_secs(60))                          // of one attempt, not of the queue
//!     .service(ReqwestService::new(client.clone()));
//!
//! let request = client.post("https://api.openai.com/v1/chat/completions").body("…").build()?;
//! let response: reqwest::Response = stack.oneshot(request).await?;
//! # Ok(()) }
//! ```
//!
//! [`keyed`](CircuitBreakerLayer::keyed) by [`model_of`](tokens::model_of), each model has a circuit of its own: a single one would
//! refuse the other model as soon as the first is dead. Where requests for several models come in, the fallback has
//! [no memory](FallbackLayer::no_memory): it [remembers](fallback#what-is-remembered) the stack as down, not the model. Rate limits are waited out before anything falls back, ours for
//! [`max_wait`](quota::QuotaBuilder::max_wait), a provider's hint up to [`max_hint`](BackoffRetryLayer::max_hint), 60 s each. Both
//! models take from one quota here; where their limits are their own, give each a pool: [`Pools`](token_budget::Pools).
//!
//! # Order of layers
//!
//! From the outside in, and what another order costs:
//!
//! | layer | why there |
//! |---|---|
//! | `ReqwestLayer` | with the feature `reqwest`: reqwest's types outside of it, http's inside |
//! | [`BufferBodyLayer`] | once, for everybody further in |
//! | [`FallbackLayer`] | falls back when the retries are done; inside of them, each retry would fall back |
//! | a deadline (`tower::timeout`) | around all attempts and waits, where one is wanted |
//! | [`BackoffRetryLayer`] | outside of the limiters, so that each attempt pays and waits in line like any other |
//! | [`CircuitBreakerLayer::gate`] | optional: spares callers the queue while the circuit is open |
//! | [`RateLimitLayer`], [`TokenBudgetLayer`] | requests wait here; either way round, neither overshoots |
//! | [`CircuitBreakerLayer`] | next to the client: judges it alone, its probe waits in no queue, its refusal gives the quota back |
//! | an attempt's time-out | inside the limiters: around them it would count the queue's time as the client's |
//! | the client | with its own retries turned off |
//!
//! Any other order is safe: nothing goes over a limit and nothing is leaked. It costs something else:
//!
//! | order | what it costs |
//! |---|---|
//! | [`BufferBodyLayer`] further in than Retry or Fallback | streaming bodies can't be sent again: one try, no fallback |
//! | Fallback inside of Retry | each try may become two calls, and what failed at both is tried at both again |
//! | Retry inside of the limiters | each further try is charged as well, in line, but the call keeps its place in flight while it sleeps; a limiter on [arrival](RateLimitLayer::on_arrival) counts calls, not tries |
//! | Retry inside of the breaker | three failures of one call count as one, and the time asleep as slowness |
//! | no gate, or the gate inside of the limiters | who queues when the circuit opens is refused at its turn only; the charge goes back either way |
//! | the breaker outside of the limiters | its probe waits in line like any other, so that recovery is noticed late, and time in line counts as the client's slowness |
//! | the breaker outside of Fallback | it judges both links together: it opens where both fail, and spares the first nothing |
//! | a limiter outside of Fallback | both links pay the same quota; where they have quotas of their own, give each link its limiter |
//! | an attempt's time-out around the limiters | under load, requests time out in line, and look like a slow provider to whoever judges them |
//! | a deadline inside of Retry | it is one attempt's |
//!
//! Requests walk inward, facts walk outward: the first layer that sees an error answer reads a bounded part of its body and
//! leaves a [`Verdict`] in the response's extensions; the others act on it. See its table for who does what.
//!
//! # Errors
//!
//! The layers answer with [`BoxError`]: the inner service's own error, or a refusal of ours, which
//! [`Rejected::find`] brings to light however it was wrapped. It says which limit, how much was asked, how much is left
//! and when to come back.
//!
//! # When it doesn't compile
//!
//! - `stack.oneshot(request)` hides the cause behind E0599; `tower::ServiceExt::oneshot(stack, request)` tells it.
//! - Services whose answers aren't `http::Response` need `.opaque()` on every layer but the gate, and
//!   [`cost`](TokenBudgetLayer::cost) on [`TokenBudgetLayer`].
//! - Over reqwest, `ReqwestLayer` comes first, [`BufferBodyLayer`] second, and `ReqwestService::new(client)` innermost, not the
//!   client itself, whose answers aren't `http::Response`; [`BufferBodyLayer`] wherever a request's body "can't be sent again or
//!   read ahead".
//! - A closure sees the request as it is at its layer: inside of [`BufferBodyLayer`] that is `|request: &Request<BufferedBody>|`,
//!   whatever the client's types. A judgement for `.classify` names its argument's type, see [`Classify`].
//! - "implementation of `From` is not general enough", where a stack is spawned: the error of a `service_fn` inside is
//!   [`BoxError`]; take a concrete one, like `std::io::Error`.
//! - "`Infallible: From<Box<dyn Error + Send + Sync>>`" of axum's `Router::layer`: [`RespondLayer`] isn't there, or isn't outermost, which
//!   is first in a `ServiceBuilder` and last of several `.layer(..)`.
//! - "`String: From<Bytes>`" of [`swap_model`](fallback::swap_model): [`BufferBodyLayer`] outside of the fallback.
//! - "expected `Response<..>`, found `Response<MeteredBody<..>>`" of a box: the outermost makes [one body](guide::wiring#https-types) of
//!   those of all layers.
//!
//! # Cancellation
//!
//! Every future may be dropped at any await. Until a request was sent everything it held is given back; from then on its charge
//! stays, since the provider may count it.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | |
//! |---|---|
//! | `reqwest` | [`edge`](https://docs.rs/tower-quota/latest/tower_quota/edge/): the layers over `reqwest::Client`, `reqwest::{Request, Response}` and async-openai |
//! | `hyper`, `axum` | their request bodies pass the layers that would send again: one try |
//! | `tiktoken` | exact counts of tokens for OpenAI's models: [`tokens::exact`](https://docs.rs/tower-quota/latest/tower_quota/tokens/exact/), 5 MB of vocabularies |
//! | `metrics` | counters, histograms and gauges through the `metrics` crate: [`observe`] |
//! | `redis` | [one quota for many processes](quota::shared), over Redis or Valkey |
//! | `redis-tls` | the same by TLS |
//! | `serde` | [snapshots](quota::Snapshot) can be serialised, [saved states](quota::SavedState) read as well |
//! | `testing` | [`testing`](https://docs.rs/tower-quota/latest/tower_quota/testing/): a provider in a box, a real HTTP server on loopback |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(all(doctest, feature = "redis", feature = "reqwest"), doc = include_str!("../README.md"))]

pub mod admission;
pub mod answers;
pub mod backoff_retry;
pub mod body;
pub mod circuit_breaker;
mod clock;
mod core;
mod departure;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod edge;
mod error;
pub mod fallback;
pub mod guide;
pub mod headroom;
pub mod inner;
pub mod key;
mod lock;
mod marked;
pub mod observe;
pub mod presets;
pub mod provider;
pub mod quota;
pub mod rate_limit;
mod recycled;
pub mod respond;
mod spares;
pub mod split;
mod sync;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod token_budget;
pub mod tokens;
mod verdict;

pub use crate::{
    backoff_retry::{BackoffRetryLayer, RetryBudget},
    body::{BodyTooLarge, BufferBodyLayer, BufferedBody, ReplayBody},
    circuit_breaker::{CircuitBreakerLayer, CircuitEvent, CircuitHandle},
    core::{
        backoff::{Backoff, Jitter},
        breaker::{CircuitCounts, CircuitState},
        cost::{Cost, Resource},
        limit::{Anchor, Limit, LimitId},
        settlement::Settle,
    },
    error::{BoxError, ConfigError, Reason, Rejected, RejectedError, Scope},
    fallback::FallbackLayer,
    observe::{Alert, Alerts},
    quota::{Allowance, Permit, Priority, Quota},
    rate_limit::RateLimitLayer,
    respond::RespondLayer,
    split::{Split, SplitHandle},
    token_budget::TokenBudgetLayer,
    verdict::{Classify, Provider, RateReading, RateStatus, Usage, Verdict},
};
