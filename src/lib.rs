//! Tower middleware that keeps a client inside its providers' limits, retries politely and
//! degrades gracefully.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answers;
pub mod body;
mod core;
mod error;
pub mod provider;
mod verdict;

pub use crate::{
    core::{
        backoff::{Backoff, Jitter},
        breaker::{CircuitCounts, CircuitState},
        cost::{Cost, Resource},
        limit::{Anchor, Limit, LimitId},
    },
    error::{BoxError, ConfigError, Reason, Rejected, RejectedError, Scope},
    verdict::{Classify, RateReading, RateStatus, Usage, Verdict},
};
