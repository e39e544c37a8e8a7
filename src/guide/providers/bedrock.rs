//! Amazon Bedrock.
//!
//! | | |
//! |---|---|
//! | limits | requests and tokens a minute, tokens a day, of each model and region |
//! | what counts | the input and `max_tokens` when it begins, corrected at the end; output weighs 5, 10 or 15 times with some models |
//! | headers | none; `x-amzn-ErrorType` says what went wrong, nothing says how long to wait |
//! | preset | none: Service Quotas shows the account's |
//! | `provider` | [`Provider::Bedrock`](crate::Provider::Bedrock) |
//!
//! Output that weighs more is a matter of the cost; and what isn't used is given back there, so let it be given back here:
//!
//! ```
//! use http::Request;
//! use tower_quota::{Cost, Limit, Quota, Settle, TokenBudgetLayer, tokens};
//!
//! # fn main() -> Result<(), tower_quota::ConfigError> {
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(200))
//!     .limit(Limit::tokens_per_minute(200_000))
//!     .build()?;
//! let plain = TokenBudgetLayer::new(quota.clone()).settle(Settle::TrueUp);
//! // A model whose output weighs five times. What is settled then is the plain count: keep the charge.
//! let weighed = TokenBudgetLayer::new(quota)
//!     .cost(|request: &Request<bytes::Bytes>| {
//!         let cost = tokens::estimate(request.body()).unwrap_or_default();
//!         Cost::tokens(cost.input + 5 * cost.output)
//!     })
//!     .settle(Settle::Keep);
//! # let _ = (plain, weighed); Ok(()) }
//! ```
//!
//! The model is found in the address (`/model/{id}/converse`). Requests are signed innermost, each attempt when it leaves. Without rate headers there is nothing to
//! learn from but refusals: give the limits.
//!
//! # What its 429s mean
//!
//! | answer | what it means |
//! |---|---|
//! | 429 or 400 `ThrottlingException`, "Too many tokens" or "Too many requests, please wait before trying again" | wait; for how long, the [cool-down](crate::quota::QuotaBuilder::cool_down) guesses |
//! | "Too many tokens per day" | the day is spent |
//! | 200, and an exception in the stream's frames | the same, until the first content |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Resource, Verdict};
//!
//! let body = br#"{"message": "Too many tokens per day, please wait before trying again."}"#;
//! let verdict = Provider::Bedrock.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
//! let Verdict::RateLimited { resource, window, retry_after } = verdict else { panic!("{verdict:?}") };
//! assert_eq!((resource, retry_after), (Some(Resource::Tokens), None));
//! assert_eq!(window.unwrap().as_secs(), 86_400);
//! ```
//!
//! # Known traps
//!
//! - A connection that says nothing for 350 s is cut on the way, without a word: stream, or ask for shorter answers.
//! - The usage of Converse is settled, in its `metadata` event too; that of `InvokeModel`'s own `invocationMetrics` isn't read.
//!
//! Sources: the Bedrock user guide's page on how tokens are counted against quotas, the AWS SDKs, real messages up to 2026.
