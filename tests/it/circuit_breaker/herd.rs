//! Many circuits that opened at the same instant.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower::Layer;
use tower_quota::CircuitBreakerLayer;

use super::{MS, run};
use crate::support::mock::*;

/// Numbers spread evenly over all of `u64`, the same for the same seed.
fn numbers(seed: u64) -> impl Fn() -> u64 + Clone + Send + Sync + 'static {
    let state = std::sync::Arc::new(AtomicU64::new(seed));
    move || {
        let step = 0x9E37_79B9_7F4A_7C15_u64;
        let mut z = state.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_breakers_tripped_together_few_probe_at_the_same_time() {
    for seed in [1, 2, 3, 0xC1_0C4] {
        let numbers = numbers(seed);
        let start = Instant::now();
        let callers: Vec<_> = (0..1_000)
            .map(|_| {
                let layer = CircuitBreakerLayer::new()
                    .consecutive_failures(1)
                    .random(numbers.clone());
                let service = layer.layer(Mock::new([DOWN, OK]));
                tokio::spawn(async move {
                    assert_eq!(run(&service).await, Ok(500));
                    let wait = run(&service).await.unwrap_err().retry_after.unwrap();
                    assert!(wait >= MS(4_000) && wait <= MS(6_000), "{wait:?}");
                    sleep(wait).await;
                    assert_eq!(run(&service).await, Ok(200));
                    start.elapsed()
                })
            })
            .collect();
        let mut probes: Vec<Duration> = Vec::new();
        for caller in callers {
            probes.push(caller.await.unwrap());
        }
        probes.sort_unstable();
        let within = |from: &Duration| {
            let end = *from + MS(100);
            probes.iter().filter(|at| (*from..end).contains(at)).count()
        };
        let most = probes.iter().map(within).max().unwrap();
        println!("seed {seed}: at most {most} of 1,000 within 100 ms");
        assert!(most <= 80, "seed {seed}: {most}");
    }
}
