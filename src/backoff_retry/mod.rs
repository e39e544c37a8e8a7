//! Tries again what may work next time, politely.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::BackoffRetryLayer;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = tower::service_fn(|_: Request<Bytes>| async {
//! #     Ok::<_, std::io::Error>(Response::new(http_body_util::Empty::<Bytes>::new()))
//! # });
//!
//! // 3 tries, full jitter from 500 ms to 8 s, hints honoured to 60 s, a budget of 10 %.
//! let service = ServiceBuilder::new()
//!     .layer(BackoffRetryLayer::new())
//!     .service(client);
//! let response = service.oneshot(Request::new(Bytes::new())).await?;
//! # assert!(response.status().is_success());
//! # Ok(())
//! # }
//! ```
//!
//! Tuned:
//!
//! ```
//! use std::time::Duration;
//! use http::{Method, Request};
//! use tower_quota::{Backoff, BackoffRetryLayer, Jitter, RetryBudget};
//!
//! let retry = BackoffRetryLayer::new()
//!     .attempts(5)
//!     .backoff(Backoff::exponential(Duration::from_millis(200), Duration::from_secs(20)))
//!     .jitter(Jitter::Equal)
//!     .max_hint(Duration::from_secs(120))
//!     .deadline(Duration::from_secs(180))
//!     .budget(RetryBudget::percent(20).reserve(50))
//!     .only(|request: &Request<bytes::Bytes>| request.method() != Method::DELETE);
//! # let _ = retry;
//! ```
//!
//! # What is tried again
//!
//! | outcome | |
//! |---|---|
//! | rate limited (429), overloaded (503, 529) | after the provider's hint or the back-off, whichever is longer; never earlier than the hint |
//! | transient (408, 409, 5xx, connections, time-outs) | after the back-off |
//! | all others | never: money doesn't come back by waiting, nor does a wrong request become right |
//!
//! An error in a stream under status 200 is one of these as long as nothing of its content was handed on; after
//! that nothing is tried again. See [streams](crate::body#streams).
//!
//! A hint longer than [`max_hint`](BackoffRetryLayer::max_hint), a wait that would go past the
//! [`deadline`](BackoffRetryLayer::deadline) and an empty budget return the outcome at once.
//! Whatever happens, the caller gets the last real outcome: of a retry that can't be sent, because
//! the inner service fails to become ready, that is the outcome before.
//!
//! A request is copied only where a retry is possible. One that can't be copied is tried once:
//! put `BufferBodyLayer` outside.
//!
//! # Sharing
//!
//! All services of a layer and all their clones share its budget; other layers share it where they
//! are given a clone of the same [`RetryBudget`]. Jitter is drawn for each wait.
//!
//! # Cancellation
//!
//! A future that is dropped sends nothing more; a retry that it had paid for and not sent is paid
//! back to the budget.
//!
//! # Errors
//!
//! The last try's own; [`Rejected`](crate::Rejected) of a layer further in is never tried again.
//!
//! # Order in a stack
//!
//! Outside of the limiters and the breaker, so that each try pays and is judged; inside of a
//! fallback. A time-out for the single try belongs inside of the limiters, one for the whole call
//! outside of this layer.
//!
//! While it waits it holds no readied service and nothing of the failed try but its answer: with
//! http, the head and what was read of the body. An answer of another type is held whole.

mod budget;
mod future;
mod layer;
mod policy;
mod service;

pub use budget::RetryBudget;
pub use future::BackoffRetryFuture;
pub use layer::{Always, BackoffRetryLayer, MayRetry};
pub use service::BackoffRetry;
