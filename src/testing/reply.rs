//! What a provider does with one request.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::Instant;

use super::{Outcome, Provider, answers::Answer};

/// What the caller sees.
#[derive(Debug)]
pub(super) enum Fate {
    Answer(Answer),
    /// Nothing, for so long; then a closed connection.
    Stall(Duration),
    HangUp,
}

/// What is settled when the answer is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// Which arrival.
    pub(super) number: u64,
    /// The charge that is trued up.
    pub(super) charge: Option<u64>,
    pub(super) reserved: u64,
    pub(super) actual: u64,
}

/// What a provider does with one request. In flight until it is finished or dropped; one that is
/// dropped keeps its charge as it was reserved.
#[derive(Debug)]
#[must_use = "a reply that is dropped keeps its whole charge"]
pub struct Reply {
    provider: Provider,
    ticket: Ticket,
    outcome: Outcome,
    latency: Duration,
    wait: Option<Duration>,
    fate: Fate,
}

impl Reply {
    pub(super) fn new(
        provider: Provider,
        ticket: Ticket,
        outcome: Outcome,
        latency: Duration,
        wait: Option<Duration>,
        fate: Fate,
    ) -> Self {
        Self {
            provider,
            ticket,
            outcome,
            latency,
            wait,
            fate,
        }
    }

    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether it was charged to every limit.
    pub fn is_admitted(&self) -> bool {
        self.outcome == Outcome::Admitted
    }

    /// The answer's status; `None` where the connection is closed without one.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.fate {
            Fate::Answer(answer) => Some(answer.status()),
            Fate::Stall(_) | Fate::HangUp => None,
        }
    }

    /// How long the answer takes, or how long it stays silent before the connection is closed.
    pub fn latency(&self) -> Duration {
        match self.fate {
            Fate::Stall(time) => time,
            _ => self.latency,
        }
    }

    /// How long until the same request would be admitted, if nothing else came, to the
    /// nanosecond; `None` where no limit refused it, or it can never fit.
    pub fn retry_after(&self) -> Option<Duration> {
        self.wait
    }

    /// The answer is sent at `now`: what was reserved is settled, if the provider does that.
    /// `None` where the connection is closed instead.
    pub fn finish(mut self, now: Instant) -> Option<Response<Bytes>> {
        let fate = std::mem::replace(&mut self.fate, Fate::HangUp);
        let Fate::Answer(answer) = fate else {
            return None;
        };
        self.settle(now, self.ticket.actual);
        Some(answer)
    }

    /// Closes the charge, once.
    fn settle(&mut self, now: Instant, tokens: u64) {
        let Some(charge) = self.ticket.charge.take() else {
            return;
        };
        let since_start = self.provider.since_start(now);
        let mut state = self.provider.lock();
        let now = state.at(since_start);
        state.accounts.settle(now, charge, tokens);
        state
            .log
            .settle(self.ticket.number, self.ticket.reserved, tokens);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // An open charge that is never closed would keep a bucket's log growing.
        let started = self.provider.started();
        self.settle(started, self.ticket.reserved);
        self.provider.lock().log.leave();
    }
}
