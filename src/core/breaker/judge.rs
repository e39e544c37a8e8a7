//! What an outcome does to a circuit.

use std::time::Duration;

use super::{Breaker, CircuitState, Judge, Move, Moves, Phase, Ppm, Sample, Ticket};
use crate::core::{ring::Tally, time::Time};

impl Breaker {
    /// Judges a call that took `took`.
    pub(crate) fn record(
        &mut self,
        ticket: Ticket,
        sample: Sample,
        took: Duration,
        now: Time,
    ) -> Moves {
        let mut moves = self.advance(now);
        if ticket.era != self.era {
            return moves;
        }
        let neutral = sample == Sample::Neutral;
        let failed = matches!(sample, Sample::Failure | Sample::OpenFor(_));
        let slow = (self.settings.slow_rate).is_some_and(|(_, than)| took > than);
        match &mut self.phase {
            Phase::Closed | Phase::MetricsOnly { .. } if !neutral => {
                self.ring.record(failed, slow, now);
            }
            Phase::HalfOpen { out, tally, .. } => {
                *out -= 1;
                if !neutral {
                    tally.add(Tally::one(failed, slow));
                }
            }
            _ => {}
        }
        if neutral || matches!(self.phase, Phase::ForcedClosed | Phase::Disabled) {
            return moves;
        }
        if failed {
            self.failures_in_a_row += 1;
            self.successes_in_a_row = 0;
        } else {
            self.successes_in_a_row += 1;
            self.failures_in_a_row = 0;
        }
        let asked = match sample {
            Sample::OpenFor(wait) => Some(wait),
            _ => None,
        };
        // A hint alone opens for as long as it says; it never shortens what the counts ask for.
        let opens = match self.verdict() {
            Some(CircuitState::Open) => Some(self.wait().max(asked.unwrap_or_default())),
            Some(_) if asked.is_none() => {
                moves.push(self.close());
                return moves;
            }
            _ => asked,
        };
        if let Phase::MetricsOnly { over } = &mut self.phase {
            let was = std::mem::replace(over, opens.is_some());
            if let Some(wait) = opens.filter(|_| !was) {
                self.totals[3] += 1;
                moves.push(Move {
                    from: CircuitState::MetricsOnly,
                    to: CircuitState::MetricsOnly,
                    wait: Some(wait),
                });
            }
        } else if let Some(wait) = opens {
            moves.push(self.open(now, wait));
        }
        moves
    }

    /// Where the counts say that the circuit goes, the last call having just been counted.
    pub(super) fn verdict(&self) -> Option<CircuitState> {
        let settings = &self.settings;
        let reached = |part: u64, rate: Option<Ppm>, calls: u64| {
            rate.is_some_and(|rate| part * 1_000_000 >= u64::from(rate) * calls)
        };
        let slow_rate = settings.slow_rate.map(|(rate, _)| rate);
        match self.phase {
            Phase::Closed | Phase::MetricsOnly { .. } => {
                let sum = self.ring.last();
                let enough = sum.calls >= settings.least();
                let at_least = |part: u64, n: Option<u32>| n.is_some_and(|n| part >= u64::from(n));
                (enough
                    && (reached(sum.failures, settings.failure_rate, sum.calls)
                        || reached(sum.slow, slow_rate, sum.calls)
                        || at_least(sum.failures, settings.failures))
                    || at_least(self.failures_in_a_row, settings.consecutive))
                .then_some(CircuitState::Open)
            }
            Phase::HalfOpen { tally, .. } => {
                let all = tally.calls >= u64::from(settings.permits);
                let bad = match settings.judge {
                    Judge::AllSuccess => {
                        tally.failures > 0 || (slow_rate.is_some() && tally.slow > 0)
                    }
                    Judge::Rate => {
                        // Without a rate, the first failure is one too many.
                        let rate = settings.failure_rate.unwrap_or(1);
                        all && (reached(tally.failures, Some(rate), tally.calls)
                            || reached(tally.slow, slow_rate, tally.calls))
                    }
                };
                match (bad, all) {
                    (true, _) => Some(CircuitState::Open),
                    (false, true) => Some(CircuitState::Closed),
                    (false, false) => None,
                }
            }
            _ => None,
        }
    }
}
