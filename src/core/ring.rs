//! A ring of counts: what happened lately, in constant memory.

use std::{collections::VecDeque, time::Duration};

use super::time::{Time, nanos};

/// What is counted of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

impl Tally {
    pub(crate) fn one(failed: bool, slow: bool) -> Self {
        Self {
            calls: 1,
            failures: u64::from(failed),
            slow: u64::from(slow),
        }
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    const fn take(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

/// Which calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// The last so many.
    Calls(u32),
    /// Those of the last so much time, in so many steps.
    Time(Duration, u32, Steps),
    /// Those since it was last begun anew, which its owner does every so often.
    Fixed(Duration),
}

/// When the steps of a time window begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// One after the other, from the origin of time.
    Even,
    /// Each with the first call that comes after the one before is over.
    ByCalls,
}

/// A step's tally, in half the memory.
#[derive(Clone, Copy, Debug, Default)]
struct Few([u32; 3]);

impl Few {
    /// Whether there was room for it: beyond four thousand million calls in one step, there isn't.
    fn add(&mut self, failed: bool, slow: bool) -> bool {
        let [calls, failures, slow_calls] = &mut self.0;
        let Some(more) = calls.checked_add(1) else {
            return false;
        };
        *calls = more;
        *failures += u32::from(failed);
        *slow_calls += u32::from(slow);
        true
    }

    /// How many there was room for.
    fn add_successes(&mut self, times: u64) -> u64 {
        let calls = &mut self.0[0];
        let more = u64::from(u32::MAX - *calls).min(times);
        *calls += more as u32;
        more
    }

    fn tally(self) -> Tally {
        let [calls, failures, slow] = self.0.map(u64::from);
        Tally {
            calls,
            failures,
            slow,
        }
    }
}

#[derive(Clone, Debug)]
enum Slots {
    // One call each: whether there was one, whether it failed, whether it was slow.
    Calls {
        seats: Box<[[bool; 3]]>,
        next: usize,
    },
    // One step each; the one in use is counted from the origin of time.
    Even {
        slots: Box<[Few]>,
        turn: u64,
        // The slot of this turn.
        at: usize,
        step: u64,
    },
    // The steps that had calls, by when they began; never more than the window has steps.
    ByCalls {
        slots: VecDeque<(u64, Few)>,
        step: u64,
        span: u64,
    },
    // All since it was last cleared.
    Since,
}

/// The tallies of a window that slides, and their sum.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    slots: Slots,
    sum: Tally,
}

impl Ring {
    pub(crate) fn new(window: Window) -> Self {
        let slots = match window {
            Window::Calls(calls) => Slots::Calls {
                seats: vec![[false; 3]; calls.max(1) as usize].into_boxed_slice(),
                next: 0,
            },
            Window::Fixed(_) => Slots::Since,
            Window::Time(span, steps, begin) => {
                let steps = steps.max(1);
                let step = (nanos(span) / u64::from(steps)).max(1);
                match begin {
                    Steps::Even => Slots::Even {
                        slots: vec![Few::default(); steps as usize].into_boxed_slice(),
                        turn: 0,
                        at: 0,
                        step,
                    },
                    Steps::ByCalls => Slots::ByCalls {
                        slots: VecDeque::with_capacity(steps as usize),
                        step,
                        span: step.saturating_mul(u64::from(steps)),
                    },
                }
            }
        };
        Self {
            slots,
            sum: Tally::default(),
        }
    }

    /// Counts one call.
    pub(crate) fn record(&mut self, failed: bool, slow: bool, now: Time) {
        self.roll(now);
        let one = Tally::one(failed, slow);
        let counted = match &mut self.slots {
            Slots::Calls { seats, next } => {
                let [was, failed_then, slow_then] =
                    std::mem::replace(&mut seats[*next], [true, failed, slow]);
                if was {
                    self.sum.take(Tally::one(failed_then, slow_then));
                }
                *next = if *next + 1 == seats.len() {
                    0
                } else {
                    *next + 1
                };
                true
            }
            Slots::Even { slots, at, .. } => slots[*at].add(failed, slow),
            Slots::ByCalls { slots, step, .. } => {
                let now = now.nanos();
                match slots.back_mut() {
                    // Also for a clock that goes back.
                    Some((began, few)) if now < began.saturating_add(*step) => {
                        few.add(failed, slow)
                    }
                    _ => {
                        let mut few = Few::default();
                        few.add(failed, slow);
                        slots.push_back((now, few));
                        true
                    }
                }
            }
            Slots::Since => true,
        };
        if counted {
            self.sum.add(one);
        }
    }

    /// Counts so many successes that weren't slow, all of them while the ring [stood still](Self::still_until).
    pub(crate) fn succeeded(&mut self, times: u64) {
        let counted = match &mut self.slots {
            Slots::Calls { seats, .. } => {
                // With more of them than seats the first are gone again.
                for _ in 0..times.min(seats.len() as u64) {
                    self.record(false, false, Time::ZERO);
                }
                return;
            }
            Slots::Even { slots, at, .. } => slots[*at].add_successes(times),
            Slots::ByCalls { slots, .. } => {
                (slots.back_mut()).map_or(0, |(_, few)| few.add_successes(times))
            }
            Slots::Since => times,
        };
        self.sum.calls += counted;
    }

    /// Until when calls are counted where the last one was, and none of those that were counted is left behind.
    pub(crate) fn still_until(&self) -> Time {
        match &self.slots {
            Slots::Calls { .. } | Slots::Since => Time::MAX,
            Slots::Even { turn, step, .. } => {
                Time::from_nanos((turn.saturating_add(1)).saturating_mul(*step))
            }
            Slots::ByCalls { slots, step, span } => match (slots.front(), slots.back()) {
                (Some((first, _)), Some((last, _))) => {
                    let ends = (first.saturating_add(*span)).min(last.saturating_add(*step));
                    Time::from_nanos(ends)
                }
                _ => Time::ZERO,
            },
        }
    }

    /// What happened in the window that ends now.
    pub(crate) fn sum(&mut self, now: Time) -> Tally {
        self.roll(now);
        self.sum
    }

    /// What had happened when it was last used.
    pub(crate) const fn last(&self) -> Tally {
        self.sum
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        match &mut self.slots {
            Slots::Calls { seats, .. } => seats.fill([false; 3]),
            Slots::Even { slots, .. } => slots.fill(Few::default()),
            Slots::ByCalls { slots, .. } => slots.clear(),
            Slots::Since => {}
        }
        self.sum = Tally::default();
    }

    /// Drops what the window has left behind: each step once.
    fn roll(&mut self, now: Time) {
        match &mut self.slots {
            Slots::Even {
                slots,
                turn,
                at,
                step,
            } => {
                let current = now.nanos() / *step;
                if current <= *turn {
                    return; // a clock that stands still, or goes back
                }
                let len = slots.len() as u64;
                *at = (current % len) as usize;
                if current - *turn >= len {
                    slots.fill(Few::default());
                    self.sum = Tally::default();
                } else {
                    for passed in *turn + 1..=current {
                        let old = std::mem::take(&mut slots[(passed % len) as usize]);
                        self.sum.take(old.tally());
                    }
                }
                *turn = current;
            }
            Slots::ByCalls { slots, span, .. } => {
                while let Some((began, few)) = slots.front().copied() {
                    if now.nanos() < began.saturating_add(*span) {
                        return;
                    }
                    slots.pop_front();
                    self.sum.take(few.tally());
                }
            }
            Slots::Calls { .. } | Slots::Since => {}
        }
    }
}

#[cfg(test)]
mod tests;
