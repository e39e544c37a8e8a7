//! What breakers and quotas call, and who watches them.

use super::*;

const WATCHERS: [Hook; 10] = [
    ("a breaker's judge", |nosy| {
        let layer = nosy.breaker().classify(nosy.judge());
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a breaker's schedule", |nosy| {
        let schedule = nosy.hook(|_: &u32| SECOND);
        let layer = nosy.breaker();
        let layer = layer.open_backoff(Backoff::custom(move |n| schedule(&n)));
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a breaker's random numbers", |nosy| {
        let source = nosy.hook(|_: &()| 7);
        let layer = nosy.breaker().random(move || source(&()));
        Box::pin(calls(layer.layer(Mock::new([DOWN, OK]))))
    }),
    ("a breaker's key", |nosy| {
        let parts = nosy.clone();
        let layer = (nosy.breaker()).keyed(move |_: &Sent| {
            parts.ask();
            Key(7, parts.clone())
        });
        Box::pin(async move {
            let mut events = layer.handle().subscribe();
            calls(layer.layer(Mock::new([DOWN, OK]))).await;
            assert!(events.next().await.is_some());
        })
    }),
    ("the waker of who listens to a breaker", |nosy| {
        let layer = nosy.breaker();
        let mut events = layer.handle().subscribe();
        let waker = Waker::from(Arc::new(nosy));
        Box::pin(async move {
            let next = std::pin::pin!(events.next());
            assert!(next.poll(&mut Context::from_waker(&waker)).is_pending());
            calls(layer.layer(Mock::new([DOWN, OK]))).await;
        })
    }),
    ("the waker of who waits for a quota", |nosy| {
        let quota = nosy.quota();
        let waker = Waker::from(Arc::new(nosy));
        Box::pin(async move {
            drop(quota.try_acquire(Cost::tokens(100)).unwrap());
            let mut waits = Box::pin(quota.acquire(Cost::tokens(50)));
            let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            tokio::time::sleep(90 * SECOND).await;
        })
    }),
    ("alerts of a quota", |nosy| {
        let alerts = Alerts::new(nosy.hook(|_: &_| ()));
        let quota = nosy.watches(Nosy::builder().alerts(alerts).build().unwrap());
        Box::pin(async move { drop(quota.try_acquire(Cost::tokens(95))) })
    }),
    ("a calendar", |nosy| {
        let ask = nosy.clone();
        let hours = Anchor::calendar(move |t| {
            ask.ask();
            let hour = 3_600;
            let since = t.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            SystemTime::UNIX_EPOCH + Duration::from_secs((since / hour + 1) * hour)
        });
        let limit = Limit::requests(50, 3_600 * SECOND).fixed(hours);
        let quota = nosy.watches(Nosy::builder().limit(limit).build().unwrap());
        let made = nosy.0.calls.load(SeqCst);
        Box::pin(async move {
            for _ in 0..40 {
                drop(quota.acquire(Cost::tokens(9)).await.unwrap());
                tokio::time::advance(3_000 * SECOND).await;
            }
            assert!(nosy.0.calls.load(SeqCst) > made, "asked after it was made");
        })
    }),
    ("the form of a refusal", |nosy| {
        let form = nosy.hook(|rejected: &Rejected| Response::new(rejected.detail()));
        let quota = nosy.quota();
        let service = ServiceBuilder::new()
            .layer(RespondLayer::new().with(form))
            .layer(RateLimitLayer::new(quota.clone()).reject())
            .service(Mock::new([OK]));
        Box::pin(async move {
            quota.pause_until(tokio::time::Instant::now() + SECOND);
            service.oneshot(request()).await.unwrap();
        })
    }),
    ("a subscriber", |nosy| {
        Box::pin(async move {
            // As for the events of the other tests.
            let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
            let listener = tracing_subscriber::layer::SubscriberExt::with(
                tracing_subscriber::Registry::default(),
                Listener(nosy.clone()),
            );
            let _guard = tracing::subscriber::set_default(listener);
            let layer = RateLimitLayer::new(nosy.quota()).reject();
            let breaker = nosy.0.breaker.get().unwrap();
            breaker.trip();
            calls(layer.layer(Mock::new([OK]))).await;
        })
    }),
];

struct Listener(Nosy);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Listener {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.ask();
    }
}

#[test]
fn what_breakers_quotas_and_their_watchers_call_may_call_back() {
    run(&WATCHERS);
}
