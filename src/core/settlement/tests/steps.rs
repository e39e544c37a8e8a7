//! What is remembered, what is believed and when it is tried, step by step.

use super::*;

const SECONDS: [u64; 3] = [10 * SECOND, 20 * SECOND, 30 * SECOND];

/// A limit of 3,200 in 128 s: steps of a second, a slack of two.
fn settlement() -> Settlement {
    Settlement::new(3_200, 128 * SECOND, SECOND)
}

fn answered(reserved: u64, unused: u64) -> Answered {
    Answered { reserved, unused }
}

#[test]
fn what_was_answered_is_remembered_by_when_it_left_for_two_windows() {
    let mut history = super::super::history::History::new(128 * SECOND);
    let none = history.between(None, at(u64::MAX)).count();
    assert_eq!(none, 0, "nothing yet");
    for (second, reserved) in [(10, 5), (12, 7)] {
        history.add(answered(reserved, 1), at(second * SECOND), at(20 * SECOND));
    }
    let sums = |history: &super::super::history::History, after, before| {
        let sums = history.between(after, at(before));
        let sums = sums.filter(|(_, sum)| sum.reserved > 0);
        sums.map(|(begun, sum)| (begun.nanos() / SECOND, sum.reserved, sum.unused))
            .collect::<Vec<_>>()
    };
    let all = sums(&history, None, 13 * SECOND);
    assert_eq!(all[..3], [(12, 7, 1), (11, 7, 1), (10, 12, 2)]);
    assert_eq!(
        sums(&history, None, 13 * SECOND - 1).len(),
        11,
        "a step that isn't over"
    );
    assert_eq!(
        sums(&history, Some(at(10 * SECOND)), 13 * SECOND).last(),
        Some(&(11, 7, 1))
    );
    assert_eq!(
        sums(&history, Some(at(9 * SECOND)), 13 * SECOND).last(),
        Some(&(10, 12, 2))
    );
    // What left longer ago than that isn't remembered, nor what has not left yet.
    let now = 10 + 255;
    history.add(answered(1, 0), at(10 * SECOND), at(now * SECOND));
    assert_eq!(sums(&history, None, 11 * SECOND), [(10, 6, 1)]);
    history.add(answered(1, 0), at(10 * SECOND), at((now + 1) * SECOND));
    assert_eq!(sums(&history, None, 11 * SECOND), []);
    history.add(
        answered(9, 0),
        at((now + 2) * SECOND),
        at((now + 1) * SECOND),
    );
    assert_eq!(sums(&history, Some(at((now - 1) * SECOND)), u64::MAX), []);
    // Long after, everything is forgotten.
    history.add(answered(3, 0), at(5_000 * SECOND), at(5_000 * SECOND));
    assert_eq!(sums(&history, None, 5_001 * SECOND)[0], (5_000, 3, 0));
    assert_eq!(
        sums(&history, None, 5_001 * SECOND).last().map(|sum| sum.1),
        Some(3)
    );
}

#[test]
fn one_that_keeps_a_part_has_the_rest_of_what_is_unused_less() {
    assert_eq!(answered(100, 40).kept(2), 80);
    assert_eq!(answered(100, 40).kept(4), 90);
    assert_eq!(answered(10, 40).kept(2), 0);
}

#[test]
fn requests_are_spread_out_once_an_eighth_is_unused_and_for_a_while() {
    let window = 128 * SECOND;
    for (departed, unused, begins) in [
        (800, 0, false),
        (801, 100, false),
        (800, 100, true),
        (0, 1, true),
    ] {
        let mut settlement = settlement();
        settlement.departed(departed);
        settlement.answered(departed, unused, at(0), at(0));
        assert_eq!(settlement.on_trial(at(0)), begins, "{unused} of {departed}");
    }
    let mut nothing = settlement();
    assert!(!nothing.on_trial(at(0)), "nothing of nothing");
    // Eight windows of each sixty-four, from when it began.
    let mut settlement = settlement();
    settlement.departed(800);
    settlement.answered(800, 100, at(0), at(0));
    let begun = 7 * SECOND;
    assert!(settlement.on_trial(at(begun)));
    for (later, on) in [
        (8 * window - 1, true),
        (8 * window, false),
        (64 * window - 1, false),
        (64 * window, true),
        (72 * window - 1, true),
        (72 * window, false),
    ] {
        assert_eq!(settlement.on_trial(at(begun + later)), on, "{later}");
    }
    // Not for whom it is known.
    for belief in [Belief::GivesBack, Belief::KeepsForGood] {
        settlement.belief = belief;
        assert!(!settlement.on_trial(at(begun)));
    }
}

#[test]
fn what_left_and_what_came_back_are_marked() {
    let mut settlement = settlement();
    assert_eq!(settlement.departed(30).departed, 30);
    settlement.returned(10);
    settlement.answered(20, 4, at(0), at(0));
    let mark = settlement.departed(5);
    assert_eq!((mark.departed, mark.unused), (25, 4));
}

#[test]
fn two_contradictions_are_enough_if_they_are_apart_and_not_too_far() {
    let window = 80 * SECOND;
    let enough = |instants: &[u64], now| {
        let mut against = Against::default();
        instants.iter().for_each(|t| against.speak(at(*t), window));
        against.is_enough(at(now), window)
    };
    let first = 100 * SECOND;
    let apart = window / 8;
    assert!(!enough(&[first], first));
    assert!(!enough(&[first, first + apart - 1], first + apart));
    assert!(enough(&[first, first + apart], first + apart));
    // Each is counted from the last that counted.
    let third = first + apart + apart - 1;
    assert!(enough(&[first, first + apart - 1, first + apart], third));
    let together = 8 * window;
    assert!(enough(&[first, first + together], first + together));
    assert!(!enough(
        &[first, first + together + 1],
        first + together + 1
    ));
    assert!(enough(&[first, first + apart], first + together));
    assert!(!enough(&[first, first + apart], first + together + 1));
    // Long after, it begins anew.
    let anew = first + together + 1;
    assert!(enough(&[first, anew, anew + apart], anew + apart));
}

/// Of 3,200, so much was left by the account of a provider that was heard.
fn too_low(used: u64, least: i128, margin: u64) -> bool {
    let word = Word {
        at: at(0),
        mark: Mark::default(),
        used,
    };
    settlement().too_low(&word, least, margin)
}

#[test]
fn an_account_is_too_low_by_more_than_a_margin() {
    assert!(!too_low(900, 1_000, 32));
    assert!(too_low(899, 1_000, 32));
    assert!(too_low(949, 1_000, 64) && !too_low(950, 1_000, 64));
    assert!(!too_low(5, -7, 32));
}

#[test]
fn one_account_is_above_another_by_what_was_counted_in_between() {
    let word = |used, departed, unused| Word {
        at: at(0),
        mark: Mark { departed, unused },
        used,
    };
    let (early, late) = (word(100, 200, 40), word(180, 300, 80));
    // Of what left, 100 more, half of what is unused isn't there: 20 more.
    assert_eq!(late.above(&early, 2), 80 - 100 + 20);
    assert_eq!(late.above(&early, 4), 80 - 100 + 10);
    assert_eq!(early.above(&late, 2), 0);
    assert_eq!(early.above(&early, 2), 0);
}

#[test]
fn one_word_is_surely_after_another_by_more_than_a_slack() {
    let word = |nanos| Word {
        at: at(nanos),
        mark: Mark::default(),
        used: 0,
    };
    let settlement = settlement();
    let after = |nanos| settlement.surely_after(&word(nanos), &word(SECOND));
    assert!(!after(3 * SECOND) && after(3 * SECOND + 1) && !after(0));
}

#[test]
fn the_least_that_a_provider_has_is_what_was_surely_counted_by_then() {
    let mut settlement = settlement();
    let now = at(60 * SECOND);
    for left in SECONDS {
        settlement.departed(400);
        settlement.answered(400, 200, at(left), now);
    }
    // All but half of what is unused of what left two seconds before, and its step is over.
    assert_eq!(settlement.least(&word(12, 0)).0, 0);
    assert_eq!(settlement.least(&word(13, 0)).0, 300);
    assert_eq!(settlement.least(&word(33, 0)).0, 900);
    // A bucket refills 25 a second: 625 by the end of the slack since the first left, and 125 since the last.
    let (_, bucket) = settlement.least(&word(33, 0));
    assert_eq!(bucket, 900 - 625);
    // A rolling window forgets what left a window before the end of the slack.
    assert_eq!(settlement.least(&word(10 + 126, 0)).0, 600);
    let low = settlement.least_after(&word(12, 70), &word(33, 0), 2);
    assert_eq!(low, 70 + 600);
    assert_eq!(
        settlement.least_after(&word(12, 70), &word(33, 0), 4),
        70 + 700
    );
    assert_eq!(settlement.least_after(&word(30, 70), &word(33, 0), 4), 70);
}

#[test]
fn spans_are_added_and_taken_off_without_overflow() {
    assert_eq!((later(at(5), 7), earlier(at(5), 3)), (at(12), at(2)));
    assert_eq!(later(at(u64::MAX), 7), Time::MAX);
    assert_eq!(earlier(at(5), 7), Time::ZERO);
    let settlement = settlement();
    assert_eq!(settlement.refill(at(9), at(2)), 3_200 * 7);
    assert_eq!(settlement.refill(at(2), at(9)), 0);
    assert_eq!(settlement.tokens(u128::from(128 * SECOND) * 3), 3);
    let no_window = Settlement::new(5, 0, 0);
    assert_eq!(no_window.tokens(u128::MAX), i128::MAX / 4);
}

#[test]
fn whoever_has_contradicted_every_way_of_keeping_gives_back_unless_nothing_was_unused_or_it_is_known()
 {
    let after = |belief, unused, used| {
        let now = at(300 * SECOND);
        let enough = Against {
            times: BELIEVE,
            first: now,
            last: now,
        };
        let mut settlement = Settlement {
            belief,
            rolling: enough,
            bucket: enough,
            fixed: enough,
            ..settlement()
        };
        settlement.answered(10, unused, now, now);
        let mark = settlement.departed(10);
        settlement.hear(mark, used, now);
        settlement.belief
    };
    assert_eq!(after(Belief::Keeps, 5, 100), Belief::GivesBack);
    assert_eq!(after(Belief::Keeps, 0, 100), Belief::Keeps);
    assert_eq!(after(Belief::KeepsForGood, 5, 100), Belief::KeepsForGood);
    // It has counted this request at least, and where nothing is left it may have counted more.
    assert_eq!(
        [0, 3_200].map(|used| after(Belief::Keeps, 5, used)),
        [Belief::Keeps; 2]
    );
    assert_eq!(
        [1, 3_199].map(|used| after(Belief::Keeps, 5, used)),
        [Belief::GivesBack; 2]
    );
}

fn word(second: u64, used: u64) -> Word {
    Word {
        at: at(second * SECOND),
        mark: Mark::default(),
        used,
    }
}

#[test]
fn what_a_bucket_is_compared_with_is_a_word_that_came_surely_before() {
    let mut settlement = settlement();
    settlement.too_low_for_bucket(&word(10, 500), 0);
    let compared = |settlement: &Settlement| settlement.full.map(|word| word.at.nanos() / SECOND);
    settlement.too_low_for_bucket(&word(12, 900), 0);
    assert_eq!(
        compared(&settlement),
        Some(10),
        "one may have overtaken the other"
    );
    // In three seconds 75 have refilled: with less left it was emptier before.
    settlement.too_low_for_bucket(&word(13, 424), 0);
    assert_eq!(compared(&settlement), Some(10));
    settlement.too_low_for_bucket(&word(13, 425), 0);
    assert_eq!(compared(&settlement), Some(13));
}

#[test]
fn a_window_that_ends_twice_within_its_length_is_none() {
    for (ends, twice) in [(40 * SECOND, false), (40 * SECOND + 1, true)] {
        let mut settlement = Settlement {
            high: Some(word(10, 3_000)),
            ends: at(ends),
            ..settlement()
        };
        // It may have been counted two seconds later.
        assert_eq!(
            settlement.too_low_for_fixed(&word(38, 100)),
            twice,
            "{ends}"
        );
    }
}
