//! Mistral.
//!
//! | | |
//! |---|---|
//! | limits | requests a second or minute, tokens a minute and a month |
//! | how they refill | at the end of the minute, by `ratelimitbysize-reset` |
//! | headers | `ratelimitbysize-{limit,remaining,reset,query-cost}` and `x-ratelimitbysize-{limit,remaining}-{minute,month}`: tokens; in 2026 also `x-ratelimit-{limit,remaining}-{req,tokens}-minute` |
//! | preset | none: [`Quota::discover`](crate::Quota::discover) reads the headers |
//! | `provider` | [`Provider::Mistral`](crate::Provider::Mistral) |
//!
//! ```
//! use tower_quota::{Limit, Quota};
//!
//! // A request a second is what keeps its throttle quiet; tokens are learnt.
//! let quota = Quota::discover().limit(Limit::requests_per_second(1)).build()?;
//! # let _ = quota;
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! Of a minute's and a month's tokens, that one is held against the quota of which less is left.
//!
//! # What its 429s mean
//!
//! | answer | what it means |
//! |---|---|
//! | `rate_limited`, code `1300`, mostly without `Retry-After` | wait: most often the throttle per second |
//! | the same with a limit of 0 in the headers | not on this plan; read as a wait all the same, since its code says so |
//! | code `3505`, "Service tier capacity exceeded for this model" | overloaded |
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Verdict};
//!
//! let judge = |body: &str| Provider::Mistral.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes());
//! let throttled = r#"{"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "param": null, "code": "1300"}"#;
//! let full = r#"{"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"}"#;
//! assert!(matches!(judge(throttled), Verdict::RateLimited { .. }));
//! assert!(matches!(judge(full), Verdict::Overloaded { .. }));
//! ```
//!
//! Sources: its documentation and real answers up to 2026.
