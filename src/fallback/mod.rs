//! Tries another service, or the same with another request, where the first couldn't serve.
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
//! Tuned: another model of the same provider where the prompt is too large for the first, or it is
//! overloaded; a chain is made by stacking, its last link outermost:
//!
//! ```
//! use tower_quota::{FallbackLayer, Verdict, fallback::swap_model};
//!
//! let bigger = FallbackLayer::rewrite(swap_model::<bytes::Bytes>("gpt-4.1"))
//!     .on(|verdict| matches!(verdict, Verdict::TooLarge | Verdict::Overloaded { .. }))
//!     .name("gpt-4.1");
//! # let _ = bigger;
//! ```
//!
//! # What falls back
//!
//! By default every outcome but a success and one that is permanent (400, 401, 403, 404, 422),
//! which would be the same elsewhere. What keeps the first service from becoming ready is an
//! outcome, too; that request was never sent and needs no copy.
//!
//! The second service's outcome is returned whatever it is. Where it can't be sent there (the
//! request can't be copied or rewritten, the second service fails to become ready) the first
//! one's is. A response that the first service didn't serve says so: [`ServedBy`].
//!
//! An error in a stream under status 200 falls back as long as nothing of its content was handed on. See
//! [streams](crate::body#streams).
//!
//! # Sharing
//!
//! The services of a layer share nothing but what the second service's clones share.
//!
//! # Cancellation
//!
//! A future that is dropped falls back to nothing. The second service is readied only when it is
//! needed.
//!
//! # Errors
//!
//! Those of the service that was asked last.
//!
//! # Order in a stack
//!
//! Outermost, around the retries of the first service; the second service brings limiters, retry
//! and breaker of its own where it needs them. With `rewrite`, the rewritten request goes through
//! the same stack further in: its limiters, its breaker.

mod future;
mod layer;
mod merge;
mod second;
mod service;
mod swap_model;

pub use future::FallbackFuture;
pub use layer::FallbackLayer;
pub use merge::{FallbackBody, Merge, ServedBy};
pub use second::{Rewritten, Second, To};
pub use service::{Chain, Fallback};
pub use swap_model::swap_model;
