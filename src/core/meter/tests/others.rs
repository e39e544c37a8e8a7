//! What others have, span by span.

use super::at;
use crate::core::meter::{others::Others, saved::SavedOthers};

const SECOND: u64 = 1_000_000_000;

/// Of a thousand in eight seconds, and so of spans of a second.
fn others() -> Others {
    Others::new(1_000, 8 * SECOND)
}

fn level(others: &mut Others, second: u64) -> u64 {
    others.advance(at(second * SECOND));
    others.level()
}

#[test]
fn others_stay_for_a_window_and_then_fall_by_a_sixteenth_with_each_span() {
    let mut others = others();
    others.see(300, at(0), at(0));
    let levels: Vec<_> = (0..=14).map(|second| level(&mut others, second)).collect();
    let falling = [288, 226, 164, 102, 40, 0, 0];
    assert_eq!(levels, [[350; 8].as_slice(), &falling].concat());
    assert_eq!(others.next_fall(), None, "nobody is left");
    others.see(300, at(20 * SECOND), at(20 * SECOND));
    assert_eq!(others.next_fall(), Some(at(21 * SECOND)));
}

#[test]
fn the_more_others_have_the_more_they_may_have_by_now_and_few_are_nearly_an_error() {
    for (seen, taken) in [
        (0, 0),
        (1, 1),
        (61, 61),
        (62, 72),
        (120, 140),
        (600, 650),
        (990, 1_000),
    ] {
        let mut others = others();
        others.see(seen, at(0), at(0));
        assert_eq!(others.level(), taken, "{seen}");
    }
}

#[test]
fn an_eighth_is_ours_soon_after_whatever_others_take() {
    let mut others = others();
    others.see(1_000, at(0), at(0));
    assert_eq!(level(&mut others, 0), 1_000);
    assert_eq!(level(&mut others, 1), 875);
    assert_eq!(level(&mut others, 7), 875);
}

#[test]
fn what_was_seen_late_is_forgotten_no_later() {
    let mut others = others();
    others.see(100, at(9 * SECOND), at(9 * SECOND));
    others.see(300, at(6 * SECOND), at(9 * SECOND));
    assert_eq!(level(&mut others, 13), 350);
    assert_eq!(level(&mut others, 14), 288);
    // Longer ago than a window says nothing.
    others.see(900, at(6 * SECOND), at(14 * SECOND));
    assert_eq!(others.level(), 288);
}

#[test]
fn others_have_no_more_than_a_limit_that_became_less() {
    let mut others = others();
    others.see(600, at(0), at(0));
    assert_eq!(level(&mut others, 8), 588);
    others.see(500, at(8 * SECOND), at(8 * SECOND));
    others.resize(160);
    assert_eq!(others.level(), 160);
    others.see(900, at(8 * SECOND), at(8 * SECOND));
    assert_eq!(others.level(), 160);
}

#[test]
fn others_that_were_saved_are_believed_up_to_the_latest_instant() {
    let saved = |newest| SavedOthers {
        newest,
        peaks: vec![70; 8],
        fading: 9,
    };
    let restore = |newest| {
        let mut others = others();
        let latest = at(5 * SECOND + SECOND / 2);
        others
            .restore(Some(&saved(newest)), latest)
            .map(|()| others.level())
    };
    assert_eq!(restore(5), Ok(70));
    assert!(restore(6).is_err());
}
