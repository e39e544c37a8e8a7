//! How large things are, in constant memory.

/// An octave is cut into so many steps: a figure read from it is at most that share too large.
const STEPS: u64 = 16;
/// The steps below `STEPS` are exact; from there on so many octaves are told apart, up to 2^28.
const OCTAVES: u64 = 24;
const SLOTS: usize = (STEPS + OCTAVES * STEPS) as usize;
/// From so many on, what came earlier counts half.
const MOST: u32 = 1 << 30;

/// Counts by size, log-linear: 1.6 kB, whatever it counts.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: [u32; SLOTS],
    total: u32,
}

impl Histogram {
    pub(crate) const fn new() -> Self {
        Self {
            counts: [0; SLOTS],
            total: 0,
        }
    }

    pub(crate) fn record(&mut self, value: u64) {
        if self.total >= MOST {
            self.total = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.total += *count;
            }
        }
        self.counts[slot(value)] += 1;
        self.total += 1;
    }

    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    /// What so many of a hundred are no larger than: never less than that, and at most a sixteenth more. Nothing of
    /// nothing.
    pub(crate) fn percentile(&self, percent: u32) -> u64 {
        let rank = (u64::from(self.total) * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank.max(1) {
                return highest(slot as u64);
            }
        }
        0
    }
}

const fn slot(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = (value.ilog2() - STEPS.ilog2()) as u64;
    let slot = STEPS + octave * STEPS + ((value >> octave) - STEPS);
    if slot < SLOTS as u64 {
        slot as usize
    } else {
        SLOTS - 1
    }
}

/// The largest value of a slot.
const fn highest(slot: u64) -> u64 {
    if slot < STEPS {
        return slot;
    }
    let (octave, step) = ((slot - STEPS) / STEPS, slot % STEPS);
    ((STEPS + step + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_follow_each_other_without_a_gap() {
        for index in 0..SLOTS as u64 {
            assert_eq!(slot(highest(index)), index as usize);
            if index + 1 < SLOTS as u64 {
                assert_eq!(slot(highest(index) + 1), index as usize + 1);
            }
        }
        for beyond in [1 << 28, (1 << 28) + 1, u64::MAX] {
            assert_eq!(slot(beyond), SLOTS - 1);
        }
        assert_eq!(Histogram::new().percentile(99), 0);
    }

    #[test]
    fn what_came_earlier_counts_half_once_there_is_too_much_to_count() {
        let mut histogram = Histogram::new();
        histogram.counts[7] = MOST;
        histogram.total = MOST;
        histogram.record(9);
        assert_eq!(histogram.total(), MOST / 2 + 1);
        assert_eq!(histogram.percentile(50), 7);
    }

    proptest! {
        #[test]
        fn a_percentile_is_never_too_small_and_at_most_a_sixteenth_too_large(
            mut values in prop::collection::vec(0u64..1 << 28, 1..300),
            percent in 1u32..=100,
        ) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            values.sort_unstable();
            let rank = (values.len() as u64 * u64::from(percent)).div_ceil(100).max(1);
            let exact = values[rank as usize - 1];
            let read = histogram.percentile(percent);
            prop_assert!(read >= exact, "{read} of {exact}");
            prop_assert!(read - exact <= exact / STEPS, "{read} of {exact}");
        }
    }
}
