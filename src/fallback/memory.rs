//! Which members of a chain are down, and until when.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    clock::Clock,
    core::time::Time,
    error::{BoxError, Reason, Rejected},
    verdict::Verdict,
};

/// For how long a member is remembered as down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    /// At most, whatever it asks for; `None` remembers nothing.
    pub(super) max: Option<Duration>,
    /// Without money.
    pub(super) exhausted: Duration,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            max: Some(Duration::from_secs(60)),
            exhausted: Duration::from_secs(600),
        }
    }
}

impl Spans {
    /// For how long an outcome keeps its member down, where it says so.
    pub(super) fn of(self, verdict: &Verdict, error: Option<&BoxError>) -> Option<Duration> {
        let max = self.max?;
        match verdict {
            Verdict::RateLimited { retry_after, .. } | Verdict::Overloaded { retry_after } => {
                retry_after.map(|wait| wait.min(max))
            }
            Verdict::QuotaExhausted => Some(self.exhausted),
            Verdict::Refused => {
                let rejected = Rejected::find(error?.as_ref())?;
                let wait = match rejected.reason {
                    Reason::CircuitOpen => rejected.retry_after,
                    _ => None,
                };
                wait.map(|wait| wait.min(max))
            }
            _ => None,
        }
    }
}

/// A member that is remembered as down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Down {
    /// Until when.
    pub(super) until: Time,
    /// What it said, with the time that is left.
    pub(super) verdict: Verdict,
    pub(super) left: Duration,
}

/// What a member's account looked like when a call went there: 0 where it wasn't down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Seen {
    pub(super) const UP: Self = Self(0);
}

/// One word a member: until when it is down in nanoseconds, and in the last two bits why; 0 where it isn't. So whoever
/// finds the first member up has looked at one word, and at no clock.
#[derive(Debug)]
pub(super) struct Memory {
    spans: Spans,
    clock: Clock,
    members: Box<[AtomicU64]>,
}

impl Memory {
    pub(super) fn new(members: usize, spans: Spans) -> Self {
        Self {
            spans,
            clock: Clock::default(),
            members: (0..members).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) const fn spans(&self) -> Spans {
        self.spans
    }

    #[inline]
    pub(super) fn look(&self, member: usize) -> Seen {
        Seen(self.members[member].load(Ordering::Acquire))
    }

    /// Whether it is down.
    pub(super) fn down(&self, member: usize) -> Option<Down> {
        let Seen(word) = self.look(member);
        if word == 0 {
            return None;
        }
        unpack(word, self.clock.now())
    }

    /// A call that found this `seen` has had this outcome, which keeps the member down for `span`.
    pub(super) fn learn(
        &self,
        member: usize,
        seen: Seen,
        verdict: &Verdict,
        span: Option<Duration>,
    ) {
        let word = &self.members[member];
        match span {
            Some(span) if self.spans.max.is_some() && !span.is_zero() => {
                let new = pack(self.clock.now().after(span), verdict);
                // Of calls that went there side by side the longest hint counts; of one that went there in spite of
                // what was known, its own.
                let update = |old| (old == seen.0 || old >> 2 < new >> 2).then_some(new);
                let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
            }
            // One that was on its way before proves nothing.
            None if seen.0 != 0 && is_up(verdict) => {
                let _ = word.compare_exchange(seen.0, 0, Ordering::AcqRel, Ordering::Acquire);
            }
            _ => {}
        }
    }
}

const fn is_up(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Success | Verdict::Permanent | Verdict::TooLarge
    )
}

const RATE_LIMITED: u64 = 0;
const OVERLOADED: u64 = 1;
const EXHAUSTED: u64 = 2;
const REFUSED: u64 = 3;

fn pack(until: Time, verdict: &Verdict) -> u64 {
    let why = match verdict {
        Verdict::RateLimited { .. } => RATE_LIMITED,
        Verdict::Overloaded { .. } => OVERLOADED,
        Verdict::QuotaExhausted => EXHAUSTED,
        _ => REFUSED,
    };
    (until.nanos().clamp(1, u64::MAX >> 2) << 2) | why
}

fn unpack(word: u64, now: Time) -> Option<Down> {
    let until = Time::from_nanos(word >> 2);
    if until <= now {
        return None;
    }
    let left = until.since(now);
    let verdict = match word & 3 {
        RATE_LIMITED => Verdict::RateLimited {
            resource: None,
            window: None,
            retry_after: Some(left),
        },
        OVERLOADED => Verdict::Overloaded {
            retry_after: Some(left),
        },
        EXHAUSTED => Verdict::QuotaExhausted,
        _ => Verdict::Refused,
    };
    Some(Down {
        until,
        verdict,
        left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITED: Verdict = Verdict::RateLimited {
        resource: None,
        window: None,
        retry_after: None,
    };

    fn secs(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    fn left(memory: &Memory) -> Option<u64> {
        memory.down(0).map(|down| down.left.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_is_down_until_then_and_not_a_nanosecond_longer() {
        let memory = Memory::new(1, Spans::default());
        memory.learn(0, Seen(0), &LIMITED, secs(3));
        tokio::time::advance(Duration::new(2, 999_999_999)).await;
        let down = memory.down(0).unwrap();
        assert_eq!(down.left, Duration::from_nanos(1));
        assert_eq!(down.verdict.retry_after(), Some(down.left));
        tokio::time::advance(Duration::from_nanos(1)).await;
        assert!(memory.down(0).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_hint_of_calls_side_by_side_counts_and_the_newest_of_later_ones() {
        let memory = Memory::new(1, Spans::default());
        for (span, expected) in [(5, 5), (9, 9), (2, 9)] {
            memory.learn(0, Seen(0), &LIMITED, secs(span));
            assert_eq!(left(&memory), Some(expected));
        }
        memory.learn(0, memory.look(0), &LIMITED, secs(2));
        assert_eq!(left(&memory), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_call_that_knew_better_clears() {
        let memory = Memory::new(1, Spans::default());
        memory.learn(0, Seen(0), &LIMITED, secs(5));
        memory.learn(0, Seen(0), &Verdict::Success, None);
        assert_eq!(left(&memory), Some(5), "it was on its way before");
        let seen = memory.look(0);
        memory.learn(0, seen, &Verdict::Transient { sent: true }, None);
        assert_eq!(left(&memory), Some(5));
        memory.learn(0, seen, &Verdict::Success, None);
        assert_eq!((left(&memory), memory.look(0)), (None, Seen(0)));
    }

    #[test]
    fn a_hint_is_bounded_and_every_kind_has_its_span() {
        let spans = Spans::default();
        let day = secs(86_400);
        let of = |verdict| spans.of(&verdict, None);
        let retry_after = day;
        assert_eq!(of(Verdict::Overloaded { retry_after }), secs(60));
        assert_eq!(of(Verdict::Overloaded { retry_after: None }), None);
        assert_eq!(of(Verdict::QuotaExhausted), secs(600));
        assert_eq!(of(Verdict::Success), None);
        for (reason, expected) in [
            (Reason::CircuitOpen, secs(60)),
            (Reason::WaitTooLong, None),
            (Reason::Paused, None),
        ] {
            let rejected = Rejected::new(reason).retry_after(day);
            let error: BoxError = rejected.into();
            assert_eq!(spans.of(&Verdict::Refused, Some(&error)), expected);
        }
        for verdict in [
            Verdict::QuotaExhausted,
            Verdict::Refused,
            Verdict::Overloaded { retry_after: day },
        ] {
            let word = pack(Time::MAX, &verdict);
            let back = unpack(word, Time::ZERO).unwrap().verdict;
            assert_eq!(
                std::mem::discriminant(&back),
                std::mem::discriminant(&verdict)
            );
        }
    }
}
