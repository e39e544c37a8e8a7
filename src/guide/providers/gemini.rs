//! Google's Gemini API, and Vertex AI.
//!
//! | | |
//! |---|---|
//! | limits | requests and *input* tokens a minute, requests a day, of each project and model; since 2026 also what a project spends in ten minutes |
//! | how they refill | the day at midnight Pacific time; how a minute is counted isn't said |
//! | what counts | input alone; 400 and 500 aren't billed and count |
//! | headers | none: all is in the error |
//! | preset | [`presets::gemini`](crate::presets::gemini), of late 2025: the figures are no longer published, AI Studio shows them |
//! | `provider` | [`Provider::Gemini`](crate::Provider::Gemini), also for Vertex |
//!
//! ```
//! use tower_quota::{TokenBudgetLayer, presets};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = presets::gemini::tier1("gemini-2.5-flash").ok_or("no such model")?.build()?;
//! let budget = TokenBudgetLayer::new(quota).settle(presets::gemini::SETTLE);
//! # let _ = budget; Ok(()) }
//! ```
//!
//! The model is found in the address (`/models/{model}:generateContent`).
//!
//! # What its 429s mean
//!
//! | answer | what it means |
//! |---|---|
//! | `QuotaFailure` with `…PerMinute…` and a `RetryInfo` | wait, as `retryDelay` says |
//! | `QuotaFailure` with `…PerDay…` | the day is spent: whatever `retryDelay` says, no wait is known |
//! | `limit: 0` in the message | no money: not on this plan |
//! | `MODEL_CAPACITY_EXHAUSTED`; Vertex' bare "Resource exhausted … error-code-429" | overloaded: a capacity that all share |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let judge = |quota: &str| {
//!     let body = format!(r#"{{"error": {{"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota", "details": [
//!         {{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{{"quotaId": "{quota}"}}]}},
//!         {{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "18s"}}]}}}}"#);
//!     Provider::Gemini.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes())
//! };
//! let minute = judge("GenerateRequestsPerMinutePerProjectPerModel-FreeTier");
//! let day = judge("GenerateRequestsPerDayPerProjectPerModel-FreeTier");
//! assert_eq!(minute.retry_after().unwrap().as_secs(), 18);
//! assert!(matches!(day, Verdict::RateLimited { retry_after: None, .. }));
//! ```
//!
//! # Known lies
//!
//! - "You exceeded your current quota, please check your plan and billing details" is said of requests per minute as well: with OpenAI these words
//!   mean money.
//! - A `retryDelay` of seconds beside a limit per day.
//! - `totalTokenCount` has the thoughts in it, which no other member counts.
//!
//! Sources: `ai.google.dev/gemini-api/docs/rate-limits`, Vertex' page on error 429, real messages of 2025 and 2026.
