//! The two limiting layers.

mod departure;
mod holding;
mod pools;
mod rate_limit;
mod token_budget;
#[cfg(feature = "testing")]
mod utilisation;
