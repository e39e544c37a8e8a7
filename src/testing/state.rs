//! What changes while a provider runs, and what it decides about a request.

use std::{collections::VecDeque, time::Duration};

use super::{
    Call, Faults, Outage, Outcome, Settlement,
    accounts::{Accounts, Decision, Refusal},
    answers::{Answer, Spent},
    builder::Settings,
    call::Endpoint,
    complaint::Complaint,
    faults::Dice,
    meters::nanos,
    report::Log,
};

pub(super) struct State {
    /// The latest time that anything was told, since the start: nothing runs backwards.
    clock: Duration,
    pub(super) accounts: Accounts,
    pub(super) faults: Faults,
    pub(super) scripted: VecDeque<Answer>,
    pub(super) log: Log,
    /// How many requests have set out.
    pub(super) departures: u64,
}

impl State {
    pub(super) fn new(settings: &Settings, faults: Faults) -> Self {
        Self {
            clock: Duration::ZERO,
            accounts: Accounts::new(&settings.rules(), settings.count_refused),
            faults,
            scripted: VecDeque::new(),
            log: Log::new(settings.log_capacity),
            departures: 0,
        }
    }

    /// The clock in nanoseconds, moved on to this time.
    pub(super) fn at(&mut self, since_start: Duration) -> u64 {
        self.clock = self.clock.max(since_start);
        nanos(self.clock)
    }
}

/// What was decided under the lock; the answer is written outside of it.
pub(super) enum Plan {
    HangUp,
    Stall(Duration),
    Say(Complaint),
    Script(Answer),
    Limited(Refusal),
    List(Vec<String>),
    Serve(Spent),
}

pub(super) struct Ruling {
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
    /// The id of the charge.
    pub(super) charge: Option<u64>,
    pub(super) actual: u64,
}

impl Ruling {
    fn uncounted(plan: Plan) -> Self {
        Self {
            plan,
            outcome: Outcome::Uncounted,
            charge: None,
            actual: 0,
        }
    }
}

impl State {
    /// The first of these that applies: an outage, a fault in transit, a script, something
    /// wrong with the request, a dead model, no money, a limit, a fault while it is served.
    pub(super) fn judge(
        &mut self,
        settings: &Settings,
        now: u64,
        asked: Result<&Call, Complaint>,
        dice: &mut Dice,
    ) -> Ruling {
        let faults = &self.faults;
        // All are drawn, whether they are needed or not: so turning one on leaves the others.
        let dropped_before = dice.chance(faults.drops_before);
        let dropped_after = dice.chance(faults.drops_after);
        let (stall, error) = (dice.fraction(), dice.fraction());
        let stalled = faults.stalls.filter(|(p, _)| stall < *p);
        let error = faults.errors.filter(|(p, _)| error < *p);
        let part = dice.fraction();

        match faults.outage_at(Duration::from_nanos(now)) {
            Some(Outage::Closed) => return Ruling::uncounted(Plan::HangUp),
            Some(Outage::Unavailable) => {
                let status = http::StatusCode::SERVICE_UNAVAILABLE;
                return Ruling::uncounted(Plan::Say(Complaint::fault(status)));
            }
            None if dropped_before => return Ruling::uncounted(Plan::HangUp),
            None => {}
        }
        if let Some(answer) = self.scripted.pop_front() {
            return Ruling::uncounted(Plan::Script(answer));
        }
        let call = match asked {
            Ok(call) => call,
            Err(complaint) => return Ruling::uncounted(Plan::Say(complaint)),
        };
        if call.endpoint == Endpoint::Models {
            let names = settings.models.iter();
            let alive = names.filter(|name| faults.dead(name).is_none());
            return Ruling::uncounted(Plan::List(alive.cloned().collect()));
        }
        if let Some(status) = faults.dead(&call.model) {
            let complaint = Complaint::dead_model(&call.model, status);
            return Ruling::uncounted(Plan::Say(complaint));
        }
        if faults
            .quota_ends_after
            .is_some_and(|after| self.log.admitted() >= after)
        {
            return Ruling::uncounted(Plan::Say(Complaint::insufficient_quota()));
        }
        let open = settings.settlement == Settlement::TrueUp;
        let charge = match self.accounts.decide(now, call.reserves(), open) {
            Decision::Admitted(charge) => charge,
            Decision::Refused(refusal) => {
                let outcome = match refusal.wait {
                    Some(_) => Outcome::RateLimited,
                    None => Outcome::TooLarge,
                };
                return Ruling {
                    outcome,
                    ..Ruling::uncounted(Plan::Limited(refusal))
                };
            }
        };
        let (plan, actual) = if dropped_after {
            (Plan::HangUp, 0)
        } else if let Some((_, time)) = stalled {
            (Plan::Stall(time), 0)
        } else if let Some((_, status)) = error {
            (Plan::Say(Complaint::fault(status)), 0)
        } else {
            let spent = spend(settings, call, part);
            (Plan::Serve(spent), spent.total())
        };
        Ruling {
            plan,
            outcome: Outcome::Admitted,
            charge: Some(charge),
            actual,
        }
    }
}

impl Plan {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::HangUp | Self::Stall(_) => None,
            Self::Say(complaint) => Some(complaint.status.as_u16()),
            Self::Script(answer) => Some(answer.status().as_u16()),
            Self::Limited(_) => Some(429),
            Self::List(_) | Self::Serve(_) => Some(200),
        }
    }
}

fn spend(settings: &Settings, call: &Call, part: f64) -> Spent {
    // A factor of exactly 1 must not go through floats, which would round large counts.
    let times = |tokens: u64, factor: f64| {
        if factor == 1.0 {
            tokens
        } else {
            (tokens as f64 * factor).ceil() as u64
        }
    };
    let (least, most) = settings.completion;
    let most_tokens = call.reserves() - call.prompt;
    Spent {
        prompt: times(call.prompt, settings.prompt_factor),
        completion: times(most_tokens, least + (most - least) * part),
    }
}
