//! OpenAI.
//!
//! | | |
//! |---|---|
//! | limits | requests and tokens a minute, some models requests or tokens a day; per organisation *and* project, per pool of models |
//! | how they refill | continuously, the day's too: in 14 of 14 real refusals the wait is `(used + asked - limit) / limit` of the window |
//! | what counts | as a request arrives, the larger of `max_tokens` and its estimated size, by the guide; refused requests count for the minute, too |
//! | headers | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, since June 2026 also `-project-tokens`, resets as `6m0s`; none for a day; sometimes none at all |
//! | preset | [`presets::openai`](crate::presets::openai) |
//! | `provider` | [`Provider::OpenAi`](crate::Provider::OpenAi) |
//!
//! ```
//! use tower_quota::{TokenBudgetLayer, presets};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = presets::openai::build("gpt-4o").ok_or("no such model")?.build()?;
//! let budget = TokenBudgetLayer::new(quota).settle(presets::openai::SETTLE);
//! # let _ = budget; Ok(()) }
//! ```
//!
//! # What its 429s mean
//!
//! | answer | what it means |
//! |---|---|
//! | `rate_limit_exceeded`, "Rate limit reached … Please try again in 7m12s" | wait: the sentence is exact |
//! | `rate_limit_exceeded`, "Request too large … Limit 30000, Requested 35000" | too large, for ever |
//! | `insufficient_quota` (the code may be null), `credit_balance_exhausted`, `…_spend_limit_exceeded`, `organization_usage_limit_exceeded` | no money |
//! | 400 or 429 `billing_hard_limit_reached`, `billing_not_active` | no money |
//! | 400 `context_length_exceeded` | too large: another model may take it |
//! | 503 `server_is_overloaded`, `slow_down` | overloaded |
//! | 200, and `error` or `response.failed` in the stream | as its code says, until the first content |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let judge = |body: &str| Provider::OpenAi.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes());
//! let large = r#"{"error": {"message": "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 342389.",
//!     "type": "tokens", "code": "rate_limit_exceeded"}}"#;
//! let money = r#"{"error": {"message": "You exceeded your current quota, please check your plan and billing details.",
//!     "type": "insufficient_quota", "code": null}}"#;
//! assert_eq!(judge(large), Verdict::TooLarge);
//! assert_eq!(judge(money), Verdict::QuotaExhausted);
//! ```
//!
//! # Known lies
//!
//! - A header's `reset` is when *all* of the limit is there again, long after there is room: it is no wait.
//! - "Rate limits can be quantized": 60,000 a minute may be kept as 1,000 a second. After a 429 a quota's bursts are halved until it is clean.
//! - A stream states its usage only where the request has `"stream_options": {"include_usage": true}`; without it, it costs all that it reserved.
//!
//! Sources: the rate-limits guide and the error-codes page (`developers.openai.com`, earlier `platform.openai.com`), the SDKs' tests, real messages
//! from 2023 to 2026.
