//! OpenRouter.
//!
//! | | |
//! |---|---|
//! | limits | requests a minute and a day for free models; else credits, and the limits of those behind it |
//! | headers | `X-RateLimit-{Limit,Remaining,Reset}` count requests, `Reset` in milliseconds since 1970; often in the error's `metadata.headers` alone |
//! | preset | none |
//! | `provider` | [`Provider::OpenRouter`](crate::Provider::OpenRouter) |
//!
//! What is behind it has limits that nobody tells, so a fallback to another model helps more than a wait:
//!
//! ```
//! use bytes::Bytes;
//! use tower_quota::{FallbackLayer, fallback::swap_model};
//!
//! let models = FallbackLayer::rewrite(swap_model::<Bytes>("openai/gpt-5.6-luna"))
//!     .then_rewrite(swap_model("anthropic/claude-haiku-4.5"));
//! # let _ = models;
//! ```
//!
//! # What its refusals mean
//!
//! | answer | what it means |
//! |---|---|
//! | 429 `free-models-per-day` | wait: the day is spent |
//! | 429 "Provider returned error", "temporarily rate-limited upstream" | overloaded: somebody behind it, try another way |
//! | 402 "requires more credits, or fewer max_tokens" | no money |
//! | 200, and a chunk with an error in the stream | as its code says, until the first content |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let body = br#"{"error": {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
//!     "code": 429, "metadata": {"headers": {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0"}}}}"#;
//! let verdict = Provider::OpenRouter.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
//! assert!(matches!(verdict, Verdict::RateLimited { .. }));
//! ```
//!
//! # Known traps
//!
//! - The error's `code` is a number or a string.
//! - Comments keep silent streams open; they aren't content.
//!
//! Sources: `openrouter.ai/docs`, real answers up to 2026.
