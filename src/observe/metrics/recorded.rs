//! What is told to the installed recorder.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use metrics::{Key, Level, Metadata, with_recorder};

use super::{
    Levels,
    keys::{Which, usual},
};
use crate::{
    core::{
        cost::{Cost, Resource},
        time::Time,
    },
    error::{Reason, Rejected},
    lock::lock,
    verdict::Verdict,
};

/// Gauges are set at most so often by requests.
const EVERY: u64 = 100_000_000;

static METADATA: Metadata<'static> = Metadata::new("tower_quota", Level::INFO, Some("tower_quota"));

/// The metrics of one quota, of the tries of one layer or of its circuits. Its keys are made once each, so that counting allocates nothing.
#[derive(Debug)]
pub(crate) struct Metrics {
    pool: Option<Arc<str>>,
    model: Option<Arc<str>>,
    keys: Mutex<Vec<(Which, Arc<Key>)>>,
    // When gauges are to be set again.
    due: AtomicU64,
}

impl Metrics {
    pub(crate) const fn new(pool: Option<Arc<str>>, model: Option<Arc<str>>) -> Self {
        Self {
            pool,
            model,
            keys: Mutex::new(Vec::new()),
            due: AtomicU64::new(0),
        }
    }

    /// No recorder is called under the lock: its code is anybody's.
    fn key(&self, which: Which) -> Arc<Key> {
        let mut keys = lock(&self.keys);
        if let Some((_, key)) = keys.iter().find(|(other, _)| *other == which) {
            return Arc::clone(key);
        }
        let key = Arc::new(which.key(self.pool.as_ref(), self.model.as_ref()));
        keys.push((which, Arc::clone(&key)));
        key
    }

    fn count(&self, which: Which) {
        let key = self.key(which);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA).increment(1));
    }

    fn record(&self, which: Which, value: f64) {
        let key = self.key(which);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA).record(value));
    }

    fn set(&self, which: Which, value: f64) {
        let key = self.key(which);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA).set(value));
    }

    pub(crate) fn granted(&self, class: u8, waited: Duration) {
        self.count(Which::Granted(class));
        self.record(Which::Wait(class), waited.as_secs_f64());
    }

    pub(crate) fn refused(&self, rejected: &Rejected) {
        let limit = rejected.limit.map(|limit| (limit.resource, limit.window));
        let reason = match rejected.reason {
            Reason::LimitReached => "limit_reached",
            Reason::WaitTooLong => "wait_too_long",
            Reason::QueueFull => "queue_full",
            Reason::TooLarge => "too_large",
            Reason::InFlightFull => "in_flight_full",
            Reason::Paused => "paused",
            Reason::CircuitOpen => "circuit_open",
            Reason::Unavailable => "unavailable",
        };
        self.count(Which::Refused(limit, reason));
    }

    pub(crate) fn answered(&self, verdict: &Verdict) {
        let name = match verdict {
            Verdict::Success => "success",
            Verdict::RateLimited {
                resource, window, ..
            } => {
                self.count(Which::RateLimited(*resource, usual(*window)));
                "rate_limited"
            }
            Verdict::Overloaded { .. } => "overloaded",
            Verdict::Transient { .. } => "transient",
            Verdict::QuotaExhausted => "quota_exhausted",
            Verdict::TooLarge => "too_large",
            Verdict::Permanent => "permanent",
            Verdict::Refused => "refused",
        };
        self.count(Which::Answers(name));
    }

    pub(crate) fn settled(&self, used: &Cost) {
        for (kind, resource) in [
            ("total", Resource::Tokens),
            ("input", Resource::InputTokens),
            ("output", Resource::OutputTokens),
        ] {
            self.record(Which::Tokens(kind), used.of(resource) as f64);
        }
    }

    pub(crate) fn tried(&self, retry: bool) {
        self.count(Which::Tries(if retry { "retry" } else { "first" }));
    }

    pub(crate) fn circuits(&self, state: &'static str, count: usize) {
        self.set(Which::Circuits(state), count as f64);
    }

    pub(crate) fn moved(&self, from: &'static str, to: &'static str) {
        self.count(Which::CircuitChanges(from, to));
    }

    pub(crate) fn circuit_refused(&self) {
        self.count(Which::CircuitRefused);
    }

    /// The store that counts is away, or isn't any more.
    pub(crate) fn store_away(&self, away: bool) {
        if away {
            self.count(Which::StoreFailures);
        }
        self.set(Which::StoreUp, if away { 0.0 } else { 1.0 });
    }

    /// Whether gauges are to be set, as of this instant; by whoever asks, then.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        let due = self.due.load(Relaxed);
        let next = now.nanos().saturating_add(EVERY);
        now.nanos() >= due
            && self
                .due
                .compare_exchange(due, next, Relaxed, Relaxed)
                .is_ok()
    }

    pub(crate) fn publish(&self, levels: &Levels) {
        for (limit, left) in levels.left.iter().flatten() {
            let (resource, window) = (limit.resource, limit.window);
            self.set(Which::Limit(resource, window), limit.amount as f64);
            self.set(Which::Left(resource, window), *left as f64);
        }
        self.set(Which::InFlight, levels.in_flight as f64);
        self.set(Which::Waiting, levels.waiting as f64);
    }
}
