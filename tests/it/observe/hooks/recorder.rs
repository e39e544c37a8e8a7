//! What a recorder of metrics does.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::*;

struct Asking(Nosy);

impl Recorder for Asking {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.0.ask();
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.0.ask();
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.0.ask();
        Histogram::noop()
    }
}

const RECORDERS: [Hook; 2] = [
    ("a recorder of a quota's metrics", |nosy| {
        let layer = TokenBudgetLayer::new(nosy.quota()).cost(cost).reject();
        Box::pin(async move {
            let recorder = Asking(nosy);
            let _guard = ::metrics::set_default_local_recorder(&recorder);
            calls(layer.layer(Mock::new([OK, DOWN]))).await;
        })
    }),
    ("a recorder of a circuit's metrics", |nosy| {
        let layer = nosy.breaker();
        Box::pin(async move {
            let recorder = Asking(nosy);
            let _guard = ::metrics::set_default_local_recorder(&recorder);
            calls(layer.layer(Mock::new([DOWN, OK]))).await;
        })
    }),
];

#[test]
fn what_a_recorder_does_may_call_back() {
    run(&RECORDERS);
}
