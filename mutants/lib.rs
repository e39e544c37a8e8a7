//! The arithmetic by itself. Whoever calls it isn't here, so that much of it looks unused.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod core;
