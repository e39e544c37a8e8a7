//! Every place where somebody else's code runs calls back into the quota and the breaker's handle, and nothing hangs.

mod limiting;
#[cfg(feature = "metrics")]
mod recorder;
mod trying;
mod watching;

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
