//! Where random numbers come from.

use std::{fmt, sync::Arc};

use rand::Rng;

/// A source of random numbers that nobody clones: the thread's own, or the user's function.
///
/// A generator that is cloned with its layer gives every request the same "random" wait.
#[derive(Clone, Default)]
pub(crate) struct Dice(Option<Arc<dyn Fn() -> u64 + Send + Sync>>);

impl Dice {
    pub(crate) fn loaded(source: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(source)))
    }

    /// A number spread evenly over all of `u64`.
    pub(crate) fn roll(&self) -> u64 {
        match &self.0 {
            None => rand::rng().next_u64(),
            Some(source) => source(),
        }
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Dice(given)"
        } else {
            "Dice(thread)"
        })
    }
}

/// Numbers that follow from a seed, which isn't 0: for trials that are the same each time.
#[cfg(any(test, feature = "testing"))]
pub(crate) struct Seeded(pub(crate) u64);

#[cfg(any(test, feature = "testing"))]
impl Seeded {
    /// One of the first `n` numbers.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_numbers_are_taken_and_the_threads_differ() {
        let dice = Dice::loaded(|| 7);
        assert_eq!([dice.roll(), dice.roll()], [7, 7]);
        let dice = Dice::default();
        assert_ne!([dice.roll(), dice.roll()], [dice.roll(), dice.roll()]);
    }

    #[test]
    fn numbers_that_follow_from_a_seed_are_the_published_ones() {
        let mut seeded = Seeded(1);
        let numbers = [(); 3].map(|()| seeded.below(u64::MAX));
        let published = [
            1_082_269_761,
            1_152_992_998_833_853_505,
            11_177_516_664_432_764_457,
        ];
        assert_eq!(numbers, published);
        assert!((0..100).all(|_| seeded.below(3) < 3));
        assert_eq!(seeded.below(0), 0, "of none it is the first");
    }
}
