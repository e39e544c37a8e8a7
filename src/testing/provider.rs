//! The provider itself: it counts, decides and answers, with `now` as an argument.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use tokio::time::Instant;

use super::{
    Arrival, Call, Faults, Limits, Outage, Outcome, ProviderBuilder, ProviderService, Report,
    Settlement,
    answers::Stamp,
    batches::{Errand, Visit},
    complaint::Complaint,
    dialects::Dialect,
    dice::Dice,
    reply::{Reply, Ticket},
    report::Frame,
    settings::Settings,
    state::{Plan, State},
    telling::Teller,
};

/// A provider: its limits, its accounts, its faults and its log. Clones are the same provider.
///
/// See [the module](super) for examples.
#[derive(Clone)]
pub struct Provider {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    started: Instant,
    /// The wall clock at the start, which dates answers.
    epoch: Duration,
    state: Mutex<State>,
}

impl Provider {
    /// Sets up a provider that speaks as OpenAI does.
    pub fn openai() -> ProviderBuilder {
        ProviderBuilder::new(Dialect::OpenAi)
    }

    /// Sets up a provider that speaks as Azure OpenAI does: windows that reset, waits in whole
    /// seconds, and refusals of streamed responses inside of a 200.
    pub fn azure() -> ProviderBuilder {
        ProviderBuilder::new(Dialect::Azure)
    }

    /// Sets up a provider that speaks as Groq does: OpenAI's API, with headers of a day's
    /// requests and a 413 for what is too large.
    pub fn groq() -> ProviderBuilder {
        ProviderBuilder::new(Dialect::Groq)
    }

    /// Sets up a provider that speaks as Anthropic does: limits on the tokens of prompts and on those
    /// of answers apart; `max_tokens` reserves nothing, and what is read from the cache is free.
    pub fn anthropic() -> ProviderBuilder {
        ProviderBuilder::new(Dialect::Anthropic)
    }

    /// Sets up a provider that speaks as Gemini does: limits on the tokens of prompts, no rate
    /// headers, and all that there is to know in the errors.
    pub fn gemini() -> ProviderBuilder {
        ProviderBuilder::new(Dialect::Gemini)
    }

    pub(super) fn new(settings: Settings, faults: Faults) -> Self {
        let state = State::new(&settings, faults);
        let wall_clock = settings.wall_clock.unwrap_or_else(SystemTime::now);
        let inner = Inner {
            settings,
            started: Instant::now(),
            epoch: wall_clock.duration_since(UNIX_EPOCH).unwrap_or_default(),
            state: Mutex::new(state),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// When it was built: what arrivals and outages are dated from.
    pub fn started(&self) -> Instant {
        self.inner.started
    }

    /// The seed of everything that is drawn.
    pub fn seed(&self) -> u64 {
        self.inner.settings.seed
    }

    /// A tower service in this process, without a socket: for tests in paused time.
    pub fn service(&self) -> ProviderService {
        ProviderService::new(self.clone())
    }

    /// Changes what goes wrong from now on. Two changes at the same moment may lose one.
    pub fn faults(&self, change: impl FnOnce(Faults) -> Faults) {
        let faults = self.lock().faults.clone();
        let changed = change(faults);
        let before = std::mem::replace(&mut self.lock().faults, changed);
        drop(before);
    }

    /// Answers the next request with exactly this, whatever it is; further ones queue up. Such a
    /// request isn't counted.
    pub fn then_answer(&self, answer: Response<impl Into<Bytes>>) {
        let answer = answer.map(Into::into);
        self.lock().scripted.push_back(answer);
    }

    /// Other limits from `now` on, for the models that are in no pool: providers adapt them, too.
    /// What was charged stays charged. Two changes at the same moment may lose one.
    pub fn limits(&self, now: Instant, change: impl FnOnce(Limits) -> Limits) {
        self.resize(now, 0, change);
    }

    /// Other limits from `now` on for the pool that this model is in.
    pub fn limits_of(&self, now: Instant, model: &str, change: impl FnOnce(Limits) -> Limits) {
        self.resize(now, self.inner.settings.pool(model), change);
    }

    fn resize(&self, now: Instant, pool: usize, change: impl FnOnce(Limits) -> Limits) {
        let before = self.lock().limits[pool];
        let limits = change(before);
        let rules = self.inner.settings.rules(&limits);
        let since_start = self.since_start(now);
        let mut state = self.lock();
        let now = state.at(since_start);
        state.limits[pool] = limits;
        state.accounts[pool].resize(now, &rules);
    }

    /// Somebody else spends from the same limits at `now`: as much as this call would, answer and
    /// all, if it fits. Returns whether it did. It is no arrival.
    pub fn spend(&self, now: Instant, call: &Call) -> bool {
        self.charge(now, call, false)
    }

    /// The same, whether it fits or not: what remains may get less than nothing, as happens where
    /// a provider's servers count apart.
    pub fn overdraw(&self, now: Instant, call: &Call) {
        self.charge(now, call, true);
    }

    fn charge(&self, now: Instant, call: &Call, anyway: bool) -> bool {
        let settings = &self.inner.settings;
        let since_start = self.since_start(now);
        let reserved = settings.reserves(call);
        let mut state = self.lock();
        let now = state.at(since_start);
        let accounts = &mut state.accounts[settings.pool(&call.model)];
        if !accounts.spend(now, reserved, call.most(), anyway) {
            return false;
        }
        state.log.elsewhere.0 += 1;
        state.log.elsewhere.1 += reserved.all;
        true
    }

    /// What it saw so far, by the limits of the models that are in no pool.
    pub fn report(&self) -> Report {
        let state = self.lock();
        let frame = self.frame(&state.limits[0]);
        state.log.report(self.inner.settings.seed, frame)
    }

    /// What it saw so far of the pool that this model is in, by the pool's limits: computed from the
    /// arrivals that are kept. What answers produced isn't told apart.
    pub fn report_of(&self, model: &str) -> Report {
        let settings = &self.inner.settings;
        let pool = settings.pool(model);
        let state = self.lock();
        let frame = self.frame(&state.limits[pool]);
        let of = state.log.of(|model| settings.pool(model) == pool);
        drop(state);
        of.report(settings.seed, frame)
    }

    fn frame(&self, limits: &Limits) -> Frame {
        let settings = &self.inner.settings;
        Frame {
            minute: settings.minute,
            day: settings.day,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute.or(limits.input_tokens_per_minute),
        }
    }

    /// The arrivals that are kept, oldest first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().log.arrivals().cloned().collect()
    }

    /// Counts and answers a call that arrives at `now`. Nothing waits: the reply says how long
    /// the answer takes. A `now` before one that was told already counts as that.
    pub fn handle(&self, now: Instant, call: &Call) -> Reply {
        self.visit(now, Ok(call), None)
    }

    /// Counts and answers a request that arrives at `now`.
    pub(super) fn handle_http(&self, now: Instant, parts: &Parts, body: &[u8]) -> Reply {
        let settings = &self.inner.settings;
        if let Err(complaint) = self.check_key(parts) {
            return self.visit(now, Err(complaint), None);
        }
        match settings.dialect.errand(parts, body) {
            Some(Ok(errand)) => self.visit(now, Ok(&Call::errand()), Some(errand)),
            Some(Err(complaint)) => self.visit(now, Err(complaint), None),
            None => {
                let asked = settings.dialect.read(parts, body, settings);
                self.visit(now, asked.as_ref().map_err(Clone::clone), None)
            }
        }
    }

    fn check_key(&self, parts: &Parts) -> Result<(), Complaint> {
        let Some(key) = &self.inner.settings.api_key else {
            return Ok(());
        };
        match self.inner.settings.dialect.key(parts) {
            None => Err(Complaint::no_key()),
            Some(said) if said == key => Ok(()),
            Some(_) => Err(Complaint::wrong_key()),
        }
    }

    pub(super) fn base_path(&self) -> &'static str {
        self.inner.settings.dialect.base_path()
    }

    /// How long the next request is on its way.
    pub(super) fn depart(&self) -> Duration {
        let mut state = self.lock();
        state.departures += 1;
        let mut dice = Dice::new(self.seed(), 1, state.departures);
        dice.delay(state.faults.transit)
    }

    /// Notes a connection. `false` hangs up on it.
    pub(super) fn accept(&self, now: Instant) -> bool {
        let since_start = self.since_start(now);
        let mut state = self.lock();
        state.log.connections += 1;
        state.faults.outage_at(since_start) != Some(Outage::Closed)
    }

    fn visit(
        &self,
        now: Instant,
        asked: Result<&Call, Complaint>,
        errand: Option<Errand>,
    ) -> Reply {
        let settings = &self.inner.settings;
        let since_start = self.since_start(now);
        let call = asked.as_ref().ok().copied();
        let reserved = call.map(|call| settings.reserves(call)).unwrap_or_default();
        let model = call.map_or_else(|| "".into(), |call| call.model.clone());
        let pool = settings.pool(&model);

        let mut state = self.lock();
        let now = state.at(since_start);
        let number = state.log.len();
        let mut dice = Dice::new(settings.seed, 2, number);
        // Apart, so that streams leave what else is drawn as it is.
        let mut later = Dice::new(settings.seed, 3, number);
        let mut ruling = state.judge(settings, now, asked, reserved, [&mut dice, &mut later]);
        let latency = match ruling.outcome {
            Outcome::Admitted => dice.delay(state.faults.latency),
            _ => Duration::ZERO,
        };
        let stamp = Stamp {
            id: u128::from(dice.next()) << 64 | u128::from(number),
            wall: self.inner.epoch + Duration::from_nanos(now),
        };
        if let (Plan::Errand, Some(errand)) = (&ruling.plan, errand) {
            let State { shelf, faults, .. } = &mut *state;
            let visit = Visit {
                settings,
                faults,
                now: Duration::from_nanos(now),
                stamp,
                dice: &mut later,
            };
            ruling.plan = Plan::Run(shelf.run(errand, visit));
        }
        let teller = Teller {
            settings,
            call,
            pool,
            stamp,
            hint: state.faults.hint,
            stream: state.faults.stream,
            readings: state.accounts[pool].readings(now),
            reserved: reserved.all,
            dice: later,
        };
        let requests = u64::from(ruling.outcome == Outcome::Admitted);
        let number = state.log.push(Arrival {
            at: Duration::from_nanos(now),
            model,
            requests,
            reserved: reserved.all,
            charged: reserved.all * requests,
            actual: ruling.actual,
            outcome: ruling.outcome,
            status: teller.status(&ruling.plan),
        });
        drop(state);

        let ticket = Ticket {
            number,
            pool,
            charge: match settings.settlement {
                Settlement::Keep => None,
                Settlement::TrueUp => ruling.charge,
            },
            reserved,
            used: ruling.used,
            output: ruling.output,
        };
        let wait = match &ruling.plan {
            Plan::Limited(refusal) => refusal.wait,
            _ => None,
        };
        let fate = teller.fate(ruling.plan);
        Reply::new(self.clone(), ticket, ruling.outcome, latency, wait, fate)
    }

    pub(super) fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.inner.started)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("started", &self.inner.started)
            .field("seed", &self.inner.settings.seed)
            .finish_non_exhaustive()
    }
}
