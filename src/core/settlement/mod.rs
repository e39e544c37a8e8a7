//! Whether a provider gives back what a request reserved and didn't use: told from what it says is left.

mod history;

use self::history::{History, Past};
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

/// How much had turned out unused, and never to have counted, since the beginning, when a request left; and the
/// least that a bucket that keeps everything has on its account when it gets there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    unused: u64,
    returned: u64,
    kept: u64,
}

/// What the provider had on its account when a request got there.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: Time,
    mark: Mark,
    used: u64,
    // No more than this had left when it was counted.
    departed: u64,
}

/// What speaks against one way of keeping.
#[derive(Clone, Copy, Debug, Default)]
struct Against {
    times: u8,
    first: Time,
    last: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Keeps,
    GivesBack,
    /// Was believed to give back and didn't.
    KeepsForGood,
}

/// An account must be lower than a keeping provider's by this share of the limit.
const MARGIN: u64 = 32;
/// How often each way of keeping must have been contradicted, ...
const BELIEVE: u8 = 2;
/// ... not within this share of a window, which one hold-up on the way explains, ...
const APART: u64 = 8;
/// ... and within so many windows.
const TOGETHER: u64 = 4;
/// For how many windows requests are spread out to find out.
const TRIAL: u64 = 8;

/// Watches one limit on tokens.
///
/// A provider gives back once it is known not to keep, whichever way it counts: what it says is compared with the least
/// that it could have on its account if it kept everything and were a rolling window, a bucket, or a fixed window. Others
/// can only raise that. What is on its way may or may not have been counted, so that it speaks for nothing. A provider
/// that charges less than is reserved here keeps less, too: so that for giving back, an account must be lower by half
/// of what turned out unused.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    limit: u64,
    window: u64,
    transit: u64,
    history: History,
    // A bucket from which half of what is unused is given back, in tokens × nanoseconds.
    kept: u128,
    kept_at: Time,
    rolling: Against,
    bucket: Against,
    fixed: Against,
    // The word after which a bucket would have the most on its account.
    full: Option<Word>,
    // The word after which a fixed window would, since it was last seen to end.
    high: Option<Word>,
    // A fixed window that ended can't end again before.
    ends: Time,
    belief: Belief,
    // Until when requests are spread out, so that there is something to see.
    trial: Option<Time>,
}

impl Settlement {
    pub(crate) fn new(limit: u64, window: u64, transit: u64) -> Self {
        Self {
            limit,
            window,
            transit,
            history: History::new(window),
            kept: 0,
            kept_at: Time::ZERO,
            rolling: Against::default(),
            bucket: Against::default(),
            fixed: Against::default(),
            full: None,
            high: None,
            ends: Time::ZERO,
            belief: Belief::Keeps,
            trial: None,
        }
    }

    /// A request of `reserved` leaves.
    pub(crate) fn departed(&mut self, reserved: u64, now: Time) -> Mark {
        let refill = self.refill(now.since(self.kept_at).as_nanos());
        self.kept = self.kept.saturating_sub(refill);
        self.kept = self.kept.saturating_add(self.scaled(reserved));
        self.kept_at = self.kept_at.max(now);
        self.history.change(now, |now| {
            now.departed = now.departed.saturating_add(reserved);
        });
        let Past {
            departed,
            unused,
            returned,
        } = self.history.now();
        // What left lately may not be there yet, and the rest may have refilled by as much more.
        let there = self.history.before(earlier(now, self.transit));
        let under_way = departed - there.map_or(0, |there| there.departed);
        let kept = self.kept.saturating_sub(self.scaled(under_way));
        let kept = kept.saturating_sub(self.refill(self.transit.into()));
        Mark {
            unused,
            returned,
            kept: u64::try_from(kept / u128::from(self.window.max(1))).unwrap_or(u64::MAX),
        }
    }

    /// A request of `reserved` turned out never to have been counted by the provider, which so holds that much less.
    pub(crate) fn returned(&mut self, reserved: u64, now: Time) {
        self.kept = self.kept.saturating_sub(self.scaled(reserved));
        self.history.change(now, |now| {
            now.returned = now.returned.saturating_add(reserved);
        });
    }

    /// A request turned out to use so much less than it had reserved.
    pub(crate) fn unused(&mut self, tokens: u64, now: Time) {
        self.kept = self.kept.saturating_sub(self.scaled(tokens) / 2);
        self.history.change(now, |now| {
            now.unused = now.unused.saturating_add(tokens);
        });
    }

    fn scaled(&self, tokens: u64) -> u128 {
        u128::from(tokens) * u128::from(self.window)
    }

    /// What refills in so many nanoseconds, in tokens × nanoseconds.
    fn refill(&self, nanos: u128) -> u128 {
        nanos.saturating_mul(self.limit.into())
    }

    /// Whether requests are to be spread out over the window, so that some leave while others have been answered: where
    /// all leave in one burst, no answer tells what became of the rest. Begins when a request first turned out to use less than
    /// it had reserved, and ends when it is known or after a few windows.
    pub(crate) fn on_trial(&mut self, now: Time) -> bool {
        if self.history.now().unused == 0 || self.belief != Belief::Keeps {
            return false;
        }
        let end = || later(now, self.window.saturating_mul(TRIAL));
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

    /// The provider had `used` on its account after the request that left `at` that instant with this mark.
    pub(crate) fn hear(&mut self, mark: Mark, used: u64, at: Time) {
        // It has counted this request at least: one that says otherwise says nothing.
        if self.belief != Belief::Keeps || used == 0 {
            return;
        }
        let Some(departed) = self.history.after(later(at, self.transit)) else {
            return;
        };
        let word = Word {
            at,
            mark,
            used,
            departed: departed.departed,
        };
        if self.too_low_for_rolling(&word) {
            self.rolling.speak(at, self.window);
        }
        if self.too_low_for_bucket(&word) {
            self.bucket.speak(at, self.window);
        }
        if self.too_low_for_fixed(&word) {
            self.fixed.speak(at, self.window);
        }
        let all = [self.rolling, self.bucket, self.fixed];
        if all.iter().all(|against| against.is_enough(at, self.window)) {
            self.belief = Belief::GivesBack;
        }
    }

    fn too_low_for_rolling(&self, word: &Word) -> bool {
        let over = match later(word.at, self.transit).nanos().checked_sub(self.window) {
            None => Some(Past::default()),
            Some(over) => self.history.after(Time::from_nanos(over)),
        };
        let over = over.map(|over| Word {
            at: word.at,
            mark: Mark {
                unused: over.unused,
                returned: over.returned,
                kept: 0,
            },
            used: 0,
            departed: over.departed,
        });
        over.is_some_and(|over| self.lower(word, &over, 2) > self.margin())
    }

    fn too_low_for_bucket(&mut self, word: &Word) -> bool {
        let returned = self.history.now().returned - word.mark.returned;
        let least = word.mark.kept.saturating_sub(returned);
        let mut low = i128::from(least) - i128::from(word.used) > self.margin();
        let Some(full) = self.full else {
            self.full = Some(*word);
            return low;
        };
        if !self.surely_after(word, &full) {
            return low;
        }
        let between = later(word.at, self.transit).since(full.at).as_nanos();
        let refilled = self.refill(between) / u128::from(self.window.max(1));
        let refilled = i128::try_from(refilled).unwrap_or(i128::MAX);
        let lower = self.lower(word, &full, 2).saturating_sub(refilled);
        low |= lower > self.margin();
        let refilled = self.refill(word.at.since(full.at).as_nanos()) / u128::from(self.window.max(1));
        let refilled = i128::try_from(refilled).unwrap_or(i128::MAX);
        if low || risen(word, &full, 2).saturating_add(refilled) >= 0 {
            self.full = Some(*word);
        }
        low
    }

    fn too_low_for_fixed(&mut self, word: &Word) -> bool {
        let Some(high) = self.high else {
            self.high = Some(*word);
            return false;
        };
        if !self.surely_after(word, &high) {
            return false;
        }
        let lower = self.lower(word, &high, 4);
        let ended = lower > self.margin() / 2;
        if ended || risen(word, &high, 4) >= 0 {
            self.high = Some(*word);
        }
        if !ended {
            return false;
        }
        // It must have ended between these two; and can't have, if it ended a short while ago.
        let twice = later(word.at, self.transit) < self.ends;
        let first = if twice { high.at } else { high.at.max(self.ends) };
        self.ends = later(first, self.window);
        twice
    }

    /// By how much less is on the account at `word` than if it had kept what came since `since`, but for a `part`th of
    /// what turned out unused.
    fn lower(&self, word: &Word, since: &Word, part: u64) -> i128 {
        let Some(there) = self.history.before(earlier(word.at, self.transit)) else {
            return 0;
        };
        let grown = i128::from(word.used) - i128::from(since.used);
        let departed = i128::from(there.departed) - i128::from(since.departed);
        let unused = word.mark.unused.saturating_sub(since.mark.unused) / part;
        let returned = self.history.now().returned.saturating_sub(since.mark.returned);
        departed - i128::from(unused) - i128::from(returned) - grown
    }

    /// Whether it was counted later, whatever overtook what.
    fn surely_after(&self, word: &Word, other: &Word) -> bool {
        word.at > later(other.at, self.transit)
    }

    fn margin(&self) -> i128 {
        i128::from(self.limit / MARGIN)
    }
}

impl Against {
    fn speak(&mut self, at: Time, window: u64) {
        if at > later(self.first, window.saturating_mul(TOGETHER)) {
            *self = Self::default();
        }
        if self.times == 0 {
            self.first = at;
        } else if at < later(self.last, window / APART) {
            return;
        }
        self.times = self.times.saturating_add(1);
        self.last = at;
    }

    fn is_enough(&self, at: Time, window: u64) -> bool {
        self.times >= BELIEVE && at <= later(self.first, window.saturating_mul(TOGETHER))
    }
}

/// How much higher an account that keeps everything, but for a `part`th of what turns out unused, would be from now on
/// if `word` were true than if `other` were.
fn risen(word: &Word, other: &Word, part: u64) -> i128 {
    let base = |word: &Word| {
        let back = word.mark.returned.saturating_add(word.mark.unused / part);
        i128::from(word.used) - i128::from(word.departed) + i128::from(back)
    };
    base(word) - base(other)
}

const fn later(t: Time, nanos: u64) -> Time {
    Time::from_nanos(t.nanos().saturating_add(nanos))
}

const fn earlier(t: Time, nanos: u64) -> Time {
    Time::from_nanos(t.nanos().saturating_sub(nanos))
}

#[cfg(test)]
mod tests;
