//! All integration tests in one binary, so that they link once.
#![allow(unreachable_pub)]
// Figures that were measured are printed for those who read the log.
#![allow(clippy::print_stdout)]

mod backoff_retry;
mod body;
mod circuit_breaker;
mod conformance;
mod fallback;
mod headroom;
mod house;
mod letting_go;
mod limiting;
mod observe;
#[cfg(all(feature = "reqwest", feature = "testing", unix))]
mod parallel_processor;
mod provider;
mod quota;
#[cfg(feature = "reqwest")]
mod reqwest;
mod resilience;
mod respond;
mod servers;
mod split;
#[cfg(feature = "testing")]
mod stack;
mod streams;
mod support;
#[cfg(all(feature = "serde", unix))]
mod tenants;
#[cfg(feature = "testing")]
mod testing_box;
mod tokens;
