//! What an outcome says about the service, and the guard that reports it.

use std::{sync::Arc, time::Duration};

use super::circuit::Circuit;
use crate::{
    clock::{self, Moment},
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

/// A ticket while the inner service is called. Where that panics, the call has failed.
pub(super) struct Entry<'a> {
    circuit: &'a Arc<Circuit>,
    policy: &'a Policy,
    ticket: Option<Ticket>,
}

impl<'a> Entry<'a> {
    #[inline]
    pub(super) const fn new(circuit: &'a Arc<Circuit>, policy: &'a Policy, ticket: Ticket) -> Self {
        Self {
            circuit,
            policy,
            ticket: Some(ticket),
        }
    }

    /// The inner service has returned.
    #[inline]
    pub(super) fn guard(&mut self) -> Guard {
        Guard {
            circuit: Arc::clone(self.circuit),
            policy: *self.policy,
            ticket: self.ticket.take(),
            since: None,
            entered: false,
        }
    }
}

impl Drop for Entry<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.circuit.record(ticket, Sample::Failure, None);
        }
    }
}

impl Guard {
    /// Runs somebody else's code. If it panics, the call has failed.
    #[inline]
    pub(super) fn enter<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.entered = true;
        let done = run();
        self.entered = false;
        done
    }

    /// The call isn't answered yet.
    #[inline]
    pub(super) fn pending(&mut self) {
        if self.since.is_none() {
            self.since = Some(clock::look());
        }
    }

    #[inline]
    pub(super) fn report(&mut self, verdict: Verdict) {
        match (&verdict, self.ticket.take()) {
            (_, None) => {}
            (Verdict::Success, Some(ticket)) => self.circuit.succeeded(ticket, self.since),
            (_, Some(ticket)) => self.give_back(ticket, self.policy.sample(verdict)),
        }
    }

    #[cold]
    #[inline(never)]
    fn give_back(&self, ticket: Ticket, sample: Sample) {
        match sample {
            Sample::Success => self.circuit.succeeded(ticket, self.since),
            _ => self.circuit.record(ticket, sample, self.since),
        }
    }

    /// Dropped without a verdict.
    #[cold]
    #[inline(never)]
    fn give_up(&self, ticket: Ticket) {
        let slow = || {
            (self.since).is_some_and(|since| Moment::now().since(since) >= self.policy.slow_after)
        };
        let sample = if self.entered || slow() {
            Sample::Failure
        } else {
            Sample::Neutral
        };
        self.give_back(ticket, sample);
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.give_up(ticket);
        }
    }
}
