//! Putting a quota together.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    Priority, Quota, calendar,
    line::Line,
    shared::Shared,
    state::{self, Restored},
    sync::Arc,
};
use crate::{
    core::{
        cost::Resource,
        ledger::Ledger,
        limit::{Limit, Shape},
        meter::Meter,
        time::Time,
    },
    error::ConfigError,
    observe::Alerts,
};

/// Puts a [`Quota`] together. Contradictions are refused by [`build`](Self::build), never at the first request.
///
/// | setting | default |
/// |---|---|
/// | [`limit`](Self::limit) | none; at least one, or `max_in_flight`, is needed |
/// | [`max_in_flight`](Self::max_in_flight) | unbounded |
/// | [`max_per_request`](Self::max_per_request) | unbounded: whatever the limits allow |
/// | [`headroom`](Self::headroom) | 1.0: plan with everything |
/// | [`max_wait`](Self::max_wait) | 60 s, or what a limit per minute takes to be whole again: about 61 s |
/// | [`max_queue`](Self::max_queue) | 10,000 |
/// | [`keep_for`](Self::keep_for) | nothing: every priority may use all |
/// | [`adopt`](Self::adopt) | off: limits are what they were given as, or less where the provider states less |
/// | [`cool_down`](Self::cool_down) | 15 s |
/// | [`restore`](Self::restore) | nothing: everything is unspent |
/// | [`named`](Self::named), [`of_model`](Self::of_model) | no names |
/// | [`alerts`](Self::alerts), [`on_alert`](Self::on_alert) | none |
#[derive(Clone, Debug)]
#[must_use]
pub struct QuotaBuilder {
    pub(super) limits: Vec<Limit>,
    pub(super) max_in_flight: usize,
    pub(super) max_per_request: u64,
    pub(super) headroom: f64,
    pub(super) max_wait: Option<Duration>,
    pub(super) max_queue: usize,
    pub(super) adopt: bool,
    pub(super) discover: bool,
    pub(super) cool_down: Duration,
    pub(super) pool: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) alerts: Option<Alerts>,
    // Of one key among many.
    pub(super) keyed: bool,
    pub(super) restored: Option<Arc<Restored>>,
    pub(super) kept: Vec<(Priority, f64)>,
    // Where a store counts.
    pub(super) shared: Option<Shared>,
}

impl QuotaBuilder {
    pub(super) const fn new() -> Self {
        Self {
            limits: Vec::new(),
            max_in_flight: usize::MAX,
            max_per_request: u64::MAX,
            headroom: 1.0,
            max_wait: None,
            max_queue: 10_000,
            adopt: false,
            discover: false,
            cool_down: Duration::from_secs(15),
            pool: None,
            model: None,
            alerts: None,
            keyed: false,
            restored: None,
            kept: Vec::new(),
            shared: None,
        }
    }

    /// With nothing known of the provider's limits.
    pub(super) const fn discover(mut self) -> Self {
        (self.adopt, self.discover) = (true, true);
        self
    }

    /// Adds a limit. A request takes from all limits or from none.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// At most `requests` between grant and the end of the answer's body.
    pub const fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// A request of more `tokens` is too large, so that a fallback can act.
    pub const fn max_per_request(mut self, tokens: u64) -> Self {
        self.max_per_request = tokens;
        self
    }

    /// Plan with this share of every limit's amount, above 0 and at most 1; rounded down, at least 1.
    pub const fn headroom(mut self, share: f64) -> Self {
        self.headroom = share;
        self
    }

    /// The longest that a request waits for its turn. One whose wait is known to be longer is refused at
    /// once. Default: 60 s, or what a limit per minute takes to be whole again, about 61 s.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = Some(wait);
        self
    }

    /// How many may wait at a time. 0: nobody waits.
    pub const fn max_queue(mut self, waiters: usize) -> Self {
        self.max_queue = waiters;
        self
    }

    /// Takes the provider's word for its limits: amounts that its answers state replace those of this quota, also where
    /// they are larger, and limits on requests, tokens, input or output tokens that this quota doesn't have are added. Without it,
    /// only smaller ones do, for as long as they are stated.
    pub const fn adopt(mut self) -> Self {
        self.adopt = true;
        self
    }

    /// How long nothing more of a resource is granted after a 429 that doesn't say how long to wait: half as long each time
    /// that traffic has resumed cleanly, down to a sixteenth. Default: 15 s.
    pub const fn cool_down(mut self, pause: Duration) -> Self {
        self.cool_down = pause;
        self
    }

    /// The quota, with everything unspent but for what was [restored](Self::restore).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for settings that contradict each other or that no request could ever pass, and for a saved state that
    /// can't be gone on from.
    pub fn build(mut self) -> Result<Quota, ConfigError> {
        self.check()?;
        let origin = self.begins();
        let mut ledger = self.ledger(origin);
        let restored = self.restored.take();
        if let Some(restored) = &restored {
            restored.check(self.pool.as_deref())?;
            let planned = |amount| planned(amount, self.headroom);
            ledger
                .restore(restored.accounts(), origin.1, self.adopt, planned)
                .map_err(state::nonsense)?;
        }
        let watch = Arc::new(self.watch());
        let line = Line::new(ledger, origin, Arc::new(self), watch, None);
        if let Some(restored) = restored {
            line.restored(restored.down());
        }
        Ok(Quota::of(line))
    }

    /// The longest wait, stated or by default: a minute's amount that leaves at once is free again after a minute and the
    /// transit allowance, and whoever comes next is to have that turn.
    pub(super) fn longest_wait(&self) -> Duration {
        let again = self
            .limits
            .iter()
            .filter(|limit| limit.window <= MINUTE)
            .map(|limit| limit.window + limit.transit_or_default() + limit.window / 512);
        let minute = again.fold(MINUTE, Duration::max);
        self.max_wait.unwrap_or(minute)
    }

    /// When a new quota begins: now, which is the beginning of its time.
    pub(super) fn begins(&self) -> (Instant, Time) {
        let base = self.restored.as_ref().map(|restored| restored.now());
        (Instant::now(), base.unwrap_or(Time::ZERO))
    }

    /// The accounts of settings that were checked, with everything unspent.
    pub(super) fn ledger(&self, (_, base): (Instant, Time)) -> Ledger {
        let restored = self.restored.as_ref();
        let wall = restored.map_or_else(SystemTime::now, |restored| restored.wall);
        let meters = self.limits.iter().map(|limit| {
            let boundaries = calendar::boundaries(limit, wall, base);
            let planned = planned(limit.amount, self.headroom);
            if let Some(shared) = &self.shared {
                return shared.meter(limit, planned, base);
            }
            let meter = Meter::new(limit, planned, boundaries, base);
            if self.keyed { meter.coarse() } else { meter }
        });
        let mut meters: Vec<Meter> = meters.collect();
        // What a store counts is the same for all processes: nothing is added.
        if self.adopt && self.shared.is_none() {
            let learnt = LEARNT.iter().filter(|resource| {
                let limited = |limit: &Limit| limit.resource == **resource;
                !self.limits.iter().any(limited)
            });
            meters.extend(learnt.map(|resource| Meter::unknown(*resource)));
        }
        let ledger = Ledger::new(meters, self.max_in_flight, self.max_per_request)
            .cool_down(self.cool_down)
            .keeping(self.kept().into_iter().max().unwrap_or_default());
        if self.discover {
            ledger.discover()
        } else if self.listens() {
            ledger
        } else {
            ledger.own()
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |setting, problem: String| Err(ConfigError::new(setting, problem));
        if self.limits.is_empty() && self.max_in_flight == usize::MAX && !self.adopt {
            return refuse(
                "limit",
                "a quota needs at least one limit, or `max_in_flight`".into(),
            );
        }
        if !(self.headroom > 0.0 && self.headroom <= 1.0) {
            let share = self.headroom;
            return refuse(
                "headroom",
                format!("{share} is not a share above 0 and at most 1"),
            );
        }
        if self.max_in_flight == 0 {
            return refuse("max_in_flight", "0 would admit nothing".into());
        }
        if self.max_per_request == 0 {
            return refuse("max_per_request", "0 would admit nothing".into());
        }
        self.check_names()?;
        self.check_kept()?;
        for (index, limit) in self.limits.iter().enumerate() {
            check_limit(limit)?;
            let twin = self.limits[..index]
                .iter()
                .find(|other| other.resource == limit.resource && other.window == limit.window);
            if let Some(twin) = twin {
                return refuse("limit", format!("{limit} and {twin} limit the same"));
            }
            let of_tokens = limit.resource == Resource::Tokens;
            if of_tokens && self.max_per_request != u64::MAX {
                let burst = limit.burst.filter(|_| is_bucket(limit));
                let largest = burst.unwrap_or_else(|| planned(limit.amount, self.headroom));
                if self.max_per_request > largest {
                    let max = self.max_per_request;
                    return refuse(
                        "max_per_request",
                        format!(
                            "{max} tokens can never fit into {limit}, of which {largest} are planned with"
                        ),
                    );
                }
            }
        }
        Ok(())
    }
}

/// What answers state limits of.
const LEARNT: [Resource; 4] = [
    Resource::Requests,
    Resource::Tokens,
    Resource::InputTokens,
    Resource::OutputTokens,
];

const MINUTE: Duration = Duration::from_secs(60);

const fn is_bucket(limit: &Limit) -> bool {
    matches!(limit.shape, Some(Shape::Bucket))
}

/// What to plan with of a limit's amount, of which the share is taken as it was written: no float is 0.29, and that of it which is
/// next to it would make 28 of 100.
pub(super) fn planned(amount: u64, headroom: f64) -> u64 {
    const WHOLE: u64 = 1_000_000_000_000;
    if headroom >= 1.0 {
        return amount;
    }
    let share = (headroom * WHOLE as f64).round() as u64;
    let planned = u128::from(amount) * u128::from(share) / u128::from(WHOLE);
    (planned as u64).clamp(1, amount.max(1))
}

/// The largest amount that the arithmetic keeps exact.
const MOST: u64 = 1 << 53;

pub(super) fn check_limit(limit: &Limit) -> Result<(), ConfigError> {
    let refuse = |problem: String| Err(ConfigError::new("limit", problem));
    let year = Duration::from_secs(366 * 86_400);
    if limit.amount == 0 {
        return refuse(format!("{limit} would admit nothing"));
    }
    if limit.amount > MOST {
        return refuse(format!("{limit} is more than can be counted, 2^53"));
    }
    if limit.window < Duration::from_millis(1) {
        // Without a window, it would be shown as a limit for each request.
        let Limit {
            resource,
            amount,
            window,
            ..
        } = limit;
        return refuse(format!(
            "{amount} {resource} in a window of {window:?}: a window is at least a millisecond"
        ));
    }
    if limit.window > year {
        return refuse(format!("{limit}: a window is at most a year"));
    }
    match limit.burst {
        Some(0) => return refuse(format!("{limit} with a burst of 0 would admit nothing")),
        Some(burst) if burst > limit.amount && !is_bucket(limit) => {
            return refuse(format!(
                "{limit}: a burst of {burst} is more than the amount"
            ));
        }
        Some(burst) if burst > MOST => {
            return refuse(format!(
                "{limit}: a burst of {burst} is more than can be counted"
            ));
        }
        _ => {}
    }
    if let Some(transit) = limit.transit
        && transit > limit.window
    {
        return refuse(format!(
            "{limit}: a transit of {transit:?} is longer than the window"
        ));
    }
    if let Resource::Unit("") = limit.resource {
        return refuse("a unit needs a name".into());
    }
    Ok(())
}
