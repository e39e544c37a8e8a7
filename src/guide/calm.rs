//! From 429s to calm: one client, from a bare loop to the whole stack, and what each layer takes away.
//!
//! Somebody has eighty questions and an account that takes 60 requests and 2,000 tokens a minute. Each question costs 47 tokens,
//! so that 42 of them fit into a minute. The provider is the one [in a box](https://docs.rs/tower-quota/latest/tower_quota/testing/),
//! and time is tokio's paused clock: all of this page runs, with every figure in it, when the crate's tests do.
//!
//! # 0. The bare client
//!
//! All at once, as a first draft does it:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures_util::future::join_all;
//! use http::{Request, Response};
//! use tower::{Service, ServiceExt};
//! use tower_quota::{BoxError, testing::Provider};
//!
//! fn question() -> Request<String> {
//!     let body = r#"{"model": "gpt-4.1", "max_tokens": 40, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#;
//!     Request::post("/v1/chat/completions").body(body.to_owned()).unwrap()
//! }
//!
//! /// How many of eighty are served.
//! async fn served<S, B>(client: S) -> usize
//! where
//!     S: Service<Request<String>, Response = Response<B>> + Clone,
//! {
//!     let answers = join_all((0..80).map(|_| client.clone().oneshot(question()))).await;
//!     answers.iter().flatten().filter(|answer| answer.status().is_success()).count()
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! let provider = Provider::openai().requests_per_minute(60).tokens_per_minute(2_000).build()?;
//! assert_eq!(served(provider.service()).await, 42);
//! assert_eq!(provider.report().rate_limited, 38); // answers of 429
//! # Ok(()) }
//! ```
//!
//! # 1. Try again
//!
//! The first thing that anybody adds. [`BackoffRetryLayer`] waits as long as the provider asks, and spreads those who come back; but
//! it can't know how many others were told the same, and its [budget](crate::RetryBudget) keeps it from sending the whole crowd a
//! second time. Hardly anybody more is served (one, when this was written), and the provider says no more often (55 times):
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use futures_util::future::join_all; use http::{Request, Response};
//! # use tower::{Service, ServiceExt}; use tower_quota::{BoxError, testing::Provider};
//! # fn question() -> Request<String> {
//! #     let body = r#"{"model": "gpt-4.1", "max_tokens": 40, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#;
//! #     Request::post("/v1/chat/completions").body(body.to_owned()).unwrap()
//! # }
//! # async fn served<S: Service<Request<String>, Response = Response<B>> + Clone, B>(client: S) -> usize {
//! #     let answers = join_all((0..80).map(|_| client.clone().oneshot(question()))).await;
//! #     answers.iter().flatten().filter(|answer| answer.status().is_success()).count()
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! # let provider = Provider::openai().requests_per_minute(60).tokens_per_minute(2_000).build()?;
//! use tower::ServiceBuilder;
//! use tower_quota::BackoffRetryLayer;
//!
//! let client = ServiceBuilder::new()
//!     .layer(BackoffRetryLayer::new())
//!     .service(provider.service());
//! let (served, refused) = (served(client).await, provider.report().rate_limited);
//! assert!((43..50).contains(&served) && refused > 50, "{served} served after {refused} refusals");
//! # Ok(()) }
//! ```
//!
//! Takes away: blips. Not limits: a retry is for what goes wrong now and then, and a limit goes wrong every minute.
//!
//! # 2. Count the requests
//!
//! [`RateLimitLayer`] lets 60 through in any minute, and the rest wait in line. What is refused now is refused for its tokens:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use futures_util::future::join_all; use http::{Request, Response};
//! # use tower::{Service, ServiceBuilder, ServiceExt}; use tower_quota::{BoxError, testing::Provider};
//! # fn question() -> Request<String> {
//! #     let body = r#"{"model": "gpt-4.1", "max_tokens": 40, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#;
//! #     Request::post("/v1/chat/completions").body(body.to_owned()).unwrap()
//! # }
//! # async fn served<S: Service<Request<String>, Response = Response<B>> + Clone, B>(client: S) -> usize {
//! #     let answers = join_all((0..80).map(|_| client.clone().oneshot(question()))).await;
//! #     answers.iter().flatten().filter(|answer| answer.status().is_success()).count()
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! # let provider = Provider::openai().requests_per_minute(60).tokens_per_minute(2_000).build()?;
//! use tower_quota::RateLimitLayer;
//!
//! let client = ServiceBuilder::new()
//!     .layer(RateLimitLayer::per_minute(60))
//!     .service(provider.service());
//! assert_eq!(served(client).await, 62);
//! assert_eq!(provider.report().rate_limited, 18);
//! # Ok(()) }
//! ```
//!
//! Takes away: refusals for too many requests, and the crowd at the door.
//!
//! # 3. Count the tokens as well
//!
//! [`TokenBudgetLayer`] charges both before a request leaves: what its body is estimated to cost, and one request. Each waits for
//! both together, in the order in which they came. Nobody is refused, and everybody is served:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use futures_util::future::join_all; use http::{Request, Response};
//! # use tower::{Service, ServiceBuilder, ServiceExt}; use tower_quota::{BoxError, testing::Provider};
//! # fn question() -> Request<String> {
//! #     let body = r#"{"model": "gpt-4.1", "max_tokens": 40, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#;
//! #     Request::post("/v1/chat/completions").body(body.to_owned()).unwrap()
//! # }
//! # async fn served<S: Service<Request<String>, Response = Response<B>> + Clone, B>(client: S) -> usize {
//! #     let answers = join_all((0..80).map(|_| client.clone().oneshot(question()))).await;
//! #     answers.iter().flatten().filter(|answer| answer.status().is_success()).count()
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! # let provider = Provider::openai().requests_per_minute(60).tokens_per_minute(2_000).build()?;
//! use std::time::Duration;
//! use tower_quota::{Limit, Quota, TokenBudgetLayer};
//!
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(60))
//!     .limit(Limit::tokens_per_minute(2_000))
//!     .max_wait(Duration::from_secs(180)) // some have to wait for the third minute
//!     .build()?;
//! let client = ServiceBuilder::new()
//!     .layer(TokenBudgetLayer::new(quota))
//!     .service(provider.service());
//! assert_eq!(served(client).await, 80);
//! assert_eq!(provider.report().rate_limited, 0);
//! # Ok(()) }
//! ```
//!
//! Takes away: the 429s. The estimate is rather too high than too low, and the provider's own count settles it, so nothing has to be
//! known of its tokenizer. Don't know the limits? [`Quota::discover`] learns them from the first answer.
//!
//! # 4. Blips again, on top
//!
//! One answer in ten is a 500 now. The retry goes outside, so that each further try waits in line and pays like any other:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use std::time::Duration; use futures_util::future::join_all; use http::{Request, Response, StatusCode};
//! # use tower::{Service, ServiceBuilder, ServiceExt}; use tower_quota::{BackoffRetryLayer, BoxError, Limit, Quota, TokenBudgetLayer, testing::Provider};
//! # fn question() -> Request<String> {
//! #     let body = r#"{"model": "gpt-4.1", "max_tokens": 40, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#;
//! #     Request::post("/v1/chat/completions").body(body.to_owned()).unwrap()
//! # }
//! # async fn served<S: Service<Request<String>, Response = Response<B>> + Clone, B>(client: S) -> usize {
//! #     let answers = join_all((0..80).map(|_| client.clone().oneshot(question()))).await;
//! #     answers.iter().flatten().filter(|answer| answer.status().is_success()).count()
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! # let provider = Provider::openai().requests_per_minute(60).tokens_per_minute(2_000).build()?;
//! # let quota = Quota::builder().limit(Limit::requests_per_minute(60)).limit(Limit::tokens_per_minute(2_000)).max_wait(Duration::from_secs(180)).build()?;
//! provider.faults(|faults| faults.errors(0.1, StatusCode::INTERNAL_SERVER_ERROR));
//! let client = ServiceBuilder::new()
//!     .layer(BackoffRetryLayer::new()) // outside: each try pays
//!     .layer(TokenBudgetLayer::new(quota))
//!     .service(provider.service());
//! assert_eq!(served(client).await, 80);
//! assert_eq!((provider.report().rate_limited, provider.report().status(500) > 0), (0, true));
//! # Ok(()) }
//! ```
//!
//! Takes away: what goes wrong now and then, with no 429 for the second tries.
//!
//! # 5. A model that is down
//!
//! Waiting doesn't help there. [`CircuitBreakerLayer`] notices and refuses at once, its gate keeps callers from queueing for what is
//! down, and [`FallbackLayer`] asks another model. Each model has a circuit of its own:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use std::time::Duration; use futures_util::future::join_all; use http::{Request, Response, StatusCode};
//! # use tower::{Service, ServiceBuilder, ServiceExt}; use tower_quota::{BackoffRetryLayer, BoxError, Limit, Quota, TokenBudgetLayer, testing::Provider};
//! # fn question() -> Request<String> {
//! #     let body = r#"{"model": "gpt-4.1", "max_tokens": 40, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#;
//! #     Request::post("/v1/chat/completions").body(body.to_owned()).unwrap()
//! # }
//! # async fn served<S: Service<Request<String>, Response = Response<B>> + Clone, B>(client: S) -> usize {
//! #     let answers = join_all((0..80).map(|_| client.clone().oneshot(question()))).await;
//! #     answers.iter().flatten().filter(|answer| answer.status().is_success()).count()
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), BoxError> {
//! # let provider = Provider::openai().requests_per_minute(60).tokens_per_minute(2_000).build()?;
//! # let quota = Quota::builder().limit(Limit::requests_per_minute(60)).limit(Limit::tokens_per_minute(2_000)).max_wait(Duration::from_secs(600)).build()?;
//! use tower_quota::{
//!     BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, fallback::swap_model, tokens::model_of,
//! };
//!
//! provider.faults(|faults| faults.dead_model_as("gpt-4.1", StatusCode::BAD_GATEWAY));
//! let breaker = CircuitBreakerLayer::new().keyed(model_of);
//! let circuits = breaker.handle();
//! let client = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new())                             // bodies that can be sent again
//!     .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini"))) // outermost: when all else has failed
//!     .layer(BackoffRetryLayer::new())
//!     .layer(breaker.gate())                                     // nobody queues for a dead model
//!     .layer(TokenBudgetLayer::new(quota))
//!     .layer(breaker)                                            // next to the client: judges it alone
//!     .timeout(Duration::from_secs(60))                          // of one attempt
//!     .service(provider.service());
//! assert_eq!(served(client).await, 80);
//! assert_eq!(provider.report().rate_limited, 0);
//! assert!(circuits.key(&Some("gpt-4.1".to_owned())).counts().opened > 0);
//! # Ok(()) }
//! ```
//!
//! Takes away: calls to what is dead, and the wait for it. That is the whole stack of [the crate's page](crate), where the reasons for
//! its order are. The same over reqwest begins with `ReqwestLayer` and ends in `ReqwestService`.
//!
//! # 6. Say what is left to say
//!
//! What still fails is an error that says why: [`Rejected::find`](crate::Rejected::find) tells which limit, how much was asked and left,
//! and when to come back. [`observe`](crate::observe) has the events, metrics and alerts; on a server,
//! [`RespondLayer`](crate::RespondLayer) makes responses of refusals.
//!
//! | layer | takes away | leaves |
//! |---|---|---|
//! | [`RateLimitLayer`] | 429s for requests | those for tokens |
//! | [`TokenBudgetLayer`] | 429s for requests and tokens | what others spend of the same account, until the first answer tells |
//! | [`BackoffRetryLayer`] | blips, overload that passes | what doesn't pass |
//! | [`CircuitBreakerLayer`] and its gate | calls to what is down, queueing for it | the refusal |
//! | [`FallbackLayer`] | that refusal, where somebody else can serve | what nobody can: wrong requests, no money anywhere |

#[cfg(doc)]
use crate::{
    BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Quota, RateLimitLayer, TokenBudgetLayer,
};
