//! Who is told of what.

use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{Alert, target};
use crate::core::edges::{MOST_THRESHOLDS, Share, WHOLE};

/// A hook for [`Alert`]s, and when it is called. Give it to a [quota](crate::quota::QuotaBuilder::alerts); clones share the hook,
/// and whoever is given one counts for itself.
///
/// Every alert is told once, when it begins: a threshold of use again only after the use has fallen 5 points below it (to half
/// of it, for thresholds below 10 %), a share again only after it was half of its threshold.
///
/// ```
/// use tower_quota::{Alerts, Limit, Quota};
///
/// let alerts = Alerts::new(|alert| eprintln!("{alert}")).use_at([0.5, 0.8, 1.0]);
/// let quota = Quota::builder()
///     .limit(Limit::tokens_per_minute(30_000))
///     .named("openai")
///     .alerts(alerts)
///     .build()?;
/// # let _ = quota;
/// # Ok::<(), tower_quota::ConfigError>(())
/// ```
///
/// | setting | default |
/// |---|---|
/// | [`use_at`](Self::use_at) | 70 % and 90 % of every limit |
/// | [`rate_limited_above`](Self::rate_limited_above) | 1 % of the requests |
/// | [`retries_above`](Self::retries_above) | 5 % of the tries |
/// | [`over`](Self::over) | the last 5 minutes |
/// | [`at_least`](Self::at_least) | 20 requests |
///
/// # In the hook
///
/// It is called by whichever thread noticed, in the middle of a request, outside of every lock: it may call anything of the
/// quota and of a breaker's handle, and should return soon. What it does itself is looked at with the next request, so that
/// it is never called from within itself. A panic in it is logged and goes no further.
#[derive(Clone)]
#[must_use]
pub struct Alerts {
    hook: Arc<dyn Fn(&Alert) + Send + Sync>,
    used: Arc<[u32]>,
    rate_limited: u32,
    retries: u32,
    over: Duration,
    at_least: u64,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("used", &self.used)
            .field("rate_limited", &self.rate_limited)
            .field("retries", &self.retries)
            .field("over", &self.over)
            .field("at_least", &self.at_least)
            .finish_non_exhaustive()
    }
}

impl Alerts {
    /// Calls `hook` with every alert.
    pub fn new(hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        Self {
            hook: Arc::new(hook),
            used: Arc::new([WHOLE / 10 * 7, WHOLE / 10 * 9]),
            rate_limited: WHOLE / 100,
            retries: WHOLE / 20,
            over: Duration::from_secs(300),
            at_least: 20,
        }
    }

    /// When this share of a limit is used, or any of these. None: never.
    ///
    /// # Panics
    ///
    /// For a share that isn't above 0 and at most 1, and for more than eight.
    #[track_caller]
    pub fn use_at(mut self, shares: impl IntoIterator<Item = f64>) -> Self {
        let mut used = Vec::new();
        for share in shares {
            used.push(millionths("use_at", share));
        }
        used.sort_unstable();
        used.dedup();
        let n = used.len();
        assert!(
            n <= MOST_THRESHOLDS,
            "use_at: {n} thresholds are more than {MOST_THRESHOLDS}"
        );
        self.used = used.into();
        self
    }

    /// When more than this share of the requests is refused by the provider with 429. 1: never.
    ///
    /// # Panics
    ///
    /// For a share that isn't above 0 and at most 1.
    #[track_caller]
    pub fn rate_limited_above(mut self, share: f64) -> Self {
        self.rate_limited = millionths("rate_limited_above", share);
        self
    }

    /// When more than this share of the tries are retries. 1: never.
    ///
    /// # Panics
    ///
    /// For a share that isn't above 0 and at most 1.
    #[track_caller]
    pub fn retries_above(mut self, share: f64) -> Self {
        self.retries = millionths("retries_above", share);
        self
    }

    /// Over how much time shares are taken.
    ///
    /// # Panics
    ///
    /// For less than a second or more than a day.
    #[track_caller]
    pub fn over(mut self, time: Duration) -> Self {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(86_400));
        assert!(
            (least..=most).contains(&time),
            "over: {time:?} isn't between a second and a day"
        );
        self.over = time;
        self
    }

    /// How many requests or tries there must have been in that time for a share of them to be told.
    pub const fn at_least(mut self, requests: u64) -> Self {
        self.at_least = requests;
        self
    }

    pub(super) fn thresholds(&self) -> &[u32] {
        &self.used
    }

    pub(super) const fn time(&self) -> Duration {
        self.over
    }

    pub(super) fn share_of_refused(&self) -> Share {
        Share::new(self.rate_limited, self.over, self.at_least)
    }

    pub(super) fn share_of_retries(&self) -> Share {
        Share::new(self.retries, self.over, self.at_least)
    }

    /// Calls the hook. No lock may be held.
    pub(super) fn tell(&self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            let told =
                Telling::during(|| catch_unwind(AssertUnwindSafe(|| (self.hook)(&alert))).is_ok());
            if !told {
                tracing::error!(target: target::ALERT, %alert, "the hook for alerts panicked");
            }
        }
    }
}

/// In millionths.
#[track_caller]
fn millionths(setting: &str, share: f64) -> u32 {
    assert!(
        share > 0.0 && share <= 1.0,
        "{setting}: {share} is not a share above 0 and at most 1"
    );
    ((share * f64::from(WHOLE)).round() as u32).max(1)
}

thread_local! {
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a hook: what it does there is looked at with the next request.
pub(super) fn is_telling() -> bool {
    TELLING.try_with(Cell::get).unwrap_or(false)
}

struct Telling(bool);

impl Telling {
    fn during<T>(f: impl FnOnce() -> T) -> T {
        let _telling = Self(
            TELLING
                .try_with(|telling| telling.replace(true))
                .unwrap_or(false),
        );
        f()
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let before = self.0;
        let _ = TELLING.try_with(|telling| telling.set(before));
    }
}
