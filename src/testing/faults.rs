//! What goes wrong, and how long things take.

use std::{
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;

use super::{Stream, StreamFault};

/// How long something takes: always the same, or drawn evenly from a range by the box's seed.
///
/// Made from a `Duration`, a `Range` or a `RangeInclusive` of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

impl From<Duration> for Delay {
    fn from(always: Duration) -> Self {
        Self {
            least: always,
            most: always,
        }
    }
}

impl From<Range<Duration>> for Delay {
    fn from(range: Range<Duration>) -> Self {
        Self {
            least: range.start,
            most: range.end.max(range.start),
        }
    }
}

impl From<RangeInclusive<Duration>> for Delay {
    fn from(range: RangeInclusive<Duration>) -> Self {
        Self::from(*range.start()..*range.end())
    }
}

/// Whether a fault strikes before or after the provider has counted the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// It is charged to no limit.
    BeforeCounting,
    /// It is charged, though nothing comes of it.
    AfterCounting,
}

/// How an outage looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outage {
    /// Everything is answered with 503, by Anthropic with 529.
    Unavailable,
    /// Every connection is closed at once, and requests on open ones are hung up on.
    Closed,
}

/// What refusals say of when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// The exact wait, rounded up to what the provider states it in. The default.
    #[default]
    Exact,
    /// Nothing, neither in headers nor in the body.
    Silent,
    /// Always this, true or not: also where a request can never fit. Azure's usual lie is 1 s.
    Lie(Duration),
}

/// What goes wrong and how long things take; nothing, and no time, by default.
///
/// Set before the start by [`ProviderBuilder::faults`](super::ProviderBuilder::faults) and while
/// it runs by [`Provider::faults`](super::Provider::faults). Probabilities are clamped to 0..=1
/// and drawn by the box's seed: what happens to the k-th arrival depends on the seed, the
/// settings and k alone.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Faults {
    pub(super) transit: Delay,
    pub(super) latency: Delay,
    pub(super) stream: Stream,
    pub(super) streams: Option<(f64, StreamFault, u64)>,
    pub(super) hint: Hint,
    pub(super) errors: Option<(f64, StatusCode)>,
    pub(super) drops_before: f64,
    pub(super) drops_after: f64,
    pub(super) stalls: Option<(f64, Duration)>,
    outage: Option<Outage>,
    outages: Vec<(Range<Duration>, Outage)>,
    pub(super) quota_ends_after: Option<u64>,
    dead_models: Vec<(Arc<str>, StatusCode)>,
}

impl Faults {
    /// How long a request is on its way before it is counted. Default: no time.
    pub fn transit(mut self, transit: impl Into<Delay>) -> Self {
        self.transit = transit.into();
        self
    }

    /// How long a request takes after it was counted until its answer begins, whatever comes of it;
    /// refusals take none. Default: no time.
    pub fn latency(mut self, latency: impl Into<Delay>) -> Self {
        self.latency = latency.into();
        self
    }

    /// Answers with this status, after counting, with this probability. Default: never.
    pub fn errors(mut self, probability: f64, status: StatusCode) -> Self {
        self.errors = Some((probability, status));
        self
    }

    /// Hangs up without an answer with this probability. Default: never.
    pub fn drops(mut self, probability: f64, when: When) -> Self {
        match when {
            When::BeforeCounting => self.drops_before = probability,
            When::AfterCounting => self.drops_after = probability,
        }
        self
    }

    /// Counts the request, says nothing for so long and then hangs up, with this probability.
    /// Default: never.
    pub fn stalls(mut self, probability: f64, time: Duration) -> Self {
        self.stalls = Some((probability, time));
        self
    }

    /// How answers stream. Default: at once.
    pub fn stream(mut self, stream: Stream) -> Self {
        self.stream = stream;
        self
    }

    /// Streams fail like this, with this probability, after so many of their pieces; 0 is before
    /// the first content. Default: never.
    pub fn streams(mut self, probability: f64, fault: StreamFault, pieces: u64) -> Self {
        self.streams = Some((probability, fault, pieces));
        self
    }

    /// What refusals say of when to come back. Default: the exact wait.
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    /// From now on everything is answered with 503 (Anthropic: 529) and nothing counted; `false` ends an outage
    /// of either kind. Default: off.
    pub fn outage(mut self, on: bool) -> Self {
        self.outage = on.then_some(Outage::Unavailable);
        self
    }

    /// From now on an outage of this kind, until [`outage(false)`](Self::outage).
    pub fn outage_as(mut self, outage: Outage) -> Self {
        self.outage = Some(outage);
        self
    }

    /// An outage in this stretch of time, counted from the provider's start. Add as many as you
    /// like; of those that overlap the one added first shows.
    pub fn outage_during(mut self, stretch: Range<Duration>, outage: Outage) -> Self {
        self.outages.push((stretch, outage));
        self
    }

    /// From now on everything is refused for want of money, or no longer: OpenAI's
    /// `insufficient_quota`, Anthropic's spend limit, Gemini's `limit: 0`. Default: off.
    pub fn insufficient_quota(self, on: bool) -> Self {
        self.insufficient_quota_after(on.then_some(0))
    }

    /// The money is spent once so many requests have been admitted in all; `None` is never, the
    /// default.
    pub fn insufficient_quota_after(mut self, admitted: impl Into<Option<u64>>) -> Self {
        self.quota_ends_after = admitted.into();
        self
    }

    /// The model doesn't exist: 404 `model_not_found`, not counted. Default: every name exists.
    pub fn dead_model(self, model: &str) -> Self {
        self.dead_model_as(model, StatusCode::NOT_FOUND)
    }

    /// Requests for the model are answered with this status and not counted.
    pub fn dead_model_as(self, model: &str, status: StatusCode) -> Self {
        let mut faults = self.live_model(model);
        faults.dead_models.push((model.into(), status));
        faults
    }

    /// The model works again.
    pub fn live_model(mut self, model: &str) -> Self {
        self.dead_models.retain(|(dead, _)| **dead != *model);
        self
    }

    /// The outage that shows at this time after the start.
    pub(super) fn outage_at(&self, since_start: Duration) -> Option<Outage> {
        self.outage.or_else(|| {
            self.outages
                .iter()
                .find_map(|(when, outage)| when.contains(&since_start).then_some(*outage))
        })
    }

    /// With what status the model is dead.
    pub(super) fn dead(&self, model: &str) -> Option<StatusCode> {
        self.dead_models
            .iter()
            .find_map(|(dead, status)| (**dead == *model).then_some(*status))
    }
}
