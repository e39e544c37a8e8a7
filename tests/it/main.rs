//! What users can see, in one binary.
#![allow(missing_docs, clippy::print_stdout)]

mod cancel;
mod config;
mod fairness;
mod limiters;
mod quota;
mod runtimes;
mod scale;
mod support;
mod utilisation;
