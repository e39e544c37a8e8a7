//! Arithmetic only: integers, spans and `now` as an argument.
//!
//! No clock, no lock, no task, no I/O and nothing of the other rooms, so that everything hard
//! about limits can be proved here in microseconds.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod cost;
pub(crate) mod dice;
pub(crate) mod digest;
pub(crate) mod edges;
pub(crate) mod histogram;
pub(crate) mod keyed;
pub(crate) mod ledger;
pub(crate) mod limit;
pub(crate) mod list;
pub(crate) mod meter;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod retry_budget;
pub(crate) mod ring;
pub(crate) mod settlement;
pub(crate) mod time;

#[cfg(test)]
mod tests;
