//! A provider's limits together: a request is charged to all of them or to none.

use std::time::Duration;

use super::{
    limits::{Kind, Rule, Tokens, Unit},
    meters::{Bucket, Charge, Meter},
};

#[derive(Debug)]
struct Account {
    rule: Rule,
    meter: Meter,
    /// The same limit by the quantum: it may refuse, but it is never shown.
    pace: Option<Meter>,
}

impl Account {
    fn new(rule: &Rule) -> Self {
        Self {
            rule: *rule,
            meter: Meter::new(rule.shape, rule.limit, rule.window),
            pace: rule
                .quantum
                .map(|quantum| Meter::Bucket(Bucket::quantum(rule.limit, rule.window, quantum))),
        }
    }

    fn unit(&self) -> Unit {
        self.rule.kind.unit()
    }

    /// What must fit: of the answer's tokens a single one.
    fn asked(&self, tokens: Tokens) -> u64 {
        match self.unit() {
            Unit::Requests | Unit::Output => 1,
            Unit::Tokens => tokens.all,
            Unit::Input => tokens.input,
        }
    }

    fn wait(&mut self, now: u64, amount: u64) -> Option<u64> {
        let wait = self.meter.wait(now, amount)?;
        let pace = self.pace.as_mut().and_then(|pace| pace.wait(now, amount));
        Some(wait.max(pace.unwrap_or(0)))
    }

    fn charge(&mut self, now: u64, charge: Charge) {
        self.meter.charge(now, charge);
        if let Some(pace) = &mut self.pace {
            pace.charge(now, charge);
        }
    }

    fn resize(&mut self, now: u64, id: u64, rule: &Rule) {
        self.rule = *rule;
        self.meter.resize(now, id, rule.limit, None);
        if let Some(pace) = &mut self.pace {
            pace.resize(now, id, rule.limit, rule.quantum);
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Charged to every limit under this id.
    Admitted(u64),
    /// Charged to none of them.
    Refused(Refusal),
}

/// The limit that stood in the way: of several, the one with the longest wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) asked: u64,
    /// After which the same request would be admitted, if nothing else came; `None` is never.
    pub(super) wait: Option<Duration>,
    /// All that stood in the way, with their limits.
    pub(super) violations: Vec<(Kind, u64)>,
}

/// What a limit's headers say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    /// Less than 0 where more was charged than there is.
    pub(super) remaining: i128,
    pub(super) reset: Duration,
    pub(super) window: Duration,
}

impl Reading {
    /// As most providers show it.
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.remaining.max(0)).unwrap_or(u64::MAX)
    }
}

/// Every limit's account.
#[derive(Debug)]
pub(super) struct Accounts {
    accounts: Vec<Account>,
    count_refused: bool,
    next: u64,
}

impl Accounts {
    pub(super) fn new(rules: &[Rule], count_refused: bool) -> Self {
        Self {
            accounts: rules.iter().map(Account::new).collect(),
            count_refused,
            next: 0,
        }
    }

    /// One request of so many tokens. An `open` charge is settled later.
    pub(super) fn decide(&mut self, now: u64, tokens: Tokens, open: bool) -> Decision {
        let Some(refusal) = self.longest_wait(now, tokens) else {
            return Decision::Admitted(self.charge(now, tokens, open));
        };
        if !self.count_refused || refusal.wait.is_none() {
            return Decision::Refused(refusal);
        }
        // The wait that is stated is the one after this request was counted too.
        let id = self.next_id();
        self.charge_all(now, id, Unit::Requests, 1, false);
        Decision::Refused(self.longest_wait(now, tokens).unwrap_or(refusal))
    }

    /// Charges a request, whether it fits or not.
    pub(super) fn charge(&mut self, now: u64, tokens: Tokens, open: bool) -> u64 {
        let id = self.next_id();
        self.charge_all(now, id, Unit::Requests, 1, false);
        self.charge_all(now, id, Unit::Tokens, tokens.all, open);
        self.charge_all(now, id, Unit::Input, tokens.input, open);
        id
    }

    /// Charges a request and its answer, if they fit or if they are to be charged anyway.
    pub(super) fn spend(&mut self, now: u64, tokens: Tokens, output: u64, anyway: bool) -> bool {
        let fits = self.longest_wait(now, tokens).is_none();
        if fits || anyway {
            self.charge(now, tokens, false);
            self.produce(now, output);
        }
        fits || anyway
    }

    /// Tokens of an answer that were just produced.
    pub(super) fn produce(&mut self, now: u64, tokens: u64) {
        if tokens > 0 {
            let id = self.next_id();
            self.charge_all(now, id, Unit::Output, tokens, false);
        }
    }

    fn charge_all(&mut self, now: u64, id: u64, unit: Unit, amount: u64, open: bool) {
        let charge = Charge { id, amount, open };
        for account in self.accounts.iter_mut().filter(|a| a.unit() == unit) {
            account.charge(now, charge);
        }
    }

    fn longest_wait(&mut self, now: u64, tokens: Tokens) -> Option<Refusal> {
        let mut longest: Option<Refusal> = None;
        let mut violations = Vec::new();
        for account in &mut self.accounts {
            let asked = account.asked(tokens);
            let wait = account.wait(now, asked);
            if wait == Some(0) {
                continue;
            }
            let Rule { kind, limit, .. } = account.rule;
            violations.push((kind, limit));
            let wait = wait.map(Duration::from_nanos);
            let longer = match longest.as_ref().map(|refusal| refusal.wait) {
                None => true,
                Some(None) => false,
                Some(Some(before)) => wait.is_none_or(|wait| wait > before),
            };
            if longer {
                longest = Some(Refusal {
                    kind,
                    limit,
                    used: account.meter.used(now),
                    asked,
                    wait,
                    violations: Vec::new(),
                });
            }
        }
        longest.map(|longest| Refusal {
            violations,
            ..longest
        })
    }

    /// Closes an open charge at what was really used.
    pub(super) fn settle(&mut self, now: u64, id: u64, tokens: Tokens) {
        for account in &mut self.accounts {
            let amount = match account.unit() {
                Unit::Tokens => tokens.all,
                Unit::Input => tokens.input,
                Unit::Requests | Unit::Output => continue,
            };
            account.meter.settle(now, id, amount);
            if let Some(pace) = &mut account.pace {
                pace.settle(now, id, amount);
            }
        }
    }

    /// Other limits from now on. What was charged stays charged.
    pub(super) fn resize(&mut self, now: u64, rules: &[Rule]) {
        let id = self.next_id();
        let mut before = std::mem::take(&mut self.accounts);
        for rule in rules {
            let same = before.iter().position(|a| a.rule.kind == rule.kind);
            self.accounts.push(match same {
                Some(i) => {
                    let mut account = before.swap_remove(i);
                    account.resize(now, id, rule);
                    account
                }
                None => Account::new(rule),
            });
        }
    }

    /// What the headers say of every limit.
    pub(super) fn readings(&mut self, now: u64) -> Vec<Reading> {
        let read = |account: &mut Account| Reading {
            kind: account.rule.kind,
            limit: account.rule.limit,
            remaining: i128::from(account.rule.limit) - i128::from(account.meter.used(now)),
            reset: Duration::from_nanos(account.meter.reset(now)),
            window: account.rule.window,
        };
        self.accounts.iter_mut().map(read).collect()
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
