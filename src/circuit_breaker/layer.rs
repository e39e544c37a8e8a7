use std::{hash::Hash, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    ByKey, CircuitBreaker, CircuitGateLayer, CircuitHandle, KeyedCircuitBreakerLayer,
    checks::{check_failures, check_number, check_span, check_steps, ppm},
    circuit::Circuit,
    house::House,
    policy::Policy,
};
use crate::{
    answers::{Http, Judged, Opaque},
    core::{
        backoff::{Backoff, Jitter},
        breaker::{CircuitState, Judge, Settings},
        dice::Dice,
        ring::{Steps, Window},
    },
    verdict::Provider,
};

/// Refuses calls to a service that fails, until it has recovered. See the [module](super).
///
/// | setting | default |
/// |---|---|
/// | [`failure_rate`](Self::failure_rate) | 0.5 |
/// | [`min_calls`](Self::min_calls) | 20 |
/// | [`window`](Self::window) | 30 s in 30 steps |
/// | [`consecutive_failures`](Self::consecutive_failures), [`failures`](Self::failures), [`slow_calls`](Self::slow_calls) | none |
/// | [`open_for`](Self::open_for) | 5 s doubling to 60 s, ±20 % |
/// | [`probes`](Self::probes) | 1, which must succeed |
/// | [`max_half_open`](Self::max_half_open) | 30 s |
/// | [`extra_probe_every`](Self::extra_probe_every) | never |
/// | [`disabled`](Self::disabled), [`metrics_only`](Self::metrics_only) | off |
/// | [`max_hint`](Self::max_hint) | 10 min |
/// | [`exhausted_for`](Self::exhausted_for) | 10 min |
/// | [`slow_after`](Self::slow_after) | 10 s |
/// | [`provider`](Self::provider) | told from each answer |
/// | [`named`](Self::named) | no name |
///
/// The layer, its clones, its services and their handles are one circuit: a setting that is
/// changed later is changed for all of them, and the circuit starts anew.
#[derive(Clone, Debug)]
#[must_use]
pub struct CircuitBreakerLayer<P = Http> {
    circuit: Arc<Circuit>,
    policy: Policy,
    answers: P,
}

impl CircuitBreakerLayer {
    /// A circuit of its own, with the defaults.
    pub fn new() -> Self {
        Self {
            circuit: Circuit::new(Settings::default(), Arc::new(()), House::new()),
            policy: Policy::default(),
            answers: Http,
        }
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> CircuitBreakerLayer<P> {
    /// Opens when this share of the calls in the window failed, from 0 to 1.
    ///
    /// # Panics
    /// If it isn't above 0 and at most 1.
    #[track_caller]
    pub fn failure_rate(self, rate: f64) -> Self {
        let rate = ppm("failure_rate", rate);
        self.circuit.configure(|s| s.failure_rate = Some(rate));
        self
    }

    /// No failure rate: only the other rules open the circuit. Where there is none, only spent money, a hint with an
    /// overload, and the [`handle`](Self::handle) do.
    pub fn no_failure_rate(self) -> Self {
        self.circuit.configure(|s| s.failure_rate = None);
        self
    }

    /// Fewer calls than this in the window say nothing. The last
    /// [`consecutive_failures`](Self::consecutive_failures) always do.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn min_calls(self, calls: u32) -> Self {
        assert!(
            calls > 0,
            "min_calls: 0 calls have no failure rate; 1 is the least"
        );
        self.circuit.configure(|s| s.min_calls = calls);
        self
    }

    /// Counts the calls of the last `window`, which slides in 30 steps.
    ///
    /// # Panics
    /// If it is shorter than 30 ns.
    #[track_caller]
    pub fn window(self, window: Duration) -> Self {
        check_steps("window", window, 30);
        self.time_window(window, 30, Steps::Even)
    }

    /// As [`window`](Self::window), sliding in so many steps: the more, the more smoothly. Each
    /// takes 12 bytes.
    ///
    /// # Panics
    /// If `window` is shorter than a nanosecond a step, or `steps` is 0 or more than 10,000.
    #[track_caller]
    pub fn window_in_steps(self, window: Duration, steps: u32) -> Self {
        check_steps("window_in_steps", window, steps);
        self.time_window(window, steps, Steps::Even)
    }

    /// As [`window_in_steps`](Self::window_in_steps), but that a step begins with the first call
    /// that comes after the one before is over, not by the clock.
    ///
    /// # Panics
    /// If `window` is shorter than a nanosecond a step, or `steps` is 0 or more than 10,000.
    #[track_caller]
    pub fn window_in_steps_by_calls(self, window: Duration, steps: u32) -> Self {
        check_steps("window_in_steps_by_calls", window, steps);
        self.time_window(window, steps, Steps::ByCalls)
    }

    fn time_window(self, window: Duration, steps: u32, begin: Steps) -> Self {
        self.circuit
            .configure(|s| s.window = Window::Time(window, steps, begin));
        self
    }

    /// Counts the last so many calls instead of those of the last so much time. Each takes 3 bytes.
    ///
    /// # Panics
    /// If it is 0 or more than 1,000,000, or less than the [`failures`](Self::failures) that open.
    #[track_caller]
    pub fn last_calls(self, calls: u32) -> Self {
        assert!(
            (1..=1_000_000).contains(&calls),
            "last_calls: {calls} calls aren't from 1 to 1,000,000"
        );
        self.circuit.configure(|s| s.window = Window::Calls(calls));
        check_failures("last_calls", &self.circuit.settings());
        self
    }

    /// Counts from the start of the current `interval`; then everything is forgotten, calls that
    /// are still out included.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn fixed_window(self, interval: Duration) -> Self {
        check_span("fixed_window", interval);
        self.circuit
            .configure(|s| s.window = Window::Fixed(interval));
        self
    }

    /// Opens also after so many failures without a success between them.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn consecutive_failures(self, failures: u32) -> Self {
        check_number("consecutive_failures", failures);
        self.circuit.configure(|s| s.consecutive = Some(failures));
        self
    }

    /// Opens also when so many calls in the window failed, whatever their share.
    ///
    /// # Panics
    /// If it is 0, or more than the [`last_calls`](Self::last_calls) that are counted.
    #[track_caller]
    pub fn failures(self, failures: u32) -> Self {
        check_number("failures", failures);
        self.circuit.configure(|s| s.failures = Some(failures));
        check_failures("failures", &self.circuit.settings());
        self
    }

    /// Opens also when this share of the calls in the window took longer than `than`, even if
    /// they succeeded.
    ///
    /// # Panics
    /// If `rate` isn't above 0 and at most 1, or `than` is zero.
    #[track_caller]
    pub fn slow_calls(self, rate: f64, than: Duration) -> Self {
        let rate = ppm("slow_calls", rate);
        check_span("slow_calls", than);
        self.circuit.configure(|s| s.slow_rate = Some((rate, than)));
        self
    }

    /// Open for `first`, doubling up to `max` as long as probes fail, spread by ±20 %.
    ///
    /// # Panics
    /// If `first` is zero, or `max` is less.
    #[track_caller]
    pub fn open_for(self, first: Duration, max: Duration) -> Self {
        check_span("open_for", first);
        assert!(
            max >= first,
            "open_for: {first:?} at first is more than {max:?} at most"
        );
        let backoff = Backoff::exponential(first, max);
        self.open_backoff(backoff.jitter(Jitter::Proportional(20)))
    }

    /// Open as long as this schedule says of the 1st, 2nd, … opening since it was last closed; for
    /// 5 s where it panics.
    ///
    /// # Panics
    /// If the schedule's minimum is above its maximum.
    #[track_caller]
    pub fn open_backoff(self, backoff: Backoff) -> Self {
        backoff.check("open_backoff");
        self.circuit.house().open_by(backoff);
        self.circuit.configure(|_| {});
        self
    }

    /// So many probes at once while half-open; the first failure opens again, as many successes
    /// close.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn probes(self, probes: u32) -> Self {
        check_number("probes", probes);
        self.circuit.configure(|s| {
            s.permits = probes;
            s.judge = Judge::AllSuccess;
        });
        self
    }

    /// So many probes while half-open; once all have been judged, the rates of the closed state
    /// decide.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn probes_by_rate(self, probes: u32) -> Self {
        check_number("probes_by_rate", probes);
        self.circuit.configure(|s| {
            s.permits = probes;
            s.judge = Judge::Rate;
        });
        self
    }

    /// Half-open at most so long: then it opens again, so that a probe that never answers wedges
    /// nothing.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn max_half_open(self, max: Duration) -> Self {
        check_span("max_half_open", max);
        self.circuit.configure(|s| s.max_half_open = max);
        self
    }

    /// While half-open and all probes are out, one more goes every so often, the first one so long
    /// after it became half-open: a probe that hangs holds the others up no longer than this. By
    /// default there are never more than [`probes`](Self::probes).
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn extra_probe_every(self, interval: Duration) -> Self {
        check_span("extra_probe_every", interval);
        self.circuit.configure(|s| s.extra = Some(interval));
        self
    }

    /// Switched off until its [`handle`](Self::handle) moves it: lets everything pass and counts
    /// nothing.
    pub fn disabled(self) -> Self {
        self.starts(CircuitState::Disabled)
    }

    /// Until its [`handle`](Self::handle) moves it, lets everything pass, counts, and says in its
    /// counts and events when it would have opened.
    pub fn metrics_only(self) -> Self {
        self.starts(CircuitState::MetricsOnly)
    }

    fn starts(self, state: CircuitState) -> Self {
        self.circuit.configure(|s| s.start = state);
        self
    }

    /// An overloaded provider that says how long to wait opens the circuit at once and for so
    /// long, but never for longer than this. Zero: the hint doesn't matter, such an answer is a failure like others.
    pub const fn max_hint(mut self, max: Duration) -> Self {
        self.policy.max_hint = max;
        self
    }

    /// How long an answer that says that the money is gone opens the circuit. Zero: it is a failure like others.
    pub const fn exhausted_for(mut self, wait: Duration) -> Self {
        self.policy.exhausted_for = wait;
        self
    }

    /// A call that its caller gave up is a failure if it had run so long, and says nothing before.
    pub const fn slow_after(mut self, run: Duration) -> Self {
        self.policy.slow_after = run;
        self
    }

    /// Draws the jitter from `source`, numbers spread evenly over all of `u64`, instead of the
    /// thread's own generator. For tests.
    pub fn random(self, source: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.circuit.house().load_dice(Dice::loaded(source));
        self.circuit.configure(|_| {});
        self
    }

    /// Judges answers by `judge` instead: [`Classify`](crate::Classify) has an example.
    pub fn classify<F>(self, judge: F) -> CircuitBreakerLayer<Judged<P, F>> {
        self.with(|answers| Judged::new(answers, judge))
    }

    pub(super) fn house(&self) -> &House {
        self.circuit.house()
    }

    fn with<Q>(self, answers: impl FnOnce(P) -> Q) -> CircuitBreakerLayer<Q> {
        CircuitBreakerLayer {
            circuit: self.circuit,
            policy: self.policy,
            answers: answers(self.answers),
        }
    }

    /// A circuit for every key, all with the settings of this layer, which come first. Handles and gates
    /// made before this are none of theirs. See [keys](super#keys). For a circuit for every model: `keyed(model_of)`, with
    /// [`model_of`](crate::tokens::model_of).
    pub fn keyed<Req, K, F>(self, key: F) -> KeyedCircuitBreakerLayer<ByKey<K, F>, P>
    where
        F: Fn(&Req) -> K,
        K: Hash + Eq + Clone + Send + Sync + 'static,
    {
        let by = ByKey::new(key, self.circuit.house().alike(), self.circuit.settings());
        KeyedCircuitBreakerLayer::new(by, self.policy, self.answers)
    }

    /// What looks at the circuit and moves it by hand.
    pub fn handle(&self) -> CircuitHandle {
        CircuitHandle::new(Arc::clone(&self.circuit))
    }

    /// A layer that only looks: it refuses while the circuit refuses, and takes no ticket. Put it
    /// outside of the limiters, to spare callers the queue.
    pub fn gate(&self) -> CircuitGateLayer {
        CircuitGateLayer::new(Arc::clone(&self.circuit))
    }
}

impl CircuitBreakerLayer<Http> {
    /// For requests and answers of any type.
    /// Before [`classify`](Self::classify), which judges those then.
    pub fn opaque(self) -> CircuitBreakerLayer<Opaque> {
        self.with(|_| Opaque)
    }

    /// Whose answers these are, where it is known beforehand; otherwise it is told from each answer. Say it on the
    /// innermost layer, which reads the answer for all.
    pub fn provider(self, provider: Provider) -> CircuitBreakerLayer<Provider> {
        self.with(|_| provider)
    }
}

impl<S, P: Clone> Layer<S> for CircuitBreakerLayer<P> {
    type Service = CircuitBreaker<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(
            inner,
            Arc::clone(&self.circuit),
            self.policy,
            self.answers.clone(),
        )
    }
}
