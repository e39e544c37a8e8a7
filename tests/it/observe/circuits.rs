//! What is told of circuits, and of those who go round them.

use tower::{Layer, ServiceExt};
use tower_quota::{CircuitBreakerLayer, FallbackLayer};
use tracing::Level;

use super::SECOND;
use crate::support::{
    events::Events,
    mock::{DOWN, Mock, OK, request},
};

fn touchy() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new()
        .consecutive_failures(2)
        .open_for(5 * SECOND, 5 * SECOND)
        .random(|| u64::MAX / 2)
        .named("openai")
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_once_and_refusals_to_who_debugs() {
    let events = Events::new();
    let breaker = touchy();
    let service = breaker.layer(Mock::new([DOWN, DOWN, OK]));
    for _ in 0..12 {
        let _ = service.clone().oneshot(request()).await;
    }
    tokio::time::advance(6 * SECOND).await;
    let _ = service.clone().oneshot(request()).await;
    let told = events.take();
    assert!(
        told.iter()
            .all(|told| told.target == "tower_quota::circuit")
    );
    assert!(told.iter().all(|told| told.of("pool") == "openai"));
    let refused = told.iter().filter(|told| told.level == Level::DEBUG);
    assert_eq!(refused.count(), 10);
    let changes = told.iter().filter(|told| told.level == Level::INFO);
    let changes: Vec<_> = changes
        .map(|told| (told.of("from"), told.of("to")))
        .collect();
    let expected = [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ];
    assert_eq!(changes, expected);
}

/// Of an hour of outage with thousands of calls, operators hear when it begins and when it ends.
#[tokio::test(start_paused = true)]
async fn an_outage_is_no_news_for_every_call() {
    let falling = |memory: bool| async move {
        let events = Events::new();
        let layer = FallbackLayer::to(Mock::new([OK]));
        let layer = if memory { layer } else { layer.no_memory() };
        let service = layer.layer(touchy().layer(Mock::new([DOWN])));
        for _ in 0..100 {
            let _ = service.clone().oneshot(request()).await.unwrap();
        }
        let (news, steps): (Vec<_>, Vec<_>) =
            (events.called("falling back").into_iter()).partition(|told| told.level == Level::INFO);
        assert!((news.iter().chain(&steps)).all(|told| told.target == "tower_quota::fallback"));
        (news.len(), steps.len())
    };
    // The two that were asked, until the circuit opened.
    assert_eq!(falling(true).await, (2, 98));
    assert_eq!(falling(false).await, (2, 98));
}

#[cfg(feature = "metrics")]
mod counted {
    use std::collections::BTreeMap;

    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::{super::shown, *};

    /// What was recorded, without what is 0.
    fn recorded(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
        let all = snapshotter.snapshot().into_vec().into_iter();
        let all = all.map(|(key, _, _, value)| {
            let value = match value {
                DebugValue::Counter(count) => count,
                DebugValue::Gauge(value) => value.into_inner() as u64,
                DebugValue::Histogram(values) => values.len() as u64,
            };
            let name = shown(key.key());
            (name.replace("tower_quota_", ""), value)
        });
        all.filter(|(_, value)| *value > 0).collect()
    }

    fn expect(snapshotter: &Snapshotter, expected: &[(&str, u64)]) {
        let expected = expected.iter().map(|(name, n)| ((*name).to_owned(), *n));
        assert_eq!(recorded(snapshotter), expected.collect());
    }

    #[tokio::test(start_paused = true)]
    async fn states_changes_and_refusals_are_counted() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let breaker = touchy();
        breaker.handle().publish_metrics();
        expect(&snapshotter, &[("circuits{pool=openai,state=closed}", 1)]);
        let service = breaker.layer(Mock::new([DOWN]));
        for _ in 0..5 {
            let _ = service.clone().oneshot(request()).await;
        }
        let gate = breaker.gate().layer(Mock::new([OK]));
        let _ = gate.oneshot(request()).await;
        let open = [
            ("circuit_changes_total{pool=openai,from=closed,to=open}", 1),
            ("circuit_refused_total{pool=openai}", 4),
            ("circuits{pool=openai,state=open}", 1),
        ];
        expect(&snapshotter, &open);
        // Everything since is counted from 0 again.
        breaker.handle().metrics_only();
        for _ in 0..3 {
            let _ = service.clone().oneshot(request()).await;
        }
        let measured = [
            (
                "circuit_changes_total{pool=openai,from=metrics only,to=would have opened}",
                1,
            ),
            (
                "circuit_changes_total{pool=openai,from=open,to=metrics only}",
                1,
            ),
            ("circuits{pool=openai,state=metrics only}", 1),
        ];
        expect(&snapshotter, &measured);
    }

    /// However many keys there are, and whatever they hold.
    #[tokio::test(start_paused = true)]
    async fn a_key_is_in_no_label_and_no_event() {
        let events = Events::new();
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let layer = touchy().opaque().keyed(|key: &&'static str| *key);
        let handle = layer.handle();
        let keys = ["sk-secret-1", "sk-secret-2", "sk-secret-3"];
        let service = layer.layer(tower::service_fn(|key: &'static str| async move {
            match key {
                "sk-secret-3" => Ok(()),
                _ => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
            }
        }));
        for key in keys.into_iter().cycle().take(9) {
            let _ = service.clone().oneshot(key).await;
        }
        handle.publish_metrics();
        let told = [
            ("circuit_changes_total{pool=openai,from=closed,to=open}", 2),
            ("circuit_refused_total{pool=openai}", 2),
            ("circuits{pool=openai,state=closed}", 1),
            ("circuits{pool=openai,state=open}", 2),
        ];
        expect(&snapshotter, &told);
        assert!(!format!("{:?}", events.take()).contains("secret"));
        // Those that are gone are in no state.
        drop((service, layer));
        let one = handle.key(&"sk-secret-1");
        drop(handle);
        one.publish_metrics();
        assert_eq!(
            recorded(&snapshotter)["circuits{pool=openai,state=open}"],
            1
        );
    }
}

#[test]
#[should_panic(expected = "named: \"\" is no name")]
fn a_name_is_not_empty() {
    let _ = CircuitBreakerLayer::new().named("");
}
