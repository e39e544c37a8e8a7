//! Every place where somebody else's code runs calls back into the quota and the breaker's handle, and nothing hangs.

use std::{
    cell::Cell,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_quota::{
    Alerts, Anchor, Backoff, BackoffRetryLayer, BoxError, CircuitBreakerLayer, CircuitHandle,
    Classify, Cost, FallbackLayer, Limit, Priority, Quota, RateLimitLayer, Rejected, RespondLayer,
    TokenBudgetLayer, Verdict, answers::Http, fallback::Unserved, quota::QuotaBuilder,
};

use super::{
    SECOND,
    reentrant::{ends, meddle},
};
use crate::support::mock::{Answer, DOWN, Mock, OK, request};

type Sent = Request<Bytes>;
type Running = Pin<Box<dyn Future<Output = ()>>>;
/// What it is called, and a use of it.
type Hook = (&'static str, fn(Nosy) -> Running);

/// Calls back, and counts how often it was called.
#[derive(Clone, Default)]
struct Nosy(Arc<Inner>);

#[derive(Default)]
struct Inner {
    quota: OnceLock<Quota>,
    breaker: OnceLock<CircuitHandle>,
    calls: AtomicU64,
}

thread_local! {
    // What the meddling itself calls needn't meddle again.
    static MEDDLES: Cell<bool> = const { Cell::new(false) };
}

impl Nosy {
    fn ask(&self) {
        self.0.calls.fetch_add(1, SeqCst);
        // Made before anything is asked of it, or while it is made.
        let (Some(quota), Some(breaker)) = (self.0.quota.get(), self.0.breaker.get()) else {
            return;
        };
        if !MEDDLES.replace(true) {
            meddle(quota, breaker);
            MEDDLES.set(false);
        }
    }

    /// A hook that asks, and answers so.
    fn hook<A: ?Sized, T>(
        &self,
        answer: impl Fn(&A) -> T + Clone + Send + Sync + 'static,
    ) -> impl Fn(&A) -> T + Clone + Send + Sync + 'static {
        let nosy = self.clone();
        move |about| {
            nosy.ask();
            answer(about)
        }
    }

    /// Judges as ever, and asks.
    fn judge<R>(&self) -> impl Fn(Result<&R, &BoxError>) -> Verdict + Clone + Send + Sync + 'static
    where
        Http: Classify<R>,
    {
        let nosy = self.clone();
        move |outcome| {
            nosy.ask();
            Http.classify(outcome)
        }
    }

    fn builder() -> QuotaBuilder {
        Quota::builder()
            .limit(Limit::tokens_per_minute(100))
            .limit(Limit::requests_per_minute(1_000))
            .max_wait(Duration::from_secs(86_400))
    }

    fn watches(&self, quota: Quota) -> Quota {
        let kept = self.0.quota.get_or_init(|| quota).clone();
        self.0
            .breaker
            .get_or_init(|| CircuitBreakerLayer::new().handle());
        kept
    }

    /// The quota that is asked.
    fn quota(&self) -> Quota {
        self.watches(Self::builder().build().unwrap())
    }

    /// A breaker whose handle is asked, and that opens soon.
    fn breaker(&self) -> CircuitBreakerLayer {
        let layer = CircuitBreakerLayer::new().consecutive_failures(1);
        assert!(self.0.breaker.set(layer.handle()).is_ok());
        self.quota();
        layer
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.ask();
    }
}

/// A few calls, one after the other.
async fn calls<S: Service<Sent, Error = BoxError> + Clone>(service: S) {
    for _ in 0..4 {
        let _ = service.clone().oneshot(request()).await;
    }
}

fn cost(_: &Sent) -> Cost {
    Cost::tokens(1)
}

/// A key whose every part asks.
struct Key(u8, Nosy);

impl Clone for Key {
    fn clone(&self) -> Self {
        self.1.ask();
        Self(self.0, self.1.clone())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.1.ask();
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.1.ask();
        self.0.hash(state);
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.1.ask();
    }
}

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

/// What limiting layers call.
const LIMITS: [Hook; 9] = [
    ("a cost", |nosy| {
        let layer = TokenBudgetLayer::new(nosy.quota()).cost(nosy.hook(cost));
        Box::pin(calls(layer.layer(Mock::new([OK, DOWN]))))
    }),
    ("a budget's key and its quota", |nosy| {
        let make = nosy.clone();
        let layer = TokenBudgetLayer::new(nosy.quota()).cost(cost).keyed_by(
            nosy.hook(|_: &Sent| 7),
            move |_| {
                make.ask();
                make.quota()
            },
        );
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

/// What retries and fallbacks call.
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

/// What breakers and quotas call, and who watches them.
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

fn run(hooks: &'static [Hook]) {
    for (name, hook) in hooks {
        println!("{name} …");
        let calls = ends(move || {
            let nosy = Nosy::default();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build();
            let (told, runtime) = (nosy.clone(), runtime.unwrap());
            runtime.block_on(async { hook(nosy).await });
            told.0.calls.load(SeqCst)
        });
        assert!(calls > 0, "{name} was never called");
    }
}

#[test]
fn what_limits_call_may_call_back() {
    run(&LIMITS);
}

#[test]
fn what_retries_and_fallbacks_call_may_call_back() {
    run(&FURTHER_TRIES);
}

#[test]
fn what_breakers_quotas_and_their_watchers_call_may_call_back() {
    run(&WATCHERS);
}

#[cfg(feature = "metrics")]
mod recorder {
    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

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
}
