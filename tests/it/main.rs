//! All integration tests in one binary, so that they link once.
#![allow(unreachable_pub)]

mod body;
mod limiting;
mod provider;
mod support;
#[cfg(feature = "testing")]
mod testing_box;
