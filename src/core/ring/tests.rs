//! A ring against a list of all calls.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;

/// What a list of all calls says: when, whether it failed, and when its step began.
fn counted(window: Window, calls: &VecDeque<(u64, bool, u64)>, now: u64) -> (u64, u64) {
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
    let failures = within.iter().filter(|(_, failed, _)| *failed).count();
    (within.len() as u64, failures as u64)
}

proptest! {
    #[test]
    fn the_ring_counts_what_a_list_counts(
        kind in 0u8..4, size in 1u32..20,
        calls in proptest::collection::vec((0u64..400, any::<bool>()), 1..300),
    ) {
        let span = Duration::from_millis(u64::from(size) * 100);
        let window = match kind {
            0 => Window::Calls(size),
            1 => Window::Time(span, size, Steps::Even),
            2 => Window::Time(span, size, Steps::ByCalls),
            _ => Window::Fixed(span),
        };
        let mut ring = Ring::new(window);
        let (mut list, mut now, mut began) = (VecDeque::new(), 0, None);
        for (later, failed) in calls {
            now += later * 1_000_000;
            let step = *began.filter(|began| now < began + 100_000_000).get_or_insert(now);
            began = Some(step);
            ring.record(failed, false, Time::from_nanos(now));
            list.push_back((now, failed, step));
            let sum = ring.sum(Time::from_nanos(now));
            prop_assert_eq!((sum.calls, sum.failures), counted(window, &list, now));
            if let Slots::ByCalls { slots, .. } = &ring.slots {
                prop_assert!(slots.len() <= size as usize, "constant memory");
            }
        }
    }
}
