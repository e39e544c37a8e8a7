//! Tower middleware that keeps a client inside its providers' limits, retries politely and
//! degrades gracefully.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admission;
pub mod answers;
pub mod backoff_retry;
pub mod body;
pub mod circuit_breaker;
mod core;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub mod edge;
mod error;
pub mod fallback;
pub mod provider;
pub mod quota;
pub mod rate_limit;
pub mod respond;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod token_budget;
pub mod tokens;
mod verdict;

pub use crate::{
    backoff_retry::{BackoffRetryLayer, RetryBudget},
    body::{BodyTooLarge, BufferBodyLayer, BufferedBody, ReplayBody},
    circuit_breaker::{CircuitBreakerLayer, CircuitHandle},
    core::{
        backoff::{Backoff, Jitter},
        breaker::{CircuitCounts, CircuitState},
        cost::{Cost, Resource},
        limit::{Anchor, Limit, LimitId},
        settlement::Settle,
    },
    error::{BoxError, ConfigError, Reason, Rejected, RejectedError, Scope},
    fallback::FallbackLayer,
    quota::{Permit, Priority, Quota},
    rate_limit::RateLimitLayer,
    respond::RespondLayer,
    token_budget::TokenBudgetLayer,
    verdict::{Classify, RateReading, RateStatus, Usage, Verdict},
};
