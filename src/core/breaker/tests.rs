use std::ops::{Deref, DerefMut};

use proptest::prelude::*;

use super::super::backoff::{Backoff, Jitter};
use super::*;

mod by_hand;
mod calm;

const MS: fn(u64) -> Time = |ms| Time::from_nanos(ms * 1_000_000);
const SPAN: fn(u64) -> Duration = Duration::from_millis;
const MIDDLE: u64 = u64::MAX / 2;

/// A breaker whose open times are drawn as its owner would.
#[derive(Clone)]
struct Drawn {
    breaker: Breaker,
    open: Backoff,
    roll: u64,
}

impl Drawn {
    fn new(settings: Settings) -> Self {
        let open = Backoff::exponential(SPAN(5_000), SPAN(60_000));
        Self {
            breaker: Breaker::new(settings),
            open: open.jitter(Jitter::Proportional(20)),
            roll: MIDDLE,
        }
    }
}

impl Deref for Drawn {
    type Target = Breaker;

    fn deref(&self) -> &Breaker {
        &self.breaker
    }
}

impl DerefMut for Drawn {
    fn deref_mut(&mut self) -> &mut Breaker {
        if let Some(opening) = self.breaker.wants() {
            let wait = self.open.wait(opening, None, self.roll);
            self.breaker.draw(wait);
        }
        &mut self.breaker
    }
}

fn consecutive(n: u32, permits: u32) -> Drawn {
    Drawn {
        open: Backoff::constant(SPAN(1_000)).jitter(Jitter::None),
        ..Drawn::new(Settings {
            consecutive: Some(n),
            permits,
            ..Settings::default()
        })
    }
}

fn admit(breaker: &mut Drawn, now: Time) -> Result<Ticket, Option<Duration>> {
    breaker.admit(now).0
}

fn end(breaker: &mut Drawn, ticket: Ticket, sample: Sample, now: Time) -> Vec<CircuitState> {
    let moves = breaker.record(ticket, sample, Duration::ZERO, now);
    moves.iter().map(|m| m.to).collect()
}

fn call(breaker: &mut Drawn, sample: Sample, now: Time) {
    let ticket = admit(breaker, now).expect("admitted");
    end(breaker, ticket, sample, now);
}

#[test]
fn the_defaults_open_at_half_of_twenty_calls_in_thirty_seconds() {
    let mut breaker = Drawn::new(Settings::default());
    for n in 0..19 {
        let sample = if n % 2 == 0 {
            Sample::Failure
        } else {
            Sample::Success
        };
        call(&mut breaker, sample, MS(n * 1_000));
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    call(&mut breaker, Sample::Success, MS(19_000));
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.counts(MS(19_000)).failures, 10);
    let wait = admit(&mut breaker, MS(19_000)).unwrap_err().unwrap();
    assert!(wait.abs_diff(SPAN(5_000)) < SPAN(1), "{wait:?}");
}

#[test]
fn old_successes_hide_nothing() {
    let mut breaker = Drawn::new(Settings::default());
    for _ in 0..10_000 {
        call(&mut breaker, Sample::Success, MS(0));
    }
    for _ in 0..20 {
        call(&mut breaker, Sample::Failure, MS(31_000));
        if breaker.state() == CircuitState::Open {
            return;
        }
    }
    panic!("still closed");
}

#[test]
fn it_opens_exactly_until_its_time_and_says_so() {
    let mut breaker = consecutive(1, 1);
    call(&mut breaker, Sample::Failure, MS(0));
    assert_eq!(admit(&mut breaker, MS(400)).unwrap_err(), Some(SPAN(600)));
    let just_before = Time::from_nanos(1_000_000_000 - 1);
    let nanosecond = Some(Duration::from_nanos(1));
    assert_eq!(admit(&mut breaker, just_before).unwrap_err(), nanosecond);
    let probe = admit(&mut breaker, MS(1_000)).expect("exactly then");
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(admit(&mut breaker, MS(1_000)).is_err());
    let closed = end(&mut breaker, probe, Sample::Success, MS(1_001));
    assert_eq!(closed, [CircuitState::Closed]);
    let counts = breaker.counts(MS(1_001));
    assert_eq!((counts.calls, counts.refused, counts.openings), (0, 0, 0));
    assert_eq!(
        (counts.opened, counts.half_opened, counts.closed),
        (1, 1, 1)
    );
}

#[test]
fn outcomes_of_an_older_era_never_count() {
    let mut breaker = consecutive(1, 1);
    let late_success = admit(&mut breaker, MS(0)).unwrap();
    let late_failure = admit(&mut breaker, MS(0)).unwrap();
    call(&mut breaker, Sample::Failure, MS(10));
    let probe = admit(&mut breaker, MS(1_010)).unwrap();
    assert!(end(&mut breaker, late_success, Sample::Success, MS(1_020)).is_empty());
    assert!(end(&mut breaker, late_failure, Sample::Failure, MS(1_030)).is_empty());
    assert!(admit(&mut breaker, MS(1_040)).is_err(), "one probe is out");
    assert_eq!(
        end(&mut breaker, probe, Sample::Success, MS(1_050)),
        [CircuitState::Closed]
    );
}

#[test]
fn a_late_failure_extends_nothing() {
    let mut breaker = consecutive(1, 1);
    let late = admit(&mut breaker, MS(0)).unwrap();
    call(&mut breaker, Sample::Failure, MS(100));
    assert!(end(&mut breaker, late, Sample::OpenFor(SPAN(9_000)), MS(600)).is_empty());
    assert_eq!(admit(&mut breaker, MS(600)).unwrap_err(), Some(SPAN(500)));
}

#[test]
fn a_neutral_probe_gives_its_permit_back() {
    let mut breaker = consecutive(1, 1);
    call(&mut breaker, Sample::Failure, MS(0));
    for n in 0..100 {
        call(&mut breaker, Sample::Neutral, MS(1_000 + n));
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
    }
    call(&mut breaker, Sample::Success, MS(1_100));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_hung_probe_wedges_nothing() {
    let mut breaker = consecutive(1, 1);
    call(&mut breaker, Sample::Failure, MS(0));
    let hung = admit(&mut breaker, MS(1_000)).unwrap();
    assert!(admit(&mut breaker, MS(30_999)).is_err());
    // Thirty seconds are over: open once more, for a second.
    assert_eq!(
        admit(&mut breaker, MS(31_000)).unwrap_err(),
        Some(SPAN(1_000))
    );
    let probe = admit(&mut breaker, MS(32_000)).expect("the next probe");
    assert!(end(&mut breaker, hung, Sample::Success, MS(32_001)).is_empty());
    end(&mut breaker, probe, Sample::Success, MS(32_002));
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn the_open_time_doubles_and_starts_anew_once_closed() {
    let mut breaker = Drawn::new(Settings {
        consecutive: Some(1),
        ..Settings::default()
    });
    let mut now = 0;
    for expected in [5, 10, 20, 40, 54, 54] {
        // At the maximum, a fifth less to the maximum: 54 s in the middle.
        call(&mut breaker, Sample::Failure, MS(now));
        let wait = admit(&mut breaker, MS(now)).unwrap_err().unwrap();
        assert!(
            wait.abs_diff(Duration::from_secs(expected)) < SPAN(1),
            "{wait:?}"
        );
        now += expected * 1_000 + 1;
    }
    call(&mut breaker, Sample::Success, MS(now));
    call(&mut breaker, Sample::Failure, MS(now));
    let wait = admit(&mut breaker, MS(now)).unwrap_err().unwrap();
    assert!(wait.abs_diff(Duration::from_secs(5)) < SPAN(1), "{wait:?}");
}

#[test]
fn a_hint_opens_at_once_and_for_as_long_as_it_says() {
    let mut breaker = Drawn::new(Settings::default());
    call(&mut breaker, Sample::OpenFor(SPAN(1_700)), MS(0));
    assert_eq!(admit(&mut breaker, MS(0)).unwrap_err(), Some(SPAN(1_700)));
    // As a probe's answer it never shortens what the schedule says.
    call(&mut breaker, Sample::OpenFor(SPAN(1)), MS(1_700));
    let wait = admit(&mut breaker, MS(1_700)).unwrap_err().unwrap();
    assert!(wait > SPAN(9_000), "{wait:?}");
}

#[test]
fn forced_states_stay_and_count_nothing() {
    let mut breaker = consecutive(1, 1);
    breaker.force_open(MS(0));
    assert_eq!(admit(&mut breaker, MS(0)).unwrap_err(), None);
    assert_eq!(admit(&mut breaker, MS(1 << 40)).unwrap_err(), None);
    breaker.force_closed();
    for _ in 0..100 {
        call(&mut breaker, Sample::Failure, MS(0));
    }
    assert_eq!(breaker.state(), CircuitState::ForcedClosed);
    assert_eq!(breaker.counts(MS(0)).calls, 0);
    breaker.reset();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_reset_forgets_even_while_closed() {
    let mut breaker = consecutive(3, 1);
    let late = admit(&mut breaker, MS(0)).unwrap();
    call(&mut breaker, Sample::Failure, MS(0));
    call(&mut breaker, Sample::Failure, MS(0));
    breaker.reset();
    assert_eq!(breaker.counts(MS(0)), CircuitCounts::default());
    end(&mut breaker, late, Sample::Failure, MS(0));
    assert_eq!(breaker.counts(MS(0)).calls, 0);
}

#[test]
fn an_absurd_open_time_is_never_over() {
    let mut breaker = consecutive(1, 1);
    call(&mut breaker, Sample::OpenFor(Duration::MAX), MS(0));
    assert!(admit(&mut breaker, Time::MAX).is_err());
}

#[test]
fn probes_can_be_judged_by_rate() {
    let mut breaker = Drawn::new(Settings {
        permits: 4,
        judge: Judge::Rate,
        min_calls: 5,
        ..Settings::default()
    });
    for (outcomes, expected) in [("fsss", CircuitState::Closed), ("ffss", CircuitState::Open)] {
        breaker.trip(MS(0), Some(Duration::ZERO));
        for outcome in outcomes.chars() {
            let sample = if outcome == 'f' {
                Sample::Failure
            } else {
                Sample::Success
            };
            call(&mut breaker, sample, MS(0));
        }
        assert_eq!(breaker.state(), expected, "{outcomes}");
    }
}

#[test]
fn slow_calls_open_even_where_they_succeed() {
    let mut breaker = Drawn::new(Settings {
        slow_rate: Some((500_000, SPAN(4_000))),
        min_calls: 5,
        ..Settings::default()
    });
    for (n, took) in [5_000, 4_000, 4_001, 10, 9_000].into_iter().enumerate() {
        assert_eq!(breaker.state(), CircuitState::Closed, "{n}");
        let ticket = admit(&mut breaker, MS(0)).unwrap();
        let _ = breaker.record(ticket, Sample::Success, SPAN(took), MS(0));
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.counts(MS(0)).slow_calls, 3);
}

#[test]
fn a_count_of_failures_in_the_last_calls_opens() {
    let mut breaker = Drawn::new(Settings {
        window: Window::Calls(4),
        failures: Some(3),
        failure_rate: None,
        min_calls: 1,
        ..Settings::default()
    });
    for _ in 0..20 {
        call(&mut breaker, Sample::Success, MS(0));
        call(&mut breaker, Sample::Failure, MS(0));
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    call(&mut breaker, Sample::Failure, MS(0));
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn a_fixed_window_forgets_what_was_admitted_before_it() {
    let mut breaker = Drawn::new(Settings {
        window: Window::Fixed(SPAN(30_000)),
        ..Settings::default()
    });
    assert!(
        breaker.era_without_clock().is_none(),
        "it takes a look at the clock"
    );
    call(&mut breaker, Sample::Success, MS(29_000));
    let slow = admit(&mut breaker, MS(29_000)).unwrap();
    assert_eq!(breaker.counts(MS(29_500)).calls, 1);
    end(&mut breaker, slow, Sample::Success, MS(30_500));
    assert_eq!(breaker.counts(MS(30_500)).calls, 0);
    call(&mut breaker, Sample::Success, MS(30_500));
    assert_eq!(breaker.counts(MS(30_500)).calls, 1);
}

#[test]
fn failed_rounds_count_until_it_is_closed() {
    let mut breaker = consecutive(1, 1);
    for expected in [1, 2, 3] {
        breaker.trip(MS(0), None);
        breaker.half_open(MS(0));
        assert_eq!(breaker.counts(MS(0)).openings, expected);
    }
    breaker.reset();
    breaker.trip(MS(0), None);
    assert_eq!(breaker.counts(MS(0)).openings, 1);
}

proptest! {
    /// However it got there: whoever asks again when told to, and no later than open time and
    /// half-open time together, is admitted; never are more probes out than permits.
    #[test]
    fn there_is_always_progress_and_never_a_probe_too_many(
        permits in 1u32..4, rate in any::<bool>(),
        steps in proptest::collection::vec((0u64..9_000, 0u8..8, any::<u64>()), 1..120),
    ) {
        let mut breaker = Drawn::new(Settings {
            consecutive: Some(2), permits,
            judge: if rate { Judge::Rate } else { Judge::AllSuccess },
            ..Settings::default()
        });
        let mut out: Vec<Ticket> = Vec::new();
        let mut now = 0;
        for (later, what, roll) in steps {
            now += later;
            breaker.roll = roll;
            if what < 4 || out.is_empty() {
                if let (Ok(ticket), _) = breaker.admit(MS(now)) {
                    out.push(ticket);
                }
            } else {
                let ticket = out.swap_remove((roll % out.len() as u64) as usize);
                let sample = match what {
                    4 => Sample::Success,
                    5 => Sample::Failure,
                    6 => Sample::Neutral,
                    _ => Sample::OpenFor(SPAN(roll % 20_000)),
                };
                let _ = breaker.record(ticket, sample, Duration::ZERO, MS(now));
            }
            if breaker.state() == CircuitState::HalfOpen {
                let probes = out.iter().filter(|t| t.era == breaker.era).count();
                prop_assert!(probes <= permits as usize);
            }
            // No outcome ever comes: 60 s of open time at most, and 30 s of half-open.
            let mut alone = breaker.clone();
            let deadline = now + 90_000;
            let mut then = now;
            while let (Err(wait), _) = alone.admit(MS(then)) {
                let wait = wait.expect("nobody forced it");
                then += (wait.as_millis() as u64).max(1);
                prop_assert!(then <= deadline, "no progress in {:?}", alone.state());
            }
        }
    }
}
