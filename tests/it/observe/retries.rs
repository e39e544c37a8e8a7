//! What is told of retries.

use std::sync::{Arc, Mutex};

use tower::{Layer, ServiceExt};
use tower_quota::{Alerts, BackoffRetryLayer};
use tracing::{Instrument, Level, field::Empty, info_span};

use super::SECOND;
use crate::support::{
    events::Events,
    mock::{DOWN, Mock, OK, rate_limited, request},
};

#[tokio::test(start_paused = true)]
async fn a_retry_is_told_with_its_number_its_cause_and_its_wait() {
    let events = Events::new();
    let layer = BackoffRetryLayer::new().hint_jitter(0);
    let span = info_span!("chat", tower_quota.attempts = Empty);
    let service = layer.layer(Mock::new([rate_limited(Some(7 * SECOND)), OK]));
    let _ = service.oneshot(request()).instrument(span).await.unwrap();
    let told = events.called("retrying");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].level, told[0].target),
        (Level::INFO, "tower_quota::retry")
    );
    let fields = ["attempt", "of", "wait"].map(|field| told[0].of(field));
    assert_eq!(fields, ["1", "3", "7s"]);
    assert!(!told[0].of("cause").is_empty());
    assert_eq!(events.spans()[0].0["tower_quota.attempts"], "2");
}

#[tokio::test(start_paused = true)]
async fn more_than_a_share_of_retries_is_told_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let alerts = Alerts::new(move |alert| heard.lock().unwrap().push(alert.to_string()));
    let layer = BackoffRetryLayer::new().alerts(alerts).named("openai");
    let mut steps = vec![OK; 20];
    steps.extend([DOWN, OK, DOWN, OK, DOWN, OK]);
    let service = layer.layer(Mock::new(steps));
    for _ in 0..23 {
        let _ = service.clone().oneshot(request()).await.unwrap();
    }
    let told = told.lock().unwrap().clone();
    assert_eq!(told, ["openai: 2 of 24 tries were retries in 300s"]);
}

#[cfg(feature = "metrics")]
#[tokio::test(start_paused = true)]
async fn tries_are_counted() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let guard = metrics::set_default_local_recorder(&recorder);
    let service = BackoffRetryLayer::new().layer(Mock::new([DOWN, DOWN, OK]));
    let _ = service.oneshot(request()).await.unwrap();
    drop(guard);
    let mut counts: Vec<_> = (snapshotter.snapshot().into_vec().into_iter())
        .map(|(key, _, _, value)| (key.key().labels().last().unwrap().value().to_owned(), value))
        .collect();
    counts.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("first", 1), ("retry", 2)];
    let expected = expected.map(|(kind, n)| (kind.to_owned(), DebugValue::Counter(n)));
    assert_eq!(counts, expected);
}
