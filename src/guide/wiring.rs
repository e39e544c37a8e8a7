//! Building the stack once, naming its type, who else must stop retrying, and ending.
//!
//! # The stack in a struct
//!
//! A stack's type names all of its layers and closures. In a struct it is one of tower's boxes (feature `util`): `BoxCloneSyncService`, which is `Clone`,
//! `Send` and `Sync`, so that it can be a field, a global, or a server's state. It costs a box a call.
//!
#![cfg_attr(feature = "reqwest", doc = "```")]
#![cfg_attr(not(feature = "reqwest"), doc = "```ignore")]
//! use reqwest::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
//! use tower_quota::{
//!     BackoffRetryLayer, BoxError, BufferBodyLayer, Quota, TokenBudgetLayer,
//!     edge::{ReqwestLayer, ReqwestService},
//! };
//!
//! #[derive(Clone)]
//! pub struct Llm {
//!     http: reqwest::Client,
//!     stack: BoxCloneSyncService<Request, Response, BoxError>,
//! }
//!
//! impl Llm {
//!     pub fn new(quota: Quota) -> Self {
//!         let http = reqwest::Client::new();
//!         let stack = ServiceBuilder::new()
//!             .layer(ReqwestLayer::new())
//!             .layer(BufferBodyLayer::new())
//!             .layer(BackoffRetryLayer::new())
//!             .layer(TokenBudgetLayer::new(quota))
//!             .service(ReqwestService::new(http.clone()));
//!         Self { http, stack: BoxCloneSyncService::new(stack) }
//!     }
//!
//!     pub async fn chat(&self, body: String) -> Result<String, BoxError> {
//!         let request = self.http.post("https://api.openai.com/v1/chat/completions").body(body).build()?;
//!         Ok(self.stack.clone().oneshot(request).await?.text().await?)
//!     }
//! }
//! # fn shared<T: Clone + Send + Sync + 'static>() {} shared::<Llm>();
//! ```
//!
//! `stack.clone().oneshot(request)` is the way to call it from `&self`: a clone shares everything, and is what tower's `Service` wants
//! (`call` takes `&mut self` of an instance that is ready).
//!
//! # http's types
//!
//! Over http's types an answer comes in a body of ours around the client's, one for each layer, and no box that names another body
//! fits. The outermost makes one type of them:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body::Body;
//! use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
//! use tower::{Service, ServiceBuilder, util::BoxCloneSyncService};
//! use tower_quota::{BackoffRetryLayer, BoxError, BufferedBody, Quota, TokenBudgetLayer};
//!
//! type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
//!
//! fn boxed<B>(answer: Response<B>) -> Answer
//! where
//!     B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
//! {
//!     answer.map(|body| body.map_err(Into::into).boxed_unsync())
//! }
//!
//! /// Over any client of http's types.
//! pub fn polite<S, B>(client: S, quota: Quota) -> BoxCloneSyncService<Request<BufferedBody>, Answer, BoxError>
//! where
//!     S: Service<Request<BufferedBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
//!     S::Future: Send + 'static,
//!     S::Error: Into<BoxError> + 'static,
//!     B: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
//! {
//!     let stack = ServiceBuilder::new()
//!         .map_response(boxed)
//!         .layer(BackoffRetryLayer::new())
//!         .layer(TokenBudgetLayer::new(quota))
//!         .service(client);
//!     BoxCloneSyncService::new(stack)
//! }
//! ```
//!
//! For axum's, tonic's or reqwest's own body, that is `answer.map(axum::body::Body::new)`, `tonic::body::Body::new` or `reqwest::Body::wrap`.
//!
//! # A layer that is there only sometimes
//!
//! tower's `option_layer` wants the same answers and errors with the layer as without. After `.opaque()` that is so around a service
//! whose error is [`BoxError`](crate::BoxError); over http's types the bodies differ. There, as anywhere, the layer stays and does nothing:
//!
//! | layer | does nothing |
//! |---|---|
//! | `RateLimitLayer`, `TokenBudgetLayer` | [`unlimited()`](crate::RateLimitLayer::unlimited) in place of `new(quota)` |
//! | `BackoffRetryLayer` | [`attempts(1)`](crate::BackoffRetryLayer::attempts) |
//! | `FallbackLayer` | [`on(\|_\| false)`](crate::FallbackLayer::on) for each link |
//! | `CircuitBreakerLayer` | [`disabled()`](crate::CircuitBreakerLayer::disabled) |
//!
//! # Where to build the quota
//!
//! Once for each provider and organisation, where the program starts, before any handler or task. A [`Quota`] is a handle: its clones are
//! the same quota, and so are the services that a layer builds. Built inside of a handler it would be a new one for each request, and
//! limit nothing.
//!
//! ```
//! use axum::{Router, extract::State, routing::post};
//! # use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
//! use tower_quota::{BoxError, Limit, Quota, RateLimitLayer};
//!
//! type Client = BoxCloneSyncService<String, String, BoxError>;
//!
//! async fn ask(State(client): State<Client>, question: String) -> Result<String, String> {
//!     client.oneshot(question).await.map_err(|error| error.to_string()) // axum has cloned it for this request
//! }
//!
//! # fn main() -> Result<(), tower_quota::ConfigError> {
//! let quota = Quota::new(Limit::requests_per_minute(500))?; // once
//! let client = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(quota.clone()).opaque())
//!     .service(service_fn(|question: String| async { Ok::<_, Infallible>(question) }));
//! let app: Router = Router::new()
//!     .route("/ask", post(ask))
//!     .with_state(BoxCloneSyncService::new(client)); // every handler shares it
//! # let _ = app;
//! println!("{:?}", quota.snapshot()); // the handle that was kept looks at the same quota
//! # Ok(()) }
//! ```
//!
//! One for each key, tenant or address: [`KeyedQuotas`](crate::quota::KeyedQuotas). One for many processes:
//! [`quota::shared`](crate::quota::shared). For the whole program, without handing it around, `std::sync::LazyLock<Llm>`.
//!
//! # Turn off your client's own retries
//!
//! A retry that this crate can't see is charged once however often it sends, multiplies the tries (three of theirs by three of ours are
//! nine), and hides from the breaker what fails.
//!
//! | client | its own retries | off by |
//! |---|---|---|
//! | reqwest 0.13 | of what was refused below HTTP and is known to be safe | `ClientBuilder::retry(reqwest::retry::never())`; harmless left on |
//! | hyper-util's client | of a pooled connection that closed before the request was begun | `Builder::retry_canceled_requests(false)`; harmless left on |
//! | async-openai 0.43 | of 429s and 5xx, by a layer of its default stack | `with_http_service`, which replaces that stack: see `edge` |
//! | `reqwest-middleware` with `reqwest-retry` | what its policy says | leave the middleware out |
//! | the official Python and Node.js clients, in front of a gateway | 2 | `max_retries=0`, `maxRetries: 0` |
//!
//! The first three were read in their sources (reqwest 0.13.5, hyper-util 0.1.21, async-openai 0.43.0).
//!
//! # Time-outs
//!
//! A client's time-out for one attempt belongs inside of the limiters, where the wait in line doesn't count; that of the whole call is
//! tower's, around all, or the retry's own [`deadline`](crate::BackoffRetryLayer::deadline), which returns the last outcome instead of cutting
//! it off. `reqwest::ClientBuilder::timeout` is one of an attempt, its body included: too short, it cuts long streams.
//!
//! # Ending
//!
//! A server that ends gracefully waits for its requests, and these may wait in line, for a minute if nothing else was said. A pause that
//! is longer than they may wait refuses them at once, and whoever comes later; what has left is answered:
//!
//! ```
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower_quota::{Cost, Limit, Quota, Reason};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), tower_quota::BoxError> {
//! let quota = Quota::new(Limit::requests_per_minute(1))?;
//! let sent = quota.acquire(Cost::request()).await?;
//! let waits = tokio::spawn(quota.acquire(Cost::request()));
//! # tokio::task::yield_now().await;
//! assert_eq!(quota.snapshot().waiting, 1);
//! # let now = Instant::now();
//!
//! quota.pause_until(Instant::now() + Duration::from_secs(120)); // when the signal has come
//! assert_eq!(waits.await?.unwrap_err().reason, Reason::WaitTooLong);
//! # assert_eq!(now, Instant::now());
//! # drop(sent);
//! # Ok(()) }
//! ```
//!
//! # Fixed delays
//!
//! Where a schedule has to be exact, for a test or by contract:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::{Backoff, BackoffRetryLayer, Jitter};
//!
//! let second = Duration::from_secs(1);
//! let every_second = Backoff::constant(second).jitter(Jitter::None);
//! let one_two_three = Backoff::linear(second, second).jitter(Jitter::None);
//! let as_told = Backoff::custom(|retry| Duration::from_secs([1, 5, 30][(retry as usize - 1).min(2)])).jitter(Jitter::None);
//! assert_eq!(every_second.wait(7, None, 0), second);
//! assert_eq!(one_two_three.wait(3, None, 0), 3 * second);
//! assert_eq!(as_told.wait(2, None, 0), 5 * second);
//!
//! let retry = BackoffRetryLayer::new()
//!     .attempts(4)
//!     .backoff(every_second)
//!     .hint_jitter(0)  // a hint to the second, too
//!     .no_budget();    // and whatever the others do
//! # let _ = retry;
//! ```
//!
//! # Synchronous callers
//!
//! Waiting needs a tokio runtime with its time driver. A program without one keeps one, and blocks on it from any of its threads:
//!
//! ```
//! use std::{convert::Infallible, sync::LazyLock, thread};
//! use tokio::runtime::Runtime;
//! use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
//! use tower_quota::{BoxError, RateLimitLayer};
//!
//! static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads to run on"));
//! static CLIENT: LazyLock<BoxCloneSyncService<u32, u32, BoxError>> = LazyLock::new(|| {
//!     BoxCloneSyncService::new(
//!         ServiceBuilder::new()
//!             .layer(RateLimitLayer::per_second(100).opaque())
//!             .service(service_fn(|n: u32| async move { Ok::<_, Infallible>(n + 1) })),
//!     )
//! });
//!
//! fn ask(n: u32) -> Result<u32, BoxError> {
//!     RUNTIME.block_on(CLIENT.clone().oneshot(n))
//! }
//!
//! let threads: Vec<_> = (0..4).map(|n| thread::spawn(move || ask(n).unwrap())).collect();
//! let answers: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
//! assert_eq!(answers, [1, 2, 3, 4]);
//! ```
//!
//! Inside of an async program, synchronous code runs in `tokio::task::spawn_blocking`, and blocks on `tokio::runtime::Handle::current()` there:
//! blocking on the runtime's own threads panics. [`Quota::try_acquire`] needs no runtime at all.
//!
//! # In tests
//!
//! Under `#[tokio::test(start_paused = true)]` all waits pass at once and exactly; with the feature `testing` the provider is in the box too.

#[cfg(doc)]
use crate::Quota;
