//! What is told of retries.

use std::sync::{Arc, Mutex};

use super::{
    Alert, Alerts,
    alerts::is_telling,
    metrics::{self, Metrics},
};
use crate::{clock::Clock, core::edges::Share, lock::lock};

/// Counts tries and retries. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Tries(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    alerts: Option<Alerts>,
    pool: Option<Arc<str>>,
    metrics: Metrics,
    share: Option<Mutex<Share>>,
    clock: Clock,
}

impl Default for Tries {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Tries {
    /// The same for these.
    pub(crate) fn with_alerts(self, alerts: Alerts) -> Self {
        let pool = self.0.and_then(|inner| inner.pool.clone());
        Self::new(Some(alerts), pool)
    }

    /// The same under that name.
    pub(crate) fn named(self, pool: Arc<str>) -> Self {
        let alerts = self.0.and_then(|inner| inner.alerts.clone());
        Self::new(alerts, Some(pool))
    }

    fn new(alerts: Option<Alerts>, pool: Option<Arc<str>>) -> Self {
        let listens = alerts.is_some() || metrics::IS_ON;
        Self(listens.then(|| {
            Arc::new(Inner {
                share: alerts.as_ref().map(|a| Mutex::new(a.share_of_retries())),
                metrics: Metrics::new(pool.clone(), None),
                alerts,
                pool,
                clock: Clock::default(),
            })
        }))
    }

    /// A try is sent; `retry`: not the first of its call. No lock may be held.
    #[inline]
    pub(crate) fn tried(&self, retry: bool) {
        if let Some(inner) = &self.0 {
            inner.tried(retry);
        }
    }
}

impl Inner {
    fn tried(&self, retry: bool) {
        self.metrics.tried(retry);
        let (Some(alerts), Some(share)) = (&self.alerts, &self.share) else {
            return;
        };
        let now = self.clock.now();
        let found = lock(share).record(retry, now, !is_telling());
        if let Some(found) = found {
            alerts.tell([Alert::Retries {
                pool: self.pool.clone(),
                retries: found.hits,
                tries: found.all,
                over: alerts.time(),
            }]);
        }
    }
}
