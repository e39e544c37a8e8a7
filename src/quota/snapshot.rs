//! What a quota looks like at one moment.

use std::time::Duration;

use super::{line::Line, priority::Rank};
use crate::core::{
    cost::Cost,
    histogram::Histogram,
    ledger::{Fit, Ledger},
    limit::LimitId,
    time::Time,
};

/// What a quota looks like at one moment.
///
/// With the feature `serde` it can be serialised: spans of time as seconds, in fields whose names end so, and a limit as
/// `{"resource": "tokens", "amount": 30000, "window_seconds": 60.0}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// Each limit, in the order in which they were given; those that the provider has yet to state aren't there.
    pub limits: Vec<LimitSnapshot>,
    /// How many requests are in flight.
    pub in_flight: usize,
    /// The most that ever were.
    pub peak_in_flight: usize,
    /// How many wait in line.
    pub waiting: usize,
    /// How long a request of the median's tokens and standard priority would wait that came now: a projection, zero where it
    /// would go at once, `None` where nobody knows: everything is in flight that may be, or it would never fit.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "wait_seconds", serialize_with = "seconds::maybe")
    )]
    pub wait: Option<Duration>,
    /// How long everything is paused from now on; zero where nothing is.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "paused_seconds", serialize_with = "seconds::exactly")
    )]
    pub paused: Duration,
    /// What requests came to, as far as answers told or [`settle`](crate::Permit::settle) did; `None` before the first. Of a quota
    /// that those of keys were made from, theirs as well.
    pub tokens_per_request: Option<Percentiles>,
}

/// One limit at one moment, in units of its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// Which limit.
    pub limit: LimitId,
    /// What has left and counts.
    pub used: u64,
    /// What was granted and hasn't left yet.
    pub held: u64,
    /// What is left.
    pub left: u64,
    /// How long this limit is paused from now on; zero where it isn't.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "paused_seconds", serialize_with = "seconds::exactly")
    )]
    pub paused: Duration,
    /// When the current window ends, for a fixed window.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "resets_in_seconds", serialize_with = "seconds::maybe")
    )]
    pub resets_in: Option<Duration>,
}

/// How many tokens requests came to, input and output together: never less than the true figure, at most a sixteenth more; what is
/// above 2^28 - 1 counts as that.
/// From 2^30 requests on, earlier ones count half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Percentiles {
    /// Half of them came to no more.
    pub p50: u64,
    /// 95 % came to no more.
    pub p95: u64,
    /// 99 % came to no more.
    pub p99: u64,
    /// Of so many requests.
    pub requests: u64,
}

impl Percentiles {
    pub(super) fn of(histogram: &Histogram) -> Self {
        Self {
            p50: histogram.percentile(50),
            p95: histogram.percentile(95),
            p99: histogram.percentile(99),
            requests: histogram.total().into(),
        }
    }
}

impl Line {
    pub(super) fn snapshot(&self) -> Snapshot {
        let tokens = self.watch.percentiles();
        // A typical request of the usual priority that came now.
        let typical = Cost::tokens(tokens.map_or(0, |tokens| tokens.p50));
        let place = Rank::DEFAULT.place();
        let (mut snapshot, wait) = self.look_at(|ledger, queue, now| {
            let at = match ledger.fit_beside(&typical, true, queue.spare(place)) {
                Fit::Now if queue.waiting() == 0 => Some(now),
                Fit::Never { .. } | Fit::InFlight => None,
                _ => Some(ledger.project(&typical, |limit| queue.asked(limit, place))),
            };
            let snapshot = Snapshot::of(ledger, queue.waiting(), now);
            (snapshot, at.map(|at| at.since(now)))
        });
        snapshot.wait = wait;
        snapshot.tokens_per_request = tokens;
        snapshot
    }
}

impl Snapshot {
    fn of(ledger: &Ledger, waiting: usize, now: Time) -> Self {
        let known = ledger.meters().iter().filter(|meter| meter.is_known());
        let limits = known.map(|meter| LimitSnapshot {
            limit: meter.id(),
            used: meter.used(),
            held: meter.held(),
            left: meter.left(),
            paused: meter.paused().since(now),
            resets_in: meter.boundary().map(|at| at.since(now)),
        });
        Self {
            limits: limits.collect(),
            in_flight: ledger.in_flight(),
            peak_in_flight: ledger.peak_in_flight(),
            waiting,
            wait: None,
            paused: ledger.paused().since(now),
            tokens_per_request: None,
        }
    }
}

/// Spans as seconds.
#[cfg(feature = "serde")]
mod seconds {
    use std::time::Duration;

    use serde::Serializer;

    pub(super) fn exactly<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(span.as_secs_f64())
    }

    pub(super) fn maybe<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => to.serialize_some(&span.as_secs_f64()),
            None => to.serialize_none(),
        }
    }
}
