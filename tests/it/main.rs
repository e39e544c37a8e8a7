//! All integration tests in one binary, so that they link once.
#![allow(unreachable_pub)]

mod body;
mod limiting;
mod provider;
#[cfg(feature = "reqwest")]
mod reqwest;
mod respond;
mod support;
#[cfg(feature = "testing")]
mod testing_box;
