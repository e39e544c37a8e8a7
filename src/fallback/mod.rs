//! Tries another service, or the same with another request, where the first couldn't serve; or computes the answer.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::FallbackLayer;
//! # use bytes::Bytes;
//! # use http::{Request, Response, StatusCode};
//! # async fn answer(status: StatusCode) -> Result<Response<http_body_util::Empty<Bytes>>, std::io::Error> {
//! #     let mut answer = Response::default();
//! #     *answer.status_mut() = status;
//! #     Ok(answer)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_quota::BoxError> {
//! # let main_client = tower::service_fn(|_: Request<Bytes>| answer(StatusCode::BAD_GATEWAY));
//! # let backup = tower::service_fn(|_: Request<Bytes>| answer(StatusCode::OK));
//!
//! let service = ServiceBuilder::new()
//!     .layer(FallbackLayer::to(backup))
//!     .service(main_client);
//! let response = service.oneshot(Request::new(Bytes::new())).await?;
//! # assert_eq!(response.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```
//!
//! Tuned: other models of the same provider, each for failures of its own, and a page where none of them serves:
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::ServiceBuilder;
//! use tower_quota::{FallbackLayer, Verdict, fallback::{Unserved, swap_model}};
//!
//! let models = FallbackLayer::rewrite(swap_model::<Bytes>("gpt-4.1"))
//!     .on(|verdict| matches!(verdict, Verdict::TooLarge)) // it takes more
//!     .name("gpt-4.1")
//!     .then_rewrite(swap_model("gpt-4.1-mini"))
//!     .name("gpt-4.1-mini")
//!     .memory(Duration::from_secs(20)); // no hint is believed for longer
//! let page = FallbackLayer::respond(|unserved: Unserved<Request<Bytes>>| {
//!     let cause = unserved.causes.last();
//!     Response::new(Full::new(Bytes::from(format!("busy: {} says {:?}", cause.name(), cause.verdict()))))
//! });
//! let stack = ServiceBuilder::new().layer(page).layer(models);
//! # let _ = stack;
//! ```
//!
//! # When
//!
//! Somebody else can serve: another model, region, account or provider, or a page that says "later". Every setting and its default:
//! [`FallbackLayer`].
//!
//! # Where it falls back to
//!
//! | | |
//! |---|---|
//! | [`to`](FallbackLayer::to) | another service |
//! | [`chain`](FallbackLayer::chain), [`to`](FallbackLayer::to) … `then` | a list of services of one type, boxed where they differ |
//! | [`rewrite`](FallbackLayer::rewrite) … [`then_rewrite`](FallbackLayer::then_rewrite) | the same service with other requests: see [`swap_model`] |
//! | [`respond`](FallbackLayer::respond), [`respond_async`](FallbackLayer::respond_async) | an answer that is computed here |
//!
//! Layers may be stacked as well, the last resort outermost. A request that goes to another provider in another form is
//! rewritten by that service itself (`tower::ServiceBuilder::map_request`).
//!
//! # What falls back
//!
//! By default every outcome but a success and one that is permanent (400, 401, 403, 404, 422),
//! which would be the same elsewhere. Each link of a list may say by [`on`](FallbackLayer::on) of which verdicts it is the way
//! out; a verdict goes to the next link that takes it. What keeps the first service from becoming ready is an
//! outcome, too; that request was never sent and needs no copy.
//!
//! The outcome of whoever was asked last is returned whatever it is. A link that the request can't be sent to (it
//! can't be copied or rewritten, the link fails to become ready, a limit further out refuses) is left out; where that leaves
//! none, the outcome before is returned.
//!
//! An error in a stream under status 200 falls back as long as nothing of its content was handed on. See
//! [streams](crate::body#streams).
//!
//! # Who served, and why the others didn't
//!
//! A response that a link served says so in its extensions: [`ServedBy`], and in [`Causes`] why each
//! before it didn't, in the order in which they were tried, those further in included. Where nobody served, the last answer has the
//! causes of those before it alone; where that is an error, [`Causes::find`] finds them in it. Both are read by their `of`, from
//! http's responses and from reqwest's. An event tells that a call falls back: at level `INFO` where somebody was asked and didn't
//! serve, at `DEBUG` where it is passed over, a circuit or a limit of ours has refused, and for each further link. None shows
//! anything of the request or of the answer but the verdict.
//!
//! # What is remembered
//!
//! Who asked for time is passed over until then, without being called: for the hint of a rate limit or of an
//! overload and until an open circuit lets a probe through, but never for longer than [`memory`](FallbackLayer::memory); for
//! [`exhausted_for`](FallbackLayer::exhausted_for) where there is no money. A failure without a hint is forgotten at once. Of calls that
//! went there side by side the longest hint counts. A call that went there in spite of what was known has the last word: its
//! own hint counts, and its success ends it. A success that was on its way before says nothing of now.
//!
//! Nobody is passed over in vain: a link that doesn't take the verdict that is remembered is no way past; where every
//! member that could be asked is remembered as down, the one that is back first is asked; where no link can be asked,
//! the first service is. The memory itself refuses nothing.
//!
//! It is one for each member of a chain, not for each model or key: where one stack serves several pools, the hint of one
//! pool passes over the stack for all of them. Give each pool a stack of its own there, or use
//! [`no_memory`](FallbackLayer::no_memory). A stack of fallbacks that failed is down until the first of its members is back.
//! So it is with models that share a stack. While one is dead, a gate by model refuses that one at once, and no other:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use http::{Request, StatusCode};
//! # use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::{
//!     BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, fallback::swap_model, tokens::model_of,
//! };
//! # use tower_quota::{fallback::ServedBy, testing::Provider};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), tower_quota::BoxError> {
//! # let dead = |faults: tower_quota::testing::Faults| faults.dead_model_as("gpt-4.1", StatusCode::BAD_GATEWAY);
//! # let client = Provider::openai().faults(dead).build()?.service();
//! let breaker = CircuitBreakerLayer::new().keyed(model_of);
//! let stack = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new())
//!     .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")).no_memory()) // requests for many models come in
//!     .layer(breaker.gate())
//!     .layer(breaker)
//!     .service(client);
//! # let ask = async |model: &str| {
//! #     let body = format!(r#"{{"model": "{model}", "max_tokens": 9, "messages": [{{"role": "user", "content": "Hello"}}]}}"#);
//! #     let request = Request::post("/v1/chat/completions").body(Full::<bytes::Bytes>::from(body)).unwrap();
//! #     let answer = ServiceExt::oneshot(stack.clone(), request).await.unwrap();
//! #     (answer.status(), ServedBy::of(&answer).is_some())
//! # };
//! # for _ in 0..40 { assert_eq!(ask("gpt-4.1").await, (StatusCode::OK, true)); }
//! # assert_eq!(ask("o3").await, (StatusCode::OK, false));
//! # Ok(()) }
//! ```
//!
//! While the first service serves, that costs a look at one word: no lock, no clock, no allocation.
//!
//! # Sharing
//!
//! The services of a layer and of its clones share what is remembered; a setting begins anew. Beyond that they share what the
//! links' clones share: clones of the links that nobody has polled before are kept for later calls, as many as there were calls
//! at a time, and at most 256. A list can be sent to other threads where its services can be shared between them: box those by
//! `tower::util::BoxCloneSyncService`.
//!
//! # Cancellation
//!
//! A future that is dropped falls back to nothing. Links are readied only when they are needed. What the
//! first service had reserved is given back when it is passed over.
//!
//! # Errors
//!
//! Those of the service that was asked last. Where others were asked before it, it is the [`last`](FallbackError::last) of a
//! [`FallbackError`] that knows why those didn't serve; [`Rejected::find`](crate::Rejected::find) sees through it:
//!
//! ```
//! use tower_quota::{BoxError, fallback::FallbackError};
//!
//! /// The error of a client behind a fallback.
//! fn of_client<E: std::error::Error + 'static>(error: &BoxError) -> Option<&E> {
//!     match error.downcast_ref::<FallbackError>() {
//!         Some(error) => error.last().downcast_ref(),
//!         None => error.downcast_ref(),
//!     }
//! }
//! # let _ = of_client::<std::io::Error>;
//! ```
//!
//! # Cost
//!
//! What a call without headers pays on top of a service that answers at once, where the first serves it; each header and a body's
//! bytes are copied once (`cargo run --release --bin overhead` in `benches/peers`):
//!
//! <!-- overhead -->
//! | | ns | allocations | future | the fastest peer |
//! |---|---|---|---|---|
//! | the first serves | 63 | 0 | 168 B | 104 ns, tower-resilience |
//! <!-- end of overhead -->
//!
//! # Order in a stack
//!
//! Outermost, around the retries of the first service; other services bring limiters, retry
//! and breaker of their own where they need them. With `rewrite`, the rewritten request goes through
//! the same stack further in, its limiters and its breaker: a breaker for each model, and where models have limits of their own
//! a quota for each.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::{
//!     CircuitBreakerLayer, FallbackLayer, Limit, Quota, TokenBudgetLayer, fallback::swap_model,
//!     token_budget::Pools, tokens::model_of,
//! };
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = tower::service_fn(|_: Request<Bytes>| async {
//! #     Ok::<_, std::io::Error>(Response::new(http_body_util::Empty::<Bytes>::new()))
//! # });
//!
//! let quota = |tokens| Quota::new(Limit::tokens_per_minute(tokens));
//! let pools = Pools::new().pool("gpt-4.1-mini", quota(200_000)?);
//! let breaker = CircuitBreakerLayer::new().keyed(model_of); // a single one would refuse both when the first is dead
//! let stack = ServiceBuilder::new()
//!     .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")))
//!     .layer(breaker.gate())
//!     .layer(TokenBudgetLayer::new(quota(30_000)?).pools(pools))
//!     .layer(breaker)
//!     .service(client);
//! # stack.oneshot(Request::new(Bytes::from(r#"{"model": "gpt-4.1"}"#))).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A limit is waited for, up to the quota's [`max_wait`](crate::quota::QuotaBuilder::max_wait) and the retry's
//! [`max_hint`](crate::BackoffRetryLayer::max_hint), 60 s each, before anything falls back: [`reject`](crate::TokenBudgetLayer::reject)
//! where another link is better than a wait.
//!
//! Outside of a fallback, a limiter charges each link that is asked, in its own line; one that
//! was passed over costs nothing, and an answer that is computed needs no further charge: it leaves for nowhere.

mod causes;
mod computed;
mod detour;
mod future;
mod layer;
mod memory;
mod merge;
mod outcome;
mod plan;
mod second;
mod service;
mod swap_model;
mod trip;

pub use causes::{Cause, Causes, FallbackError, ServedBy};
pub use computed::{Computed, ComputedAsync};
pub use future::FallbackFuture;
pub use layer::FallbackLayer;
pub use merge::{FallbackBody, Merge};
pub use second::{Links, Rewritten, Second, To, Unserved};
pub use service::{Chain, Fallback};
pub use swap_model::swap_model;
