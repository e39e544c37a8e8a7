//! Thresholds, each told once when it is reached.
//!
//! A level that swings about a threshold is told once: it has to fall well below first.

use std::time::Duration;

use super::time::{Time, nanos};

/// Shares are in millionths.
pub(crate) const WHOLE: u32 = 1_000_000;
/// A level must have fallen by so much below its threshold, or to half of it, before that is told again.
const FALL: u32 = WHOLE / 20;
/// Into how many steps the time is cut over which a share is taken.
const STEPS: usize = 30;
/// How many thresholds a level may have.
pub(crate) const MOST_THRESHOLDS: usize = 8;

/// Whether `n` of `most` are at least that share.
fn reaches(n: u64, most: u64, share: u32) -> bool {
    u128::from(n) * u128::from(WHOLE) >= u128::from(most) * u128::from(share)
}

/// Moves a level from `before` to `after`, of `most`, across these thresholds; `above` has a bit for each that was told. The
/// indices of those that are to be told now.
pub(crate) fn cross(
    above: &mut u8,
    thresholds: &[u32],
    before: u64,
    after: u64,
    most: u64,
) -> impl Iterator<Item = usize> {
    let mut told = 0u8;
    for (index, share) in thresholds.iter().enumerate().take(MOST_THRESHOLDS) {
        let bit = 1u8 << index;
        let low = share - FALL.min(share / 2);
        if !reaches(before.min(after), most, low) {
            *above &= !bit;
        }
        if *above & bit == 0 && reaches(after, most, *share) {
            *above |= bit;
            told |= bit;
        }
    }
    (0..MOST_THRESHOLDS).filter(move |index| told & (1 << index) != 0)
}

/// How much happened, and how much of it was a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) hits: u64,
    pub(crate) all: u64,
}

/// A share of what happened lately.
#[derive(Debug)]
pub(crate) struct Share {
    steps: [Found; STEPS],
    // How long a step is, and the newest, counted since time zero.
    step: u64,
    newest: u64,
    share: u32,
    least: u64,
    above: bool,
}

impl Share {
    /// Tells when more than `share` of at least so many are hits, over the last so much time.
    pub(crate) fn new(share: u32, over: Duration, least: u64) -> Self {
        Self {
            steps: [Found::default(); STEPS],
            step: (nanos(over) / STEPS as u64).max(1),
            newest: 0,
            share,
            least,
            above: false,
        }
    }

    /// One more happened. `tells`: whether somebody can be told now; if not, they are with the next. What was found, where the
    /// share has just gone above its threshold.
    pub(crate) fn record(&mut self, hit: bool, now: Time, tells: bool) -> Option<Found> {
        self.advance(now);
        let mut sum = Found::default();
        for step in &self.steps {
            sum.hits += step.hits;
            sum.all += step.all;
        }
        if sum.all < self.least || !exceeds(sum, self.share / 2) {
            self.above = false;
        }
        let newest = &mut self.steps[self.newest as usize % STEPS];
        for found in [&mut sum, newest] {
            found.hits += u64::from(hit);
            found.all += 1;
        }
        let told = tells && !self.above && sum.all >= self.least && exceeds(sum, self.share);
        self.above |= told;
        told.then_some(sum)
    }

    fn advance(&mut self, now: Time) {
        let newest = now.nanos() / self.step;
        for _ in 0..newest.saturating_sub(self.newest).min(STEPS as u64) {
            self.newest += 1;
            self.steps[self.newest as usize % STEPS] = Found::default();
        }
        // After a long silence all are empty, whatever their numbers.
        self.newest = self.newest.max(newest);
    }
}

fn exceeds(found: Found, share: u32) -> bool {
    u128::from(found.hits) * u128::from(WHOLE) > u128::from(found.all) * u128::from(share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: [usize; 0] = [];

    fn told(above: &mut u8, before: u64, after: u64) -> Vec<usize> {
        cross(above, &[700_000, 900_000], before, after, 100).collect()
    }

    #[test]
    fn a_threshold_is_told_once_until_the_level_has_fallen_well_below() {
        let mut above = 0;
        assert_eq!(told(&mut above, 68, 69), NONE);
        assert_eq!(told(&mut above, 69, 70), [0]);
        assert_eq!(told(&mut above, 69, 71), NONE);
        assert_eq!(told(&mut above, 65, 91), [1], "not well below yet");
        assert_eq!(told(&mut above, 84, 92), [1], "fell in between");
        assert_eq!(told(&mut above, 64, 93), [0, 1], "both at once");
        assert_eq!(told(&mut above, 0, 0), NONE);
        assert_eq!(told(&mut above, 0, 250), [0, 1], "overdrawn");
    }

    #[test]
    fn a_small_threshold_is_told_again_below_its_half() {
        let mut above = 0;
        let mut told =
            |before, after| cross(&mut above, &[20_000], before, after, 1_000).count() > 0;
        assert!(told(0, 20));
        assert!(!told(10, 20));
        assert!(told(9, 20));
    }

    #[test]
    fn a_share_is_told_once_and_again_when_it_was_half() {
        let minute = Duration::from_secs(60);
        let mut share = Share::new(100_000, minute * 5, 20);
        let at = |second: u64| Time::from_nanos(second * 1_000_000_000);
        for _ in 0..19 {
            assert_eq!(share.record(true, at(0), true), None, "too few to say");
        }
        assert_eq!(share.record(true, at(1), false), None, "nobody can hear it");
        let found = Some(Found { hits: 21, all: 21 });
        assert_eq!(share.record(true, at(1), true), found);
        for _ in 0..400 {
            assert_eq!(share.record(false, at(2), true), None);
        }
        // 21 of 421 are half of a tenth, nearly: below with a few more.
        let again = (0..60).find_map(|_| share.record(true, at(3), true));
        assert!(
            again.is_some_and(|found| found.hits * 10 > found.all),
            "{again:?}"
        );
        // What is older than five minutes says nothing.
        assert_eq!(share.record(true, at(400), true), None);
    }

    #[test]
    fn a_share_is_told_with_the_least_number_and_not_again_with_the_next() {
        let mut share = Share::new(100_000, Duration::from_secs(30), 20);
        let now = Time::from_nanos(5_000_000_000);
        let told: Vec<_> = (1..=25)
            .filter(|_| share.record(true, now, true).is_some())
            .collect();
        assert_eq!(told, [20]);
    }

    #[test]
    fn what_is_just_the_share_is_not_told() {
        let mut share = Share::new(500_000, Duration::from_secs(30), 0);
        let hits = [false, true, false, true, true];
        let told = hits.map(|hit| share.record(hit, Time::ZERO, true).is_some());
        assert_eq!(told, [false, false, false, false, true]);
    }

    proptest! {
        #[test]
        fn a_share_is_of_what_happened_in_the_last_steps(
            events in prop::collection::vec((0u64..8_000_000_000, any::<bool>()), 1..200),
        ) {
            let mut share = Share::new(0, Duration::from_secs(30), 0);
            let (mut now, mut all) = (77_000_000_000, Vec::new());
            for (later, hit) in events {
                now += later;
                let step = now / 1_000_000_000;
                all.push((step, hit));
                all.retain(|(at, _)| at + 30 > step);
                share.above = false;
                let found = share.record(hit, Time::from_nanos(now), true);
                let hits = all.iter().filter(|(_, hit)| *hit).count() as u64;
                let expected = Found { hits, all: all.len() as u64 };
                prop_assert_eq!(found, (hits > 0).then_some(expected));
            }
        }
    }
}
