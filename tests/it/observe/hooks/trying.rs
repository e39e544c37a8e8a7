//! What retries and fallbacks call.

use super::*;

/// A retry budget of somebody's own.
struct Budget(Nosy);

impl tower::retry::budget::Budget for Budget {
    fn deposit(&self) {
        self.0.ask();
    }

    fn withdraw(&self) -> bool {
        self.0.ask();
        true
    }
}

fn computed(_: Unserved<Sent>) -> Answer {
    Response::new(Full::default())
}

const FURTHER_TRIES: [Hook; 11] = [
    ("a retry's judge", |nosy| {
        nosy.quota();
        let layer = BackoffRetryLayer::new().classify(nosy.judge());
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("what may be retried", |nosy| {
        nosy.quota();
        let layer = BackoffRetryLayer::new().only(nosy.hook(|_: &Sent| true));
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a retry's schedule", |nosy| {
        nosy.quota();
        let schedule = nosy.hook(|_: &u32| SECOND);
        let layer = BackoffRetryLayer::new().backoff(Backoff::custom(move |n| schedule(&n)));
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a retry's random numbers", |nosy| {
        nosy.quota();
        let source = nosy.hook(|_: &()| 7);
        let layer = BackoffRetryLayer::new().random(move || source(&()));
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a retry budget", |nosy| {
        nosy.quota();
        let layer = BackoffRetryLayer::new().budget(Arc::new(Budget(nosy)));
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("alerts of retries", |nosy| {
        nosy.quota();
        let alerts = Alerts::new(nosy.hook(|_: &_| ())).at_least(1);
        let layer = BackoffRetryLayer::new().alerts(alerts);
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a rewritten request", |nosy| {
        nosy.quota();
        let layer = FallbackLayer::rewrite(move |request: Sent| {
            nosy.ask();
            request
        });
        Box::pin(calls(layer.layer(Mock::new([DOWN]))))
    }),
    ("a computed answer", |nosy| {
        nosy.quota();
        let layer = FallbackLayer::respond(move |unserved: Unserved<Sent>| {
            nosy.ask();
            computed(unserved)
        });
        Box::pin(calls(layer.layer(Mock::new([DOWN]))))
    }),
    ("an answer that is computed later", |nosy| {
        nosy.quota();
        let layer = FallbackLayer::respond_async(move |unserved: Unserved<Sent>| {
            let nosy = nosy.clone();
            async move {
                nosy.ask();
                Ok::<_, BoxError>(computed(unserved))
            }
        });
        Box::pin(calls(layer.layer(Mock::new([DOWN]))))
    }),
    ("what falls back", |nosy| {
        nosy.quota();
        let layer = FallbackLayer::to(Mock::new([OK])).on(nosy.hook(|_: &Verdict| true));
        Box::pin(calls(layer.layer(Mock::new([DOWN]))))
    }),
    ("a fallback's judge", |nosy| {
        nosy.quota();
        let layer = FallbackLayer::to(Mock::new([OK])).classify(nosy.judge());
        Box::pin(calls(layer.layer(Mock::new([DOWN]))))
    }),
];

#[test]
fn what_retries_and_fallbacks_call_may_call_back() {
    run(&FURTHER_TRIES);
}
