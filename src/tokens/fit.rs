//! What the traits of a request weigh with one model, learnt from what its answers say they used.
//!
//! A regression that takes one answer after another in constant time and memory: weights, and how unsure each of
//! them is, alone and together with each other one (a Kalman filter whose weights may wander a little). It starts from
//! the weights that everybody starts from.

use super::text::{OF_TEXTS, TOKEN, TRAITS, Traits, WEIGHTS, WIDE};

/// How far an answer's count may be off what the weights can express: this part of it …
const NOISE: f64 = 0.03;
/// … and this many tokens.
const NOISE_TOKENS: f64 = 2.0;
/// What the first weights of texts have in them, to be rather too high.
const SAFETY: f64 = 1.1;
/// How unsure a weight is at first, as a part of it …
const UNSURE: f64 = 0.3;
/// … of characters beyond ASCII, of which some models have far more words than others …
const UNSURE_WIDE: f64 = 0.6;
/// … and in tokens.
const UNSURE_TOKENS: f64 = 0.03;
/// How much of its first unsureness (its variance) a weight gets back with every answer.
const WANDER: f64 = 1e-4;
/// An answer further off than this many deviations teaches no more than one that is as far off.
const FURTHEST: f64 = 3.0;
/// So many of those in a row are no outliers: what was learnt is wrong.
const IN_A_ROW: u8 = 4;
/// What a weight may come to at most, in multiples of what it is at first.
const MOST: f64 = 4.0;
/// An answer whose count is further off than by this factor, by the first weights, isn't about what was sent.
const ABSURD: f64 = 8.0;
/// The margin is at most this part of the estimate, at first …
const MARGIN: f64 = 0.05;
/// … and half of it after so many answers.
const MARGIN_ANSWERS: f64 = 5.0;

/// Weights in tokens.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    weights: [f64; TRAITS],
    // The variance of each weight and its covariance with each other one; symmetric.
    unsure: [[f64; TRAITS]; TRAITS],
    answers: u64,
    // How many answers in a row were far off in the same direction; negative below.
    far: i8,
    // The mean of how far off the estimates were, of the last answers more than of earlier ones.
    error: f64,
}

fn first_weight(at: usize) -> f64 {
    let safety = if at < OF_TEXTS { SAFETY } else { 1.0 };
    f64::from(WEIGHTS[at]) / TOKEN as f64 / safety
}

fn first_deviation(at: usize) -> f64 {
    first_weight(at)
        * match at {
            WIDE..OF_TEXTS => UNSURE_WIDE,
            _ => UNSURE,
        }
        + UNSURE_TOKENS
}

impl Fit {
    pub(super) fn new() -> Self {
        let mut fit = Self {
            weights: std::array::from_fn(first_weight),
            unsure: [[0.0; TRAITS]; TRAITS],
            answers: 0,
            far: 0,
            error: 0.0,
        };
        fit.forget_sureness();
        fit
    }

    fn forget_sureness(&mut self) {
        self.unsure = [[0.0; TRAITS]; TRAITS];
        for at in 0..TRAITS {
            self.unsure[at][at] = first_deviation(at).powi(2);
        }
    }

    /// How many answers it has learnt from.
    pub(super) const fn answers(&self) -> u64 {
        self.answers
    }

    /// How far off the last estimates were, as a part of what was counted.
    pub(super) const fn error(&self) -> f64 {
        self.error
    }

    /// Tokens of a request, rather too high than too low while it is unsure.
    pub(super) fn estimate(&self, traits: &Traits) -> u64 {
        if self.answers == 0 {
            // Its first weights are rather too high by themselves.
            return traits.weight().div_ceil(TOKEN);
        }
        let first = first_tokens(traits);
        let x = traits.0.map(f64::from);
        let mean = dot(&self.weights, &x);
        let deviation = dot(&x, &self.spread(&x)).max(0.0).sqrt();
        let most = MARGIN / (1.0 + self.answers as f64 / MARGIN_ANSWERS);
        let tokens = mean + deviation.min(mean * most);
        // The cast saturates.
        tokens.clamp(first / ABSURD, first * ABSURD).ceil() as u64
    }

    /// Learns that a request of these traits had `counted` tokens.
    pub(super) fn learn(&mut self, traits: &Traits, counted: u64) {
        let (first, counted) = (first_tokens(traits), counted as f64);
        if first < 1.0 || !(first / ABSURD..=first * ABSURD).contains(&counted) {
            return;
        }
        let x = traits.0.map(f64::from);
        let mean = dot(&self.weights, &x);
        let part = (mean - counted).abs() / counted;
        self.answers = self.answers.saturating_add(1);
        self.error += (part - self.error) / self.answers.min(20) as f64;

        // In units of the noise, so that long requests don't drown short ones.
        let noise = NOISE * mean.max(counted) + NOISE_TOKENS;
        let x = x.map(|x| x / noise);
        let spread = self.spread(&x);
        let variance = 1.0 + dot(&x, &spread).max(0.0);
        let furthest = FURTHEST * variance.sqrt();
        let off = (counted - mean) / noise;
        self.far = match off {
            _ if off > furthest => self.far.max(0) + 1,
            _ if off < -furthest => self.far.min(0) - 1,
            _ => 0,
        };
        if self.far.unsigned_abs() >= IN_A_ROW {
            self.far = 0;
            self.forget_sureness();
            return;
        }
        let off = off.clamp(-furthest, furthest);
        for at in 0..TRAITS {
            let gain = spread[at] / variance;
            let most = (first_weight(at) + UNSURE_TOKENS) * MOST;
            self.weights[at] = (self.weights[at] + gain * off).clamp(0.0, most);
            for (unsure, spread) in self.unsure[at].iter_mut().zip(spread) {
                *unsure -= gain * spread;
            }
        }
        for at in 0..TRAITS {
            let first = first_deviation(at).powi(2);
            let own = &mut self.unsure[at][at];
            *own = (*own + first * WANDER).clamp(0.0, first);
        }
    }

    fn spread(&self, x: &[f64; TRAITS]) -> [f64; TRAITS] {
        std::array::from_fn(|at| dot(&self.unsure[at], x))
    }
}

/// By the weights of the beginning.
fn first_tokens(traits: &Traits) -> f64 {
    traits.weight() as f64 / TOKEN as f64
}

fn dot(a: &[f64; TRAITS], b: &[f64; TRAITS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn traits(text: &str) -> Traits {
        let mut traits = Traits::default();
        traits.text(text.as_bytes());
        traits
    }

    fn prose() -> Traits {
        traits(&"It takes some words, 12 or so, to say what this is about. ".repeat(10))
    }

    #[test]
    fn it_comes_to_what_it_is_told_and_starts_a_little_high() {
        let (prose, mut fit) = (prose(), Fit::new());
        let first = fit.estimate(&prose);
        let counted = first * 4 / 5;
        fit.learn(&prose, counted);
        let then = fit.estimate(&prose);
        assert!(
            counted < then && then < first,
            "{counted} < {then} < {first}"
        );
        for _ in 0..50 {
            fit.learn(&prose, counted);
        }
        let last = fit.estimate(&prose);
        assert!(
            last.abs_diff(counted) * 50 <= counted,
            "{last} for {counted}"
        );
        assert!(fit.error() < 0.02, "{}", fit.error());
        assert_eq!(fit.answers(), 51);
    }

    #[test]
    fn what_cant_be_true_teaches_nothing() {
        let (prose, mut fit) = (prose(), Fit::new());
        let first = fit.estimate(&prose);
        for counted in [0, 1, first / 10, first * 10, u64::MAX] {
            fit.learn(&prose, counted);
        }
        fit.learn(&Traits::default(), 100);
        assert_eq!((fit.answers(), fit.estimate(&prose)), (0, first));
    }

    #[test]
    fn outliers_hardly_matter_and_a_change_is_followed() {
        let (prose, mut fit) = (prose(), Fit::new());
        let counted = fit.estimate(&prose);
        for at in 0..100 {
            let outlier = if at % 2 == 0 { 5 } else { 1 };
            fit.learn(
                &prose,
                if at % 10 == 9 {
                    counted * outlier / 3
                } else {
                    counted
                },
            );
        }
        let after = fit.estimate(&prose);
        assert!(
            after.abs_diff(counted) * 20 < counted,
            "{after} for {counted}"
        );
        // Another tokenizer behind the same name.
        for _ in 0..30 {
            fit.learn(&prose, counted * 3 / 2);
        }
        let after = fit.estimate(&prose);
        assert!(
            after.abs_diff(counted * 3 / 2) * 20 < counted,
            "{after} for {}",
            counted * 3 / 2
        );
    }

    proptest! {
        #[test]
        fn no_figures_break_it(
            lessons in proptest::collection::vec(
                (any::<[u16; TRAITS]>(), 0..32_u32, any::<u64>(), 0..64_u32), 0..200,
            ),
        ) {
            let mut fit = Fit::new();
            for (counts, shift, counted, less) in lessons {
                let traits = Traits(counts.map(|count| u32::from(count) << shift.min(16)));
                // Of which some are near enough to be believed.
                let counted = if less < 8 {
                    (first_tokens(&traits) / 4.0 * f64::from(less)) as u64
                } else {
                    counted >> less
                };
                fit.learn(&traits, counted);
                let first = first_tokens(&traits);
                let found = fit.estimate(&traits) as f64;
                prop_assert!(found <= first * ABSURD + 1.0 && found + 1.0 >= first / ABSURD);
                prop_assert!(fit.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0));
                prop_assert!(fit.unsure.iter().flatten().all(|unsure| unsure.is_finite()));
            }
            // And it still learns.
            let prose = prose();
            let counted = prose.weight() / TOKEN;
            for _ in 0..300 {
                fit.learn(&prose, counted);
            }
            let found = fit.estimate(&prose);
            prop_assert!(found.abs_diff(counted) * 10 < counted, "{} for {}", found, counted);
        }
    }
}
