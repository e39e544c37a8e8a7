//! Bodies: request bodies that can be sent again ([`ReplayBody`]), and response bodies that let go of what a request holds when they end ([`MeteredBody`]).

mod metered;
mod peek;
mod replay;

pub use metered::{MeteredBody, Watch};
pub use peek::Peek;
pub use replay::ReplayBody;
