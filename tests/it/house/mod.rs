//! What holds for the crate as a whole.

mod auto_traits;
mod compile_errors;
mod contradictions;
mod rooms;
mod stacks;
