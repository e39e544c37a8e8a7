//! Groq.
//!
//! | | |
//! |---|---|
//! | limits | requests and tokens a minute *and* a day; some organisations also input and output tokens apart |
//! | how they refill | continuously, the day's too, by the waits that refusals state |
//! | what counts | cached tokens don't, by the page |
//! | headers | OpenAI's names, but `-requests` is of the *day* and `-tokens` of the minute; resets as `2m52.8s`; `retry-after` on a 429 alone, as `7.66` |
//! | preset | [`presets::groq`](crate::presets::groq) |
//! | `provider` | [`Provider::Groq`](crate::Provider::Groq): say it behind a gateway that hides `x-groq-…`, or the window of its requests has to be guessed from the resets |
//!
//! ```
//! use tower_quota::{TokenBudgetLayer, presets};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = presets::groq::free("llama-3.3-70b-versatile").ok_or("no such model")?.build()?;
//! let budget = TokenBudgetLayer::new(quota).settle(presets::groq::SETTLE);
//! # let _ = budget; Ok(()) }
//! ```
//!
//! # What its refusals mean
//!
//! | answer | what it means |
//! |---|---|
//! | 429 "Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s" | wait |
//! | 429 "Limit 7000, Used 0, Requested ~12903. Please try again in 50.59s" | too large, whatever wait is stated |
//! | 413 `rate_limit_exceeded`, "Request too large" | too large |
//! | 498 `capacity_exceeded` | overloaded (the flex tier) |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let body = br#"{"error": {"message": "Rate limit reached for model `llama3-70b-8192` on tokens per minute (TPM):
//!     Limit 7000, Used 0, Requested ~12903. Please try again in 50.597142857s.", "type": "tokens", "code": "rate_limit_exceeded"}}"#;
//! let verdict = Provider::Groq.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
//! assert_eq!(verdict, Verdict::TooLarge);
//! ```
//!
//! # Known lies
//!
//! - A wait for what can never pass, as above.
//! - "on output tokens per minute (OTPM): Limit 1000, Requested 1434" is about the answer, not about the prompt's length.
//!
//! Sources: `console.groq.com/docs/rate-limits`, as of August 2026 for the preset, real messages up to 2026.
