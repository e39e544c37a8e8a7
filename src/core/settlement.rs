//! Whether a provider gives back what a request reserved and didn't use: told from what it says is left.

use super::time::Time;

/// What becomes of what a request reserved and didn't use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settle {
    /// It stays charged until the provider's `remaining` shows, over several answers, that it gives back; then it is
    /// given back here too. To have something to see, the last quarter of a window is spread out for eight windows.
    /// Found out where clearly less is used than reserved, about two thirds or less; for a provider that is known to give back
    /// say [`TrueUp`](Self::TrueUp).
    #[default]
    Auto,
    /// It stays charged: for providers that keep what was reserved.
    Keep,
    /// It is given back: for providers that count what was really used.
    TrueUp,
}

/// When a request left, and how things stood then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) at: Time,
    // None where nobody compares.
    pub(crate) mark: Option<Mark>,
}

/// How much had left and had turned out unused, since the beginning, when a request left; and the
/// least that a provider that keeps everything could have on its account, unless its window had just ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    departed: u64,
    unused: u64,
    kept: u64,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    mark: Mark,
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Keeps,
    GivesBack,
    /// Was believed to give back and didn't.
    KeepsForGood,
}

/// Two words are compared once this share of the limit has turned out unused between them.
const STEP: u64 = 16;
/// By this share of the limit the account must be lower than a keeping provider's.
const MARGIN: u64 = 8;
/// How many comparisons in a row must speak for giving back. A fixed window that ends explains one of
/// them, and there is one such end in a window: three in a row within one can't be explained by it.
const BELIEVE: u8 = 3;
/// For how many windows requests are spread out to find out.
const TRIAL: u64 = 8;
/// How many in a row against it end the belief.
const DOUBT: u8 = 2;

/// Watches one limit on tokens.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    limit: u64,
    window: u64,
    now: Mark,
    // A bucket from which nothing is given back, in tokens × nanoseconds. No keeping provider holds less on
    // account, except after the end of a fixed window.
    kept: u128,
    kept_at: Time,
    last: Option<Word>,
    votes: u8,
    since: Time,
    belief: Belief,
    // Until when requests are spread out, so that there is something to see.
    trial: Option<Time>,
}

impl Settlement {
    pub(crate) const fn new(limit: u64, window: u64) -> Self {
        Self {
            limit,
            window,
            now: Mark {
                departed: 0,
                unused: 0,
                kept: 0,
            },
            kept: 0,
            kept_at: Time::ZERO,
            last: None,
            votes: 0,
            since: Time::ZERO,
            belief: Belief::Keeps,
            trial: None,
        }
    }

    /// A request of `reserved` leaves.
    pub(crate) fn departed(&mut self, reserved: u64, now: Time) -> Mark {
        let refill = u128::from(self.limit) * now.since(self.kept_at).as_nanos();
        let charge = u128::from(reserved) * u128::from(self.window);
        self.kept = self.kept.saturating_sub(refill).saturating_add(charge);
        self.kept_at = self.kept_at.max(now);
        let kept = self.kept / u128::from(self.window.max(1));
        self.now.kept = u64::try_from(kept).unwrap_or(u64::MAX);
        self.now.departed = self.now.departed.saturating_add(reserved);
        self.now
    }

    /// A request of `reserved` turned out never to have reached the provider, which so holds that much less.
    pub(crate) fn returned(&mut self, reserved: u64) {
        let charge = u128::from(reserved) * u128::from(self.window);
        self.kept = self.kept.saturating_sub(charge);
        self.now.departed = self.now.departed.saturating_sub(reserved);
    }

    /// A request turned out to use so much less than it had reserved.
    pub(crate) const fn unused(&mut self, tokens: u64) {
        self.now.unused = self.now.unused.saturating_add(tokens);
    }

    /// Whether requests are to be spread out over the window, so that some leave while others have been answered: where
    /// all leave in one burst, no answer tells what became of the rest. Begins when a request first turned out to use less than
    /// it had reserved, and ends when it is known or after a few windows.
    pub(crate) fn on_trial(&mut self, now: Time) -> bool {
        if self.now.unused == 0 || self.belief != Belief::Keeps {
            return false;
        }
        let span = self.window.saturating_mul(TRIAL);
        let end = || Time::from_nanos(now.nanos().saturating_add(span));
        now < *self.trial.get_or_insert_with(end)
    }

    pub(crate) fn gives_back(&self) -> bool {
        self.belief == Belief::GivesBack
    }

    /// The provider refused for want of tokens: what it was believed to give back it may not have.
    pub(crate) fn refused(&mut self) {
        if self.gives_back() {
            self.belief = Belief::KeepsForGood;
        }
    }

    /// The provider had `used` on its account after the request of this mark.
    pub(crate) fn hear(&mut self, mark: Mark, used: u64, now: Time) {
        let word = Word { mark, used };
        let Some(last) = self.last else {
            self.last = Some(word);
            return;
        };
        let unused = mark.unused.saturating_sub(last.mark.unused);
        if mark.departed < last.mark.departed || unused < (self.limit / STEP).max(1) {
            return;
        }
        self.last = Some(word);
        let departed = i128::from(mark.departed - last.mark.departed);
        let grown = i128::from(used) - i128::from(last.used);
        let grew_by_less = grown < departed - i128::from(unused / 2);
        match self.belief {
            Belief::Keeps => {
                let low = used.saturating_add(self.limit / MARGIN) < mark.kept;
                let window = u128::from(self.window);
                if !(grew_by_less && low) {
                    self.votes = 0;
                } else if self.votes == 0 || now.since(self.since).as_nanos() >= window {
                    self.votes = 1;
                    self.since = now;
                } else {
                    self.votes += 1;
                }
                if self.votes >= BELIEVE {
                    self.votes = 0;
                    self.belief = Belief::GivesBack;
                }
            }
            Belief::GivesBack => {
                self.votes = if grew_by_less { 0 } else { self.votes + 1 };
                if self.votes >= DOUBT {
                    self.belief = Belief::KeepsForGood;
                }
            }
            Belief::KeepsForGood => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Provider {
        Bucket,
        Rolling,
        Fixed,
    }

    /// A request of 100 tokens every 400 ms, a third of which is used, for five minutes.
    fn watched(provider: Provider, keeps: bool) -> Settlement {
        let mut settlement = Settlement::new(30_000, MINUTE);
        let counts = |n: u64| if keeps { 100 } else { 33 + n % 3 };
        let mut unsettled = std::collections::VecDeque::new();
        let (mut level, mut history) = (0.0_f64, Vec::new());
        for n in 0..750_u64 {
            let at = n * 400_000_000;
            let now = Time::from_nanos(at);
            while unsettled.front().is_some_and(|due| *due <= at) {
                unsettled.pop_front();
                settlement.unused(66);
            }
            let mark = settlement.departed(100, now);
            unsettled.push_back(at + 2_000_000_000);
            // The provider gives back at once here; what is in flight is noise.
            level = (level - 200.0).max(0.0) + counts(n) as f64;
            history.push((at, counts(n)));
            let from = match provider {
                Provider::Rolling => at.saturating_sub(MINUTE),
                _ => at / MINUTE * MINUTE,
            };
            let sum = history
                .iter()
                .filter(|(t, _)| *t >= from)
                .map(|(_, n)| n)
                .sum();
            let used = if provider == Provider::Bucket {
                level as u64
            } else {
                sum
            };
            settlement.hear(mark, used, now);
        }
        settlement
    }

    #[test]
    fn a_provider_that_keeps_is_never_taken_for_one_that_gives_back() {
        for provider in [Provider::Bucket, Provider::Rolling, Provider::Fixed] {
            assert!(!watched(provider, true).gives_back(), "{provider:?}");
        }
    }

    #[test]
    fn requests_that_never_arrived_are_no_sign_of_giving_back() {
        // Every other one is charged, and found half a second later never to have reached a provider that keeps
        // everything, in a bucket; a third of what the others reserved is used.
        let mut settlement = Settlement::new(30_000, MINUTE);
        let (mut level, mut before) = (0.0_f64, 0);
        for n in 0..2_000_u64 {
            let at = n * 200_000_000;
            settlement.departed(100, Time::from_nanos(at));
            settlement.returned(100);
            let mark = settlement.departed(100, Time::from_nanos(at));
            level = (level - 30_000.0 * (at - before) as f64 / MINUTE as f64).max(0.0) + 100.0;
            before = at;
            settlement.hear(mark, level as u64, Time::from_nanos(at));
            settlement.unused(66);
        }
        assert!(!settlement.gives_back());
    }

    #[test]
    fn a_refusal_ends_the_belief_for_good() {
        let mut settlement = Settlement {
            belief: Belief::GivesBack,
            ..Settlement::new(30_000, MINUTE)
        };
        settlement.refused();
        assert!(!settlement.gives_back());
    }
}
