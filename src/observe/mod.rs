//! What operators see: events, metrics, alerts, snapshots, and what survives a restart.
//!
//! Nothing here is needed, and what nobody listens to isn't built: an event whose target is off costs a look at a flag, a
//! quota without [`Alerts`] keeps nothing for them, and without the feature `metrics` there are none.
//!
//! Nowhere are there keys of callers, prompts, bodies or header values.
//!
//! # Events
//!
//! By `tracing`, under targets of their own that stay, so that a filter such as `tower_quota::wait=info` does:
//!
//! | target | level | event | fields |
//! |---|---|---|---|
//! | `tower_quota::wait` | info from a second on, else debug | `waited for the quota` | `pool`, `model`, `limit`, `asked` and `left` of it, `cause` (`limit`, `pause`, `in flight`, `queue`), `priority` (level 0 to 7), `wait` (as it looked at first), `waited` |
//! | | debug | `waits for the quota` | `pool`, `model`, `limit`, `asked`, `left`, `cause`, `priority`, `wait` |
//! | | debug | `refused by the quota` | `pool`, `model`, `reason`, `limit`, `asked`, `left`, `wait` |
//! | `tower_quota::limit` | info from a second on and without a hint, else debug | `the provider has refused` | `pool`, `model`, `resource`, `wait` (its hint) |
//! | | info | `the provider states another limit` | `pool`, `limit` |
//! | | info the first time for a limit, else debug | `plans with the limit that the provider states` | `pool`, `limit` |
//! | | info | `the limit was changed` | `pool`, `limit` |
//! | | info | `paused`, `resumed` | `pool`, `wait` |
//! | `tower_quota::retry` | info for waits from a second on, else debug | `retrying` | `attempt` (how many were made), `of` (how many there may be), `cause`, `limit` (its resource, where the answer names one), `wait` |
//! | | info where the provider asks to wait too long, else debug | `not retried` | `attempt`, `of`, `verdict`, `why`, `wait`, `max` |
//! | `tower_quota::circuit` | info | `circuit changed` | `pool`, `from`, `to`, `wait` (how long it is open) |
//! | | info | `circuit would have opened`, of one that only measures | `pool`, `wait` |
//! | | debug | `refused: the circuit is open` | `pool`, `wait` |
//! | `tower_quota::fallback` | info where a service was asked and didn't serve, else debug | `falling back` | `link`, `verdict`, `passed` (over the first, without asking it) |
//! | | debug | `falling back further` | `link`, `verdict` |
//! | `tower_quota::respond` | warn | `no answer in time`, `the service failed` | `error` |
//! | | debug | `the provider's refusal is hidden` | `status` |
//! | `tower_quota::state` | info | `went on from a saved state` | `pool`, `down` |
//! | `tower_quota::store` | warn | `the shared store is away` | `pool`, `error`, `policy` |
//! | | info | `the shared store is back` | `pool`, `away` (for how long) |
//! | | warn | `the server evicts quotas …` | `policy` |
//! | `tower_quota::alert` | error | `the hook for alerts panicked` | `alert` |
//!
//! `limit` is the one that stood in the way when the request got in line, `wait` and `waited` are spans like `1.5s`, `pool` is the
//! quota's [name](crate::quota::QuotaBuilder::named), or the [circuit's](crate::CircuitBreakerLayer::named); what isn't known is left
//! out. So an outage is an event when a circuit opens and one when it closes again, not one for every call.
//!
//! # Fields of your span
//!
//! A span around a request that declares these fields gets them filled in by whoever waits in it:
//!
//! | field | |
//! |---|---|
//! | `tower_quota.waited_ms` | how long the request waited for its last turn |
//! | `tower_quota.attempts` | which try of the request is on its way, from the second on |
//! | `tower_quota.limit` | the limit that it waited for, or that refused it |
//!
//! ```
//! use tracing::{field::Empty, info_span};
//!
//! let span = info_span!("chat", tower_quota.waited_ms = Empty, tower_quota.limit = Empty);
//! # let _ = span;
//! ```
//!
//! # Metrics
//!
//! With the feature `metrics`, to whatever recorder of the `metrics` crate is installed, for instance one for Prometheus:
//!
//! | name | kind | labels | |
//! |---|---|---|---|
//! | `tower_quota_granted_total` | counter | `pool`, `model`, `priority` | requests whose turn has come |
//! | `tower_quota_wait_seconds` | histogram | `pool`, `model`, `priority` | how long they waited; 0 where they didn't |
//! | `tower_quota_refused_total` | counter | `pool`, `model`, `limit`, `reason` | refused here, before they were sent |
//! | `tower_quota_answers_total` | counter | `pool`, `model`, `verdict` | answers by what they mean |
//! | `tower_quota_rate_limited_total` | counter | `pool`, `model`, `limit` | answers of 429 by the limit that they name, or `unknown` |
//! | `tower_quota_tokens` | histogram | `pool`, `model`, `kind` (`total`, `input`, `output`) | what the provider counted for a request |
//! | `tower_quota_tries_total` | counter | `pool`, `model`, `kind` (`first`, `retry`) | tries of calls |
//! | `tower_quota_limit`, `tower_quota_left` | gauge | `pool`, `model`, `limit` | a limit's amount, and what is left of it, of the first eight limits |
//! | `tower_quota_store_up` | gauge | `pool`, `model` | 1 where the shared store answers, else 0; from the first time it didn't |
//! | `tower_quota_store_failures_total` | counter | `pool`, `model` | how often it went away |
//! | `tower_quota_in_flight`, `tower_quota_waiting` | gauge | `pool`, `model` | requests in flight and in line |
//! | `tower_quota_circuits` | gauge | `pool`, `state` (`closed`, `open`, `half-open`, …) | circuits in that state: 1 or 0 where there is one, more with keys |
//! | `tower_quota_circuit_changes_total` | counter | `pool`, `from`, `to` | changes of state; `to` is `would have opened` of one that only measures |
//! | `tower_quota_circuit_refused_total` | counter | `pool` | calls that a circuit, or its gate, has refused |
//!
//! `pool` and `model` are what the quota was [called](crate::quota::QuotaBuilder::named), or the retries or the circuit, empty where it wasn't: names of the program's
//! own, not of its callers. `limit` is like `tokens per minute`, without the amount, and empty where none is to blame; `priority`
//! is `interactive`, `standard`, `background`, or another level's number. So the number of series
//! is bounded by the quotas that the program makes. The quotas of keys count under the names of the one that
//! they were made from, and have no gauges.
//!
//! Gauges are as of the last request, at most ten times a second, those of circuits as of the last change; `Quota::publish_metrics` and
//! `CircuitHandle::publish_metrics` set them as of now, for whoever renders them.
//!
//! # Alerts
//!
//! [`Alerts`] call a hook, once, when something begins that operators want to hear of: a limit is used up to 70 % or 90 %, more
//! than 1 % of the requests get a 429, more than 5 % of the tries are retries, money is exhausted.
//!
//! ```
//! use tower_quota::{Alert, Limit, Quota};
//!
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(10))
//!     .on_alert(|alert| match alert {
//!         Alert::MoneyExhausted { .. } => eprintln!("somebody has to pay: {alert}"),
//!         alert => eprintln!("{alert}"),
//!     })
//!     .build()?;
//! # let _ = quota;
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # Snapshots and restarts
//!
//! [`Quota::snapshot`](crate::Quota::snapshot) is serialisable with the feature `serde`. [`Quota::save`](crate::Quota::save) and
//! [`restore`](crate::quota::QuotaBuilder::restore) carry what was spent over a restart.

mod alarm;
mod alert;
mod alerts;
mod metrics;
mod tries;

#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use self::metrics::describe_metrics;
pub(crate) use self::{
    alarm::{Alarm, Level},
    metrics::{GAUGED, IS_ON, Levels, Metrics},
    tries::Tries,
};
pub use self::{alert::Alert, alerts::Alerts};

/// Where events go: names that stay, whatever file they come from.
pub(crate) mod target {
    pub(crate) const WAIT: &str = "tower_quota::wait";
    pub(crate) const LIMIT: &str = "tower_quota::limit";
    pub(crate) const RETRY: &str = "tower_quota::retry";
    pub(crate) const CIRCUIT: &str = "tower_quota::circuit";
    pub(crate) const FALLBACK: &str = "tower_quota::fallback";
    pub(crate) const RESPOND: &str = "tower_quota::respond";
    pub(crate) const STATE: &str = "tower_quota::state";
    pub(crate) const STORE: &str = "tower_quota::store";
    pub(crate) const ALERT: &str = "tower_quota::alert";
}
