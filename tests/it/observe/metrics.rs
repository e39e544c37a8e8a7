//! What is told to a recorder of the `metrics` crate.

use std::{collections::BTreeMap, time::Duration};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower_quota::{Cost, Limit, Quota, observe::describe_metrics};

use super::{NO_MONEY, SECOND, USAGE, answer, now, send, shown};

/// What was recorded, by name and labels: `name{label=value}`.
fn record(f: impl FnOnce()) -> BTreeMap<String, DebugValue> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, f);
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| (shown(key.key()), value))
        .collect()
}

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::requests_per_minute(3))
        .limit(Limit::tokens_per_minute(1_000))
        .named("openai")
        .cool_down(Duration::ZERO)
        .of_model("gpt-4o")
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_waits_tokens_and_refusals_are_counted() {
    let quota = quota();
    let told = record(|| {
        describe_metrics();
        now(send(&quota, 100, answer(200, &[], USAGE)));
        now(send(&quota, 100, answer(429, &[], NO_MONEY)));
        now(send(&quota, 100, answer(429, &[("retry-after", "0")], "")));
        let _ = quota.try_acquire(Cost::request()).unwrap_err();
        let _ = quota.try_acquire(Cost::tokens(1_001)).unwrap_err();
        quota.publish_metrics();
    });
    let of = |name: &str| {
        told.get(name)
            .unwrap_or_else(|| panic!("no {name} in {told:#?}"))
    };
    let pool = "pool=openai,model=gpt-4o";
    let counter = |name: &str, n| {
        assert_eq!(*of(name), DebugValue::Counter(n), "{name}");
    };
    counter(
        &format!("tower_quota_granted_total{{{pool},priority=standard}}"),
        3,
    );
    counter(
        &format!("tower_quota_answers_total{{{pool},verdict=success}}"),
        1,
    );
    counter(
        &format!("tower_quota_answers_total{{{pool},verdict=rate_limited}}"),
        1,
    );
    counter(
        &format!("tower_quota_answers_total{{{pool},verdict=quota_exhausted}}"),
        1,
    );
    counter(
        &format!("tower_quota_rate_limited_total{{{pool},limit=unknown}}"),
        1,
    );
    let refused = format!(
        "tower_quota_refused_total{{{pool},limit=requests per minute,reason=limit_reached}}"
    );
    counter(&refused, 1);
    let refused =
        format!("tower_quota_refused_total{{{pool},limit=tokens per minute,reason=too_large}}");
    counter(&refused, 1);
    let histogram = |name: String, expected: &[f64]| match of(&name) {
        DebugValue::Histogram(values) => {
            let values: Vec<f64> = values.iter().map(|v| v.into_inner()).collect();
            assert_eq!(values, expected, "{name}");
        }
        other => panic!("{other:?}"),
    };
    histogram(
        format!("tower_quota_wait_seconds{{{pool},priority=standard}}"),
        &[0.0; 3],
    );
    for (kind, tokens) in [("total", 50.0), ("input", 30.0), ("output", 20.0)] {
        histogram(
            format!("tower_quota_tokens{{{pool},kind={kind}}}"),
            &[tokens],
        );
    }
    let gauge = |name: &str, value: f64| {
        assert_eq!(*of(name), DebugValue::Gauge(value.into()), "{name}");
    };
    gauge(
        &format!("tower_quota_limit{{{pool},limit=requests per minute}}"),
        3.0,
    );
    gauge(
        &format!("tower_quota_left{{{pool},limit=requests per minute}}"),
        0.0,
    );
    gauge(&format!("tower_quota_in_flight{{{pool}}}"), 0.0);
    gauge(&format!("tower_quota_waiting{{{pool}}}"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn gauges_follow_requests_and_a_wait_is_in_seconds() {
    let limit = Limit::requests(1, 2 * SECOND)
        .transit(Duration::ZERO)
        .bucket();
    let quota = Quota::new(limit).unwrap();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    // Of this thread, which is the runtime's.
    let guard = metrics::set_default_local_recorder(&recorder);
    drop(quota.acquire(Cost::request()).await.unwrap());
    drop(quota.acquire(Cost::request()).await.unwrap());
    drop(guard);
    let (mut waits, mut left) = (Vec::new(), None);
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        match (key.key().name(), value) {
            ("tower_quota_wait_seconds", DebugValue::Histogram(values)) => {
                waits = values.iter().map(|v| v.into_inner()).collect();
            }
            ("tower_quota_left", DebugValue::Gauge(value)) => left = Some(value.into_inner()),
            _ => {}
        }
    }
    assert_eq!((waits, left), (vec![0.0, 2.0], Some(0.0)));
}

/// However many keys there are.
#[tokio::test(start_paused = true)]
async fn keys_are_no_labels() {
    use tower::{Layer, ServiceExt};
    use tower_quota::RateLimitLayer;

    use crate::support::probe::{Probe, request};

    let layer = RateLimitLayer::new(quota()).keyed({
        let next = std::sync::atomic::AtomicU64::new(0);
        move |_: &http::Request<_>| next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
    });
    let service = layer.layer(Probe::new());
    let told = record(|| {
        for _ in 0..100 {
            let _ = now(service.clone().oneshot(request())).unwrap();
        }
    });
    let granted = "tower_quota_granted_total{pool=openai,model=gpt-4o,priority=standard}";
    assert_eq!(told[granted], DebugValue::Counter(100));
    assert_eq!(told.len(), 3, "{told:#?}");
}
