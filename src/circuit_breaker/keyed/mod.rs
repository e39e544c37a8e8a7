//! A circuit for every key.

mod future;
mod gate;
mod handle;
mod keys;
mod layer;
mod service;

pub use future::KeyedCircuitBreakerFuture;
pub use gate::{KeyedCircuitGate, KeyedCircuitGateFuture, KeyedCircuitGateLayer};
pub use handle::KeyedCircuitHandle;
pub use keys::ByKey;
pub use layer::KeyedCircuitBreakerLayer;
pub use service::KeyedCircuitBreaker;
