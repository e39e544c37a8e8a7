//! What providers say: pure functions over status, headers and body.
//!
//! | question | answered by |
//! |---|---|
//! | what does this answer mean? | [`classify`] |
//! | what does this error mean, that came instead of an answer? | [`classify_error`] |
//! | what do a gRPC answer's trailers mean? | [`grpc`] |
//! | how long do the headers ask to wait? | [`retry_after`] |
//! | what is left of the provider's limits? | [`rate_status`] |
//! | what did the request really use? | [`UsageScanner`] |
//!
//! Nothing here panics or allocates without bound, whatever a provider sends.
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use std::time::Duration;
//! use tower_quota::{Resource, Verdict, provider};
//!
//! let body = br#"{"error":{"message":"Rate limit reached for gpt-4o on tokens per min (TPM):
//!     Limit 30000, Used 29000, Requested 1500. Please try again in 1s.",
//!     "type":"tokens","code":"rate_limit_exceeded"}}"#;
//! assert_eq!(
//!     provider::classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body),
//!     Verdict::RateLimited {
//!         resource: Some(Resource::Tokens),
//!         retry_after: Some(Duration::from_secs(1)),
//!     },
//! );
//! ```

mod envelope;
mod errors;
mod events;
mod failure;
mod grpc;
mod head;
mod headers;
mod retry_after;
mod span;
mod usage;

pub use errors::classify;
pub use failure::classify_error;
pub use grpc::grpc;
pub(crate) use head::StreamHead;
pub use headers::rate_status;
pub use retry_after::retry_after;
pub use usage::UsageScanner;
