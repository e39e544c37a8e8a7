//! Who is told of retries, and of what.

use std::{sync::Arc, time::Duration};

use tracing::{
    Span,
    field::{debug, display},
};

use super::{BackoffRetryLayer, cause::Cause, gave_up::GaveUp, policy::Policy};
use crate::{
    observe::{Alerts, target},
    verdict::Verdict,
};

/// Waits from here on are worth knowing.
const LONG: Duration = Duration::from_secs(1);

impl<G, P> BackoffRetryLayer<G, P> {
    /// Who is told when more than a share of the tries are retries, of all that the services of this layer send.
    pub fn alerts(self, alerts: Alerts) -> Self {
        self.set(|policy| policy.tries = policy.tries.clone().with_alerts(alerts))
    }

    /// What operators know it by, in alerts and metrics: best what the [quota](crate::quota::QuotaBuilder::named) is called.
    ///
    /// # Panics
    /// If it is empty.
    #[track_caller]
    pub fn named(self, pool: &str) -> Self {
        assert!(!pool.is_empty(), "named: {pool:?} is no name");
        let pool: Arc<str> = pool.into();
        self.set(|policy| policy.tries = policy.tries.clone().named(pool))
    }
}

impl Policy {
    /// There is another try, after a wait; so many were made.
    pub(super) fn tell_retry(&self, tries: u32, verdict: Verdict, cause: Cause, wait: Duration) {
        let limit = match verdict {
            Verdict::RateLimited { resource, .. } => resource.map(display),
            _ => None,
        };
        let of = self.attempts;
        if wait >= LONG {
            tracing::info!(target: target::RETRY, attempt = tries, of, ?cause, limit, ?wait, "retrying");
        } else {
            tracing::debug!(target: target::RETRY, attempt = tries, of, ?cause, limit, ?wait, "retrying");
        }
        Span::current().record("tower_quota.attempts", tries.saturating_add(1));
    }

    /// There is none, for this reason if not for what the outcome is; so many were made.
    pub(super) fn tell_end(&self, tries: u32, verdict: Verdict, why: Option<GaveUp>) {
        let of = self.attempts;
        if let Some(GaveUp::HintTooLong | GaveUp::WindowTooLong) = why {
            let max = self.max_hint;
            let wait = verdict.retry_after().map(debug);
            let why = why.map(display);
            tracing::info!(target: target::RETRY, attempt = tries, of, ?verdict, why, wait, ?max, "not retried");
        } else {
            let why = why.map(display);
            tracing::debug!(target: target::RETRY, attempt = tries, of, ?verdict, why, "not retried");
        }
    }
}
