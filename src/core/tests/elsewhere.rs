//! What is counted without the ledger is, once told, what it would have counted itself.

use std::time::Duration;

use super::{Kind, Random, at, cases, ledger_of, limit, meter_of, rolling, tokens};
use crate::core::{
    cost::{Cost, Resource},
    ledger::{Issue, Ledger, Spare, Step},
    limit::Limit,
    meter::Meter,
    time::Time,
};

const SECOND: u64 = 1_000_000_000;

fn requests(amount: u64, window: u64) -> Limit {
    Limit {
        resource: Resource::Requests,
        ..limit(Kind::Rolling, amount, window, 0)
    }
}

fn of(limits: &[Limit]) -> Ledger {
    ledger_of(
        &limits
            .iter()
            .map(|limit| (limit.clone(), Kind::Rolling))
            .collect::<Vec<_>>(),
        usize::MAX,
    )
}

fn both() -> Ledger {
    of(&[requests(8, SECOND), limit(Kind::Rolling, 100, SECOND, 0)])
}

#[test]
fn as_much_is_issued_as_fits_of_each_resource() {
    let mut ledger = both();
    let all = Issue {
        requests: 8,
        tokens: 100,
    };
    assert_eq!(ledger.issue(), Some(all));
    ledger.hold(&tokens(30), true);
    ledger.date(&tokens(10));
    let rest = Issue {
        requests: 7,
        tokens: 70,
    };
    assert_eq!(ledger.issue(), Some(rest));
    // What isn't counted is there without end; of two limits the lower counts.
    let any = u64::MAX;
    let of_tokens = [
        limit(Kind::Rolling, 50, SECOND, 0),
        limit(Kind::Rolling, 40, 2 * SECOND, 0),
    ];
    let lower = Issue {
        requests: any,
        tokens: 40,
    };
    assert_eq!(of(&of_tokens).issue(), Some(lower));
    let of_requests = Issue {
        requests: 8,
        tokens: any,
    };
    assert_eq!(of(&[requests(8, SECOND)]).issue(), Some(of_requests));
}

#[test]
fn nothing_is_issued_where_there_is_more_to_it_than_counting() {
    let meters = || both().meters().to_vec();
    assert!(both().issue().is_some());
    let bounded = &mut Ledger::new(meters(), 5, u64::MAX);
    let kept = &mut both().keeping(Spare::millionths(1));
    let searched = &mut both().discover();
    let input = Limit {
        resource: Resource::InputTokens,
        ..limit(Kind::Rolling, 100, SECOND, 0)
    };
    let counts_input = &mut of(&[input]);
    let bucket = limit(Kind::Bucket, 100, SECOND, 0);
    let bucket = &mut ledger_of(&[(bucket, Kind::Bucket)], usize::MAX);
    let burst = Limit {
        burst: Some(5),
        ..limit(Kind::Rolling, 100, SECOND, 0)
    };
    let paced = &mut of(&[burst]);
    for ledger in [bounded, kept, searched, counts_input, bucket, paced] {
        assert_eq!(ledger.issue(), None);
    }
    let mut paused = both();
    paused.pause(None, at(5));
    assert_eq!(paused.issue(), None);
    paused.advance(at(5));
    assert!(paused.issue().is_some());
    paused.pause(Some(Resource::Tokens), at(10));
    let rest = paused.issue().map(|issue| (issue.requests, issue.tokens));
    assert_eq!(rest, Some((8, 0)));
}

/// Dates as the window of a thousandth of a second's steps rounds them.
#[test]
fn a_step_holds_the_instants_that_are_dated_alike() {
    let mut limit = limit(Kind::Rolling, 100, SECOND, 0);
    limit.transit = Some(Duration::from_nanos(300));
    let span = SECOND / 1_024;
    for now in [
        0,
        1,
        699,
        700,
        span - 301,
        span - 300,
        span - 299,
        7 * span,
        7 * span + 1,
    ] {
        let mut ledger = of(&[limit.clone()]);
        assert_eq!(
            (ledger.step(), ledger.has_steps()),
            (None, false),
            "not looked at yet"
        );
        ledger.advance(at(now));
        assert!(ledger.issue().is_some() && ledger.has_steps());
        let step = ledger.step().expect("plain");
        let until = (now + 300).next_multiple_of(span) - 300;
        assert_eq!(
            step,
            Step {
                until: at(until),
                span
            }
        );
        // The first and the last of them leave the same behind; the next doesn't.
        let free = |dated: Time| {
            let mut ledger = of(&[limit.clone()]);
            ledger.advance(dated);
            ledger.hold(&tokens(100), false);
            ledger.date(&tokens(100));
            match ledger.fit(&tokens(1), false) {
                crate::core::ledger::Fit::At { at, .. } => at,
                fit => panic!("{fit:?}"),
            }
        };
        let first = until.saturating_sub(span - 1);
        assert_eq!(free(at(first)), free(at(until)), "{now}");
        assert!(free(at(until)) < free(at(until + 1)), "{now}");
    }
}

#[test]
fn there_are_no_steps_where_limits_round_differently_or_have_no_end() {
    let stepped = |limits: &[Limit]| {
        let mut ledger = of(limits);
        ledger.issue();
        assert_eq!(ledger.step().is_some(), ledger.has_steps());
        ledger.has_steps()
    };
    let plain = |window| limit(Kind::Rolling, 100, window, 0);
    assert!(stepped(&[plain(SECOND), requests(5, SECOND)]));
    assert!(!stepped(&[plain(SECOND), requests(5, 2 * SECOND)]));
    assert!(!stepped(&[plain(2 * SECOND), requests(5, SECOND)]));
    let late = limit(Kind::Rolling, 100, SECOND, 7);
    assert!(!stepped(&[plain(SECOND), late]));
    let mut unknown = Ledger::new(
        vec![Meter::unknown(Resource::Requests)],
        usize::MAX,
        u64::MAX,
    );
    assert!(unknown.issue().is_some() && !unknown.has_steps());
    let unknown = Meter::unknown(Resource::Tokens);
    let known = meter_of(&requests(5, SECOND), Kind::Rolling);
    let mut mixed = Ledger::new(vec![unknown, known], usize::MAX, u64::MAX);
    assert!(mixed.issue().is_some() && mixed.has_steps());
    // Until the end of time there is none.
    let mut last = rolling(100, SECOND);
    last.advance(Time::MAX);
    last.issue();
    assert!(last.has_steps() && last.step().is_none());
}

/// One ledger counts all itself, the other is told now and then.
#[test]
fn what_was_taken_and_left_elsewhere_is_as_if_it_had_been_here() {
    for case in 0..cases(200) {
        let random = &mut Random(case);
        let (mut here, mut told) = (both(), both());
        let mut now = 0;
        let (mut taken, mut left) = ((0, 0), (0, 0));
        let mut held = Vec::new();
        told.advance(at(0));
        let mut issue = told.issue().expect("plain");
        let mut step = told.step().expect("plain");
        for _ in 0..60 {
            now += [0, 1, SECOND / 3_000, SECOND / 3][random.upto(3) as usize];
            here.advance(at(now));
            let enter =
                |told: &mut Ledger, taken: &mut (u64, u64), left: &mut (u64, u64), until| {
                    let cost = |(n, tokens)| Cost::tokens(tokens).requests(n);
                    told.taken_elsewhere(&cost(*taken), taken.0);
                    told.left_elsewhere(&cost(*left), until);
                    (*taken, *left) = ((0, 0), (0, 0));
                };
            let n = random.upto(40);
            if random.chance(60) {
                let fits = taken.0 < issue.requests && taken.1 + n <= issue.tokens;
                if fits {
                    assert!(
                        here.fits(&tokens(n), true, Spare::NOTHING),
                        "issued too much"
                    );
                    here.hold(&tokens(n), true);
                    held.push(n);
                    (taken.0, taken.1) = (taken.0 + 1, taken.1 + n);
                }
            }
            if random.chance(50) && !held.is_empty() {
                if at(now) > step.until {
                    enter(&mut told, &mut taken, &mut left, step.until);
                    told.advance(at(now));
                    (issue, step) = (told.issue().expect("plain"), told.step().expect("plain"));
                }
                let n = held.swap_remove(random.upto(held.len() as u64 - 1) as usize);
                here.date(&tokens(n));
                (left.0, left.1) = (left.0 + 1, left.1 + n);
            }
            if random.chance(20) {
                enter(&mut told, &mut taken, &mut left, step.until);
                told.advance(at(now));
                for (here, told) in here.meters().iter().zip(told.meters()) {
                    assert_eq!(
                        (here.used(), here.held()),
                        (told.used(), told.held()),
                        "{case}"
                    );
                }
                assert_eq!(here.in_flight(), told.in_flight(), "{case}");
                let cost = tokens(random.upto(100));
                assert_eq!(here.fit(&cost, true), told.fit(&cost, true), "{case}");
                assert_eq!(here.mark(), told.mark(), "{case}");
                (issue, step) = (told.issue().expect("plain"), told.step().expect("plain"));
            }
        }
    }
}

#[test]
fn a_mark_tells_what_has_left_and_nobody_s_own_limits_have_one() {
    let mut ledger = rolling(100, SECOND);
    let before = ledger.mark().expect("compared");
    ledger.hold(&tokens(10), false);
    let told = ledger.date(&tokens(10));
    assert_eq!(ledger.mark(), told.mark);
    assert_ne!(ledger.mark(), Some(before));
    assert_eq!(rolling(100, SECOND).own().mark(), None);
}

#[test]
fn the_peak_is_the_highest_that_anybody_has_seen() {
    let mut ledger = rolling(100, SECOND);
    ledger.peaked(3);
    assert_eq!(ledger.peak_in_flight(), 3);
    ledger.peaked(2);
    assert_eq!(ledger.peak_in_flight(), 3);
    ledger.taken_elsewhere(&Cost::none(), 4);
    ledger.peaked(1);
    assert_eq!((ledger.in_flight(), ledger.peak_in_flight()), (4, 4));
    ledger.landed(4);
    assert_eq!((ledger.landed_elsewhere(), ledger.in_flight()), (4, 0));
}

#[test]
fn a_refusal_stands_as_long_as_nothing_expires_and_nothing_is_held() {
    let stays = |ledger: &mut Ledger| ledger.stays();
    assert_eq!(stays(&mut both()), Time::MAX, "nothing is spent");
    let mut ledger = both();
    ledger.advance(at(5));
    ledger.hold(&tokens(10), false);
    assert_eq!(stays(&mut ledger), Time::ZERO);
    ledger.date(&tokens(10));
    // Of what left in a step the latest, at the earliest.
    let until = stays(&mut ledger);
    assert!(
        (at(5 + SECOND)..=at(5 + SECOND + SECOND / 1_024)).contains(&until),
        "{until:?}"
    );
    // Where it isn't known, it is looked for first.
    ledger.resume();
    assert_eq!(stays(&mut ledger).nanos() / SECOND, 1);
    let bucket = limit(Kind::Bucket, 100, SECOND, 0);
    assert_eq!(
        stays(&mut ledger_of(&[(bucket, Kind::Bucket)], usize::MAX)),
        Time::ZERO
    );
}
