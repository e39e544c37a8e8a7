//! Cohere.
//!
//! | | |
//! |---|---|
//! | limits | calls a minute, and a month for trial keys |
//! | headers | none with limits were seen; `x-trial-endpoint-call-…` and `x-endpoint-monthly-call-…` tell whose answer it is |
//! | preset | none |
//! | `provider` | [`Provider::Cohere`](crate::Provider::Cohere) |
//!
//! A trial key takes 40 calls a minute and 1,000 a month, by its own refusals:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::{Limit, Quota};
//!
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(40))
//!     .limit(Limit::requests(1_000, Duration::from_secs(31 * 86_400)))
//!     .build()?;
//! # let _ = quota;
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! A month outlives the process: [`Quota::save`](crate::Quota::save) it now and then.
//!
//! # What its refusals mean
//!
//! | answer | what it means |
//! |---|---|
//! | 429 "limited to 40 API calls / minute" | wait |
//! | 429 "limited to 1000 API calls / month" | the month is spent: only the unit differs |
//! | 498 | a token that isn't valid |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let judge = |limit: &str| {
//!     let body = format!(r#"{{"message": "You are using a Trial key, which is limited to {limit}."}}"#);
//!     Provider::Cohere.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes())
//! };
//! assert!(matches!(judge("40 API calls / minute"), Verdict::RateLimited { .. }));
//! assert_eq!(judge("1000 API calls / month"), Verdict::QuotaExhausted);
//! ```
//!
//! The usage of its chat is settled (`usage.tokens`); that under `meta`, of other endpoints, isn't read.
//!
//! Sources: real answers up to 2026.
