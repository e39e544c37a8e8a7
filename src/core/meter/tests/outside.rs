//! Others who don't ask the store: seen where the provider counts more.

use super::{
    at,
    stock::{hears, stock},
};
use crate::core::{meter::Stock, pool::Change};

const SECOND: u64 = 1_000_000_000;

/// The change that is told of others who don't ask the store, where there is one.
fn outside(stock: &mut Stock, used: u64, dated: u64) -> Option<u64> {
    stock.observe(used, at(dated));
    match stock.take_changes()[..] {
        [] => None,
        [(Change::Outside, n)] => Some(n),
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn others_are_seen_where_the_provider_counts_more_than_the_store() {
    let mut stock = stock();
    assert_eq!(outside(&mut stock, 90, 0), None, "nothing to compare with");
    hears(&mut stock, SECOND, 1, 20, 0);
    assert_eq!(outside(&mut stock, 26, SECOND), None, "a sixteenth");
    assert_eq!(outside(&mut stock, 27, SECOND), Some(7));
    hears(&mut stock, SECOND, 1, 20, 5);
    assert_eq!(
        outside(&mut stock, 27, SECOND),
        Some(12),
        "and what was known"
    );
}

#[test]
fn beside_other_processes_only_a_later_word_of_the_store_is_compared_with() {
    let mut stock = stock();
    hears(&mut stock, 0, 2, 10, 0);
    assert_eq!(outside(&mut stock, 50, SECOND), None);
    hears(&mut stock, 2 * SECOND - 1, 2, 30, 0);
    assert_eq!(outside(&mut stock, 50, SECOND), None, "not surely later");
    hears(&mut stock, 2 * SECOND, 2, 30, 0);
    assert_eq!(outside(&mut stock, 50, SECOND), Some(20));
}

#[test]
fn of_all_that_may_have_counted_then_the_most_is_ours() {
    let mut stock = stock();
    // Of those before, the last counts as well: it may still have held then.
    for (second, used) in [(0, 80), (1, 40), (5, 10)] {
        hears(&mut stock, second * SECOND, 2, used, 0);
    }
    assert_eq!(outside(&mut stock, 50, 4 * SECOND), Some(10));
    // What was heard in transit's time before may have counted.
    assert_eq!(outside(&mut stock, 50, 2 * SECOND), None);
    // Sixteen words are remembered.
    for _ in 0..14 {
        hears(&mut stock, 5 * SECOND, 2, 10, 0);
    }
    assert_eq!(outside(&mut stock, 50, 4 * SECOND), Some(10));
    hears(&mut stock, 5 * SECOND, 2, 10, 0);
    assert_eq!(outside(&mut stock, 50, 4 * SECOND), Some(40));
}
