//! What is told of a quota, and to whom. Everything here runs outside of the lock.

use std::time::Duration;

use tracing::{Span, dispatcher::has_been_set, field::display};

use super::{
    QuotaBuilder,
    line::Line,
    snapshot::Percentiles,
    sync::{Arc, Mutex},
};
use crate::{
    core::{
        cost::{Cost, Resource},
        histogram::Histogram,
        ledger::Ledger,
        limit::LimitId,
        meter::Meter,
        time::Time,
    },
    error::{ConfigError, Reason, Rejected},
    observe::{Alarm, Alert, Alerts, GAUGED, IS_ON, Level, Levels, Metrics, target},
    verdict::Verdict,
};

/// Waits from here on are worth knowing.
const LONG: Duration = Duration::from_secs(1);

/// What a quota remembers for those who watch it. The quotas of keys share that of the one that they were made from.
#[derive(Debug)]
pub(super) struct Watch {
    pool: Option<Arc<str>>,
    model: Option<Arc<str>>,
    alarm: Option<Alarm>,
    metrics: Metrics,
    // Made with the first answer that tells what was used.
    tokens: Mutex<Option<Box<Histogram>>>,
}

/// Why a request got in line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    since: Time,
    class: u8,
    wait: Duration,
    limit: Option<LimitId>,
    // Of the limit.
    asked: Option<u64>,
    left: Option<u64>,
    cause: &'static str,
}

impl Standing {
    /// Of a request that would have been refused so if it didn't wait.
    pub(super) fn new(rejected: &Rejected, now: Time) -> Self {
        Self {
            since: now,
            class: 0,
            wait: rejected.retry_after.unwrap_or_default(),
            limit: rejected.limit,
            asked: rejected.limit.map(|_| rejected.asked),
            left: rejected.limit.map(|_| rejected.left),
            cause: match rejected.reason {
                Reason::Paused => "pause",
                Reason::InFlightFull => "in flight",
                _ if rejected.limit.is_some() => "limit",
                _ => "queue",
            },
        }
    }

    /// Of a request of this class.
    pub(super) const fn of(mut self, class: u8) -> Self {
        self.class = class;
        self
    }
}

/// An event that is info from a second on, else debug.
macro_rules! told {
    ($long:expr, target: $target:expr, $($rest:tt)+) => {
        if $long {
            tracing::info!(target: $target, $($rest)+);
        } else {
            tracing::debug!(target: $target, $($rest)+);
        }
    };
}

impl Watch {
    pub(super) fn pool(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The turn of a key's request has come at once.
    #[inline]
    pub(super) fn granted(&self, class: u8) {
        self.metrics.granted(class, Duration::ZERO);
    }

    /// A request was refused.
    #[cold]
    pub(super) fn refused(&self, rejected: &Rejected) {
        tracing::debug!(
            target: target::WAIT,
            pool = self.pool(),
            model = self.model(),
            reason = ?rejected.reason,
            limit = rejected.limit.map(display),
            asked = rejected.asked,
            left = rejected.left,
            wait = rejected.retry_after.map(tracing::field::debug),
            "refused by the quota"
        );
        // Where nobody subscribes there is no span to look for.
        if let Some(limit) = rejected.limit.filter(|_| has_been_set()) {
            Span::current().record("tower_quota.limit", display(limit));
        }
        self.metrics.refused(rejected);
    }

    /// Whether each request is looked at.
    pub(super) const fn has_alarm(&self) -> bool {
        self.alarm.is_some()
    }

    /// A request was answered so.
    pub(super) fn heard(&self, verdict: &Verdict, now: impl FnOnce() -> Time) {
        if let Verdict::RateLimited {
            resource,
            retry_after: wait,
            ..
        } = verdict
        {
            told!(
                wait.is_none_or(|wait| wait >= LONG),
                target: target::LIMIT,
                pool = self.pool(),
                model = self.model(),
                resource = resource.map(display),
                wait = wait.map(tracing::field::debug),
                "the provider has refused"
            );
        }
        self.metrics.answered(verdict);
        if let Some(alarm) = &self.alarm {
            alarm.heard(verdict, now());
        }
    }

    /// What a request came to is known.
    pub(super) fn settled(&self, used: &Cost) {
        let tokens = used.of(Resource::Tokens);
        // What was refused came to nothing, and says nothing of those that are served.
        if tokens > 0 {
            let mut histogram = self.tokens.lock();
            histogram
                .get_or_insert_with(|| Box::new(Histogram::new()))
                .record(tokens);
            drop(histogram);
            self.metrics.settled(used);
        }
    }

    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let tokens = self.tokens.lock();
        tokens.as_deref().map(Percentiles::of)
    }
}

impl QuotaBuilder {
    /// What operators know it by, in events, metrics and alerts: a provider, an account, a pool.
    pub fn named(mut self, pool: &str) -> Self {
        self.pool = Some(pool.into());
        self
    }

    /// The model whose limits these are, as a label of its metrics.
    pub fn of_model(mut self, model: &str) -> Self {
        self.model = Some(model.into());
        self
    }

    pub(super) fn check_names(&self) -> Result<(), ConfigError> {
        for (setting, name) in [("named", &self.pool), ("of_model", &self.model)] {
            if name.as_deref() == Some("") {
                return Err(ConfigError::new(setting, "\"\" is no name"));
            }
        }
        Ok(())
    }

    /// Who is told of what operators want to hear.
    pub fn alerts(mut self, alerts: Alerts) -> Self {
        self.alerts = Some(alerts);
        self
    }

    /// Calls `hook` with every [`Alert`]: [`alerts`](Self::alerts) with the thresholds that are the default.
    pub fn on_alert(self, hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.alerts(Alerts::new(hook))
    }

    pub(super) fn watch(&self) -> Watch {
        let pool = self.pool.clone();
        Watch {
            alarm: (self.alerts.clone()).map(|alerts| Alarm::new(alerts, pool.clone())),
            metrics: Metrics::new(pool.clone(), self.model.clone()),
            model: self.model.clone(),
            pool,
            tokens: Mutex::new(None),
        }
    }
}

impl Line {
    /// Whether anybody is told of a turn that has come.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        IS_ON || self.watch.has_alarm()
    }

    /// The turn of a request has come at once.
    #[inline]
    pub(super) fn granted(&self, cost: &Cost, class: u8) {
        self.watch.metrics.granted(class, Duration::ZERO);
        self.look_at_use(cost);
    }

    /// A request got in line.
    pub(super) fn queued(&self, standing: &Standing) {
        tracing::debug!(
            target: target::WAIT,
            pool = self.watch.pool(),
            model = self.watch.model(),
            limit = standing.limit.map(display),
            asked = standing.asked,
            left = standing.left,
            cause = standing.cause,
            priority = standing.class,
            wait = ?standing.wait,
            "waits for the quota"
        );
    }

    /// The turn of a request in line has come.
    pub(super) fn waited(&self, cost: &Cost, standing: &Standing) {
        let waited = self.now().since(standing.since);
        told!(
            waited >= LONG,
            target: target::WAIT,
            pool = self.watch.pool(),
            model = self.watch.model(),
            limit = standing.limit.map(display),
            asked = standing.asked,
            left = standing.left,
            cause = standing.cause,
            priority = standing.class,
            wait = ?standing.wait,
            ?waited,
            "waited for the quota"
        );
        let span = Span::current();
        let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        span.record("tower_quota.waited_ms", millis);
        if let Some(limit) = standing.limit {
            span.record("tower_quota.limit", display(limit));
        }
        self.watch.metrics.granted(standing.class, waited);
        self.look_at_use(cost);
    }

    /// A request was refused.
    pub(super) fn refused(&self, rejected: &Rejected) {
        self.watch.refused(rejected);
    }

    /// A request left then.
    #[inline]
    pub(super) fn departed(&self, at: Time) {
        if IS_ON && !self.settings().keyed && self.watch.metrics.is_due(at) {
            self.publish();
        }
    }

    /// Sets the gauges.
    pub(super) fn publish(&self) {
        if self.settings().keyed {
            return;
        }
        let mut levels = Levels::default();
        self.read(|ledger, waiting| {
            let known = ledger.meters().iter().filter(|meter| meter.is_known());
            for (level, meter) in levels.left.iter_mut().zip(known.take(GAUGED)) {
                *level = Some((meter.id(), meter.left()));
            }
            (levels.in_flight, levels.waiting) = (ledger.in_flight(), waiting);
        });
        self.watch.metrics.publish(&levels);
    }

    /// Whether a limit has come to a threshold, now that `added` is in it.
    #[inline]
    pub(super) fn look_at_use(&self, added: &Cost) {
        if let Some(alarm) = &self.watch.alarm {
            self.look_closely(alarm, added);
        }
    }

    #[cold]
    fn look_closely(&self, alarm: &Alarm, added: &Cost) {
        if self.settings().keyed || !alarm.looks_at_use() {
            return;
        }
        let level = |meter: &Meter| {
            let used = meter.used().saturating_add(meter.held());
            Level {
                limit: meter.id(),
                before: used.saturating_sub(added.of(meter.id().resource)),
                used,
                most: meter.largest(),
            }
        };
        let look = |ledger: &mut Ledger| alarm.cross(ledger.meters().iter().map(level));
        let alerts = self.with(look);
        alarm.tell(alerts);
    }

    /// The provider states limits that aren't those of before.
    pub(super) fn learnt(&self, limits: impl Iterator<Item = LimitId>) {
        let pool = self.watch.pool();
        for limit in limits {
            tracing::info!(target: target::LIMIT, pool, %limit, "the provider states another limit");
        }
    }

    /// The provider states less of limits than they were given as, or more again; info the first time.
    pub(super) fn bounded(&self, limits: impl Iterator<Item = (LimitId, bool)>) {
        for (limit, first) in limits {
            told!(
                first,
                target: target::LIMIT,
                pool = self.watch.pool(),
                %limit,
                "plans with the limit that the provider states"
            );
        }
    }

    /// A limit was changed by hand.
    pub(super) fn resized(&self, limit: LimitId) {
        let pool = self.watch.pool();
        tracing::info!(target: target::LIMIT, pool, %limit, "the limit was changed");
    }

    /// Everything was paused by hand, or isn't any more.
    pub(super) fn paused(&self, until: Option<Time>) {
        let pool = self.watch.pool();
        match until.map(|until| until.since(self.now())) {
            Some(wait) => tracing::info!(target: target::LIMIT, pool, ?wait, "paused"),
            None => tracing::info!(target: target::LIMIT, pool, "resumed"),
        }
    }

    /// The quota goes on from a saved state, after so long.
    pub(super) fn restored(&self, down: Duration) {
        let pool = self.watch.pool();
        tracing::info!(target: target::STATE, pool, ?down, "went on from a saved state");
    }
}
