//! What requests will cost.

#[cfg(feature = "tiktoken")]
mod estimates;
