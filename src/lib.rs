//! Tower middleware that keeps a client inside its providers' limits, retries politely and
//! degrades gracefully.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answers;
pub mod backoff_retry;
pub mod body;
pub mod circuit_breaker;
mod core;
mod error;
pub mod fallback;
pub mod provider;
mod verdict;

pub use crate::{
    backoff_retry::{BackoffRetryLayer, RetryBudget},
    circuit_breaker::{CircuitBreakerLayer, CircuitHandle},
    core::{
        backoff::{Backoff, Jitter},
        breaker::{CircuitCounts, CircuitState},
        cost::{Cost, Resource},
        limit::{Anchor, Limit, LimitId},
    },
    error::{BoxError, ConfigError, Reason, Rejected, RejectedError, Scope},
    fallback::FallbackLayer,
    verdict::{Classify, RateReading, RateStatus, Usage, Verdict},
};
