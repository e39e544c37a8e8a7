//! Every state that a small circuit can get into, visited one after the other: against a list of
//! calls and rules that are read straight from the documentation.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::core::ring::Steps;

const STEP: Duration = Duration::from_secs(1);
/// Open for two steps, then, as long as probes fail, for four.
const OPEN: [u64; 2] = [2, 4];
const HINT: u64 = 3;
const HALF_OPEN: u64 = 3;
/// Calls that may be out, and in a window of time.
const AT_ONCE: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Action {
    Admit,
    End(usize, Sample),
    Wait,
    ByHand(Hand),
}

#[derive(Clone, Copy, Debug)]
enum Hand {
    ForceOpen,
    ForceClosed,
    Disable,
    MetricsOnly,
    Reset,
    Trip,
    OpenFor,
    HalfOpen,
}

#[derive(Clone, Debug)]
struct World {
    breaker: Breaker,
    now: u64,
    // The eras of the tickets that are out.
    out: Vec<u64>,
    // What the naive list has of the current window or the current probes: when, whether failed.
    list: Vec<(u64, bool)>,
}

impl World {
    fn new(settings: Settings) -> Self {
        Self {
            breaker: Breaker::new(settings),
            now: 0,
            out: Vec::new(),
            list: Vec::new(),
        }
    }

    fn time(&self) -> Time {
        Time::ZERO.after(STEP * self.now as u32)
    }

    fn actions(&self) -> Vec<Action> {
        use Hand::*;
        let mut actions = vec![Action::Wait];
        let by_time = !matches!(self.breaker.settings.window, Window::Calls(_));
        let counted = if by_time {
            self.windowed(self.breaker.state()).len()
        } else {
            0
        };
        if self.out.len() + counted < AT_ONCE {
            actions.push(Action::Admit);
        }
        for at in 0..self.out.len() {
            for sample in [
                Sample::Success,
                Sample::Failure,
                Sample::Neutral,
                Sample::OpenFor(STEP * HINT as u32),
            ] {
                actions.push(Action::End(at, sample));
            }
        }
        for hand in [
            ForceOpen,
            ForceClosed,
            Disable,
            MetricsOnly,
            Reset,
            Trip,
            OpenFor,
            HalfOpen,
        ] {
            actions.push(Action::ByHand(hand));
        }
        actions
    }

    fn draw(&mut self) {
        if let Some(opening) = self.breaker.wants() {
            let steps = OPEN[usize::from(opening > 1)];
            self.breaker.draw(STEP * steps as u32);
        }
    }

    fn act(&mut self, action: Action) {
        self.draw();
        let (before, era) = (self.breaker.state(), self.breaker.era);
        let now = self.time();
        match action {
            Action::Wait => {
                self.now += 1;
                let now = self.time();
                let _ = self.breaker.advance(now);
            }
            Action::Admit => {
                if let (Ok(ticket), _) = self.breaker.admit(now) {
                    self.out.push(ticket.era);
                }
            }
            Action::End(at, sample) => {
                let ticket = Ticket {
                    era: self.out.swap_remove(at),
                };
                let _ = self.breaker.advance(now);
                self.follow(before, era);
                let (before, era) = (self.breaker.state(), self.breaker.era);
                let stale = ticket.era != era;
                let counts = self.breaker.counts(now);
                let counting = matches!(
                    before,
                    CircuitState::Closed | CircuitState::HalfOpen | CircuitState::MetricsOnly
                );
                if !stale && counting && sample != Sample::Neutral {
                    let failed = sample != Sample::Success;
                    self.list.push((self.now, failed));
                }
                let moves = self.breaker.record(ticket, sample, Duration::ZERO, now);
                if stale {
                    assert!(moves.is_empty(), "a straggler moves nothing");
                    assert_eq!(self.breaker.counts(now), counts, "nor does it count");
                }
                self.follow(before, era);
                return;
            }
            Action::ByHand(hand) => {
                let breaker = &mut self.breaker;
                let _ = match hand {
                    Hand::ForceOpen => breaker.force_open(now),
                    Hand::ForceClosed => breaker.force_closed(),
                    Hand::Disable => breaker.disable(),
                    Hand::MetricsOnly => breaker.metrics_only(),
                    Hand::Reset => breaker.reset(),
                    Hand::Trip => breaker.trip(now, None),
                    Hand::OpenFor => breaker.trip(now, Some(STEP * HINT as u32)),
                    Hand::HalfOpen => breaker.half_open(now),
                };
            }
        }
        self.follow(before, era);
    }

    /// What a change of the circuit does to the list.
    fn follow(&mut self, before: CircuitState, era: u64) {
        if self.breaker.era == era {
            return;
        }
        match self.breaker.state() {
            // What made it open stays as it was then.
            CircuitState::Open | CircuitState::ForcedOpen => {
                if matches!(before, CircuitState::Closed | CircuitState::MetricsOnly) {
                    self.list = self.windowed(before);
                }
            }
            _ => self.list.clear(),
        }
    }

    fn windowed(&self, state: CircuitState) -> Vec<(u64, bool)> {
        let window = |calls: usize| self.list[self.list.len().saturating_sub(calls)..].to_vec();
        match (self.breaker.settings.window, state) {
            (Window::Calls(n), _) => window(n as usize),
            (Window::Time(span, ..), CircuitState::Closed | CircuitState::MetricsOnly) => {
                // Steps of the window are steps of the model's time: no call is older or younger
                // than the others of its step.
                let young = |at: u64| STEP * ((self.now - at) as u32) < span;
                let calls = self.list.iter().copied();
                calls.filter(|(at, _)| young(*at)).collect()
            }
            _ => self.list.clone(),
        }
    }

    fn check(&self) {
        let settings = &self.breaker.settings;
        let state = self.breaker.state();
        let mut probing = self.clone();
        let counts = probing.breaker.counts(self.time());
        let list = self.windowed(state);
        let failures = list.iter().filter(|(_, failed)| *failed).count();
        assert_eq!(
            (counts.calls, counts.failures),
            (list.len() as u64, failures as u64),
            "{self:?}"
        );
        if state == CircuitState::HalfOpen {
            let out = self.out.iter().filter(|era| **era == self.breaker.era);
            let probes = out.count() as u64 + counts.calls;
            assert!(probes <= u64::from(settings.permits), "a probe too many");
        }
        // Nobody answers any more: whoever asks is admitted in good time all the same.
        let latest = self.now + OPEN[1].max(HINT) + HALF_OPEN;
        loop {
            probing.draw();
            let admitted = probing.breaker.admit(probing.time()).0;
            match (state, admitted) {
                (CircuitState::ForcedOpen, admitted) => {
                    assert_eq!(admitted.unwrap_err(), None, "until somebody moves it");
                    break;
                }
                (_, Ok(_)) => break,
                (_, Err(wait)) => assert!(!wait.unwrap().is_zero(), "not yet, so it isn't now"),
            }
            probing.now += 1;
            assert!(probing.now <= latest, "no progress");
        }
    }

    /// All that the future depends on, and nothing that grows for ever.
    fn key(&self) -> String {
        let breaker = &self.breaker;
        let left = |until: Time| until.since(self.time()).as_secs();
        let phase = match breaker.phase {
            Phase::Open { until } => format!("{}", left(until)),
            Phase::HalfOpen {
                ends, out, tally, ..
            } => format!("{} {out} {tally:?}", left(ends)),
            Phase::MetricsOnly { over } => format!("{over}"),
            _ => String::new(),
        };
        let mut out: Vec<bool> = self.out.iter().map(|era| *era == breaker.era).collect();
        out.sort_unstable();
        let list: Vec<_> = (self.windowed(breaker.state()).iter())
            .map(
                |(at, failed)| match (breaker.settings.window, breaker.state()) {
                    (Window::Time(..), CircuitState::Closed | CircuitState::MetricsOnly) => {
                        (self.now - at, *failed)
                    }
                    _ => (0, *failed),
                },
            )
            .collect();
        let anew = match breaker.settings.window {
            Window::Fixed(_) => left(breaker.anew),
            _ => 0,
        };
        format!(
            "{:?} {phase} {out:?} {list:?} {} {} {anew}",
            breaker.state(),
            breaker.failures_in_a_row.min(2),
            breaker.openings.min(1),
        )
    }
}

/// Visits every state that can be reached, the nearest first. Returns how many there are.
fn explore(settings: Settings) -> usize {
    let mut seen = BTreeSet::new();
    let start = World::new(settings);
    seen.insert(start.key());
    let mut next = VecDeque::from([start]);
    while let Some(world) = next.pop_front() {
        for action in world.actions() {
            let mut then = world.clone();
            then.act(action);
            if seen.insert(then.key()) {
                then.check();
                next.push_back(then);
            }
        }
    }
    seen.len()
}

fn small(window: Window, permits: u32, judge: Judge) -> Settings {
    Settings {
        window,
        permits,
        judge,
        min_calls: 3,
        consecutive: Some(2),
        max_half_open: STEP * HALF_OPEN as u32,
        ..Settings::default()
    }
}

const WINDOWS: [Window; 4] = [
    Window::Calls(3),
    Window::Time(Duration::from_secs(3), 3, Steps::Even),
    Window::Time(Duration::from_secs(3), 3, Steps::ByCalls),
    Window::Fixed(Duration::from_secs(3)),
];

#[test]
fn from_every_state_there_is_progress_never_a_probe_too_many_and_counts_are_a_lists() {
    let mut visited = Vec::new();
    for window in WINDOWS {
        for (permits, judge) in [
            (1, Judge::AllSuccess),
            (2, Judge::AllSuccess),
            (2, Judge::Rate),
        ] {
            visited.push(explore(small(window, permits, judge)));
        }
    }
    // So that nobody's change makes it visit next to nothing.
    assert!(visited.iter().all(|states| *states > 500), "{visited:?}");
}
