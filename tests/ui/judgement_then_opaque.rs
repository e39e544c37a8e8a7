//! A judgement that `opaque` would forget.
//~ no method named `opaque`

use std::time::Duration;

use tower::{Layer, service_fn};
use tower_quota::{Backoff, BackoffRetryLayer, BoxError, Verdict};

fn main() {
    let judge = |outcome: Result<&u32, &BoxError>| match outcome {
        Ok(7) => Verdict::Transient { sent: true },
        _ => Verdict::Success,
    };
    let layer = BackoffRetryLayer::new()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .classify(judge)
        .opaque();
    let _ = layer.layer(service_fn(|n: u32| async move { Ok::<_, BoxError>(n) }));
}
