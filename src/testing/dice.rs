//! What chance has in store.

use std::time::Duration;

use super::Delay;

/// What chance has in store for one arrival: SplitMix64 (Steele, Lea and Flood, 2014), which stays
/// the same whatever version of whatever crate is around.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of the k-th event of a kind.
    pub(super) fn new(seed: u64, kind: u64, k: u64) -> Self {
        let mut dice = Self(seed ^ kind.rotate_left(32));
        let stream = dice.next();
        Self(stream ^ k.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from 0 to just under 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    pub(super) fn delay(&mut self, delay: Delay) -> Duration {
        let range = delay.most.saturating_sub(delay.least);
        delay.least + range.mul_f64(self.fraction())
    }
}
