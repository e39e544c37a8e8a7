//! A quota that many processes share: in memory, and over real servers.
#![allow(unreachable_pub)]
// What was left out, and figures that were measured, are printed for those who read the log.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg(feature = "testing")]

#[cfg(all(feature = "redis", unix))]
mod cluster;
mod drops;
#[cfg(all(feature = "redis", unix))]
mod faults;
#[cfg(all(feature = "redis", unix))]
mod figures;
#[cfg(all(feature = "redis", unix))]
mod fleet;
mod keys;
mod line;
#[cfg(all(feature = "redis", unix))]
mod load;
mod loss;
#[cfg(all(feature = "redis", unix))]
mod losses;
#[cfg(all(feature = "redis", unix))]
mod proxy;
#[cfg(all(feature = "redis", unix))]
mod redis;
#[cfg(all(feature = "redis", unix))]
mod sentinel;
#[cfg(all(feature = "redis", unix))]
mod server;
#[cfg(all(feature = "redis", unix))]
mod sizing;
mod stands;
#[cfg(all(feature = "redis", unix))]
mod trial;
#[cfg(all(feature = "redis", unix))]
mod wire;
