//! Closed, open, half-open.

use std::time::Duration;

use super::{
    ring::{Ring, Tally, Window},
    time::Time,
};

mod calm;
mod counts;
mod judge;
mod moves;
mod settings;

pub use counts::{CircuitCounts, CircuitState};
pub(crate) use moves::{Move, Moves, Sample, Ticket, Worth};
pub(crate) use settings::{Judge, Ppm, Settings};

/// How long it opens for where the schedule couldn't say.
pub(crate) const UNTOLD: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: Time,
    },
    HalfOpen {
        ends: Time,
        out: u32,
        tally: Tally,
        // When one more may go although all permits are out.
        extra: Time,
    },
    ForcedOpen,
    ForcedClosed,
    Disabled,
    // `over`: whether it would be open by what was last judged.
    MetricsOnly {
        over: bool,
    },
}

/// The circuit itself.
///
/// How long it opens for is drawn by its owner, ahead of the opening: see [`wants`](Self::wants).
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    settings: Settings,
    phase: Phase,
    era: u64,
    ring: Ring,
    // What made it open, and whether that was enough for a rate.
    cause: (Tally, bool),
    // Openings since it was last closed: what the open time grows with.
    openings: u32,
    // How long the next opening lasts, and what was drawn before.
    next: Option<Duration>,
    before: Duration,
    failures_in_a_row: u64,
    successes_in_a_row: u64,
    refused: u64,
    // How often it became open, half-open, closed, and would have opened.
    totals: [u64; 4],
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
            phase: match settings.start {
                CircuitState::Disabled => Phase::Disabled,
                CircuitState::MetricsOnly => Phase::MetricsOnly { over: false },
                _ => Phase::Closed,
            },
            settings,
            era: 0,
            cause: Default::default(),
            openings: 0,
            next: None,
            before: UNTOLD,
            failures_in_a_row: 0,
            successes_in_a_row: 0,
            refused: 0,
            totals: [0; 4],
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
            Phase::Disabled => CircuitState::Disabled,
            Phase::MetricsOnly { .. } => CircuitState::MetricsOnly,
        }
    }

    /// The number of the opening whose time must be [drawn](Self::draw) before the next step: the
    /// schedule may be somebody's own code, which a step mustn't run.
    pub(crate) const fn wants(&self) -> Option<u32> {
        match self.next {
            None => Some(self.openings.saturating_add(1)),
            Some(_) => None,
        }
    }

    /// The next opening will last so long, even if another came since it was asked for: whoever
    /// moves the circuit while drawing mustn't draw for ever.
    pub(crate) const fn draw(&mut self, wait: Duration) {
        if self.next.is_none() {
            (self.next, self.before) = (Some(wait), wait);
        }
    }

    /// The era that a ticket is of, where everybody is admitted and that takes no look at the clock.
    pub(crate) const fn era_without_clock(&self) -> Option<u64> {
        match (self.phase, self.settings.window) {
            // Which window it belongs to is a matter of time.
            (Phase::Closed | Phase::MetricsOnly { .. }, Window::Fixed(_)) => None,
            (Phase::Open { .. } | Phase::HalfOpen { .. } | Phase::ForcedOpen, _) => None,
            _ => Some(self.era),
        }
    }

    /// Admits, or says when to come back where that is known.
    pub(crate) fn admit(&mut self, now: Time) -> (Result<Ticket, Option<Duration>>, Moves) {
        let mut moves = self.advance(now);
        if let Err(wait) = self.look(now) {
            self.refused(1);
            return (Err(wait), moves);
        }
        if let Phase::Open { .. } = self.phase {
            moves.push(self.half_open(now));
        }
        if let Phase::HalfOpen {
            out, tally, extra, ..
        } = &mut self.phase
        {
            if u64::from(*out) + tally.calls >= u64::from(self.settings.permits) {
                *extra = next_extra(&self.settings, now);
            }
            *out += 1;
        }
        (Ok(Ticket { era: self.era }), moves)
    }

    /// Whether a caller of now would be admitted. Takes nothing.
    pub(crate) fn look(&self, now: Time) -> Result<(), Option<Duration>> {
        match self.phase {
            Phase::ForcedOpen => Err(None),
            // An end that can't be represented is never reached.
            Phase::Open { until: Time::MAX } => Err(Some(Time::MAX.since(now))),
            Phase::Open { until } if until <= now => Ok(()),
            Phase::Open { until } => Err(Some(until.since(now))),
            Phase::HalfOpen {
                ends,
                out,
                tally,
                extra,
            } => {
                let left = u64::from(out) + tally.calls < u64::from(self.settings.permits);
                // Whoever comes after the end will find out what comes then.
                if left || ends <= now || (extra <= now && extra != Time::MAX) {
                    Ok(())
                } else {
                    // Nobody knows when the probes answer. Soon, but never later than this state.
                    let known = ends.min(extra).since(now);
                    Err(Some(known.min(Duration::from_secs(1))))
                }
            }
            _ => Ok(()),
        }
    }

    /// Counts so many refusals.
    pub(crate) const fn refused(&mut self, calls: u64) {
        self.refused += calls;
    }

    /// Until when it refuses everybody if it isn't moved by hand; for ever where it has to be. Zero where it may let somebody pass,
    /// or where an end that is never reached has to be told of.
    pub(crate) const fn shut_until(&self) -> Time {
        match self.phase {
            Phase::ForcedOpen => Time::MAX,
            Phase::Open { until } if until.nanos() < Time::MAX.nanos() => until,
            _ => Time::ZERO,
        }
    }

    /// Ends what is over: a half-open time whose probes never answered, a fixed window.
    pub(crate) fn advance(&mut self, now: Time) -> Moves {
        let mut moves = Moves::default();
        match (self.phase, self.settings.window) {
            (Phase::HalfOpen { ends, .. }, _) if ends <= now => {
                let wait = self.wait();
                moves.push(self.open(ends, wait));
            }
            (Phase::Closed | Phase::MetricsOnly { .. }, Window::Fixed(span))
                if self.anew <= now =>
            {
                self.anew = now.after(span);
                self.era += 1;
                self.forget();
            }
            _ => {}
        }
        moves
    }

    pub(crate) fn counts(&mut self, now: Time) -> CircuitCounts {
        let (tally, enough) = self.judged(now);
        let [opened, half_opened, closed, would_have_opened] = self.totals;
        CircuitCounts {
            calls: tally.calls,
            failures: tally.failures,
            slow_calls: tally.slow,
            consecutive_failures: self.failures_in_a_row,
            consecutive_successes: self.successes_in_a_row,
            refused: self.refused,
            openings: self.openings,
            opened,
            half_opened,
            closed,
            would_have_opened,
            enough: enough && tally.calls > 0,
        }
    }

    /// The calls that are judged now, and whether they are enough for a rate.
    fn judged(&mut self, now: Time) -> (Tally, bool) {
        match self.phase {
            Phase::HalfOpen { tally, .. } => {
                (tally, tally.calls >= u64::from(self.settings.permits))
            }
            Phase::Open { .. } | Phase::ForcedOpen => self.cause,
            Phase::Closed | Phase::MetricsOnly { .. } => {
                let sum = self.ring.sum(now);
                (sum, sum.calls >= self.settings.least())
            }
            Phase::ForcedClosed | Phase::Disabled => Default::default(),
        }
    }

    /// Whether anything would be lost if it were begun anew now.
    pub(crate) fn worth(&mut self, now: Time) -> Worth {
        match self.phase {
            Phase::Open { until } if until <= now && until != Time::MAX => Worth::Little,
            // Its probes are long gone: had anybody asked, it would have been open, and that be over, too.
            Phase::HalfOpen { ends, .. }
                if ends.after(self.wait()) <= now && ends.after(self.wait()) != Time::MAX =>
            {
                Worth::Little
            }
            _ if self.state() != self.settings.start => Worth::Much,
            _ if self.failures_in_a_row == 0 && self.ring.sum(now).calls == 0 => Worth::Nothing,
            _ => Worth::Little,
        }
    }

    pub(crate) fn force_open(&mut self, now: Time) -> Move {
        self.cause = self.judged(now);
        self.enter(Phase::ForcedOpen, None)
    }

    pub(crate) fn force_closed(&mut self) -> Move {
        self.forget();
        self.enter(Phase::ForcedClosed, None)
    }

    pub(crate) fn disable(&mut self) -> Move {
        self.forget();
        self.enter(Phase::Disabled, None)
    }

    pub(crate) fn metrics_only(&mut self) -> Move {
        self.forget();
        self.enter(Phase::MetricsOnly { over: false }, None)
    }

    /// Closed, and as if nothing had ever happened.
    pub(crate) fn reset(&mut self) -> Move {
        self.close()
    }

    /// Opens by hand, for so long or as long as the schedule says.
    pub(crate) fn trip(&mut self, now: Time, wait: Option<Duration>) -> Move {
        let wait = wait.unwrap_or_else(|| self.wait());
        self.open(now, wait)
    }

    pub(crate) fn half_open(&mut self, now: Time) -> Move {
        self.forget();
        let ends = now.after(self.settings.max_half_open);
        let extra = next_extra(&self.settings, now);
        self.enter(
            Phase::HalfOpen {
                ends,
                out: 0,
                tally: Tally::default(),
                extra,
            },
            None,
        )
    }

    /// How long an opening of now lasts.
    fn wait(&self) -> Duration {
        self.next.unwrap_or(self.before)
    }

    fn open(&mut self, now: Time, wait: Duration) -> Move {
        self.cause = self.judged(now);
        self.openings = self.openings.saturating_add(1);
        self.next = None;
        let until = now.after(wait);
        self.enter(Phase::Open { until }, Some(wait))
    }

    fn close(&mut self) -> Move {
        self.forget();
        if self.openings > 0 {
            (self.openings, self.next) = (0, None);
        }
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
        let to = self.state();
        if from != to {
            let total = match to {
                CircuitState::Open | CircuitState::ForcedOpen => Some(0),
                CircuitState::HalfOpen => Some(1),
                CircuitState::Closed => Some(2),
                _ => None,
            };
            if let Some(total) = total {
                self.totals[total] += 1;
            }
        }
        Move { from, to, wait }
    }
}

fn next_extra(settings: &Settings, now: Time) -> Time {
    settings.extra.map_or(Time::MAX, |every| now.after(every))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
