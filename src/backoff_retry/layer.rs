use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{BackoffRetry, budget::RetryBudget, policy::Policy};
use crate::{
    answers::{Http, Judged, Opaque},
    core::{
        backoff::{Backoff, Jitter},
        dice::Dice,
    },
    inner::CloneInner,
    verdict::Provider,
};

/// Tries again what may work next time. See the [module](super).
///
/// | setting | default |
/// |---|---|
/// | [`attempts`](Self::attempts) | 3, the first included |
/// | [`backoff`](Self::backoff) | 500 ms doubling to 8 s |
/// | [`jitter`](Self::jitter) | full |
/// | [`max_hint`](Self::max_hint) | 60 s |
/// | [`deadline`](Self::deadline) | none |
/// | [`budget`](Self::budget) | 10 % of the requests and a reserve of 10 |
/// | [`only`](Self::only) | all requests |
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
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.set(|policy| policy.backoff = backoff)
    }

    /// How the waits of the schedule are spread.
    pub fn jitter(self, jitter: Jitter) -> Self {
        self.set(|policy| policy.backoff = policy.backoff.clone().jitter(jitter))
    }

    /// A provider that asks for a longer wait isn't tried again: its answer is returned at once.
    pub fn max_hint(self, max: Duration) -> Self {
        self.set(|policy| policy.max_hint = max)
    }

    /// The whole call should take no longer, from `call` on. No wait goes past it; a retry that
    /// has no answer by then is dropped and the outcome before it returned. The first try isn't
    /// cut short, there being nothing else to return: put a time-out outside for that.
    pub fn deadline(self, deadline: Duration) -> Self {
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
        BackoffRetryLayer {
            policy: self.policy,
            gate: Arc::new(may_retry),
            answers: self.answers,
        }
    }

    /// Draws the jitter from `source`, numbers spread evenly over all of `u64`, instead of the
    /// thread's own generator. For tests.
    pub fn random(self, source: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.set(|policy| policy.dice = Dice::loaded(source))
    }

    /// For requests and answers of any type; the requests must be `Clone`.
    pub fn opaque(self) -> BackoffRetryLayer<G, Opaque> {
        self.with(|_| Opaque)
    }

    /// Judges answers by `judge` instead.
    pub fn classify<F>(self, judge: F) -> BackoffRetryLayer<G, Judged<P, F>> {
        self.with(|answers| Judged::new(answers, judge))
    }

    fn with<Q>(self, answers: impl FnOnce(P) -> Q) -> BackoffRetryLayer<G, Q> {
        BackoffRetryLayer {
            policy: self.policy,
            gate: self.gate,
            answers: answers(self.answers),
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(Arc::make_mut(&mut self.policy));
        self
    }
}

impl<G> BackoffRetryLayer<G, Http> {
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
            policy: Arc::clone(&self.policy),
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

/// Which requests may be sent more than once. Any `Fn(&Req) -> bool` is one.
pub trait MayRetry<Req> {
    /// Whether this request may.
    fn may_retry(&self, request: &Req) -> bool;
}

/// All requests may be sent more than once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Always;

impl<Req> MayRetry<Req> for Always {
    fn may_retry(&self, _: &Req) -> bool {
        true
    }
}

impl<Req, F: Fn(&Req) -> bool> MayRetry<Req> for F {
    fn may_retry(&self, request: &Req) -> bool {
        self(request)
    }
}
