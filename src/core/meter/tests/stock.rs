//! What a store has granted: in which order it leaves, and what the store is told of it.

use super::at;
use crate::core::{
    meter::Stock,
    pool::{Change, PoolLimit, PoolShape, Reply, Stamp},
};

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// 100 in a minute; a second in transit, of which a quarter may pass before it leaves.
pub(super) fn stock() -> Stock {
    Stock::new(PoolLimit {
        shape: PoolShape::Rolling,
        amount: 100,
        window: 60_000_000,
        transit: 1_000_000,
        step: 1_000_000,
        burst: 0,
        ends: [0; 2],
    })
}

/// Ten may leave now, and five in two seconds.
fn granted() -> Stock {
    let mut stock = stock();
    stock.put_in(10, at(0), Stamp(100), at(0));
    stock.put_in(5, at(2 * SECOND), Stamp(2_000_100), at(0));
    stock
}

/// The store was heard then, by its own clock a second later: so much is used, so much of it by others outside.
pub(super) fn hears(stock: &mut Stock, now: u64, processes: u32, used: u64, outside: u64) {
    let reply = Reply {
        now: Stamp(now / 1_000 + 1_000_000),
        processes,
        used: vec![77, used],
        outside: vec![0, outside],
        ..Reply::default()
    };
    stock.hear(1, &reply, at(now));
}

/// What `date` says of when it left is what is given back.
fn lot_of(stock: &mut Stock, dated: u64) -> Option<Stamp> {
    let before = stock.take_changes();
    stock.give_back(1, at(dated));
    let changes = stock.take_changes();
    before
        .into_iter()
        .for_each(|(change, n)| (0..n).for_each(|_| stock.tell(change)));
    match changes[..] {
        [] => None,
        [(Change::Back(stamp), 1)] => Some(stamp),
        _ => panic!("{changes:?}"),
    }
}

#[test]
fn what_is_granted_may_leave_from_when_it_says_and_not_before() {
    let mut stock = granted();
    assert_eq!((stock.total(), stock.taken()), (15, 0));
    assert!(stock.fits(10, 0) && stock.fits(9, 1));
    assert!(!stock.fits(11, 0) && !stock.fits(10, 1));
    stock.advance(at(2 * SECOND - 1));
    assert!(!stock.fits(11, 0));
    stock.advance(at(2 * SECOND));
    assert!(stock.fits(15, 0) && !stock.fits(16, 0));
    assert_eq!(stock.oldest(), Some(at(0)));
}

#[test]
fn what_was_granted_together_is_one_lot_and_none_leaves_before_an_earlier_one() {
    let mut stock = granted();
    // More of the last, which may not leave yet, and one that says it may leave before it.
    stock.put_in(3, at(2 * SECOND), Stamp(2_000_100), at(0));
    stock.put_in(2, at(SECOND), Stamp(7), at(0));
    assert!(!stock.fits(11, 0));
    stock.advance(at(SECOND));
    assert!(!stock.fits(11, 0));
    stock.advance(at(2 * SECOND));
    assert!(stock.fits(20, 0) && !stock.fits(21, 0));
    // More of one that leaves already.
    stock.put_in(1, at(2 * SECOND), Stamp(7), at(2 * SECOND));
    assert!(stock.fits(21, 0) && !stock.fits(22, 0));
    // Of another stamp, or later, it is another lot.
    stock.put_in(1, at(2 * SECOND), Stamp(8), at(2 * SECOND));
    stock.put_in(1, at(3 * SECOND), Stamp(8), at(2 * SECOND));
    assert!(stock.fits(22, 0) && !stock.fits(23, 0));
    assert_eq!(format!("{stock:?}").matches("Lot {").count(), 5);
}

#[test]
fn a_hint_is_of_what_is_granted_or_else_of_what_the_store_said() {
    let mut stock = granted();
    let hint = |stock: &Stock, n, held| stock.earliest(n, held, at(0), at(0)).nanos();
    assert_eq!(hint(&stock, 10, 0), 0);
    assert_eq!([hint(&stock, 11, 0), hint(&stock, 5, 10)], [2 * SECOND; 2]);
    assert_eq!(stock.earliest(11, 0, at(9 * SECOND), at(0)), at(9 * SECOND));
    // Five more than there is: soon, and the later the more are missing.
    assert_eq!(hint(&stock, 20, 0), 50 * MILLI + 5);
    stock.hint(at(7 * SECOND), 0);
    assert_eq!(hint(&stock, 20, 0), 7 * SECOND + 5);
    assert_eq!(hint(&stock, u64::MAX, u64::MAX), 7 * SECOND + 50 * MILLI);
    assert_eq!(stock.earliest(20, 0, at(9 * SECOND), at(0)), at(9 * SECOND));
    // A grant is a new word.
    stock.put_in(1, at(2 * SECOND), Stamp(2_000_100), at(0));
    assert_eq!(hint(&stock, 20, 0), 50 * MILLI + 4);
}

#[test]
fn a_hint_stands_unless_the_limit_grows() {
    for (amount, stands) in [(99, true), (100, true), (101, false)] {
        let mut stock = stock();
        stock.hint(at(7 * SECOND), 0);
        stock.resize(amount);
        assert_eq!(stock.limit().amount, amount);
        let hint = stock.earliest(1, 0, at(0), at(0));
        assert_eq!(hint > at(SECOND), stands, "{amount}");
    }
}

#[test]
fn a_projection_counts_whole_windows_of_what_waits() {
    let stock = granted();
    let project = |n| stock.project(n, 0, at(SECOND)).nanos();
    let window = 61 * SECOND;
    assert_eq!(project(10), SECOND);
    let hint = |n| stock.earliest(n, 0, at(SECOND), at(SECOND)).nanos();
    assert_eq!(project(100), hint(100));
    assert_eq!(project(101), hint(101) + window);
    assert_eq!(project(301), hint(301) + 3 * window);
}

#[test]
fn what_leaves_is_of_the_oldest_lot_and_late_where_that_has_waited() {
    let mut stock = granted();
    stock.date(4, at(SECOND / 10));
    assert_eq!((stock.total(), stock.taken(), stock.taken()), (11, 4, 0));
    stock.date(1, at(SECOND / 4));
    assert_eq!(stock.take_changes(), [], "on time");
    stock.date(1, at(SECOND / 4 + 1));
    let late = |stamp, n| [(Change::Back(Stamp(stamp)), n), (Change::Late, n)];
    assert_eq!(stock.take_changes(), late(100, 1));
    // The rest of the first, and two of the next.
    stock.date(6, at(2 * SECOND));
    assert_eq!(stock.take_changes(), late(100, 4));
    assert_eq!((stock.total(), stock.taken()), (3, 8));
    assert!(stock.fits(3, 0) && !stock.fits(4, 0));
    assert_eq!(stock.oldest(), Some(at(2 * SECOND)));
    // More than there is.
    stock.date(5, at(2 * SECOND));
    assert_eq!(stock.take_changes(), [(Change::Late, 2)]);
    assert_eq!((stock.total(), stock.taken(), stock.oldest()), (0, 5, None));
    stock.date(0, at(2 * SECOND));
    assert_eq!((stock.take_changes().len(), stock.taken()), (0, 0));
}

#[test]
fn what_may_not_leave_yet_is_nobodys() {
    let mut stock = stock();
    stock.put_in(5, at(2 * SECOND), Stamp(7), at(0));
    stock.date(3, at(SECOND));
    assert_eq!(stock.take_changes(), [(Change::Late, 3)]);
    assert_eq!(stock.total(), 5);
}

#[test]
fn of_what_was_granted_without_the_store_it_is_told_nothing() {
    let mut stock = stock();
    stock.put_in(10, at(0), Stamp::default(), at(0));
    stock.date(4, at(5 * SECOND));
    stock.give_back(1, at(5 * SECOND));
    stock.refund(1, at(5 * SECOND));
    stock.sweep(0, SECOND, at(6 * SECOND));
    assert_eq!((stock.take_changes(), stock.total()), (vec![], 0));
}

#[test]
fn what_is_given_back_is_of_the_lot_that_it_left_with() {
    let mut stock = stock();
    for second in [10, 20, 30] {
        let now = at(second * SECOND);
        stock.put_in(2, now, Stamp(second * 1_000_000), now);
        stock.date(2, now);
    }
    let of = |stock: &mut Stock, dated| lot_of(stock, dated).map(|stamp| stamp.0 / 1_000_000);
    assert_eq!(of(&mut stock, 10 * SECOND - 1), None, "before any");
    assert_eq!(of(&mut stock, 10 * SECOND), Some(10));
    assert_eq!(of(&mut stock, 20 * SECOND - 1), Some(10));
    assert_eq!(of(&mut stock, 20 * SECOND), Some(20));
    assert_eq!(of(&mut stock, 99 * SECOND), Some(30));
    stock.refund(3, at(20 * SECOND));
    stock.charge(9);
    let told = [(Change::Unsent(Stamp(20_000_000)), 3), (Change::Late, 9)];
    assert_eq!(stock.take_changes(), told);
}

#[test]
fn lots_an_eighth_of_a_step_apart_are_told_apart_and_closer_ones_are_not() {
    for (later, apart) in [(125_000, false), (125_001, true)] {
        let mut stock = stock();
        for (now, stamp) in [(SECOND, 1_000_000), (2 * SECOND, 1_000_000 + later)] {
            stock.put_in(1, at(now), Stamp(stamp), at(now));
            stock.date(1, at(now));
        }
        let last = lot_of(&mut stock, 2 * SECOND);
        assert_eq!(last != Some(Stamp(1_000_000)), apart, "{later}");
    }
    // What the store knows of and what it doesn't are, however close.
    let mut stock = stock();
    for (now, stamp) in [(SECOND, 5), (2 * SECOND, 0), (3 * SECOND, 6)] {
        stock.put_in(1, at(now), Stamp(stamp), at(now));
        stock.date(1, at(now));
    }
    let of = [1, 2, 3].map(|second| lot_of(&mut stock, second * SECOND));
    assert_eq!(of, [Some(Stamp(5)), None, Some(Stamp(6))]);
}

#[test]
fn what_left_longer_ago_than_anything_counts_is_forgotten() {
    for (now, known) in [(73, true), (74, false)] {
        let mut stock = stock();
        for second in [10, 11, now] {
            let stamp = Stamp(second * 1_000_000);
            stock.put_in(1, at(second * SECOND), stamp, at(second * SECOND));
            stock.date(1, at(second * SECOND));
        }
        // After 62 s nothing counts any more; until the second left so long ago, the first may be asked for.
        assert_eq!(lot_of(&mut stock, 10 * SECOND).is_some(), known, "{now}");
        assert!(lot_of(&mut stock, 11 * SECOND).is_some());
    }
}

#[test]
fn what_leaves_without_a_grant_counts_from_then_on_by_the_stores_clock() {
    let mut stock = stock();
    hears(&mut stock, SECOND, 1, 0, 0);
    stock.date(3, at(3 * SECOND));
    assert_eq!(lot_of(&mut stock, 3 * SECOND), Some(Stamp(4_000_000)));
    // So does what is late.
    stock.put_in(1, at(4 * SECOND), Stamp(4_500_000), at(4 * SECOND));
    stock.date(1, at(6 * SECOND));
    assert_eq!(lot_of(&mut stock, 6 * SECOND), Some(Stamp(7_000_000)));
}

#[test]
fn what_the_store_said_counts_until_it_is_older_than_anything_that_does() {
    let mut stock = granted();
    assert!(stock.is_alone());
    assert_eq!(stock.used(), 0);
    hears(&mut stock, 0, 2, 40, 3);
    assert_eq!(stock.used(), 25, "but for what is here");
    assert!(!stock.is_alone());
    stock.advance(at(62 * SECOND));
    assert_eq!(stock.used(), 25);
    stock.advance(at(62 * SECOND + 1));
    assert_eq!(stock.used(), 0);
    assert!(stock.is_alone());
}

#[test]
fn it_owes_the_store_a_word_once_there_is_much_to_tell() {
    let mut few = stock();
    assert!(!few.owes());
    few.charge(1);
    assert!(!few.owes(), "a sixty-fourth");
    few.charge(1);
    assert!(few.owes());
    for change in [Change::Pause(1), Change::Resume, Change::Outside] {
        let mut stock = stock();
        stock.tell(change);
        assert!(stock.owes(), "{change:?}");
    }
    for change in [Change::Back(Stamp(1)), Change::Unsent(Stamp(1))] {
        let mut stock = stock();
        stock.tell(change);
        assert!(!stock.owes(), "{change:?}");
    }
    let mut many = stock();
    many.resize(1_000_000);
    (0..64).for_each(|_| many.charge(1));
    assert!(!many.owes());
    many.charge(1);
    assert!(many.owes());
}

#[test]
fn what_nobody_wants_goes_back_and_what_is_held_counts_anew() {
    let mut stock = granted();
    hears(&mut stock, 0, 1, 0, 0);
    stock.sweep(4, SECOND, at(SECOND - 1));
    assert_eq!(stock.take_changes(), []);
    stock.sweep(4, SECOND, at(SECOND));
    assert_eq!(stock.take_changes(), [(Change::Unsent(Stamp(100)), 6)]);
    assert_eq!(stock.total(), 9);
    assert!(stock.fits(4, 0) && !stock.fits(5, 0));
    // The later lot has been here for less.
    stock.sweep(0, 2 * SECOND, at(4 * SECOND - 1));
    assert_eq!(stock.take_changes(), [(Change::Unsent(Stamp(100)), 4)]);
    assert_eq!(stock.oldest(), Some(at(2 * SECOND)));
    // After an eighth of a window what is still held counts from then on.
    let renewed = 2 * SECOND + 7_500 * MILLI;
    stock.sweep(5, SECOND, at(renewed - 1));
    assert_eq!(stock.take_changes(), []);
    stock.sweep(5, SECOND, at(renewed));
    let anew = [(Change::Back(Stamp(2_000_100)), 5), (Change::Late, 5)];
    assert_eq!(stock.take_changes(), anew);
    assert_eq!((stock.oldest(), stock.total()), (Some(at(renewed)), 5));
    stock.date(1, at(renewed));
    let stamp = Stamp(renewed / 1_000 + 1_000_000);
    assert_eq!(lot_of(&mut stock, renewed), Some(stamp));
    assert_eq!(stock.take_changes(), []);
}

#[test]
fn where_more_is_kept_for_longer_it_counts_anew_no_earlier() {
    let mut stock = stock();
    stock.put_in(3, at(0), Stamp(100), at(0));
    stock.sweep(3, 9 * SECOND, at(9 * SECOND - 1));
    assert_eq!(stock.take_changes(), []);
    stock.sweep(3, 9 * SECOND, at(9 * SECOND));
    assert_eq!(stock.take_changes().len(), 2);
}

#[test]
fn one_that_is_closed_holds_nothing() {
    let mut stock = granted();
    assert_eq!((stock.is_closed(), stock.capacity()), (false, 100));
    stock.close(true);
    assert_eq!((stock.is_closed(), stock.capacity()), (true, 0));
    stock.close(false);
    assert_eq!((stock.is_closed(), stock.capacity()), (false, 100));
}

#[test]
fn what_left_at_one_instant_is_given_back_to_the_oldest_lot() {
    let mut stock = stock();
    for second in [1, 2] {
        stock.put_in(1, at(0), Stamp(second * 1_000_000), at(0));
    }
    stock.date(2, at(0));
    assert_eq!(lot_of(&mut stock, 0), Some(Stamp(1_000_000)));
}

#[test]
fn what_nobody_wants_goes_back_lot_by_lot_and_once() {
    let lots = || {
        let mut stock = stock();
        stock.put_in(4, at(0), Stamp(1), at(0));
        stock.put_in(5, at(0), Stamp(2), at(0));
        stock
    };
    let unsent = |stamp, n| (Change::Unsent(Stamp(stamp)), n);
    let mut some = lots();
    some.sweep(3, SECOND, at(SECOND));
    assert_eq!(some.take_changes(), [unsent(1, 4), unsent(2, 2)]);
    assert_eq!(some.total(), 3);
    // Also where it would count anew.
    let mut all = lots();
    all.sweep(0, SECOND, at(60 * SECOND));
    assert_eq!(all.take_changes(), [unsent(1, 4), unsent(2, 5)]);
}
