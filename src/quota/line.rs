//! What the handles of a quota share: the ledger and the line under one lock, the till beside it, and the timer.
//!
//! Decided under the lock, acted on outside of it: no waker, no callback and no event runs while
//! it is held.

mod ask;
mod counting;
#[cfg(test)]
mod tests;
mod till;

use std::{task::Waker, time::Duration};

use tokio::time::Instant;

use self::till::{Counted, Till};
pub(super) use self::{counting::Taken, till::Amount};
use super::{
    QuotaBuilder,
    calendar::Calendars,
    outputs::Outputs,
    refusal::{Last, rejected},
    shared::Desk,
    sync::{Arc, Mutex, Weak},
    timer::{Armed, Fired, Tick, Timer},
    watch::{Standing, Watch},
};
use crate::{
    clock::Moment,
    core::{
        cost::{Cost, Resource},
        ledger::{Fit, Ledger, Spare},
        queue::{Key, Look, Next, Place, Queue},
        settlement::Departure,
        time::Time,
    },
    error::{Reason, Refusal, Rejected},
};

/// How many wakers are taken at a time while the lock is held.
const AT_ONCE: usize = 32;

#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) queue: Queue<Waker>,
    counted: Counted,
    pub(super) last: Last,
}

/// Everything that the handles of one quota share.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<State>,
    // Whether only so many may be in flight. Where that is nobody's concern, those that have landed are only counted.
    has_places: bool,
    till: Till,
    // A moment, and the ledger's time then.
    origin: (Moment, Time),
    timer: Timer,
    waker: Waker,
    pub(super) settings: Arc<QuotaBuilder>,
    // Names it among all others.
    pub(super) id: usize,
    max_wait: Duration,
    // Whether the till is ever opened: not where each request is looked at.
    has_till: bool,
    calendars: Calendars,
    pub(super) outputs: Outputs,
    pub(super) watch: Arc<Watch>,
    // Set where a store counts.
    pub(super) shared: Option<Arc<Desk>>,
}

/// What becomes of a request that asks for its turn.
#[derive(Debug)]
pub(super) enum Asked {
    /// Held for it.
    Granted,
    /// In line under this key.
    Queued(Key, Standing),
    Refused(Refusal),
}

/// What came of looking after the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The line moves on by itself.
    Planned,
    /// Somebody in line has to be polled in a runtime first; all are woken.
    NoTimer,
}

impl Line {
    /// `origin` is when the ledger's time was `base`; `name` is its owner's, where somebody else may stand in for it.
    pub(super) fn new(
        ledger: Ledger,
        (origin, base): (Instant, Time),
        settings: Arc<QuotaBuilder>,
        watch: Arc<Watch>,
        name: Option<usize>,
    ) -> Arc<Self> {
        let calendars = Calendars::of(&ledger);
        Arc::new_cyclic(|line| Self {
            has_places: ledger.has_places(),
            till: Till::new(ledger.max_per_request()),
            state: Mutex::new(State {
                queue: Queue::new(ledger.meters().len()).keeping(settings.kept()),
                ledger,
                counted: Counted::default(),
                last: Last::default(),
            }),
            origin: (Moment::of(origin), base),
            timer: Timer::new(origin, base),
            waker: Waker::from(Arc::new(Tick(Weak::clone(line)))),
            max_wait: settings.longest_wait(),
            has_till: !watch.has_alarm(),
            calendars,
            outputs: Outputs::new(),
            shared: settings.desk(line),
            settings,
            id: name.unwrap_or(line.as_ptr() as usize),
            watch,
        })
    }

    pub(super) fn time(&self, instant: Instant) -> Time {
        Moment::of(instant).on(self.origin)
    }

    /// What time it is. No lock may be held: calendars may be asked.
    pub(super) fn now(&self) -> Time {
        let now = Moment::now().on(self.origin);
        self.calendars.keep_up(now);
        now
    }

    pub(super) fn settings(&self) -> &QuotaBuilder {
        &self.settings
    }

    /// Reads the accounts, or changes them in a way that makes nobody's turn come earlier.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Ledger) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        state.ledger.advance(now);
        f(&mut state.ledger)
    }

    /// Reads the accounts and how many wait.
    pub(super) fn read<T>(&self, f: impl FnOnce(&Ledger, usize) -> T) -> T {
        self.look_at(|ledger, queue, _| f(ledger, queue.waiting()))
    }

    /// Dates what was held: it leaves now.
    #[inline(always)]
    pub(super) fn date(&self, cost: &Cost, now: Moment) -> Departure {
        let now = now.on(self.origin);
        let mut state = self.lock();
        state.ledger.advance(now);
        state.ledger.date(cost)
    }

    /// Dates what was held a moment ago, as of the last look at the clock.
    pub(super) fn date_at_once(&self, cost: &Cost) -> Departure {
        self.lock().ledger.date(cost)
    }

    /// Changes the accounts; where `f` says that somebody's turn may have come by it, they are told.
    pub(super) fn change(&self, f: impl FnOnce(&mut Ledger) -> bool) {
        let now = self.now();
        let mut state = self.lock();
        state.ledger.advance(now);
        let turn = f(&mut state.ledger) && state.queue.waiting() > 0;
        let owes = self.shared.is_some() && Self::owes(&state.ledger);
        drop(state);
        if turn {
            self.turn();
        }
        if owes {
            self.in_demand();
        }
    }

    /// Nothing of `resource` (of anything, for `None`, and where no limit counts it) before `until`.
    pub(super) fn pause(&self, resource: Option<Resource>, until: Instant) {
        let until = self.time(until);
        self.change(|ledger| {
            ledger.pause(resource, until);
            true
        });
    }

    /// Looks at the accounts and at the line, those whose time was up taken back.
    pub(super) fn look_at<T>(&self, f: impl FnOnce(&Ledger, &Queue<Waker>, Time) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        let State { ledger, queue, .. } = &mut *state;
        let now = ledger.advance(now);
        queue.take_back(ledger, now);
        f(ledger, queue, now)
    }

    /// Asks for a turn: granted now if nobody is delayed by it, else in line. `None` instead of a place is for a request that
    /// has begun (see [`ask_now`](Self::ask_now)): it goes first.
    pub(super) fn ask(&self, cost: &Cost, slot: bool, place: Option<Place>) -> Asked {
        let now = self.now();
        let mut state = self.lock();
        let State { ledger, queue, .. } = &mut *state;
        let now = ledger.advance(now);
        queue.take_back(ledger, now);
        let fit = queue.fit(ledger, cost, slot, place);
        let alone = queue.waiting() == 0 || place.is_none();
        match fit {
            Fit::Now if alone => {
                ledger.hold(cost, slot);
                return Asked::Granted;
            }
            Fit::Now if queue.pass(ledger, cost, slot, place.unwrap_or_default()) => {
                return Asked::Granted;
            }
            Fit::Never { .. } => {
                return Asked::Refused(rejected(ledger, cost, fit, None, Reason::TooLarge, now));
            }
            _ => {}
        }
        let deadline = now.after(self.max_wait);
        // Alone, the wait is known; behind others it is a projection.
        let at = match fit {
            Fit::At { at, .. } if alone => at,
            _ => ledger.project(cost, |limit| queue.asked(limit, place.unwrap_or_default())),
        };
        let reason = if at > deadline {
            Reason::WaitTooLong
        } else if queue.taken() >= self.settings.max_queue {
            Reason::QueueFull
        } else {
            let key = queue.push(ledger, cost.clone(), slot, place, now, deadline);
            // Whoever is in front is looked after already; a newcomer of a better class may be first.
            let refusal: Rejected =
                rejected(ledger, cost, fit, Some(at), Reason::LimitReached, now);
            return Asked::Queued(key, Standing::new(&refusal, now));
        };
        Asked::Refused(rejected(ledger, cost, fit, Some(at), reason, now))
    }

    /// A waiter looks whether its turn has come; if not, `waker` is woken when it has.
    /// `Ok(None)`: not yet.
    pub(super) fn look(&self, key: Key, waker: &Waker) -> Result<Option<(Cost, bool)>, Rejected> {
        let mut turned = None;
        loop {
            // Cloned, and dropped, where no lock is held: a waker is anybody's code.
            let mine = waker.clone();
            let now = self.now();
            let mut state = self.lock();
            let State { ledger, queue, .. } = &mut *state;
            let now = ledger.advance(now);
            let old = match queue.look(ledger, key) {
                Look::Granted(cost, slot, old) => {
                    drop(state);
                    drop(old);
                    return Ok(Some((cost, slot)));
                }
                Look::Expired(cost, fit, old) => {
                    let refusal = rejected(ledger, &cost, fit, None, Reason::WaitTooLong, now);
                    drop(state);
                    drop(old);
                    return Err(refusal);
                }
                Look::NotYet | Look::Back => queue.waker(key).replace(mine),
            };
            let planned = match queue.planned() {
                Some(Next::At(at)) => at > now && self.timer.fires_by(at),
                Some(Next::Idle) => true,
                Some(Next::Again) | None => false,
            };
            drop(state);
            drop(old);
            match turned {
                _ if planned => return Ok(None),
                // The line may be waiting for nobody but us: look after it once, then look again.
                None => turned = Some(self.turn()),
                Some(Turn::Planned) => return Ok(None),
                Some(Turn::NoTimer) => {
                    panic!("waiting for a quota needs a tokio runtime with its time driver enabled")
                }
            }
        }
    }

    /// A waiter goes away before it was granted.
    pub(super) fn leave(&self, key: Key) {
        let now = self.now();
        let mut state = self.lock();
        let State { ledger, queue, .. } = &mut *state;
        ledger.advance(now);
        let (turn, waker) = queue.leave(ledger, key);
        drop(state);
        drop(waker);
        if turn {
            self.turn();
        }
    }

    /// Makes the offers that can be made, wakes their owners and sets the timer for the rest.
    pub(super) fn turn(&self) -> Turn {
        let mut woken = Vec::new();
        loop {
            let now = self.now();
            let mut state = self.lock();
            let State { ledger, queue, .. } = &mut *state;
            if queue.waiting() == 0 {
                return Turn::Planned;
            }
            let now = ledger.advance(now);
            woken.reserve_exact(AT_ONCE.min(queue.waiting()));
            let next = queue.turn(ledger, now, &mut woken);
            drop(state);
            woken.drain(..).for_each(Waker::wake);
            match next {
                Next::Again => {}
                Next::Idle => return Turn::Planned,
                Next::At(at) => match self.timer.arm(at, now, &self.waker) {
                    Armed::Set => return Turn::Planned,
                    Armed::Past => {}
                    Armed::NoRuntime => {
                        self.rouse();
                        return Turn::NoTimer;
                    }
                },
            }
        }
    }

    pub(super) fn tick(&self) {
        match self.timer.fired(self.now()) {
            Fired::Due => {
                self.turn();
            }
            Fired::ShutDown => self.rouse(),
            Fired::Replaced => {}
        }
    }

    /// Wakes everybody in line, so that somebody sets the timer on a runtime that lives.
    fn rouse(&self) {
        let mut woken = Vec::with_capacity(AT_ONCE);
        let mut from = Some(0);
        while let Some(start) = from {
            from = self.lock().queue.rouse(start, &mut woken);
            woken.drain(..).for_each(Waker::wake);
        }
    }
}

/// What has to stay free beside a newcomer; beside one that has begun, nothing.
pub(super) fn spare(queue: &Queue<Waker>, place: Option<Place>) -> Spare {
    place.map_or(Spare::NOTHING, |place| queue.spare(place))
}
