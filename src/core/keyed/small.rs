//! One limit's account in two words, for as long as that is enough.

use super::{super::meter::Packed, Account};

/// What an account comes to of which nothing was given back, and little is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Small {
    // When it was written; above that the low bits of what is held.
    when: u64,
    // What is spent, from its low bits up; above that the high bits of what is held.
    what: u32,
    more: u16,
    most: u8,
    /// A mark of its owner's own.
    pub(crate) mark: bool,
}

/// Two years in nanoseconds.
const WHEN: u32 = 56;
/// A window of a month, in nanoseconds, and whatever is a whole multiple of what it allows.
const WHAT: u32 = 52;
/// So much is held at the most.
const HELD: u32 = 12;
const LOW: u32 = u64::BITS - WHEN;

const fn fits(n: u64, bits: u32) -> bool {
    n >> bits == 0
}

const fn low(n: u64, bits: u32) -> u64 {
    n & ((1 << bits) - 1)
}

impl Account {
    /// `None` where it takes more.
    #[inline]
    pub(crate) const fn small(&self) -> Option<Small> {
        let (since, before, spent) = self.packed.words();
        let held = self.held as u64;
        if before > 0 || !fits(since, WHEN) || !fits(spent, WHAT) || !fits(held, HELD) {
            return None;
        }
        let what = spent | (held >> LOW) << WHAT;
        Some(Small {
            when: since | low(held, LOW) << WHEN,
            what: what as u32,
            more: (what >> 32) as u16,
            most: (what >> 48) as u8,
            mark: self.mark,
        })
    }
}

impl Small {
    /// The account that it was made of.
    #[inline]
    pub(crate) const fn account(&self) -> Account {
        let what = self.what as u64 | (self.more as u64) << 32 | (self.most as u64) << 48;
        let held = self.when >> WHEN | (what >> WHAT) << LOW;
        Account {
            packed: Packed::of_words(low(self.when, WHEN), 0, low(what, WHAT)),
            held: held as u32,
            mark: self.mark,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(since: u64, before: u64, spent: u64, held: u32) -> Account {
        Account {
            packed: Packed::of_words(since, before, spent),
            held,
            mark: since == 1,
        }
    }

    #[test]
    fn what_fits_two_words_is_the_same_again() {
        let most = |bits| (1_u64 << bits) - 1;
        for since in [0, 1, most(WHEN)] {
            for spent in [0, 1, most(WHAT)] {
                for held in [0, 1, 255, 256, 4_095] {
                    let account = account(since, 0, spent, held);
                    let small = account.small().expect("it fits");
                    assert_eq!(small.account(), account);
                }
            }
        }
    }

    #[test]
    fn what_takes_more_than_two_words_is_not_small() {
        for account in [
            account(1 << WHEN, 0, 0, 0),
            account(0, 1, 0, 0),
            account(0, 0, 1 << WHAT, 0),
            account(0, 0, 0, 1 << HELD),
            account(u64::MAX, u64::MAX, u64::MAX, u32::MAX),
        ] {
            assert_eq!(account.small(), None);
        }
    }
}
