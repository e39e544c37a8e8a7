//! Limits as data.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::cost::Resource;

/// What is used beyond a bucket is owed for so many windows at the most: an hour where it is one per minute.
pub(crate) const OWED: u64 = 64;

/// How a limit's window moves. Built by [`Limit::rolling`], [`Limit::bucket`] and [`Limit::fixed`].
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Never more than the amount in any window.
    Rolling,
    /// Refills continuously and holds the amount.
    Bucket,
    /// Starts anew at every boundary.
    Fixed(Anchor),
}

/// Where a fixed window begins.
#[derive(Clone)]
pub struct Anchor(pub(crate) AnchorKind);

#[derive(Clone)]
pub(crate) enum AnchorKind {
    /// The window opens with the first request after the last one closed.
    FirstUse,
    /// Windows follow each other from this wall-clock instant, without gaps.
    Aligned(SystemTime),
    /// The next boundary after a wall-clock instant is whatever the function says.
    Calendar(Arc<dyn Fn(SystemTime) -> SystemTime + Send + Sync>),
}

impl Anchor {
    /// The window opens with the first request and closes one window later.
    pub const fn first_use() -> Self {
        Self(AnchorKind::FirstUse)
    }

    /// Windows that follow each other without a gap from midnight UTC, 1 January 1970: a day
    /// starts at midnight UTC, a minute at the full minute.
    pub const fn utc() -> Self {
        Self(AnchorKind::Aligned(SystemTime::UNIX_EPOCH))
    }

    /// Windows that follow each other without a gap, one of them starting at `instant`.
    pub const fn at(instant: SystemTime) -> Self {
        Self(AnchorKind::Aligned(instant))
    }

    /// Boundaries from a calendar: `next(t)` is the first boundary after `t`. A zone's midnight
    /// has days of 23 and 25 hours, which only a calendar knows. A boundary that isn't after `t` is read as one window later. It is
    /// asked a few windows ahead, outside of every lock.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_quota::Anchor;
    ///
    /// // Midnight in a zone that is always eight hours behind UTC; a time-zone library does the same for real zones.
    /// let eight_behind = Anchor::calendar(|t| {
    ///     let day = 86_400;
    ///     let since = t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    ///     let local = since - 8 * 3_600;
    ///     SystemTime::UNIX_EPOCH + Duration::from_secs((local / day + 1) * day + 8 * 3_600)
    /// });
    /// # let _ = eight_behind;
    /// ```
    pub fn calendar(next: impl Fn(SystemTime) -> SystemTime + Send + Sync + 'static) -> Self {
        Self(AnchorKind::Calendar(Arc::new(next)))
    }
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            AnchorKind::FirstUse => f.write_str("Anchor::first_use()"),
            AnchorKind::Aligned(at) => f.debug_tuple("Anchor::at").field(at).finish(),
            AnchorKind::Calendar(_) => f.write_str("Anchor::calendar(..)"),
        }
    }
}

/// At most so much of a resource in so much time.
///
/// ```
/// use std::time::Duration;
/// use tower_quota::{Anchor, Limit};
///
/// let per_minute = Limit::tokens_per_minute(30_000);                    // never more in any minute
/// let refilling = Limit::requests(50, Duration::from_secs(60)).bucket(); // as the provider refills
/// let daily = Limit::requests_per_day(10_000).fixed(Anchor::utc());     // midnight UTC
/// let even = Limit::requests_per_minute(600).burst(10);                 // at most 10 at once
/// ```
///
/// | setting | default |
/// |---|---|
/// | shape | rolling; a bucket for the quotas of a keyed layer |
/// | burst | none: the whole amount may go at once |
/// | transit | window / 64, at most 1 s; none for the quotas of a keyed layer that don't [adopt](crate::quota::QuotaBuilder::adopt) |
#[derive(Clone, Debug)]
#[must_use]
pub struct Limit {
    pub(crate) resource: Resource,
    pub(crate) amount: u64,
    pub(crate) window: Duration,
    pub(crate) shape: Option<Shape>,
    pub(crate) burst: Option<u64>,
    pub(crate) transit: Option<Duration>,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

impl Limit {
    /// At most `amount` of `resource` in every `window`.
    pub const fn new(resource: Resource, amount: u64, window: Duration) -> Self {
        Self {
            resource,
            amount,
            window,
            shape: None,
            burst: None,
            transit: None,
        }
    }

    /// At most `amount` requests in every `window`.
    pub const fn requests(amount: u64, window: Duration) -> Self {
        Self::new(Resource::Requests, amount, window)
    }

    /// At most `amount` requests a second.
    pub const fn requests_per_second(amount: u64) -> Self {
        Self::requests(amount, SECOND)
    }

    /// At most `amount` requests a minute.
    pub const fn requests_per_minute(amount: u64) -> Self {
        Self::requests(amount, MINUTE)
    }

    /// At most `amount` requests in 24 hours.
    pub const fn requests_per_day(amount: u64) -> Self {
        Self::requests(amount, DAY)
    }

    /// At most `amount` tokens, input and output together, in every `window`.
    pub const fn tokens(amount: u64, window: Duration) -> Self {
        Self::new(Resource::Tokens, amount, window)
    }

    /// At most `amount` tokens a minute, input and output together.
    pub const fn tokens_per_minute(amount: u64) -> Self {
        Self::tokens(amount, MINUTE)
    }

    /// At most `amount` tokens in 24 hours, input and output together.
    pub const fn tokens_per_day(amount: u64) -> Self {
        Self::tokens(amount, DAY)
    }

    /// At most `amount` input tokens in every `window`.
    pub const fn input_tokens(amount: u64, window: Duration) -> Self {
        Self::new(Resource::InputTokens, amount, window)
    }

    /// At most `amount` output tokens in every `window`.
    pub const fn output_tokens(amount: u64, window: Duration) -> Self {
        Self::new(Resource::OutputTokens, amount, window)
    }

    /// At most `amount` of a unit of the user's own in every `window`; charged by
    /// [`Cost::unit`](crate::Cost::unit) of the same name.
    pub const fn units(name: &'static str, amount: u64, window: Duration) -> Self {
        Self::new(Resource::Unit(name), amount, window)
    }

    /// Never more than the amount in *any* window: inside the limit of a provider that counts
    /// with rolling windows, with refilling buckets or with fixed windows. The default.
    pub fn rolling(mut self) -> Self {
        self.shape = Some(Shape::Rolling);
        self
    }

    /// Refills continuously and holds the amount (or the [burst](Self::burst)). For providers that say that they
    /// count so; any others may see up to twice the amount in a window that follows a pause. What is used beyond what it holds is
    /// owed, for 64 windows at the most.
    pub fn bucket(mut self) -> Self {
        self.shape = Some(Shape::Bucket);
        self
    }

    /// Starts anew at every boundary of `anchor`. For providers that say that they count so.
    pub fn fixed(mut self, anchor: Anchor) -> Self {
        self.shape = Some(Shape::Fixed(anchor));
        self
    }

    /// At most `burst` at once, then paced evenly. A bucket holds this much instead of the
    /// amount, and a cost above it never fits; under the other shapes a larger cost leaves once the pace has recovered whole.
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// How much later than it left the provider may count a request. Default: a 64th of the
    /// window, at most one second; none where keys are limited, since those who count are here.
    pub const fn transit(mut self, transit: Duration) -> Self {
        self.transit = Some(transit);
        self
    }

    /// What it counts.
    pub const fn resource(&self) -> Resource {
        self.resource
    }

    /// How much it allows in a window.
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// How long its window is.
    pub const fn window(&self) -> Duration {
        self.window
    }

    pub(crate) const fn id(&self) -> LimitId {
        LimitId {
            resource: self.resource,
            amount: self.amount,
            window: self.window,
        }
    }

    /// The transit allowance, stated or by default.
    pub(crate) fn transit_or_default(&self) -> Duration {
        self.transit.unwrap_or((self.window / 64).min(SECOND))
    }
}

/// Which limit: what stands in messages, snapshots and refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LimitId {
    /// What it counts.
    pub resource: Resource,
    /// How much it allows in a window, headroom taken off.
    pub amount: u64,
    /// How long its window is; zero for what one request may take.
    pub window: Duration,
}

impl LimitId {
    /// What one request may take, as a limit without a window.
    pub(crate) const fn per_request(tokens: u64) -> Self {
        Self {
            resource: Resource::Tokens,
            amount: tokens,
            window: Duration::ZERO,
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LimitId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut fields = to.serialize_struct("LimitId", 3)?;
        fields.serialize_field("resource", &self.resource)?;
        fields.serialize_field("amount", &self.amount)?;
        fields.serialize_field("window_seconds", &self.window.as_secs_f64())?;
        fields.end()
    }
}

impl fmt::Display for LimitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} per ", self.amount, self.resource)?;
        match self.window {
            Duration::ZERO => f.write_str("request"),
            SECOND => f.write_str("second"),
            MINUTE => f.write_str("minute"),
            DAY => f.write_str("day"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}
