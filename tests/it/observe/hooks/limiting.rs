//! What limiting layers call.

use super::*;

const LIMITS: [Hook; 9] = [
    ("a cost", |nosy| {
        let layer = TokenBudgetLayer::new(nosy.quota()).cost(nosy.hook(cost));
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a budget's key and its quota", |nosy| {
        let make = nosy.clone();
        let layer =
            TokenBudgetLayer::unlimited()
                .cost(cost)
                .keyed_by(nosy.hook(|_: &Sent| 7), move |_| {
                    make.ask();
                    make.quota()
                });
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a limit's key", |nosy| {
        let layer = RateLimitLayer::new(nosy.quota()).keyed(nosy.hook(|_: &Sent| 7));
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a key's own parts", |nosy| {
        let parts = nosy.clone();
        let layer = RateLimitLayer::new(nosy.quota()).keyed(move |_: &Sent| Key(7, parts.clone()));
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a priority", |nosy| {
        let layer =
            RateLimitLayer::new(nosy.quota()).priority(nosy.hook(|_: &Sent| Priority::Background));
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a turn", |nosy| {
        let layer = TokenBudgetLayer::new(nosy.quota())
            .cost(cost)
            .in_turn(nosy.hook(|_: &Sent| 7));
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a limit's judge", |nosy| {
        let layer = RateLimitLayer::new(nosy.quota()).classify(nosy.judge());
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a budget's judge", |nosy| {
        let layer = TokenBudgetLayer::new(nosy.quota())
            .cost(cost)
            .classify(nosy.judge());
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a service inside of a limit", |nosy| {
        let inner = nosy.clone();
        let service = service_fn(move |_: Sent| {
            inner.ask();
            let inner = inner.clone();
            async move {
                inner.ask();
                Ok::<_, BoxError>(Answer::default())
            }
        });
        let layer = RateLimitLayer::new(nosy.quota());
        Box::pin(calls(layer.layer(service)))
    }),
];

#[test]
fn what_limits_call_may_call_back() {
    run(&LIMITS);
}
