//! Whether a provider gives back what a request reserved and didn't use: told from what it says is left.

mod history;

use self::history::{Answered, History};
use super::time::Time;

/// What becomes of what a request reserved and didn't use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settle {
    /// It stays charged until the provider's `remaining` has shown that it gives back: that it can't keep, whichever way it
    /// counts. Then it is given back here too, until a refusal says otherwise. To have something to see, the last quarter of
    /// a window is spread out over it, in eight of 64 windows, where an eighth or more of what left has turned out unused.
    ///
    /// A client that asks for as much as it may mostly finds out in two to four windows where three quarters or less of what
    /// is reserved are used; above nine tenths hardly ever, as there is little to give back. Taken for granted is that
    /// requests get there within twice the limit's [`transit`](crate::Limit::transit). For a provider that is known to give
    /// back say [`TrueUp`](Self::TrueUp); for one that keeps, but charges a tenth less than is reserved here, say
    /// [`Keep`](Self::Keep): where hardly more than that is unused, the two look alike.
    #[default]
    Auto,
    /// It stays charged: for providers that keep what was reserved.
    Keep,
    /// It is given back: for providers that count what was really used.
    TrueUp,
    /// The provider counts output as it is produced, whatever the request's maximum (Anthropic). Reserved is what
    /// answers of this quota have lately come to (512 tokens before the first), the maximum at most; what it really was is charged or given back when the answer ends. Requests whose maximum is far above what they come to aren't
    /// kept waiting for it, and while answers are longer than expected the limit may be overdrawn by the difference, as
    /// the provider lets it be. What counts for `max_per_request` is the expected output too.
    RealTime,
}

/// When a request left, and how things stood then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) at: Time,
    // None where nobody compares.
    pub(crate) mark: Option<Mark>,
}

impl Departure {
    /// Of what hasn't left.
    pub(crate) const NONE: Self = Self {
        at: Time::ZERO,
        mark: None,
    };
}

/// Less than this share unused is no use to get back, and may be what an estimate was wrong by.
const WORTH: u64 = 8;

/// How much had left and had turned out unused, since the beginning, when a request left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) departed: u64,
    pub(crate) unused: u64,
}

/// What the provider had on its account when a request got there.
#[derive(Clone, Copy, Debug)]
struct Word {
    at: Time,
    mark: Mark,
    used: u64,
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
const TOGETHER: u64 = 8;
/// For how many windows requests are spread out to find out, ...
const TRIAL: u64 = 8;
/// ... and in how many windows once.
const TRIED: u64 = 64;

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
    // By how much one request may overtake another: twice the allowance, as some are held up for longer.
    slack: u64,
    history: History,
    now: Mark,
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
    // When requests were first spread out, so that there is something to see.
    trial: Option<Time>,
}

impl Settlement {
    pub(crate) fn new(limit: u64, window: u64, transit: u64) -> Self {
        Self {
            limit,
            window,
            slack: transit.saturating_mul(2).max(window / 64),
            history: History::new(window),
            now: Mark {
                departed: 0,
                unused: 0,
            },
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
    pub(crate) const fn departed(&mut self, reserved: u64) -> Mark {
        self.now.departed = self.now.departed.saturating_add(reserved);
        self.now
    }

    /// What a request would find that left now.
    pub(crate) const fn mark(&self) -> Mark {
        self.now
    }

    /// A request of `reserved` turned out never to have been counted by the provider.
    pub(crate) const fn returned(&mut self, reserved: u64) {
        self.now.departed = self.now.departed.saturating_sub(reserved);
    }

    /// A request that left at `dated` with `reserved` was answered, and turned out to use so much less.
    pub(crate) fn answered(&mut self, reserved: u64, unused: u64, dated: Time, now: Time) {
        self.now.unused = self.now.unused.saturating_add(unused);
        self.history.add(Answered { reserved, unused }, dated, now);
    }

    /// Whether requests are to be spread out over the window, so that some leave while others have been answered: where
    /// all leave in one burst, no answer tells what became of the rest. Begins when an eighth of what left has turned out unused, ends when it is known or after a few windows, and begins anew much later: there may be more to do then.
    pub(crate) fn on_trial(&mut self, now: Time) -> bool {
        let little = self.now.unused.saturating_mul(WORTH) < self.now.departed;
        if little || self.now.unused == 0 || self.belief != Belief::Keeps {
            return false;
        }
        let since = now.since(*self.trial.get_or_insert(now)).as_nanos();
        let round = u128::from(self.window.max(1)) * u128::from(TRIED);
        since % round < u128::from(self.window) * u128::from(TRIAL)
    }

    /// The limit is another from now on: what was said of the one before says nothing of it.
    pub(crate) fn resize(&mut self, limit: u64) {
        self.limit = limit;
        (self.full, self.high) = (None, None);
        [self.rolling, self.bucket, self.fixed] = [Against::default(); 3];
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
        // It has counted this request at least: who says otherwise says nothing. And where nothing is left, more may be used.
        let nonsense = used == 0 || used >= self.limit;
        if self.belief != Belief::Keeps || self.now.unused == 0 || nonsense {
            return;
        }
        let word = Word { at, mark, used };
        let (rolling, bucket) = self.least(&word);
        if self.too_low(&word, rolling, MARGIN) {
            self.rolling.speak(at, self.window);
        }
        if self.too_low_for_bucket(&word, bucket) {
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

    /// The least that a rolling window, and a bucket that may have been empty at any instant, have on their accounts.
    fn least(&self, word: &Word) -> (i128, i128) {
        let end = later(word.at, self.slack);
        let over = end.nanos().checked_sub(self.window).map(Time::from_nanos);
        let (mut rolling, mut bucket) = (0, 0);
        for (begun, counted) in self.counted(over, word) {
            let scaled = u128::from(counted.kept(2)).saturating_mul(self.window.into());
            rolling = counted.kept(2);
            bucket = bucket.max(scaled.saturating_sub(self.refill(end, begun)));
        }
        (rolling.into(), self.tokens(bucket))
    }

    fn too_low_for_bucket(&mut self, word: &Word, mut least: i128) -> bool {
        let end = later(word.at, self.slack);
        let Some(full) = self.full else {
            self.full = Some(*word);
            return self.too_low(word, least, MARGIN);
        };
        if self.surely_after(word, &full) {
            least = least
                .max(self.least_after(&full, word, 2) - self.tokens(self.refill(end, full.at)));
        }
        let low = self.too_low(word, least, MARGIN);
        let replaces =
            low || word.above(&full, 2) + self.tokens(self.refill(word.at, full.at)) >= 0;
        if self.surely_after(word, &full) && replaces {
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
        let ended = self.too_low(word, self.least_after(&high, word, 4), 2 * MARGIN);
        if ended || word.above(&high, 4) >= 0 {
            self.high = Some(*word);
        }
        if !ended {
            return false;
        }
        // It must have ended between these two; and can't have, if it ended a short while ago.
        let twice = later(word.at, self.slack) < self.ends;
        let first = if twice {
            high.at
        } else {
            high.at.max(self.ends)
        };
        self.ends = later(first, self.window);
        twice
    }

    /// What was counted before `word`, surely: the sums since each step, the last first.
    fn counted(&self, after: Option<Time>, word: &Word) -> impl Iterator<Item = (Time, Answered)> {
        self.history.between(after, earlier(word.at, self.slack))
    }

    /// The least on the account at `word` if it kept all but a `part`th of what is unused of what came after `other`.
    fn least_after(&self, other: &Word, word: &Word, part: u64) -> i128 {
        let counted = self.counted(Some(later(other.at, self.slack)), word).last();
        let counted = counted.map_or(0, |(_, counted)| counted.kept(part));
        i128::from(other.used) + i128::from(counted)
    }

    fn too_low(&self, word: &Word, least: i128, margin: u64) -> bool {
        i128::from(word.used) + i128::from(self.limit / margin) < least
    }

    /// What a bucket refills between these two, in tokens × nanoseconds.
    fn refill(&self, to: Time, from: Time) -> u128 {
        u128::from(self.limit).saturating_mul(to.since(from).as_nanos())
    }

    fn tokens(&self, scaled: u128) -> i128 {
        i128::try_from(scaled / u128::from(self.window.max(1))).unwrap_or(i128::MAX / 4)
    }

    /// Whether it was counted later, whatever overtook what.
    fn surely_after(&self, word: &Word, other: &Word) -> bool {
        word.at > later(other.at, self.slack)
    }
}

impl Word {
    /// About how much higher an account that keeps all but a `part`th of what is unused is from now on, by this word, than by
    /// the other.
    fn above(&self, other: &Self, part: u64) -> i128 {
        let base = |word: &Self| {
            let left = word.mark.departed.saturating_sub(word.mark.unused / part);
            i128::from(word.used) - i128::from(left)
        };
        base(self) - base(other)
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

const fn later(t: Time, nanos: u64) -> Time {
    Time::from_nanos(t.nanos().saturating_add(nanos))
}

const fn earlier(t: Time, nanos: u64) -> Time {
    Time::from_nanos(t.nanos().saturating_sub(nanos))
}

#[cfg(test)]
mod tests;
