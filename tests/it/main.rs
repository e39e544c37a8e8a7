//! All integration tests in one binary, so that they link once.

mod body;
mod provider;
#[cfg(feature = "reqwest")]
mod reqwest;
mod respond;
