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
//! # Cancellation
//!
//! Nothing is held besides the inner service's future.

mod body;
mod future;
mod layer;
mod problem;

pub use body::RespondBody;
pub use future::RespondFuture;
pub use layer::{Answered, Others, Passed, Respond, RespondLayer};
