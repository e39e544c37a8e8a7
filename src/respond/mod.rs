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
//! With an answer of one's own, and other errors left to somebody further out:
//!
//! ```
//! # use http::Response;
//! # use tower_quota::{Rejected, RespondLayer};
//! let layer = RespondLayer::new()
//!     .with(|rejected: &Rejected| {
//!         let mut response = Response::new(format!("slow down: {rejected}"));
//!         *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
//!         response
//!     })
//!     .pass_errors();
//! # drop(layer);
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
//! # What a caller is told of its limit
//!
//! A refusal by the caller's own limit (429) says which:
//!
//! | field | as in |
//! |---|---|
//! | `RateLimit-Policy`, `RateLimit` | `"requests-per-minute";q=5;w=60` and `"requests-per-minute";r=0;t=12`, by [draft-ietf-httpapi-ratelimit-headers-11](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/); of tokens with `qu="tokens"`; `w` where the window is whole seconds |
//! | `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` | `5`, `0`, and the seconds after which to come back, `12` |
//! | in the problem | the draft's `type` for a quota that is exceeded, and `violated-policies` |
//!
//! Of what callers share (503) nothing is told but `Retry-After`, and the `type` for reduced capacity.
//!
//! # Cancellation
//!
//! Nothing is held besides the inner service's future.

mod body;
mod future;
mod layer;
mod limits;
mod problem;

pub use body::RespondBody;
pub use future::RespondFuture;
pub use layer::{Answered, Others, Passed, Respond, RespondLayer};
