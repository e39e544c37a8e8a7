//! All integration tests in one binary, so that they link once.
#![allow(unreachable_pub)]

mod body;
mod limiting;
#[cfg(all(feature = "reqwest", feature = "testing", unix))]
mod parallel_processor;
mod provider;
#[cfg(feature = "reqwest")]
mod reqwest;
mod respond;
mod support;
#[cfg(feature = "testing")]
mod testing_box;
