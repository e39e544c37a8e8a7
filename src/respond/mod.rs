//! Refusals as responses: for servers, where an error that leaves the stack ends the connection.
//!
//! [`RespondLayer`] goes outside of the layers that refuse:
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//! use tower_quota::{Reason, Rejected, RejectedError, RespondLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new())
//!     // … a layer that refuses, here one that refuses everybody …
//!     .service_fn(|_: Request<()>| async {
//!         let refused = Rejected::new(Reason::LimitReached);
//!         Err::<Response<String>, BoxError>(RejectedError::from(refused).into())
//!     });
//! let response = service.oneshot(Request::new(())).await.unwrap(); // never fails
//! assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
//! # }
//! ```
//!
//! With a body of one's own, around which [`refusal`] puts status and fields, and other errors left to somebody further out:
//!
//! ```
//! use http::{HeaderValue, header::{CONTENT_TYPE, RETRY_AFTER}};
//! use serde_json::json;
//! # use std::time::Duration;
//! # use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::{Rejected, RespondLayer, respond::{Fields, refusal}};
//!
//! let layer = RespondLayer::new()
//!     .with(|rejected: &Rejected| {
//!         let mut response = refusal(rejected, Fields::Both);
//!         response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
//!         // What callers share has no figures in the `detail`, as it has in what `rejected` displays.
//!         response.map(|_| json!({"error": {"message": rejected.detail()}}).to_string())
//!     })
//!     .pass_errors();
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! #     let quota = tower_quota::Quota::new(tower_quota::Limit::requests_per_minute(1))?;
//! #     drop(quota.try_acquire(tower_quota::Cost::request())?);
//! #     let own = tower_quota::RateLimitLayer::new(quota.clone()).reject();
//! #     let client = service_fn(|_: http::Request<()>| async { Ok::<_, std::io::Error>(http::Response::new(String::new())) });
//! #     let own = ServiceBuilder::new().layer(layer.clone()).layer(own).service(client);
//! #     let answer = own.oneshot(http::Request::new(())).await?;
//! #     assert_eq!((answer.status(), answer.headers().len()), (http::StatusCode::TOO_MANY_REQUESTS, 7));
//! #     assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
//! #     assert_eq!(answer.headers()["x-ratelimit-limit"], "1");
//! #     let shared = tower_quota::TokenBudgetLayer::new(quota).reject();
//! #     let client = service_fn(|_: http::Request<bytes::Bytes>| async { Ok::<_, std::io::Error>(http::Response::new(String::new())) });
//! #     let shared = ServiceBuilder::new().layer(layer).layer(shared).service(client);
//! #     let answer = shared.oneshot(http::Request::new(bytes::Bytes::new())).await?;
//! #     assert_eq!((answer.status(), answer.headers().len()), (http::StatusCode::SERVICE_UNAVAILABLE, 2));
//! #     assert!(answer.headers().contains_key(RETRY_AFTER));
//! #     Ok::<_, BoxError>(())
//! # })?;
//! # Ok::<(), BoxError>(())
//! ```
//!
//! # What becomes of an error
//!
//! | error | status |
//! |---|---|
//! | [`Scope::Caller`](crate::Scope::Caller): `RateLimitLayer`, with a key or without; `TokenBudgetLayer` with a key | 429 |
//! | [`Scope::Shared`](crate::Scope::Shared): `TokenBudgetLayer` without a key; an open circuit | 503 |
//! | a request that can never fit, or a [`BodyTooLarge`](crate::BodyTooLarge) | 413 |
//! | tower's load shedding | 503 |
//! | tower's time-out | 504 |
//! | anything else | 502 |
//!
//! The last two are logged by `tracing::warn`, by what the error displays as alone, and their
//! answer doesn't tell it. `Retry-After` is in whole seconds, rounded up, and there whenever the
//! refusal knows when to come back. The body is a problem+json (RFC 9457) whose `detail` is the
//! refusal's message.
//!
//! # What a caller is told of its limits
//!
//! A refusal by the caller's own limit (429) says which:
//!
//! | field | as in |
//! |---|---|
//! | `RateLimit-Policy`, `RateLimit` | `"requests-per-minute";q=5;w=60` and `"requests-per-minute";r=0;t=12`, by [draft-ietf-httpapi-ratelimit-headers-11](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/); of tokens with `qu="tokens"`, of other units with their name; `w` where the window is whole seconds |
//! | `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` | `5`, `0`, and the seconds after which to come back, `12` |
//! | in the problem | the draft's `type` for a quota that is exceeded, and `violated-policies` |
//!
//! Of what callers share (503) nothing is told but `Retry-After`, and the `type` for reduced capacity; the `detail` names no figure
//! of it either.
//!
//! Answers to what was admitted say so too, where the limiting layer [tells](crate::RateLimitLayer::tell) what is left: the
//! draft's fields of all limits of the caller, the classic ones of that of which the least share is left. There `t` and
//! `X-RateLimit-Reset` are the seconds after which all of the limit is there again, if nothing more is asked. An answer whose body
//! goes on is told as at its head: of tokens, what was reserved for it counts as used.
//!
//! [`RespondLayer::fields`] chooses between the two families; [`Allowance`](crate::Allowance), in the answer's extensions, is what
//! they are made of, for fields of one's own.
//!
//! ```
//! use http::Request;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_quota::{Limit, Quota, RateLimitLayer, RespondLayer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limit = Limit::requests_per_minute(60).bucket();
//! let key = |request: &Request<String>| request.headers().get("x-api-key").cloned();
//! let service = ServiceBuilder::new()
//!     .layer(RespondLayer::new())
//!     .layer(RateLimitLayer::new(Quota::new(limit)?).keyed(key).on_arrival().reject().tell())
//!     .service(service_fn(|_: Request<String>| async {
//!         Ok::<_, std::io::Error>(http::Response::new(String::new()))
//!     }));
//! let answer = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(answer.headers()["ratelimit-policy"], "\"requests-per-minute\";q=60;w=60");
//! assert!(answer.headers()["ratelimit"].to_str()?.starts_with("\"requests-per-minute\";r=59;t="));
//! # Ok(()) }
//! ```
//!
//! # In front of a provider
//!
//! A provider's own 429 is about a limit that all callers share, and would look like the caller's: with
//! [`hide_upstream`](RespondLayer::hide_upstream) it becomes a 503, and what the provider says of its limits goes no further.
//!
//! # When
//!
//! On servers: axum's `Router::layer` wants layers that never fail, and callers want a status. Not in front of a client of one's own, which does
//! better with the [`Rejected`](crate::Rejected) itself. Every setting and its default: [`RespondLayer`].
//!
//! # Sharing
//!
//! Nothing is shared but the settings.
//!
//! # Cancellation
//!
//! Nothing is held besides the inner service's future.
//!
//! # Errors
//!
//! None: the error type is [`Infallible`](std::convert::Infallible), unless other errors [pass](RespondLayer::pass_errors).
//!
//! # Order in a stack
//!
//! Outside of every layer that refuses; inside of what logs or traces requests, so that these see the status.

mod body;
mod future;
mod layer;
mod limits;
mod problem;
mod upstream;

pub use body::RespondBody;
pub use future::RespondFuture;
pub use layer::{Answered, Others, Passed, Respond, RespondLayer};
pub use limits::Fields;
pub use problem::refusal;
