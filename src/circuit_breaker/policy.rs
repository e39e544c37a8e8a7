//! What an outcome says about the service, and the guard that reports it.

use std::{sync::Arc, time::Duration};

use super::circuit::Circuit;
use crate::{
    clock::Moment,
    core::breaker::{Sample, Ticket},
    verdict::Verdict,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) max_hint: Duration,
    pub(super) exhausted_for: Duration,
    pub(super) slow_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_hint: Duration::from_secs(600),
            exhausted_for: Duration::from_secs(600),
            slow_after: Duration::from_secs(10),
        }
    }
}

impl Policy {
    pub(super) fn sample(&self, verdict: Verdict) -> Sample {
        match verdict {
            Verdict::Success | Verdict::TooLarge | Verdict::Permanent => Sample::Success,
            Verdict::RateLimited { .. } | Verdict::Refused => Sample::Neutral,
            Verdict::Overloaded { retry_after } => {
                open_for(retry_after.unwrap_or_default().min(self.max_hint))
            }
            Verdict::Transient { .. } => Sample::Failure,
            Verdict::QuotaExhausted => open_for(self.exhausted_for),
        }
    }
}

/// A failure that opens the circuit at once where there is a time for it.
const fn open_for(wait: Duration) -> Sample {
    match wait {
        Duration::ZERO => Sample::Failure,
        wait => Sample::OpenFor(wait),
    }
}

/// A ticket that is always given back: with a verdict, or by drop.
#[derive(Debug)]
pub(super) struct Guard {
    circuit: Arc<Circuit>,
    policy: Policy,
    ticket: Option<Ticket>,
    // When the call turned out not to be answered at once.
    since: Option<Moment>,
    // Whether somebody else's code is running: a drop now is its panic.
    entered: bool,
}

impl Guard {
    pub(super) const fn new(circuit: Arc<Circuit>, policy: Policy, ticket: Ticket) -> Self {
        Self {
            circuit,
            policy,
            ticket: Some(ticket),
            since: None,
            entered: false,
        }
    }

    /// Runs somebody else's code. If it panics, the call has failed.
    pub(super) fn enter<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.entered = true;
        let done = run();
        self.entered = false;
        done
    }

    /// The call isn't answered yet.
    pub(super) fn pending(&mut self) {
        if self.since.is_none() {
            self.since = Some(Moment::now());
        }
    }

    pub(super) fn report(mut self, verdict: Verdict) {
        let sample = self.policy.sample(verdict);
        self.give_back(sample);
    }

    fn give_back(&mut self, sample: Sample) {
        if let Some(ticket) = self.ticket.take() {
            self.circuit.record(ticket, sample, self.since);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.ticket.is_none() {
            return;
        }
        let slow = || {
            (self.since).is_some_and(|since| Moment::now().since(since) >= self.policy.slow_after)
        };
        let sample = if self.entered || slow() {
            Sample::Failure
        } else {
            Sample::Neutral
        };
        self.give_back(sample);
    }
}
