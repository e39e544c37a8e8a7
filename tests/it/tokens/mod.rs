//! What requests will cost.

#[cfg(feature = "tiktoken")]
mod estimates;
#[cfg(feature = "tiktoken")]
mod exact;
mod learning;
