//! How long to wait before the next try.

use std::{fmt, sync::Arc, time::Duration};

use super::time::nanos;

/// A schedule of waits: it grows, is spread by jitter, and never leaves its bounds.
///
/// ```
/// use std::time::Duration;
/// use tower_quota::{Backoff, Jitter};
///
/// let usual = Backoff::default(); // 500 ms doubling to 8 s, full jitter
/// let gentle = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60))
///     .factor(1.5)
///     .jitter(Jitter::Proportional(25));
/// ```
///
/// | setting | default |
/// |---|---|
/// | schedule | exponential from 500 ms, factor 2 |
/// | jitter | full |
/// | min | 0 |
/// | max | 8 s for `default()`, else none but what the constructor says |
///
/// The bounds come last, and the jitter is drawn inside them: at the maximum it is as wide as
/// before, so that clients that have waited long don't come back in step.
#[derive(Clone, Debug)]
#[must_use]
pub struct Backoff {
    schedule: Schedule,
    jitter: Jitter,
    min: u64,
    max: u64,
}

#[derive(Clone)]
enum Schedule {
    Constant(u64),
    Linear { first: u64, step: u64 },
    Exponential { first: u64, thousandths: u32 },
    Custom(Arc<dyn Fn(u32) -> Duration + Send + Sync>),
}

/// How waits are spread, so that clients that failed together don't come back together.
///
/// `d` is what the schedule says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Exactly `d`.
    None,
    /// Anywhere from the minimum to `d`: the least load on the provider. The default.
    #[default]
    Full,
    /// From half of `d` to `d`.
    Equal,
    /// From the schedule's first wait to three times the wait before; `d` doesn't matter.
    Decorrelated,
    /// `d`, so many per cent more or less, at most 100.
    Proportional(u32),
    /// From `d` up to so many per cent more: `d` is a floor.
    Above(u32),
    /// From `d` up to so much more.
    Additive(Duration),
}

const MILLE: u32 = 1_000;

impl Backoff {
    const fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            jitter: Jitter::Full,
            min: 0,
            max: u64::MAX,
        }
    }

    /// Always `wait`.
    pub const fn constant(wait: Duration) -> Self {
        Self::new(Schedule::Constant(nanos(wait)))
    }

    /// `first`, and `step` more with every retry.
    pub const fn linear(first: Duration, step: Duration) -> Self {
        Self::new(Schedule::Linear {
            first: nanos(first),
            step: nanos(step),
        })
    }

    /// `first`, doubling with every retry up to `max`; always `max` where that is less.
    pub const fn exponential(first: Duration, max: Duration) -> Self {
        let mut backoff = Self::new(Schedule::Exponential {
            first: nanos(first),
            thousandths: 2 * MILLE,
        });
        backoff.max = nanos(max);
        backoff
    }

    /// Whatever `wait` says of the 1st, 2nd, … retry.
    pub fn custom(wait: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        Self::new(Schedule::Custom(Arc::new(wait)))
    }

    /// Grows by `factor` instead of doubling, in thousandths.
    ///
    /// # Panics
    /// If it isn't between 1 and 1,000,000, or the schedule isn't exponential.
    #[track_caller]
    pub fn factor(mut self, factor: f64) -> Self {
        assert!(
            (1.0..=1e6).contains(&factor),
            "factor: {factor} isn't between 1 and 1000000"
        );
        match &mut self.schedule {
            Schedule::Exponential { thousandths, .. } => {
                *thousandths = (factor * f64::from(MILLE)).round() as u32;
            }
            other => panic!("factor: {factor} for {other:?}, which has none"),
        }
        self
    }

    /// How the waits are spread.
    ///
    /// # Panics
    /// If it is [`Proportional`](Jitter::Proportional) by more than 100 %.
    #[track_caller]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        if let Jitter::Proportional(percent) = jitter {
            assert!(
                percent <= 100,
                "jitter: {percent} % less than a wait is before it begins"
            );
        }
        self.jitter = jitter;
        self
    }

    /// Never less than this. Default: 0.
    pub const fn min(mut self, min: Duration) -> Self {
        self.min = nanos(min);
        self
    }

    /// Never more than this, whatever the jitter. Layers refuse a schedule whose minimum is larger.
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = nanos(max);
        self
    }

    /// How long to wait before the `retry`-th retry; the first is 1.
    ///
    /// `before` is the wait before the last one, which decorrelated jitter grows from. `roll` is the
    /// number drawn, spread evenly over all of `u64`: 0 gives the shortest wait of the range,
    /// `u64::MAX` the longest, both possible. The same three give the same wait.
    ///
    /// Whatever would be longer than about 584 years, 2⁶⁴ − 1 nanoseconds, is that long.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_quota::Backoff;
    ///
    /// let usual = Backoff::default();
    /// assert_eq!(usual.wait(3, None, u64::MAX), Duration::from_secs(2));
    /// assert_eq!(usual.wait(1_000_000, None, u64::MAX / 2), Duration::from_secs(4));
    /// ```
    #[must_use]
    pub fn wait(&self, retry: u32, before: Option<Duration>, roll: u64) -> Duration {
        let (low, high) = self.range(retry, before);
        Duration::from_nanos(between(low, high, roll))
    }

    /// Refuses a schedule whose bounds leave nothing between them.
    #[track_caller]
    pub(crate) fn check(&self, setting: &str) {
        let (min, max) = (
            Duration::from_nanos(self.min),
            Duration::from_nanos(self.max),
        );
        assert!(
            min <= max,
            "{setting}: a min of {min:?} is more than the max of {max:?}"
        );
    }

    /// How long to wait where somebody says `floor`: no less, and at most `percent` more, but by no more
    /// than the schedule's maximum.
    pub(crate) fn above(&self, floor: Duration, percent: u32, roll: u64) -> Duration {
        let floor = nanos(floor);
        let high = floor.saturating_add(share(floor, percent).min(self.max));
        Duration::from_nanos(between(floor, high, roll))
    }

    /// The least and the greatest wait, both possible.
    fn range(&self, retry: u32, before: Option<Duration>) -> (u64, u64) {
        let min = self.min.min(self.max);
        let inside = |d: u64| d.clamp(min, self.max);
        let d = inside(self.nominal(retry));
        // What reaches over the maximum moves down as a whole, as far as the minimum lets it:
        // cutting it off would leave many waits exactly alike.
        let up = |by: u64| {
            let high = inside(d.saturating_add(by));
            (inside(high - by.min(high)).min(d), high)
        };
        match self.jitter {
            Jitter::None => (d, d),
            Jitter::Full => (min, d),
            Jitter::Equal => (inside(d / 2), d),
            Jitter::Proportional(percent) => {
                let by = share(d, percent);
                (inside(d.saturating_sub(by)), inside(d.saturating_add(by)))
            }
            Jitter::Above(percent) => up(share(d, percent)),
            Jitter::Additive(by) => up(nanos(by)),
            Jitter::Decorrelated => {
                let first = inside(self.nominal(1));
                let before = before.map_or(first, nanos);
                (first, inside(before.saturating_mul(3)).max(first))
            }
        }
    }

    /// What the schedule says, without bounds.
    fn nominal(&self, retry: u32) -> u64 {
        let steps = retry.saturating_sub(1);
        match &self.schedule {
            Schedule::Constant(wait) => *wait,
            Schedule::Linear { first, step } => {
                first.saturating_add(step.saturating_mul(u64::from(steps)))
            }
            Schedule::Exponential { first, thousandths } => {
                power(*first, *thousandths, steps, self.max)
            }
            Schedule::Custom(wait) => nanos(wait(retry.max(1))),
        }
    }
}

impl Default for Backoff {
    /// 500 ms doubling to 8 s, with full jitter.
    fn default() -> Self {
        Self::exponential(Duration::from_millis(500), Duration::from_secs(8))
    }
}

/// `first × factor^steps`, or `enough` where it is more.
fn power(first: u64, thousandths: u32, steps: u32, enough: u64) -> u64 {
    if first == 0 || thousandths <= MILLE {
        return first.min(enough);
    }
    // 32 bits of fraction: a factor of 1.5 stays exact for 32 steps, and small ones still grow.
    let mut value = u128::from(first) << 32;
    let enough_here = u128::from(enough) << 32;
    for _ in 0..steps {
        if value >= enough_here {
            return enough;
        }
        value = value * u128::from(thousandths) / u128::from(MILLE);
    }
    let rounded = (value + (1 << 31)) >> 32;
    u64::try_from(rounded).unwrap_or(u64::MAX).min(enough)
}

fn share(of: u64, percent: u32) -> u64 {
    u64::try_from(u128::from(of) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// The point between `low` and `high` that `roll` chooses, to the nearest nanosecond.
fn between(low: u64, high: u64, roll: u64) -> u64 {
    let width = u128::from(high.saturating_sub(low));
    let most = u128::from(u64::MAX);
    low + ((width * u128::from(roll) + most / 2) / most) as u64
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = Duration::from_nanos;
        match self {
            Self::Constant(wait) => f.debug_tuple("Constant").field(&span(*wait)).finish(),
            Self::Linear { first, step } => f
                .debug_struct("Linear")
                .field("first", &span(*first))
                .field("step", &span(*step))
                .finish(),
            Self::Exponential { first, thousandths } => f
                .debug_struct("Exponential")
                .field("first", &span(*first))
                .field("factor", &(f64::from(*thousandths) / f64::from(MILLE)))
                .finish(),
            Self::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}

#[cfg(test)]
mod tests;
