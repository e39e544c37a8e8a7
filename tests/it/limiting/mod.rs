//! The two limiting layers.

mod departure;
mod holding;
mod keyed;
#[cfg(feature = "testing")]
mod learning;
mod pools;
mod rate_limit;
#[cfg(feature = "testing")]
mod sharing;
#[cfg(feature = "testing")]
mod tenants;
mod token_budget;
#[cfg(feature = "testing")]
mod utilisation;
