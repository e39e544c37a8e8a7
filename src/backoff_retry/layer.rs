use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, header};
use tower_layer::Layer;

use super::{
    BackoffRetry,
    attempt::IDEMPOTENCY_KEY,
    budget::RetryBudget,
    cause::Cause,
    gate::{Always, Idempotent},
    policy::Policy,
};
use crate::{
    answers::{Http, Judged, Opaque},
    core::{
        backoff::{Backoff, Jitter},
        dice::Dice,
    },
    inner::CloneInner,
    spares::Spares,
    verdict::Provider,
};

/// Tries again what may work next time. See the [module](super).
///
/// | setting | default |
/// |---|---|
/// | [`attempts`](Self::attempts) | 3, the first included |
/// | [`backoff`](Self::backoff) | 500 ms doubling to 8 s |
/// | [`backoff_for`](Self::backoff_for) | one schedule for all causes |
/// | [`jitter`](Self::jitter) | full |
/// | [`max_hint`](Self::max_hint) | 60 s |
/// | [`hint_jitter`](Self::hint_jitter) | up to 50 % above a hint |
/// | [`deadline`](Self::deadline) | none |
/// | [`budget`](Self::budget) | 10 % of the requests and a reserve of 10 |
/// | [`only`](Self::only), [`idempotent_only`](Self::idempotent_only) | all requests |
/// | [`idempotency_key`](Self::idempotency_key) | none is written |
/// | [`attempt_header`](Self::attempt_header), [`attempt_extension`](Self::attempt_extension) | none is written |
/// | [`provider`](Self::provider) | told from each answer |
#[must_use]
pub struct BackoffRetryLayer<G = Always, P = Http> {
    policy: Arc<Policy>,
    gate: Arc<G>,
    answers: P,
}

impl BackoffRetryLayer {
    /// The defaults, with a budget of its own.
    pub fn new() -> Self {
        Self {
            policy: Arc::new(Policy::default()),
            gate: Arc::new(Always),
            answers: Http,
        }
    }
}

impl Default for BackoffRetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<G, P> BackoffRetryLayer<G, P> {
    /// So many tries, the first included; 1 means no retries.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn attempts(self, attempts: u32) -> Self {
        assert!(
            attempts > 0,
            "attempts: 0 would never send; 1 is one try and no retry"
        );
        self.set(|policy| policy.attempts = attempts)
    }

    /// How long to wait, jitter included. A provider's hint is a floor under it.
    ///
    /// # Panics
    /// If the schedule's minimum is above its maximum.
    #[track_caller]
    pub fn backoff(self, backoff: Backoff) -> Self {
        backoff.check("backoff");
        self.set(|policy| policy.backoff = backoff)
    }

    /// Another schedule for what failed by this cause. Tries are counted together, whatever they failed
    /// by.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_quota::{Backoff, BackoffRetryLayer, backoff_retry::Cause};
    ///
    /// let retry = BackoffRetryLayer::new()
    ///     .backoff_for(Cause::Connection, Backoff::constant(Duration::from_millis(50)))
    ///     .backoff_for(
    ///         Cause::RateLimited,
    ///         Backoff::exponential(Duration::from_secs(1), Duration::from_secs(20)),
    ///     );
    /// ```
    ///
    /// # Panics
    /// If the schedule's minimum is above its maximum.
    #[track_caller]
    pub fn backoff_for(self, cause: Cause, backoff: Backoff) -> Self {
        backoff.check("backoff_for");
        self.set(|policy| {
            policy.special.retain(|(of, _)| *of != cause);
            policy.special.push((cause, backoff));
        })
    }

    /// How the waits of the [`backoff`](Self::backoff) are spread, of the one that was said before: another brings its own.
    ///
    /// # Panics
    /// If it is [`Proportional`](Jitter::Proportional) by more than 100 %.
    #[track_caller]
    pub fn jitter(self, jitter: Jitter) -> Self {
        let backoff = self.policy.backoff.clone().jitter(jitter);
        self.set(|policy| policy.backoff = backoff)
    }

    /// A provider that asks for a longer wait isn't tried again: its answer is returned at once. Zero: whoever asks for
    /// any wait.
    pub fn max_hint(self, max: Duration) -> Self {
        self.set(|policy| policy.max_hint = max)
    }

    /// Clients that get the same hint don't come back in the same instant: each waits as long as the
    /// hint says and up to `percent` of it more, but by no more than the schedule's maximum (8 s).
    /// With 0, exactly as long.
    pub fn hint_jitter(self, percent: u32) -> Self {
        self.set(|policy| policy.above_hint = percent)
    }

    /// The whole call takes no longer, from `call` on. No wait goes past it: an outcome after which
    /// there isn't the time for another try is returned at once. A try that has no answer by then is
    /// dropped, and the outcome before it returned; where there is none, tower's
    /// [`Elapsed`](tower::timeout::error::Elapsed) is. What was answered in time may be read
    /// afterwards.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn deadline(self, deadline: Duration) -> Self {
        assert!(
            !deadline.is_zero(),
            "deadline: {deadline:?} leaves no time for a try"
        );
        self.set(|policy| policy.deadline = Some(deadline))
    }

    /// A budget to share with other layers: a [`RetryBudget`], or any
    /// [`tower::retry::budget::Budget`] in an [`Arc`].
    pub fn budget(self, budget: impl Into<RetryBudget>) -> Self {
        let budget = budget.into();
        self.set(|policy| policy.budget = Some(budget))
    }

    /// No budget: when a provider is down, every request is sent as often as there are attempts.
    pub fn no_budget(self) -> Self {
        self.set(|policy| policy.budget = None)
    }

    /// Retries only the requests for which this is true: those that may be sent twice.
    pub fn only<Req, F>(self, may_retry: F) -> BackoffRetryLayer<F, P>
    where
        F: Fn(&Req) -> bool,
    {
        self.gate(may_retry)
    }

    /// Retries only the requests that are idempotent by their method, and those that carry an
    /// `Idempotency-Key`. With [`idempotency_key`](Self::idempotency_key), all do.
    pub fn idempotent_only(self) -> BackoffRetryLayer<Idempotent, P> {
        self.gate(Idempotent)
    }

    /// Writes a key into each request's `Idempotency-Key` header, the same for all tries of a call, so
    /// that a provider that knows the header does once what was sent twice. One that is there already
    /// is kept. Requests that aren't http's stay as they are.
    #[track_caller]
    pub fn idempotency_key(self) -> Self {
        self.idempotency_key_in(IDEMPOTENCY_KEY)
    }

    /// The same in another header. [`idempotent_only`](Self::idempotent_only) looks for
    /// `Idempotency-Key` alone.
    ///
    /// # Panics
    /// If it is the [`attempt_header`](Self::attempt_header), or one that says what the request is.
    #[track_caller]
    pub fn idempotency_key_in(self, header: HeaderName) -> Self {
        check_header("idempotency_key_in", &header);
        self.set(|policy| policy.marks.key = Some(header))
            .check_marks("idempotency_key_in")
    }

    /// Writes into this header of each retry which try it is: `2` for the first retry. The first try
    /// has none. Requests that aren't http's stay as they are.
    ///
    /// # Panics
    /// If it is the header of the [`idempotency_key`](Self::idempotency_key), or one that says what the request is.
    #[track_caller]
    pub fn attempt_header(self, header: HeaderName) -> Self {
        check_header("attempt_header", &header);
        self.set(|policy| policy.marks.attempt_header = Some(header))
            .check_marks("attempt_header")
    }

    /// Two marks don't fit into one header.
    #[track_caller]
    fn check_marks(self, setting: &str) -> Self {
        let marks = &self.policy.marks;
        if let Some(header) = marks
            .key
            .as_ref()
            .filter(|_| marks.key == marks.attempt_header)
        {
            panic!(
                "{setting}: {header} can't hold an idempotency key and the number of an attempt"
            );
        }
        self
    }

    /// Puts an [`Attempt`](super::Attempt) into the extensions of each retry, for services further in.
    /// The first try has none. Requests that aren't http's stay as they are.
    pub fn attempt_extension(self) -> Self {
        self.set(|policy| policy.marks.attempt_extension = true)
    }

    /// Draws the jitter from `source`, numbers spread evenly over all of `u64`, instead of the
    /// thread's own generator. For tests.
    pub fn random(self, source: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.set(|policy| policy.dice = Dice::loaded(source))
    }

    /// Judges answers by `judge` instead: [`Classify`](crate::Classify) has an example.
    pub fn classify<F>(self, judge: F) -> BackoffRetryLayer<G, Judged<P, F>> {
        self.with(|answers| Judged::new(answers, judge))
    }

    fn gate<H>(self, gate: H) -> BackoffRetryLayer<H, P> {
        BackoffRetryLayer {
            policy: self.policy,
            gate: Arc::new(gate),
            answers: self.answers,
        }
    }

    fn with<Q>(self, answers: impl FnOnce(P) -> Q) -> BackoffRetryLayer<G, Q> {
        BackoffRetryLayer {
            policy: self.policy,
            gate: self.gate,
            answers: answers(self.answers),
        }
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(Arc::make_mut(&mut self.policy));
        self
    }
}

/// What a request is is nothing to write over.
#[track_caller]
fn check_header(setting: &str, name: &HeaderName) {
    let own = [
        header::AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TRANSFER_ENCODING,
    ];
    assert!(
        !own.contains(name),
        "{setting}: {name} says what the request is"
    );
}

impl<G> BackoffRetryLayer<G, Http> {
    /// For requests and answers of any type; the requests must be `Clone`.
    /// Before [`classify`](Self::classify), which judges those then.
    pub fn opaque(self) -> BackoffRetryLayer<G, Opaque> {
        self.with(|_| Opaque)
    }

    /// Whose answers these are, where it is known beforehand; otherwise it is told from each answer. Say it on the
    /// innermost layer, which reads the answer for all.
    pub fn provider(self, provider: Provider) -> BackoffRetryLayer<G, Provider> {
        self.with(|_| provider)
    }
}

impl<S: CloneInner, G, P: Clone> Layer<S> for BackoffRetryLayer<G, P> {
    type Service = BackoffRetry<S, G, P>;

    fn layer(&self, inner: S) -> Self::Service {
        BackoffRetry {
            inner,
            spares: Spares::new(Arc::clone(&self.policy)),
            gate: Arc::clone(&self.gate),
            answers: self.answers.clone(),
        }
    }
}

impl<G, P: Clone> Clone for BackoffRetryLayer<G, P> {
    fn clone(&self) -> Self {
        Self {
            policy: Arc::clone(&self.policy),
            gate: Arc::clone(&self.gate),
            answers: self.answers.clone(),
        }
    }
}

impl<G, P: fmt::Debug> fmt::Debug for BackoffRetryLayer<G, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffRetryLayer")
            .field("policy", &self.policy)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
