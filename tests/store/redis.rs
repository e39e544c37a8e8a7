//! Over a real server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tower_quota::quota::shared::conformance;

use crate::server::Server;

#[tokio::test]
async fn the_script_answers_as_the_memory_does_number_for_number() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let clock = Arc::new(AtomicI64::new(0));
    let store = server.store().clock_for_tests(Arc::clone(&clock));
    let passes = async |span: Duration| {
        clock.fetch_add(span.as_micros() as i64, Ordering::Relaxed);
    };
    for seed in 1..=12 {
        conformance::check(&store, seed, passes).await.unwrap();
    }
}
