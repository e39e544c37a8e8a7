//! One binary for speed: a file for each layer.

mod backoff_retry;
mod circuit_breaker;
mod fallback;
mod resilience;
mod support;
