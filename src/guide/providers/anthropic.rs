//! Anthropic.
//!
//! | | |
//! |---|---|
//! | limits | requests, input tokens and output tokens a minute, of each class of models, per organisation; beside these, sharp rises are refused |
//! | how they refill | continuously, by the page; requests perhaps by the second (60 a minute as 1 a second) |
//! | what counts | input, estimated at the start, without what the cache serves (Haiku 3.5 counts it); output as it is produced, whatever `max_tokens` says |
//! | headers | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`; `-tokens-` shows the tightest |
//! | preset | [`presets::anthropic`](crate::presets::anthropic) |
//! | `provider` | [`Provider::Anthropic`](crate::Provider::Anthropic) |
//!
//! A maximum that is far above what answers come to costs nothing there, so it isn't reserved here:
//! [`Settle::RealTime`](crate::Settle::RealTime), which the preset says too.
//!
//! ```
//! use tower_quota::{TokenBudgetLayer, presets};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = presets::anthropic::start("claude-sonnet-4-5").ok_or("no such model")?.build()?;
//! let budget = TokenBudgetLayer::new(quota).settle(presets::anthropic::SETTLE);
//! # let _ = budget; Ok(()) }
//! ```
//!
//! # What its 429s mean
//!
//! | answer | what it means |
//! |---|---|
//! | 429 `rate_limit_error`, "would exceed … 30,000 input tokens per minute" | wait, by `retry-after` |
//! | 429 `rate_limit_error` without `retry-after`, "You have reached your API usage limits", or `enforced_spend_limit_reached` | no money |
//! | 400 "You have reached your specified workspace API usage limits" | no money |
//! | 402 `billing_error` | no money |
//! | 400 "prompt is too long: 213462 tokens > 200000 maximum", 413 `request_too_large` (which may be no JSON) | too large |
//! | 529 `overloaded_error` | overloaded |
//! | 200, and `event: error` in the stream, often `overloaded_error` | the same, until the first content |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let judge = |status, body: &str| Provider::Anthropic.classify(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
//! let spent = r#"{"type": "error", "error": {"type": "invalid_request_error",
//!     "message": "You have reached your specified workspace API usage limits. You will regain access on 2026-09-01 at 00:00 UTC."}}"#;
//! let busy = r#"{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}"#;
//! assert_eq!(judge(400, spent), Verdict::QuotaExhausted);
//! assert_eq!(judge(529, busy), Verdict::Overloaded { retry_after: None });
//! ```
//!
//! # Known lies
//!
//! - The `usage` of `message_start` has a placeholder for the output; that of `message_delta` is the sum so far: the last one counts.
//! - `input_tokens` leaves out what the cache wrote and read; [`Usage`](crate::Usage) has all of it, and what was cached apart.
//!
//! Sources: `platform.claude.com/docs/en/api/rate-limits` and `/errors`, the SDKs, real messages of 2025 and 2026; the presets' page has their dates.
