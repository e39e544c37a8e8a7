//! What a careful engineer asks before this stands in front of production: wherever a future is dropped, whatever comes in.
#![allow(unreachable_pub)]
// Figures that were measured are printed for those who read the log.
#![allow(clippy::print_stdout)]

mod cancel;
#[cfg(all(feature = "reqwest", feature = "testing"))]
mod chaos;
mod hostile;
mod models;
mod secrets;
mod soak;
mod support;
