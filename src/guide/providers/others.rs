//! Together, Fireworks, xAI and DeepSeek.
//!
//! | provider | limits and headers | errors |
//! |---|---|---|
//! | [`Together`](crate::Provider::Together) | `x-ratelimit-{limit,remaining,reset}`: requests, `x-tokenlimit-{limit,remaining}` and `-dynamic`: tokens; all per *second* | as OpenAI's |
//! | [`Fireworks`](crate::Provider::Fireworks) | `x-ratelimit-limit-tokens-{prompt,cache-adjusted-prompt,generated}`; they *adapt*: 216,000 became 36,000 after a burst | as OpenAI's |
//! | [`XAi`](crate::Provider::XAi) | OpenAI's | `error` is a sentence: "Tokens per Minute (actual/limit): 65605/16000"; a 429 also where credits are spent |
//! | [`DeepSeek`](crate::Provider::DeepSeek) | none; a bound on what is in flight | 402 "Insufficient Balance"; 503 overloaded; comments while a request queues |
//!
//! None has a preset. Where headers state limits, let them be learnt; where they adapt, let them be adopted:
//!
//! ```
//! use tower_quota::Quota;
//!
//! let fireworks = Quota::discover().build()?;
//! let deepseek = Quota::builder().max_in_flight(32).build()?;
//! # let _ = (fireworks, deepseek);
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # What their 429s mean
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_quota::{Provider, Resource, Verdict};
//!
//! let judge = |body: &str| Provider::XAi.classify(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body.as_bytes());
//! let tokens = r#"{"error": "Too many tokens for team REDACTED and model grok-4-0709. Your team's rate limit is - Tokens per Minute (actual/limit): 65605/16000."}"#;
//! let spent = r#"{"error": "Your team REDACTED has either used all available credits or reached its monthly spending limit."}"#;
//! assert!(matches!(judge(tokens), Verdict::RateLimited { resource: Some(Resource::Tokens), .. }));
//! assert_eq!(judge(spent), Verdict::QuotaExhausted);
//! ```
//!
//! Sources: `api-docs.deepseek.com`, the others' documentation, real answers up to 2026.
