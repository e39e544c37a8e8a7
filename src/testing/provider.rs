//! The provider itself: it counts, decides and answers, with `now` as an argument.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Response, header, request::Parts};
use tokio::time::Instant;

use super::{
    Arrival, Call, Faults, Outage, Outcome, ProviderBuilder, ProviderService, Report, Settlement,
    accounts::{Kind, Reading},
    answers::{self, Stamp},
    builder::Settings,
    complaint::{Complaint, rate_limited},
    faults::Dice,
    reply::{Fate, Reply, Ticket},
    report::Frame,
    state::{Plan, State},
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
        ProviderBuilder::openai()
    }

    pub(super) fn new(settings: Settings, faults: Faults) -> Self {
        let state = State::new(&settings, faults);
        let inner = Inner {
            settings,
            started: Instant::now(),
            epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
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

    /// What it saw so far.
    pub fn report(&self) -> Report {
        let settings = &self.inner.settings;
        let frame = Frame {
            minute: settings.minute,
            day: settings.day,
            requests_per_minute: settings.requests_per_minute,
            tokens_per_minute: settings.tokens_per_minute,
        };
        self.lock().log.report(settings.seed, frame)
    }

    /// The arrivals that are kept, oldest first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().log.arrivals().cloned().collect()
    }

    /// Counts and answers a call that arrives at `now`. Nothing waits: the reply says how long
    /// the answer takes. A `now` before one that was told already counts as that.
    pub fn handle(&self, now: Instant, call: &Call) -> Reply {
        self.visit(now, Ok(call))
    }

    /// Counts and answers a request that arrives at `now`.
    pub(super) fn handle_http(&self, now: Instant, parts: &Parts, body: &[u8]) -> Reply {
        let settings = &self.inner.settings;
        let asked = match self.check_key(parts) {
            Ok(()) => Call::read(&parts.method, parts.uri.path(), body, settings),
            Err(complaint) => Err(complaint),
        };
        self.visit(now, asked.as_ref().map_err(Clone::clone))
    }

    fn check_key(&self, parts: &Parts) -> Result<(), Complaint> {
        let Some(key) = &self.inner.settings.api_key else {
            return Ok(());
        };
        let Some(said) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(Complaint::no_key());
        };
        let said = said.to_str().ok().and_then(|said| said.split_once(' '));
        match said {
            Some((scheme, said)) if scheme.eq_ignore_ascii_case("bearer") && said == key => Ok(()),
            _ => Err(Complaint::wrong_key()),
        }
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

    fn visit(&self, now: Instant, asked: Result<&Call, Complaint>) -> Reply {
        let settings = &self.inner.settings;
        let since_start = self.since_start(now);
        let call = asked.as_ref().ok().copied();
        let reserved = call.map_or(0, Call::reserves);
        let model = call.map_or_else(|| "".into(), |call| call.model.clone());

        let mut state = self.lock();
        let now = state.at(since_start);
        let number = state.log.len();
        let mut dice = Dice::new(settings.seed, 2, number);
        let ruling = state.judge(settings, now, asked, &mut dice);
        let latency = match ruling.outcome {
            Outcome::Admitted => dice.delay(state.faults.latency),
            _ => Duration::ZERO,
        };
        let requests = u64::from(ruling.outcome == Outcome::Admitted);
        let number = state.log.push(Arrival {
            at: Duration::from_nanos(now),
            model,
            requests,
            reserved,
            charged: reserved * requests,
            actual: ruling.actual,
            outcome: ruling.outcome,
            status: ruling.plan.status(),
        });
        let requests = state.accounts.reading(now, Kind::RequestsPerMinute);
        let tokens = state.accounts.reading(now, Kind::TokensPerMinute);
        drop(state);

        let trued_up = match settings.settlement {
            Settlement::Keep => None,
            Settlement::TrueUp => ruling.charge,
        };
        let ticket = Ticket {
            number,
            charge: trued_up,
            reserved,
            actual: ruling.actual,
        };
        let wait = match &ruling.plan {
            Plan::Limited(refusal) => refusal.wait,
            _ => None,
        };
        let stamp = Stamp {
            id: u128::from(dice.next()) << 64 | u128::from(number),
            created: (self.inner.epoch + Duration::from_nanos(now)).as_secs(),
        };
        let fate = self.fate(ruling.plan, call, stamp, [requests, tokens]);
        Reply::new(self.clone(), ticket, ruling.outcome, latency, wait, fate)
    }

    fn fate(
        &self,
        plan: Plan,
        call: Option<&Call>,
        stamp: Stamp,
        [requests, tokens]: [Option<Reading>; 2],
    ) -> Fate {
        let settings = &self.inner.settings;
        let organization = &settings.organization;
        let mut answer = match (plan, call) {
            (Plan::HangUp, _) => return Fate::HangUp,
            (Plan::Stall(time), _) => return Fate::Stall(time),
            (Plan::Script(answer), _) => return Fate::Answer(answer),
            (Plan::Say(complaint), _) => complaint.into_answer(),
            (Plan::List(names), _) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                answers::models(&names, stamp)
            }
            (Plan::Limited(refusal), call) => {
                let model = call.map_or("", |call| &*call.model);
                rate_limited(&refusal, model, organization)
            }
            (Plan::Serve(spent), Some(call)) => {
                answers::served(call, spent, stamp, settings.dimensions)
            }
            (Plan::Serve(_), None) => Complaint::no_model().into_answer(),
        };
        let headers = answer.headers_mut();
        answers::common_headers(headers, stamp, organization);
        if settings.rate_headers {
            for (resource, reading) in [("requests", requests), ("tokens", tokens)] {
                if let Some(reading) = reading {
                    answers::rate_headers(headers, resource, &reading);
                }
            }
        }
        Fate::Answer(answer)
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
