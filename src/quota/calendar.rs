//! Boundaries on the wall clock, as the ledger's time sees them.

use std::{
    collections::VecDeque,
    fmt,
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use super::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::core::{
    ledger::Ledger,
    limit::{AnchorKind, Limit, Shape},
    meter::{Boundaries, Meter},
    time::{Time, nanos},
};

/// Maps the ledger's time to the wall clock as it stood when the quota was built.
struct Wall {
    wall: SystemTime,
    origin: Time,
    next: Next,
}

type Next = Arc<dyn Fn(SystemTime) -> SystemTime + Send + Sync>;

impl Boundaries for Wall {
    fn after(&self, t: Time) -> Time {
        let wall = if t < self.origin {
            self.wall.checked_sub(self.origin.since(t))
        } else {
            self.wall.checked_add(t.since(self.origin))
        };
        let Some(wall) = wall else {
            return Time::MAX;
        };
        match (self.next)(wall).duration_since(wall) {
            Ok(ahead) => t.after(ahead),
            // Not after it: whoever asks takes one window instead.
            Err(_) => t,
        }
    }
}

/// So many boundaries are known beforehand at least: an account looks at most three windows ahead.
const AHEAD: usize = 4;

/// Boundaries that somebody's own code knows. It is asked where no lock is held; under the quota's, what it said then will do.
struct Calendar {
    wall: Wall,
    window: Duration,
    // In order, one of them before the last look ahead, if there was any.
    known: Mutex<VecDeque<Time>>,
}

impl Calendar {
    fn new(wall: Wall, window: Duration) -> Self {
        let (origin, known) = (wall.origin, Mutex::default());
        let calendar = Self {
            wall,
            window,
            known,
        };
        // A saved state may end in a window long past.
        let past = nanos(window).saturating_mul(2);
        let before = calendar.ask(Time::from_nanos(origin.nanos().saturating_sub(past)));
        if before <= origin {
            calendar.known.lock().push_back(before);
        }
        calendar.look_ahead(origin);
        calendar
    }

    fn ask(&self, t: Time) -> Time {
        let next = self.wall.after(t);
        if next > t { next } else { t.after(self.window) }
    }
}

impl Boundaries for Calendar {
    fn after(&self, t: Time) -> Time {
        let known = self.known.lock();
        let next = known.iter().find(|boundary| **boundary > t);
        next.copied().unwrap_or(t)
    }

    fn look_ahead(&self, now: Time) -> Time {
        loop {
            let last = {
                let mut known = self.known.lock();
                let passed = known.partition_point(|boundary| *boundary <= now);
                // Those that an account may still stand at.
                known.drain(..passed.saturating_sub(AHEAD));
                let ahead = known.len() - passed.min(AHEAD);
                let last = known.back().copied().unwrap_or(now);
                if last == Time::MAX {
                    return last;
                }
                if ahead >= 2 * AHEAD {
                    return known[known.len() - AHEAD];
                }
                last.max(now)
            };
            let next = self.ask(last);
            self.known.lock().push_back(next);
        }
    }
}

/// The calendars of a quota, asked ahead of time.
pub(super) struct Calendars {
    all: Box<[Arc<dyn Boundaries>]>,
    // When they are to be asked again.
    due: AtomicU64,
    // Somebody asks: whoever else does so meanwhile, the calendar itself included, makes do with what is known.
    asking: AtomicBool,
}

impl Calendars {
    /// Those of the limits of `ledger`.
    pub(super) fn of(ledger: &Ledger) -> Self {
        let all = ledger.meters().iter().filter_map(Meter::boundaries);
        let all: Box<[_]> = all.cloned().collect();
        let due = if all.is_empty() { u64::MAX } else { 0 };
        Self {
            all,
            due: AtomicU64::new(due),
            asking: AtomicBool::new(false),
        }
    }

    /// It is `now`. No lock may be held.
    #[inline]
    pub(super) fn keep_up(&self, now: Time) {
        if now.nanos() >= self.due.load(Ordering::Relaxed) {
            self.look_ahead(now);
        }
    }

    #[cold]
    fn look_ahead(&self, now: Time) {
        struct Asking<'a>(&'a AtomicBool);
        impl Drop for Asking<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        if self.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let _asking = Asking(&self.asking);
        let due = self.all.iter().map(|calendar| calendar.look_ahead(now));
        let due = due.min().unwrap_or(Time::MAX);
        self.due.store(due.nanos(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Calendars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calendars").field(&self.all.len()).finish()
    }
}

/// The boundaries of a limit that is fixed to the wall clock; `origin` is when `wall` was read.
pub(super) fn boundaries(
    limit: &Limit,
    wall: SystemTime,
    origin: Time,
) -> Option<Arc<dyn Boundaries>> {
    let Some(Shape::Fixed(anchor)) = &limit.shape else {
        return None;
    };
    let window = limit.window;
    match &anchor.0 {
        AnchorKind::FirstUse => None,
        AnchorKind::Aligned(start) => {
            let start = *start;
            let next = Arc::new(move |t| aligned(start, window, t));
            Some(Arc::new(Wall { wall, origin, next }))
        }
        AnchorKind::Calendar(next) => {
            let next = Arc::clone(next);
            let wall = Wall { wall, origin, next };
            Some(Arc::new(Calendar::new(wall, window)))
        }
    }
}

/// The first boundary after `t` of windows that follow each other, one of them from `start` on.
fn aligned(start: SystemTime, window: Duration, t: SystemTime) -> SystemTime {
    let window = u128::from(nanos(window));
    let ahead = match t.duration_since(start) {
        Ok(since) => window - since.as_nanos() % window,
        Err(before) => match before.duration().as_nanos() % window {
            0 => window,
            rest => rest,
        },
    };
    t + Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked without end, but never more than a few times ahead.
    #[test]
    fn a_calendar_is_asked_ahead_and_answers_as_if_it_were_asked_then() {
        let asked = Arc::new(AtomicU64::new(0));
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        // Windows of 60 and 50 s in turn.
        let next: Next = {
            let asked = Arc::clone(&asked);
            Arc::new(move |t| {
                asked.fetch_add(1, Ordering::SeqCst);
                let since = t.duration_since(start).unwrap().as_secs();
                let (pairs, rest) = (since / 110, since % 110);
                start + Duration::from_secs(pairs * 110 + if rest < 60 { 60 } else { 110 })
            })
        };
        let second = |s: u64| Time::from_nanos(s * 1_000_000_000);
        let wall = Wall {
            wall: start,
            origin: Time::ZERO,
            next,
        };
        let calendar = Calendar::new(wall, Duration::from_secs(60));
        let mut due = Time::ZERO;
        for now in 0..1_000 {
            if second(now) >= due {
                due = calendar.look_ahead(second(now));
                assert!(due > second(now));
            }
            let told = asked.load(Ordering::SeqCst);
            let mut at = second(now);
            // As far as an account looks.
            for _ in 0..4 {
                let next = calendar.after(at);
                assert_eq!(next, calendar.wall.after(at), "{now} s");
                at = next;
            }
            asked.store(told, Ordering::SeqCst);
        }
        assert!(asked.load(Ordering::SeqCst) < 40);
        // After years: what was passed is known to be past, and what comes is known.
        let years = second(100_000_000);
        calendar.look_ahead(years);
        assert!(calendar.after(second(1_000)) < years);
        assert_eq!(calendar.after(years), calendar.wall.after(years));
    }

    #[test]
    fn the_next_boundary_is_after_the_instant_on_either_side_of_the_anchor() {
        let minute = Duration::from_secs(60);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (offset, expected) in [
            (0i64, 60i64),
            (1, 60),
            (59, 60),
            (60, 120),
            (-1, 0),
            (-60, 0),
        ] {
            let shift = |s: i64| {
                if s < 0 {
                    start - Duration::from_secs(s.unsigned_abs())
                } else {
                    start + Duration::from_secs(s.unsigned_abs())
                }
            };
            assert_eq!(
                aligned(start, minute, shift(offset)),
                shift(expected),
                "{offset}"
            );
        }
    }
}
