//! The quota by itself, without a layer.

mod cancel;
mod config;
mod fairness;
mod handle;
mod keyed;
mod limiters;
mod runtimes;
mod scale;
mod sharing;
mod support;
mod utilisation;
