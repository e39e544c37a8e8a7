//! Closed, open, half-open.

use std::time::Duration;

use super::{
    ring::{Ring, Tally, Window},
    time::Time,
};

mod settings;

pub use settings::{CircuitCounts, CircuitState};
pub(crate) use settings::{Judge, Ppm, Settings};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    Success,
    Failure,
    /// Opens at once, at least for so long.
    OpenFor(Duration),
    /// Says nothing about the service.
    Neutral,
}

/// The right to one call, and which era of the circuit gave it. A late outcome of an older era
/// says nothing about this one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket {
    era: u64,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    /// How long it will be open.
    pub(crate) wait: Option<Duration>,
}

/// The changes of one step: at most from half-open to open and on to half-open again.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub(crate) struct Moves([Option<Move>; 2]);

impl Moves {
    fn push(&mut self, change: Move) {
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        *free.expect("a step changes the state twice at most") = Some(change);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Move> + '_ {
        self.0.iter().flatten().copied()
    }
}

impl From<Move> for Moves {
    fn from(change: Move) -> Self {
        Self([Some(change), None])
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open { until: Time },
    HalfOpen { ends: Time, out: u32, tally: Tally },
    ForcedOpen,
    ForcedClosed,
}

/// The circuit itself. `roll` is a number spread evenly over all of `u64`, for the jitter.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    settings: Settings,
    phase: Phase,
    era: u64,
    ring: Ring,
    // Openings since it was last closed: what the open time grows with.
    openings: u32,
    failures_in_a_row: u64,
    successes_in_a_row: u64,
    refused: u64,
    // When a fixed window starts anew.
    anew: Time,
}

impl Breaker {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            ring: Ring::new(settings.window),
            anew: match settings.window {
                Window::Fixed(span) => Time::ZERO.after(span),
                Window::Calls(_) | Window::Time(..) => Time::MAX,
            },
            settings,
            phase: Phase::Closed,
            era: 0,
            openings: 0,
            failures_in_a_row: 0,
            successes_in_a_row: 0,
            refused: 0,
        }
    }

    /// The same circuit with other settings, as if nothing had happened. Tickets that are out no
    /// longer count.
    pub(crate) fn anew(&self, settings: Settings) -> Self {
        Self {
            era: self.era + 1,
            ..Self::new(settings)
        }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
            Phase::ForcedOpen => CircuitState::ForcedOpen,
            Phase::ForcedClosed => CircuitState::ForcedClosed,
        }
    }

    /// Admits where that takes no look at the clock.
    pub(crate) const fn admit_closed(&self) -> Option<Ticket> {
        match (self.phase, self.settings.window) {
            // Which window it belongs to is a matter of time.
            (Phase::Closed, Window::Fixed(_)) => None,
            (Phase::Closed | Phase::ForcedClosed, _) => Some(Ticket { era: self.era }),
            _ => None,
        }
    }

    /// Admits, or says when to come back where that is known.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        roll: u64,
    ) -> (Result<Ticket, Option<Duration>>, Moves) {
        let mut moves = self.advance(now, roll);
        let looked = self.look(now);
        if let Err(wait) = looked {
            self.refused();
            return (Err(wait), moves);
        }
        if let Phase::Open { .. } = self.phase {
            moves.push(self.half_open(now));
        }
        if let Phase::HalfOpen { out, .. } = &mut self.phase {
            *out += 1;
        }
        (Ok(Ticket { era: self.era }), moves)
    }

    /// Whether a caller of now would be admitted. Takes nothing.
    pub(crate) fn look(&self, now: Time) -> Result<(), Option<Duration>> {
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => Ok(()),
            Phase::ForcedOpen => Err(None),
            // An end that can't be represented is never reached.
            Phase::Open { until: Time::MAX } => Err(Some(Time::MAX.since(now))),
            Phase::Open { until } if until <= now => Ok(()),
            Phase::Open { until } => Err(Some(until.since(now))),
            // Whoever is due will find out what comes then.
            Phase::HalfOpen { ends, .. } if ends <= now => Ok(()),
            Phase::HalfOpen { ends, out, tally } => {
                if u64::from(out) + tally.calls < u64::from(self.settings.permits) {
                    Ok(())
                } else {
                    // Nobody knows when the probes answer. Soon, but never later than this state.
                    Err(Some(ends.since(now).min(Duration::from_secs(1))))
                }
            }
        }
    }

    /// Counts a refusal.
    pub(crate) const fn refused(&mut self) {
        self.refused += 1;
    }

    /// Judges a call that took `took`.
    pub(crate) fn record(
        &mut self,
        ticket: Ticket,
        sample: Sample,
        took: Duration,
        now: Time,
        roll: u64,
    ) -> Moves {
        let mut moves = self.advance(now, roll);
        if ticket.era != self.era {
            return moves;
        }
        let neutral = sample == Sample::Neutral;
        let failed = matches!(sample, Sample::Failure | Sample::OpenFor(_));
        let slow = (self.settings.slow_rate).is_some_and(|(_, than)| took > than);
        match &mut self.phase {
            Phase::Closed if !neutral => self.ring.record(failed, slow, now),
            Phase::HalfOpen { out, tally, .. } => {
                *out -= 1;
                if !neutral {
                    tally.calls += 1;
                    tally.failures += u64::from(failed);
                    tally.slow += u64::from(slow);
                }
            }
            _ => {}
        }
        if neutral || matches!(self.phase, Phase::ForcedClosed) {
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
        match self.verdict(now) {
            Some(CircuitState::Closed) if asked.is_none() => moves.push(self.close()),
            Some(CircuitState::Open) => {
                let wait = self.wait(roll).max(asked.unwrap_or_default());
                moves.push(self.open(now, wait));
            }
            _ => {
                if let Some(wait) = asked {
                    moves.push(self.open(now, wait));
                }
            }
        }
        moves
    }

    /// Where the counts say that the circuit goes.
    fn verdict(&mut self, now: Time) -> Option<CircuitState> {
        let settings = &self.settings;
        let reached = |part: u64, rate: Option<Ppm>, calls: u64| {
            rate.is_some_and(|rate| part * 1_000_000 >= u64::from(rate) * calls)
        };
        let slow_rate = settings.slow_rate.map(|(rate, _)| rate);
        match self.phase {
            Phase::Closed => {
                let sum = self.ring.sum(now);
                let least = match settings.window {
                    Window::Calls(calls) => settings.min_calls.min(calls),
                    Window::Time(..) | Window::Fixed(_) => settings.min_calls,
                };
                let enough = sum.calls >= u64::from(least);
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

    pub(crate) fn counts(&mut self, now: Time) -> CircuitCounts {
        let tally = match self.phase {
            Phase::HalfOpen { tally, .. } => tally,
            Phase::Closed => self.ring.sum(now),
            _ => self.ring.last(),
        };
        CircuitCounts {
            calls: tally.calls,
            failures: tally.failures,
            slow_calls: tally.slow,
            consecutive_failures: self.failures_in_a_row,
            consecutive_successes: self.successes_in_a_row,
            refused: self.refused,
            openings: self.openings,
        }
    }

    /// Ends what is over: a half-open time whose probes never answered, a fixed window.
    pub(crate) fn advance(&mut self, now: Time, roll: u64) -> Moves {
        let mut moves = Moves::default();
        match (self.phase, self.settings.window) {
            (Phase::HalfOpen { ends, .. }, _) if ends <= now => {
                let wait = self.wait(roll);
                moves.push(self.open(ends, wait));
            }
            (Phase::Closed, Window::Fixed(span)) if self.anew <= now => {
                self.anew = now.after(span);
                self.era += 1;
                self.forget();
            }
            _ => {}
        }
        moves
    }

    pub(crate) fn force_open(&mut self) -> Move {
        self.enter(Phase::ForcedOpen, None)
    }

    pub(crate) fn force_closed(&mut self) -> Move {
        self.forget();
        self.enter(Phase::ForcedClosed, None)
    }

    /// Closed, and as if nothing had ever happened.
    pub(crate) fn reset(&mut self) -> Move {
        self.close()
    }

    /// Opens by hand, as long as the schedule says.
    #[cfg(test)]
    pub(crate) fn trip(&mut self, now: Time, wait: Option<Duration>, roll: u64) -> Move {
        let wait = wait.unwrap_or_else(|| self.wait(roll));
        self.open(now, wait)
    }

    /// How long this opening lasts, by the schedule.
    fn wait(&self, roll: u64) -> Duration {
        let opening = self.openings.saturating_add(1);
        self.settings.open.wait(opening, None, roll)
    }

    fn open(&mut self, now: Time, wait: Duration) -> Move {
        self.openings = self.openings.saturating_add(1);
        let until = now.after(wait);
        self.enter(Phase::Open { until }, Some(wait))
    }

    pub(crate) fn half_open(&mut self, now: Time) -> Move {
        self.forget();
        let ends = now.after(self.settings.max_half_open);
        self.enter(
            Phase::HalfOpen {
                ends,
                out: 0,
                tally: Tally::default(),
            },
            None,
        )
    }

    fn close(&mut self) -> Move {
        self.forget();
        self.openings = 0;
        self.enter(Phase::Closed, None)
    }

    fn forget(&mut self) {
        self.ring.clear();
        self.failures_in_a_row = 0;
        self.successes_in_a_row = 0;
        self.refused = 0;
    }

    fn enter(&mut self, phase: Phase, wait: Option<Duration>) -> Move {
        let from = self.state();
        self.phase = phase;
        self.era += 1;
        Move {
            from,
            to: self.state(),
            wait,
        }
    }
}

#[cfg(test)]
mod tests;
