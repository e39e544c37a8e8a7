//! Azure OpenAI, Azure AI Foundry, and GitHub Models.
//!
//! | | |
//! |---|---|
//! | limits | tokens a minute and requests in 10 s or a minute, of each *deployment* |
//! | how they refill | at once, at the end of a window: `x-ratelimit-renewalperiod-{requests,tokens}` is 10 or 60 |
//! | what counts | at dispatch, the prompt's estimate and `max_tokens`; time-outs (408) and refusals by the content filter (400) too |
//! | headers | OpenAI's, but whole seconds; on a 429 `x-ratelimit-type`; `remaining-tokens` may be negative, which alone is no refusal |
//! | preset | none: the figures are your deployment's |
//! | `provider` | [`Provider::AzureOpenAi`](crate::Provider::AzureOpenAi) |
//!
//! The deployment is found in the address (`/deployments/{name}/`), so pools and circuits go by its name:
//!
//! ```
//! use tower_quota::{Anchor, Limit, Quota, TokenBudgetLayer, token_budget::Pools};
//!
//! # fn main() -> Result<(), tower_quota::ConfigError> {
//! let deployment = |requests, tokens| Quota::builder()
//!     .limit(Limit::requests_per_minute(requests).fixed(Anchor::first_use()))
//!     .limit(Limit::tokens_per_minute(tokens).fixed(Anchor::first_use()))
//!     .build();
//! let budget = TokenBudgetLayer::new(deployment(360, 60_000)?)
//!     .pools(Pools::new().pool("our-gpt-4o", deployment(1_440, 240_000)?));
//! # let _ = budget; Ok(()) }
//! ```
//!
//! Without [`fixed`](crate::Limit::fixed) a limit is never exceeded in *any* window, which is always safe, and may wait a little longer.
//!
//! # What its 429s mean
//!
//! | answer | what it means |
//! |---|---|
//! | "have exceeded token (or call) rate limit … Please retry after 33 seconds" | wait |
//! | the same with "86400 seconds" | too large: more than the deployment will ever take |
//! | "experiencing high demand … retry after 20 seconds" | overloaded |
//! | 200 with `retry-after`, and a stream of Responses whose events end in `rate_limit_exceeded` | a refusal; `response.created` before it may be longer than 16 KB |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let judge = |body: &str| Provider::AzureOpenAi.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes());
//! let day = r#"{"error": {"code": "429", "message": "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version
//!     2023-05-15 have exceeded token rate limit of your current AIServices S0 pricing tier. Please retry after 86400 seconds."}}"#;
//! assert_eq!(judge(day), Verdict::TooLarge);
//! assert_eq!(judge(&day.replace("86400", "33")).retry_after().unwrap().as_secs(), 33);
//! ```
//!
//! # Known lies
//!
//! - `retry-after: 1`, `retry-after-ms: 0` and `reset-tokens: 0` while nothing is left of a window that has just begun: no hint at all is believed there.
//! - `retry-after-ms` outranks `retry-after` only where it is above zero.
//!
//! Sources: Microsoft's pages on quotas and on errors, the OpenAI SDKs, real answers of 2023 to 2026 (streams that were refused with 200: 5 of 5 with
//! `retry-after`, 0 of 3 that were served).
