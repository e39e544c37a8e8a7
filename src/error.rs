//! What can go wrong: [`Rejected`] when a layer of ours refuses a request, [`ConfigError`] when settings contradict each other.

use std::{borrow::Borrow, error::Error, fmt, io, iter, time::Duration};

use crate::core::limit::LimitId;

/// The error of every layer: the inner service's own, or a [`Rejected`] that
/// [`Rejected::find`] brings to light.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why one of our layers refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It would have had to wait, and was asked not to.
    LimitReached,
    /// It would have had to wait longer than the quota's `max_wait`.
    WaitTooLong,
    /// Too many wait already.
    QueueFull,
    /// It can never fit: it asks for more than the limit allows at all.
    TooLarge,
    /// As many are in flight as may be.
    InFlightFull,
    /// The quota is paused, by a provider's answer or by hand.
    Paused,
    /// The circuit breaker is open.
    CircuitOpen,
    /// The store that counts for all who share the quota can't be reached.
    Unavailable,
}

/// Whose limit it was, which decides the status of a refusal that becomes a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Scope {
    /// The caller's own: 429. Every refusal by a [`RateLimitLayer`](crate::RateLimitLayer), with a key or without, and
    /// by a [`TokenBudgetLayer`](crate::TokenBudgetLayer) with a key; also whatever a [`Quota`](crate::Quota) refuses that
    /// is asked directly.
    #[default]
    Caller,
    /// One that callers share, or the provider's: 503. Every refusal by a
    /// [`TokenBudgetLayer`](crate::TokenBudgetLayer) without a key, and by a circuit that is open.
    Shared,
}

/// A refusal: which limit, how much was asked, how much is left, and when to come back.
///
/// ```
/// use tower_quota::{Cost, Limit, Quota};
///
/// let quota = Quota::builder().limit(Limit::tokens_per_minute(1_000)).build()?;
/// let refused = quota.try_acquire(Cost::tokens(1_200)).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "request too large: asks for 1200 of 1000 tokens per minute, can never fit",
/// );
/// # Ok::<(), tower_quota::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// The limit that stood in the way, where one did.
    pub limit: Option<LimitId>,
    /// How much of it was asked.
    pub asked: u64,
    /// How much of it was left.
    pub left: u64,
    /// Whether that would have been enough, were it not [kept](crate::quota::QuotaBuilder::keep_for) for the more urgent.
    pub kept: bool,
    /// When to come back: exact for whoever would have been next, a projection behind others, `None` where nobody knows or it
    /// can never fit.
    pub retry_after: Option<Duration>,
    /// Whose limit it was.
    pub scope: Scope,
}

impl Rejected {
    /// A refusal for a reason alone; the fields say more where there is more to say.
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            limit: None,
            asked: 0,
            left: 0,
            kept: false,
            retry_after: None,
            scope: Scope::Caller,
        }
    }

    /// The same refusal with the time after which to come back.
    pub const fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same refusal with whose limit it was.
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// What a caller may be told: all of its own limit, as [`Display`](fmt::Display) has it; of what callers share no figure but
    /// when to come back.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_quota::{Reason, Rejected, Scope};
    ///
    /// let refused = Rejected::new(Reason::QueueFull).retry_after(Some(Duration::from_secs(2)));
    /// assert_eq!(refused.detail(), "too many requests wait already, come back in 2s");
    /// assert_eq!(refused.scope(Scope::Shared).detail(), "the service is busy, come back in 2s");
    /// ```
    pub fn detail(&self) -> String {
        if self.is_callers() {
            return self.to_string();
        }
        match (self.reason, self.retry_after) {
            (Reason::TooLarge, _) => "the request is larger than the service takes".into(),
            (_, Some(wait)) => {
                format!("the service is busy, come back in {:?}", whole_millis(wait))
            }
            (_, None) => "the service is busy".into(),
        }
    }

    /// Whether it was the caller's own limit.
    pub(crate) fn is_callers(&self) -> bool {
        self.scope == Scope::Caller
            && !matches!(self.reason, Reason::CircuitOpen | Reason::Unavailable)
    }

    /// Finds our refusal in an error or in anything that caused it, however it was wrapped.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(<dyn Error>::downcast_ref::<Self>)
    }
}

/// An error and all that caused it.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        // It names the sources of what it wraps, but not that itself.
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::LimitReached => "limit reached",
            Reason::WaitTooLong => "the wait would be too long",
            Reason::QueueFull => "too many requests wait already",
            Reason::TooLarge => "request too large",
            Reason::InFlightFull => "too many requests in flight",
            Reason::Paused => "the quota is paused",
            Reason::CircuitOpen => "the circuit is open",
            Reason::Unavailable => "the shared quota can't be reached",
        })?;
        if let Some(limit) = &self.limit {
            write!(f, ": asks for {} of {limit}", self.asked)?;
            if self.reason != Reason::TooLarge {
                write!(f, ", {} left", self.left)?;
            }
            if self.kept {
                f.write_str(" and kept for the more urgent")?;
            }
        }
        match (self.reason, self.retry_after) {
            (Reason::TooLarge, _) => f.write_str(", can never fit"),
            (_, Some(wait)) => write!(f, ", come back in {:?}", whole_millis(wait)),
            (_, None) => Ok(()),
        }
    }
}

/// Rounded up: whoever comes back by what is shown is never early.
fn whole_millis(wait: Duration) -> Duration {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

impl Error for Rejected {}

impl From<Rejected> for RejectedError {
    fn from(rejected: Rejected) -> Self {
        Self(rejected)
    }
}

/// The thin wrapper in which a [`Rejected`] travels as a [`BoxError`].
///
/// Wrappers that forward `source()` hide themselves from a walk along the sources; as a source
/// of something, the refusal is found all the same. Its message ends in the refusal's own, for those
/// who show an error without its sources.
#[derive(Clone, Debug)]
pub struct RejectedError(Rejected);

impl RejectedError {
    /// A refusal as the error that the layers answer with.
    pub(crate) fn boxed(rejected: Rejected) -> BoxError {
        Box::new(Self(rejected))
    }
}

/// A refusal on its way out through a layer: boxed where it is made, so that from there on a pointer is all that moves.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<RejectedError>);

impl Refusal {
    /// The same with whose limit it was.
    #[inline]
    pub(crate) fn scope(mut self, scope: Scope) -> Self {
        self.0.0.scope = scope;
        self
    }

    /// As the error that the layers answer with.
    #[inline]
    pub(crate) fn error(self) -> BoxError {
        self.0
    }
}

impl From<Rejected> for Refusal {
    #[inline]
    fn from(rejected: Rejected) -> Self {
        Self(Box::new(RejectedError(rejected)))
    }
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        refusal.0.0
    }
}

impl Borrow<Rejected> for Refusal {
    #[inline]
    fn borrow(&self) -> &Rejected {
        &self.0.0
    }
}

impl fmt::Display for RejectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request refused before it was sent: {}", self.0)
    }
}

impl Error for RejectedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Settings that contradict each other or make no sense. Names the setting and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self {
            setting,
            problem: problem.into(),
        }
    }

    /// The setting that is wrong.
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_what_its_source_says_and_a_wait_of_whole_milliseconds() {
        for (wait, shown) in [
            (Duration::from_nanos(1_012_000_001), "1.013s"),
            (Duration::from_millis(1_013), "1.013s"),
            (Duration::from_nanos(1), "1ms"),
            (Duration::from_secs(30), "30s"),
        ] {
            let rejected = Rejected::new(Reason::Paused).retry_after(Some(wait));
            assert_eq!(
                rejected.to_string(),
                format!("the quota is paused, come back in {shown}")
            );
            let error = RejectedError::boxed(rejected.clone());
            assert_eq!(
                error.to_string(),
                format!("request refused before it was sent: {rejected}")
            );
            assert_eq!(Rejected::find(error.as_ref()), Some(&rejected));
        }
        // It names the sources of what it wraps, but not that itself.
        let bare = io::Error::other(io::Error::other(Rejected::new(Reason::Paused)));
        assert!(Rejected::find(&bare).is_some());
        let forever = Rejected::new(Reason::Paused).retry_after(Some(Duration::MAX));
        assert!(forever.to_string().contains("come back in"));
    }
}
