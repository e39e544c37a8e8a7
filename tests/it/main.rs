//! All integration tests in one binary, so that they link once.
#![allow(unreachable_pub)]

mod backoff_retry;
mod body;
mod circuit_breaker;
mod fallback;
mod limiting;
#[cfg(all(feature = "reqwest", feature = "testing", unix))]
mod parallel_processor;
mod provider;
#[cfg(feature = "reqwest")]
mod reqwest;
mod resilience;
mod respond;
#[cfg(feature = "testing")]
mod stack;
mod support;
#[cfg(feature = "testing")]
mod testing_box;
