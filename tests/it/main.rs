//! The integration tests, in one binary.

#[cfg(all(feature = "reqwest", feature = "testing", unix))]
mod parallel_processor;
