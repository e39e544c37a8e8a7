//! A ring against a list of all calls.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;

/// When a call was, whether it failed and whether it was slow, and when its step began.
type Call = (u64, [bool; 2], u64);

/// What a list of all calls says.
fn counted(window: Window, calls: &VecDeque<Call>, now: u64) -> Tally {
    let within: Vec<_> = match window {
        Window::Calls(n) => calls.iter().rev().take(n as usize).collect(),
        Window::Time(span, steps, Steps::Even) => {
            let slot = span.as_nanos() as u64 / u64::from(steps);
            let first = (now / slot + 1).saturating_sub(u64::from(steps));
            calls.iter().filter(|(at, ..)| at / slot >= first).collect()
        }
        Window::Time(span, _, Steps::ByCalls) => {
            let span = span.as_nanos() as u64;
            calls
                .iter()
                .filter(|(.., began)| began + span > now)
                .collect()
        }
        Window::Fixed(_) => calls.iter().collect(),
    };
    let those = |which: usize| within.iter().filter(|(_, how, _)| how[which]).count() as u64;
    Tally {
        calls: within.len() as u64,
        failures: those(0),
        slow: those(1),
    }
}

/// One of each kind, of so many calls or tenths of a second.
fn window(kind: u8, size: u32) -> Window {
    let span = Duration::from_millis(u64::from(size) * 100);
    match kind {
        0 => Window::Calls(size),
        1 => Window::Time(span, size, Steps::Even),
        2 => Window::Time(span, size, Steps::ByCalls),
        _ => Window::Fixed(span),
    }
}

proptest! {
    #[test]
    fn the_ring_counts_what_a_list_counts(
        kind in 0u8..4, size in 1u32..20,
        calls in proptest::collection::vec((0u64..400, any::<[bool; 2]>()), 1..300),
    ) {
        let window = window(kind, size);
        let mut ring = Ring::new(window);
        let (mut list, mut now, mut began) = (VecDeque::new(), 0, None);
        for (later, how) in calls {
            now += later * 1_000_000;
            let step = *began.filter(|began| now < began + 100_000_000).get_or_insert(now);
            began = Some(step);
            ring.record(how[0], how[1], Time::from_nanos(now));
            list.push_back((now, how, step));
            prop_assert_eq!(ring.sum(Time::from_nanos(now)), counted(window, &list, now));
            if let Slots::ByCalls { slots, .. } = &ring.slots {
                prop_assert!(slots.len() <= size as usize, "constant memory");
            }
        }
    }
}

#[test]
fn a_step_that_begins_with_a_call_ends_when_its_time_is_over() {
    let ms = |ms: u64| Time::from_nanos(ms * 1_000_000);
    let mut ring = Ring::new(Window::Time(Duration::from_millis(200), 2, Steps::ByCalls));
    for now in [0, 99, 100] {
        ring.record(false, false, ms(now));
    }
    let calls = [199, 200, 299, 300].map(|now| ring.sum(ms(now)).calls);
    assert_eq!(calls, [3, 1, 1, 0]);
}

proptest! {
    /// As long as the ring stands still, it doesn't matter when it is told of successes.
    #[test]
    fn successes_that_are_told_later_count_where_they_came(
        kind in 0u8..4, size in 1u32..6,
        calls in proptest::collection::vec((0u64..150, 0u8..8), 1..200),
    ) {
        let window = window(kind, size);
        let (mut told, mut later_told) = (Ring::new(window), Ring::new(window));
        let (mut now, mut fresh) = (0, 0);
        for (later, what) in calls {
            now += later * 1_000_000;
            let at = Time::from_nanos(now);
            told.record(what == 0, what == 1, at);
            if what > 1 && at < later_told.still_until() {
                fresh += 1;
                continue;
            }
            later_told.succeeded(std::mem::take(&mut fresh));
            later_told.record(what == 0, what == 1, at);
            prop_assert_eq!(later_told.last(), told.last());
        }
        later_told.succeeded(fresh);
        prop_assert_eq!(later_told.last(), told.last());
    }
}

#[test]
fn a_ring_stands_still_until_its_step_ends_or_the_first_of_them_is_left_behind() {
    let ms = |ms: u64| Time::from_nanos(ms * 1_000_000);
    let span = Duration::from_millis(300);
    let mut even = Ring::new(Window::Time(span, 3, Steps::Even));
    assert_eq!(even.still_until(), ms(100));
    even.record(false, false, ms(250));
    assert_eq!(even.still_until(), ms(300));
    let mut by_calls = Ring::new(Window::Time(span, 3, Steps::ByCalls));
    assert_eq!(
        by_calls.still_until(),
        Time::ZERO,
        "the next call begins one"
    );
    by_calls.record(false, false, ms(10));
    assert_eq!(by_calls.still_until(), ms(110));
    by_calls.record(false, false, ms(230));
    assert_eq!(by_calls.still_until(), ms(310), "the first is left behind");
    for window in [Window::Calls(3), Window::Fixed(span)] {
        assert_eq!(Ring::new(window).still_until(), Time::MAX);
    }
}

#[test]
fn more_successes_than_a_step_has_room_for_are_lost() {
    let few = u64::from(u32::MAX) - 1;
    for begin in [Steps::Even, Steps::ByCalls] {
        let mut ring = Ring::new(Window::Time(Duration::from_secs(3), 3, begin));
        ring.record(true, false, Time::ZERO);
        ring.succeeded(few - 1);
        assert_eq!(ring.last().calls, few);
        ring.succeeded(5);
        assert_eq!((ring.last().calls, ring.last().failures), (few + 1, 1));
        ring.succeeded(5);
        assert_eq!(ring.last().calls, few + 1);
    }
}
