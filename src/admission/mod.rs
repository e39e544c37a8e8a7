//! What the two limiting layers have in common: how a request is charged, and its way from the
//! quota's line to the inner service and back.

mod aftermath;
mod charge;
mod door;
mod further;
mod future;
mod limiter;
mod parked;
mod sent;
#[cfg(test)]
mod tests;

pub(crate) use aftermath::Aftermath;
pub use charge::{
    Charge, CostAlone, CostOf, InTurn, Keyed, OneRequest, Prioritised, SharedBy, Unkeyed,
};
pub(crate) use future::Admission;
pub(crate) use limiter::Limiter;
