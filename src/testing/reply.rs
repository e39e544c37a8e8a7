//! What a provider does with one request.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::Instant;

use super::{Outcome, Provider, ProviderBody, answers::Answer, limits::Tokens, script::Script};

/// What the caller sees.
pub(super) enum Fate {
    Answer(Answer),
    /// An answer in parts.
    Stream(Response<()>, Box<Script>),
    /// Nothing, for so long; then a closed connection.
    Stall(Duration),
    HangUp,
}

/// What is settled when the answer is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    /// Which arrival.
    pub(super) number: u64,
    pub(super) pool: usize,
    /// The charge that is trued up.
    pub(super) charge: Option<u64>,
    pub(super) reserved: Tokens,
    pub(super) used: Tokens,
    /// The tokens of an answer that comes at once.
    pub(super) output: u64,
}

/// What a provider does with one request. In flight until it is finished or dropped; one that is
/// dropped keeps its charge as it was reserved.
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
            Fate::Stream(head, _) => Some(head.status()),
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

    /// The answer is sent at `now`, a stream with all that it says: what was reserved is settled, if
    /// the provider does that. `None` where the connection is closed instead.
    pub fn finish(mut self, now: Instant) -> Option<Response<Bytes>> {
        match self.take() {
            Fate::Answer(answer) => {
                self.produce(now, self.ticket.output);
                self.end(now);
                Some(answer)
            }
            Fate::Stream(head, script) => {
                let mut said = String::new();
                for event in *script {
                    said.push_str(&event.text);
                    self.produce(now, event.produced);
                }
                self.end(now);
                Some(head.map(|()| said.into()))
            }
            Fate::Stall(_) | Fate::HangUp => None,
        }
    }

    /// The same, but a stream is sent as time goes by.
    pub(super) fn send(mut self, now: Instant) -> Option<Response<ProviderBody>> {
        match self.take() {
            Fate::Stream(head, script) => {
                Some(head.map(|()| ProviderBody::stream(*script, now, self)))
            }
            fate => {
                self.fate = fate;
                self.finish(now)
                    .map(|answer| answer.map(ProviderBody::whole))
            }
        }
    }

    fn take(&mut self) -> Fate {
        std::mem::replace(&mut self.fate, Fate::HangUp)
    }

    /// Tokens of the answer that were just produced.
    pub(super) fn produce(&mut self, now: Instant, tokens: u64) {
        if tokens == 0 {
            return;
        }
        let since_start = self.provider.since_start(now);
        let mut state = self.provider.lock();
        let now = state.at(since_start);
        state.accounts[self.ticket.pool].produce(now, tokens);
        state.log.produce(now, tokens);
    }

    /// The answer was sent.
    pub(super) fn end(&mut self, now: Instant) {
        self.settle(now, self.ticket.used);
    }

    /// Closes the charge, once.
    fn settle(&mut self, now: Instant, tokens: Tokens) {
        let Some(charge) = self.ticket.charge.take() else {
            return;
        };
        let since_start = self.provider.since_start(now);
        let mut state = self.provider.lock();
        let now = state.at(since_start);
        state.accounts[self.ticket.pool].settle(now, charge, tokens);
        let (from, to) = (self.ticket.reserved.all, tokens.all);
        state.log.settle(self.ticket.number, from, to);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("outcome", &self.outcome)
            .field("status", &self.status())
            .field("latency", &self.latency())
            .field("retry_after", &self.wait)
            .finish_non_exhaustive()
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
