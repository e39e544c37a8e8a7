//! A provider's limits together: a request is charged to all of them or to none.

use std::time::Duration;

use super::meters::{Bucket, Charge, Meter, Shape};

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    RequestsPerMinute,
    TokensPerMinute,
    RequestsPerDay,
}

impl Kind {
    /// As the provider's messages name it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requests per min (RPM)",
            Self::TokensPerMinute => "tokens per min (TPM)",
            Self::RequestsPerDay => "requests per day (RPD)",
        }
    }

    /// The `type` of the provider's errors.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::TokensPerMinute => "tokens",
            Self::RequestsPerMinute | Self::RequestsPerDay => "requests",
        }
    }

    fn counts_tokens(self) -> bool {
        self == Self::TokensPerMinute
    }
}

/// One limit: how much, in how long, counted how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) window: Duration,
    pub(super) shape: Shape,
    /// Enforced by this much of the window as well.
    pub(super) quantum: Option<Duration>,
}

#[derive(Debug)]
struct Account {
    kind: Kind,
    limit: u64,
    meter: Meter,
    /// The same limit by the quantum: it may refuse, but it is never shown.
    pace: Option<Meter>,
}

impl Account {
    fn asked(&self, tokens: u64) -> u64 {
        if self.kind.counts_tokens() { tokens } else { 1 }
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
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Charged to every limit under this id.
    Admitted(u64),
    /// Charged to none of them.
    Refused(Refusal),
}

/// The limit that stood in the way: of several, the one with the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) asked: u64,
    /// After which the same request would be admitted, if nothing else came; `None` is never.
    pub(super) wait: Option<Duration>,
}

/// What a limit's headers say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    pub(super) reset: Duration,
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
        let accounts = rules.iter().map(|rule| Account {
            kind: rule.kind,
            limit: rule.limit,
            meter: Meter::new(rule.shape, rule.limit, rule.window),
            pace: rule
                .quantum
                .map(|quantum| Meter::Bucket(Bucket::quantum(rule.limit, rule.window, quantum))),
        });
        Self {
            accounts: accounts.collect(),
            count_refused,
            next: 0,
        }
    }

    /// One request of so many tokens. An `open` charge is settled later.
    pub(super) fn decide(&mut self, now: u64, tokens: u64, open: bool) -> Decision {
        let Some(refusal) = self.longest_wait(now, tokens) else {
            let id = self.next_id();
            for account in &mut self.accounts {
                let charge = Charge {
                    id,
                    amount: account.asked(tokens),
                    open: open && account.kind.counts_tokens(),
                };
                account.charge(now, charge);
            }
            return Decision::Admitted(id);
        };
        if !self.count_refused || refusal.wait.is_none() {
            return Decision::Refused(refusal);
        }
        // The wait that is stated is the one after this request was counted too.
        let charge = Charge {
            id: self.next_id(),
            amount: 1,
            open: false,
        };
        for account in &mut self.accounts {
            if !account.kind.counts_tokens() {
                account.charge(now, charge);
            }
        }
        Decision::Refused(self.longest_wait(now, tokens).unwrap_or(refusal))
    }

    fn longest_wait(&mut self, now: u64, tokens: u64) -> Option<Refusal> {
        let mut longest: Option<Refusal> = None;
        for account in &mut self.accounts {
            let asked = account.asked(tokens);
            let wait = account.wait(now, asked);
            if wait == Some(0) {
                continue;
            }
            let wait = wait.map(Duration::from_nanos);
            let longer = match longest.map(|refusal| refusal.wait) {
                None => true,
                Some(None) => false,
                Some(Some(before)) => wait.is_none_or(|wait| wait > before),
            };
            if longer {
                longest = Some(Refusal {
                    kind: account.kind,
                    limit: account.limit,
                    used: account.meter.used(now),
                    asked,
                    wait,
                });
            }
        }
        longest
    }

    /// Closes an open charge at what was really used.
    pub(super) fn settle(&mut self, now: u64, id: u64, tokens: u64) {
        for account in &mut self.accounts {
            if account.kind.counts_tokens() {
                account.meter.settle(now, id, tokens);
                if let Some(pace) = &mut account.pace {
                    pace.settle(now, id, tokens);
                }
            }
        }
    }

    /// What the headers say of a limit, if there is one of the kind.
    pub(super) fn reading(&mut self, now: u64, kind: Kind) -> Option<Reading> {
        let account = self.accounts.iter_mut().find(|a| a.kind == kind)?;
        Some(Reading {
            limit: account.limit,
            remaining: account.limit.saturating_sub(account.meter.used(now)),
            reset: Duration::from_nanos(account.meter.reset(now)),
        })
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
