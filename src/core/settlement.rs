//! Whether a provider gives back what a request reserved and didn't use: told from what it says is left.

use super::time::Time;

/// How many observations in a row must speak for giving back before it is believed.
const BELIEVE: u8 = 4;
/// How many in a row against it end the belief, for good.
const DOUBT: u8 = 2;
/// Nothing is judged before this share of the limit could have been given back.
const SHARE: u64 = 32;

/// What had left and what had turned out unused, in tokens since the beginning, when a request left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) departed: u64,
    pub(crate) unused: u64,
}

/// What becomes of what a request reserved and didn't use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settle {
    /// It stays charged until the provider's `remaining` shows, over several answers, that it gives back; then it is given back
    /// here too.
    #[default]
    Auto,
    /// It stays charged: for providers that keep what was reserved.
    Keep,
    /// It is given back: for providers that count what was really used.
    TrueUp,
}

/// When a request left, and what had happened until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) at: Time,
    // None where nobody compares.
    pub(crate) mark: Option<Mark>,
}

/// One answer's word, with our own account at that moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) mark: Mark,
    /// Limit less remaining, as the provider says.
    pub(crate) theirs: u64,
    /// What our own account held as spent when the request left, where it remembers.
    pub(crate) ours: Option<u64>,
    pub(crate) at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Keeps,
    GivesBack,
    /// Was believed to give back and didn't.
    KeepsForGood,
}

/// Watches one limit on tokens.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    limit: u64,
    window: u64,
    now: Mark,
    anchor: Option<Word>,
    votes: u8,
    belief: Belief,
}

impl Settlement {
    pub(crate) const fn new(limit: u64, window: u64) -> Self {
        Self {
            limit,
            window,
            now: Mark {
                departed: 0,
                unused: 0,
            },
            anchor: None,
            votes: 0,
            belief: Belief::Keeps,
        }
    }

    /// A request of `reserved` leaves.
    pub(crate) const fn departed(&mut self, reserved: u64) -> Mark {
        self.now.departed = self.now.departed.saturating_add(reserved);
        self.now
    }

    /// A request turned out to use less than it had reserved.
    pub(crate) const fn unused(&mut self, tokens: u64) {
        self.now.unused = self.now.unused.saturating_add(tokens);
    }

    pub(crate) fn gives_back(&self) -> bool {
        self.belief == Belief::GivesBack
    }

    /// Compares what the provider's account grew by with what a provider that keeps everything would
    /// show. Everything that could make a keeping provider's account shrink (its window moves on) is
    /// taken for its window moving on.
    pub(crate) fn hear(&mut self, word: Word) {
        let Some(anchor) = self.anchor else {
            self.anchor = Some(word);
            return;
        };
        let unused = word.mark.unused.saturating_sub(anchor.mark.unused);
        if word.mark.departed < anchor.mark.departed || unused < (self.limit / SHARE).max(1) {
            return;
        }
        self.anchor = Some(word);
        let departed = i128::from(word.mark.departed - anchor.mark.departed);
        let grown = i128::from(word.theirs) - i128::from(anchor.theirs);
        let half = i128::from(unused / 2);
        match self.belief {
            Belief::Keeps => {
                let nanos = word.at.nanos().saturating_sub(anchor.at.nanos());
                let refill =
                    u128::from(self.limit) * u128::from(nanos) / u128::from(self.window.max(1));
                let refilled = departed - i128::try_from(refill).unwrap_or(i128::MAX);
                let own = match (word.ours, anchor.ours) {
                    (Some(now), Some(then)) => i128::from(now) - i128::from(then),
                    _ => refilled,
                };
                if grown < refilled.min(own) - half {
                    self.votes += 1;
                } else {
                    self.votes = 0;
                }
                if self.votes >= BELIEVE {
                    self.votes = 0;
                    self.belief = Belief::GivesBack;
                }
            }
            Belief::GivesBack => {
                if grown > departed - half {
                    self.votes += 1;
                } else {
                    self.votes = 0;
                }
                if self.votes >= DOUBT {
                    self.belief = Belief::KeepsForGood;
                }
            }
            Belief::KeepsForGood => {}
        }
    }
}
