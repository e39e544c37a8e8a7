//! A page for each provider: what it limits, which headers it sends, what its 429s mean, and where it lies.
//!
//! | provider | limits refill | rate headers | preset | [`settle`](crate::TokenBudgetLayer::settle) | in the box |
//! |---|---|---|---|---|---|
//! | [OpenAI](openai) | continuously | on every answer | [`presets::openai`] | `Auto` | yes |
//! | [Azure OpenAI](azure) | at the end of a minute, or of 10 s | on every answer | none: a deployment's own | `Auto` | yes |
//! | [Anthropic](anthropic) | continuously | on every answer | [`presets::anthropic`] | `RealTime` | yes |
//! | [Gemini and Vertex](gemini) | the day at midnight Pacific | none | [`presets::gemini`] | `TrueUp` | yes |
//! | [Bedrock](bedrock) | not said | none | none | `TrueUp` | no |
//! | [Groq](groq) | continuously, the day too | on every answer | [`presets::groq`] | `Auto` | yes |
//! | [Mistral](mistral) | at the end of a minute | tokens by size | none | `Auto` | no |
//! | [Cohere](cohere) | not said | none seen | none | `Auto` | no |
//! | [OpenRouter](openrouter) | not said | requests, often in the error alone | none | `Auto` | no |
//! | [vLLM and others of one's own](self_hosted) | there are none | none | none | any | no |
//! | [Together, Fireworks, xAI, DeepSeek](others) | see there | see there | none | `Auto` | no |
//!
//! `Auto` is the default, and right wherever nobody has said whether what a request reserved and didn't use is given back.
//!
//! # Where this is from
//!
//! From the providers' documentation, their SDKs and real error messages, collected up to autumn 2026; each page names its sources. The
//! messages are in the repository, `tests/data/provider_samples.jsonl` and `provider_variants.jsonl`, and every one of them is read right
//! by a test. The presets have sources and dates of their own, table by table. Nothing was checked against an account, and all of it changes without
//! notice.
//!
//! # Any provider
//!
//! Whose answer it is, is told from the answer. Where a gateway hides that, say it on the innermost layer of the stack, which reads for all:
//!
//! ```
//! use tower_quota::{CircuitBreakerLayer, Provider};
//!
//! let innermost = CircuitBreakerLayer::new().provider(Provider::Groq);
//! # let _ = innermost;
//! ```
//!
//! Limits are an organisation's, and mostly each model's own: [`Pools`](crate::token_budget::Pools) are quotas by model. Where the figures aren't
//! known, [`Quota::discover`](crate::Quota::discover) reads them from the headers of the first answer; without headers it finds out how many may be
//! in flight.

#[cfg(doc)]
use crate::presets;

pub mod anthropic;
pub mod azure;
pub mod bedrock;
pub mod cohere;
pub mod gemini;
pub mod groq;
pub mod mistral;
pub mod openai;
pub mod openrouter;
pub mod others;
pub mod self_hosted;
