//! vLLM and other servers of one's own, that speak OpenAI's API.
//!
//! | | |
//! |---|---|
//! | limits | none but what the machine can take at once, and the context's length |
//! | headers | none |
//! | `provider` | [`Provider::Other`](crate::Provider::Other): read by what most have in common |
//!
//! Mostly nothing says 429 there: requests queue inside of the server, and each that is added makes all slower. So bound what is in flight, keep
//! people's requests in front, and let a circuit open when it gets slow:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::{CircuitBreakerLayer, Limit, Priority, Quota, TokenBudgetLayer};
//!
//! # fn main() -> Result<(), tower_quota::ConfigError> {
//! let quota = Quota::builder()
//!     .max_in_flight(32) // about what the server batches
//!     .keep_for(Priority::Interactive, 0.25)
//!     .max_per_request(8_192) // its context: larger ones may fall back
//!     .limit(Limit::tokens_per_minute(600_000))
//!     .build()?;
//! let budget = TokenBudgetLayer::new(quota);
//! let breaker = CircuitBreakerLayer::new().slow_calls(0.8, Duration::from_secs(60));
//! # let _ = (budget, breaker); Ok(()) }
//! ```
//!
//! A place in flight is held until the answer's body ends, so streams count as long as they stream. Several servers:
//! [`headroom`](crate::headroom) sends each request to the one with most room.
//!
//! # What its errors mean
//!
//! | answer | what it means |
//! |---|---|
//! | vLLM's 400 "maximum context length is 4096 tokens. However, you requested …" | too large |
//! | TGI's 429 "Model is overloaded" | overloaded |
//! | 502, 503, a connection refused, while it loads the model | transient or overloaded: retried, and the breaker opens |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Verdict, provider};
//!
//! let judge = |status, body: &str| provider::classify(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes());
//! let long = r#"{"object": "error", "type": "BadRequestError", "code": 400,
//!     "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."}"#;
//! assert_eq!(judge(400, long), Verdict::TooLarge);
//! let busy = r#"{"error": "Model is overloaded", "error_type": "overloaded"}"#;
//! assert_eq!(judge(429, busy), Verdict::Overloaded { retry_after: None });
//! ```
//!
//! Ollama's own API counts in `eval_count`, which isn't read: use its `/v1`. In front of LiteLLM's proxy nothing differs; its refusals are read, and its own retries
//! are better turned off (`num_retries: 0`), since they can't be seen from here.
//!
//! Sources: real answers up to 2026, in `tests/data`.
