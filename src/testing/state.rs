//! What changes while a provider runs, and what it decides about a request.

use std::{collections::VecDeque, time::Duration};

use super::{
    Call, Faults, Limits, Outage, Outcome, Settlement, StreamFault,
    accounts::{Accounts, Decision, Refusal},
    answers::{Answer, Spent},
    batches::Shelf,
    call::Endpoint,
    complaint::Complaint,
    dice::Dice,
    limits::Tokens,
    meters::nanos,
    report::Log,
    script::share,
    settings::{Settings, part},
};

pub(super) struct State {
    /// The latest time that anything was told, since the start: nothing runs backwards.
    clock: Duration,
    /// The limits of the models that are in no pool, and those of every pool.
    pub(super) limits: Vec<Limits>,
    pub(super) accounts: Vec<Accounts>,
    pub(super) faults: Faults,
    pub(super) scripted: VecDeque<Answer>,
    pub(super) log: Log,
    pub(super) shelf: Shelf,
    /// How many requests have set out.
    pub(super) departures: u64,
}

impl State {
    pub(super) fn new(settings: &Settings, faults: Faults) -> Self {
        let pools = settings.pools.iter().map(|pool| pool.limits);
        let limits: Vec<Limits> = std::iter::once(settings.limits).chain(pools).collect();
        let open = |limits| Accounts::new(&settings.rules(limits), settings.count_refused);
        Self {
            clock: Duration::ZERO,
            accounts: limits.iter().map(open).collect(),
            limits,
            faults,
            scripted: VecDeque::new(),
            log: Log::new(settings.log_capacity),
            shelf: Shelf::default(),
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
    /// The errand is to be run.
    Errand,
    /// What came of it.
    Run(Answer),
    Limited(Refusal),
    List(Vec<String>),
    Broke,
    Serve(Spent, Option<(StreamFault, u64)>),
}

pub(super) struct Ruling {
    pub(super) plan: Plan,
    pub(super) outcome: Outcome,
    /// The id of the charge.
    pub(super) charge: Option<u64>,
    /// What was really used, in all and by what counts which, and of the answer.
    pub(super) actual: u64,
    pub(super) used: Tokens,
    pub(super) output: u64,
}

impl Ruling {
    fn uncounted(plan: Plan) -> Self {
        Self {
            plan,
            outcome: Outcome::Uncounted,
            charge: None,
            actual: 0,
            used: Tokens::default(),
            output: 0,
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
        reserved: Tokens,
        [dice, later]: [&mut Dice; 2],
    ) -> Ruling {
        let faults = &self.faults;
        // All are drawn, whether they are needed or not: so turning one on leaves the others.
        let dropped_before = dice.chance(faults.drops_before);
        let dropped_after = dice.chance(faults.drops_after);
        let (stall, error) = (dice.fraction(), dice.fraction());
        let stalled = faults.stalls.filter(|(p, _)| stall < *p);
        let error = faults.errors.filter(|(p, _)| error < *p);
        let part = dice.fraction();
        let broken = later.fraction();
        let broken = faults.streams.filter(|(p, ..)| broken < *p);

        match faults.outage_at(Duration::from_nanos(now)) {
            Some(Outage::Closed) => return Ruling::uncounted(Plan::HangUp),
            Some(Outage::Unavailable) => {
                let status = settings.dialect.unavailable();
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
        if call.endpoint == Endpoint::Errand {
            return Ruling::uncounted(Plan::Errand);
        }
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
            return Ruling::uncounted(Plan::Broke);
        }
        let open = settings.settlement == Settlement::TrueUp;
        let pool = settings.pool(&call.model);
        let charge = match self.accounts[pool].decide(now, reserved, open) {
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
        let counted = |plan| Ruling {
            outcome: Outcome::Admitted,
            charge: Some(charge),
            ..Ruling::uncounted(plan)
        };
        if dropped_after {
            counted(Plan::HangUp)
        } else if let Some((_, time)) = stalled {
            counted(Plan::Stall(time))
        } else if let Some((_, status)) = error {
            counted(Plan::Say(Complaint::fault(status)))
        } else {
            let spent = spend(settings, call, part);
            let broken = broken.filter(|_| call.endpoint.is_streamed());
            let broken = broken.map(|(_, fault, pieces)| (fault, pieces));
            let said = match broken {
                Some((_, pieces)) => {
                    let all = faults.stream.pieces.saturating_mul(u64::from(call.choices));
                    let completion = share(spent.completion, pieces, all);
                    Spent {
                        completion,
                        ..spent
                    }
                }
                None => spent,
            };
            Ruling {
                actual: said.total(),
                used: settings.used(said),
                output: said.completion,
                ..counted(Plan::Serve(spent, broken))
            }
        }
    }
}

impl Plan {
    /// `None` where there is no answer.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::HangUp | Self::Stall(_) => None,
            Self::Say(complaint) => Some(complaint.status.as_u16()),
            Self::Script(answer) | Self::Run(answer) => Some(answer.status().as_u16()),
            Self::Limited(_) | Self::Broke => Some(429),
            Self::Errand | Self::List(_) | Self::Serve(..) => Some(200),
        }
    }
}

pub(super) fn spend(settings: &Settings, call: &Call, drawn: f64) -> Spent {
    // A factor of exactly 1 must not go through floats, which would round large counts.
    let times = |tokens: u64, factor: f64| {
        if factor == 1.0 {
            tokens
        } else {
            (tokens as f64 * factor).ceil() as u64
        }
    };
    let (least, most) = settings.completion;
    let prompt = times(call.prompt, settings.prompt_factor);
    let completion = times(call.most(), least + (most - least) * drawn);
    Spent {
        prompt,
        cached: settings.cached_of(prompt),
        completion,
        reasoning: part(completion, settings.reasoning),
    }
}
