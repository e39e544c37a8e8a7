//! What providers say: pure functions over status, headers and body.
//!
//! | question | answered by |
//! |---|---|
//! | what does this answer mean? | [`classify`] |
//! | whose answer is it? | [`Provider::detect`] |
//! | what does a gRPC status mean, in headers or trailers? | [`grpc()`] |
//! | what does this error mean, that came instead of an answer? | [`classify_error`] |
//! | how long do the headers ask to wait? | [`retry_after`] |
//! | what is left of the provider's limits? | [`rate_status`] |
//! | what did the request really use? | [`UsageScanner`] |
//!
//! Nothing here panics or allocates without bound, whatever a provider sends.
//!
//! # What is believed
//!
//! A status decides nothing alone. Codes come first, then sentences, as shapes rather than to the letter, and figures only where a
//! limit is what it is about. What an answer may quote of the request doesn't count: nothing in quotation
//! marks or far behind in a 400, nothing under `input`, `messages` and the like; of a success only what stands under `error`.
//!
//! Hints that lie are none: Azure's "at once" while nothing is left of a window that has just begun, Google's seconds beside a
//! limit per day. More than there will ever be is [`TooLarge`](crate::Verdict::TooLarge), whatever wait is stated with it
//! (Groq; Azure's 86,400 s).
//!
//! # Whose answer
//!
//! It is told from the answer: headers that only one provider sends, addresses in its messages. Behind a gateway
//! that hides both, say it: [`Provider::classify`] here, `.provider(Provider::Groq)` on the innermost layer.
//!
//! | provider | what differs |
//! |---|---|
//! | `OpenAi` | "exceeded your current quota" without a code means money |
//! | `AzureOpenAi` | a wait of a day without a resource never fits |
//! | `Gemini` | a limit per day has no wait, whatever is stated |
//! | `Groq` | the headers' requests are per day |
//! | `Together` | the headers' figures are per second |
//! | `Cohere` | 498 is a token that isn't valid, not a tier without room |
//! | `OpenAi`, `Anthropic`, `Groq` | limits refill, so that a header's `reset` is no wait; elsewhere it is, where nothing else is stated |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let body = br#"{"error":{"message":"You exceeded your current quota"}}"#;
//! let judge = |provider: Provider| provider.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
//! assert_eq!(judge(Provider::OpenAi), Verdict::QuotaExhausted);
//! assert!(matches!(judge(Provider::Gemini), Verdict::RateLimited { .. }));
//! ```
//!
//! # An answer
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
//!         window: Some(Duration::from_secs(60)),
//!         retry_after: Some(Duration::from_secs(1)),
//!     },
//! );
//! ```

mod detect;
mod envelope;
mod errors;
mod events;
mod exhausted;
mod failure;
mod grpc;
mod head;
mod headers;
mod json_string;
mod limit;
mod names;
mod prose;
mod retry_after;
mod signs;
mod span;
mod spoken;
mod stated;
mod trust;
mod usage;

pub use errors::classify;
pub(crate) use errors::classify_as;
pub use failure::classify_error;
pub(crate) use failure::{Trouble, trouble};
pub use grpc::grpc;
pub(crate) use grpc::is_grpc;
pub(crate) use head::StreamHead;
pub use headers::rate_status;
pub(crate) use headers::told_status;
pub(crate) use names::tells_limit;
pub(crate) use retry_after::is_endless;
pub use retry_after::retry_after;
pub use usage::UsageScanner;

pub use crate::verdict::Provider;
