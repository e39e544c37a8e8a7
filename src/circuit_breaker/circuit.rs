//! The circuit that all services of a layer share, or all calls with one key.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    calm::{Calm, Counted},
    events::{CircuitEvents, Name},
    house::House,
    lobby::Lobby,
    shut::Shut,
};
use crate::{
    clock::{self, Clock, Moment},
    core::{
        breaker::{
            Breaker, CircuitCounts, CircuitState, Move, Moves, Sample, Settings, Ticket, Worth,
        },
        time::{Time, nanos},
    },
    error::{BoxError, Reason, Rejected, RejectedError, Scope},
    sync::{AtomicU64, Mutex, MutexGuard},
};

const REFUSES: u64 = 0;
const ASK: u64 = u64::MAX;

type Looked = Result<(), Option<Duration>>;

/// The state, and who waits for an inner service while it is closed.
pub(super) struct Circuit {
    // With whether successes are counted without the lock.
    breaker: Mutex<(Breaker, bool)>,
    // What spares the usual caller the lock and the clock: `REFUSES` where it doesn't let everything pass, `ASK` where it does and
    // the time says which era a ticket is of, else one more than the era.
    passes: AtomicU64,
    // What spares the usual outcome the lock.
    calm: Calm,
    // What spares a refusal the lock.
    shut: Shut,
    lobby: Lobby,
    clock: Clock,
    name: Name,
    house: Arc<House>,
}

impl Circuit {
    pub(super) fn new(settings: Settings, name: Name, house: Arc<House>) -> Arc<Self> {
        let breaker = Breaker::new(settings);
        let (calm, mut is_open) = (Calm::new(), false);
        calm.configure(breaker.settings());
        calm.open(&mut is_open, &breaker);
        house.told.begins(breaker.state());
        Arc::new(Self {
            passes: AtomicU64::new(passes(&breaker)),
            calm,
            shut: Shut::of(&breaker),
            breaker: Mutex::new((breaker, is_open)),
            lobby: Lobby::default(),
            clock: Clock::default(),
            name,
            house,
        })
    }

    /// Changes settings, and starts anew with them.
    pub(super) fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings();
        change(&mut settings);
        let mut breaker = self.hold();
        self.house.told.ends(breaker.state());
        *breaker = breaker.anew(settings);
        self.calm.configure(breaker.settings());
        self.house.told.begins(breaker.state());
        self.mark(&breaker);
    }

    pub(super) fn settings(&self) -> Settings {
        self.lock().0.settings().clone()
    }

    pub(super) fn house(&self) -> &Arc<House> {
        &self.house
    }

    /// Takes a ticket, or says how long the circuit refuses where that is known.
    #[inline]
    pub(super) fn admit(&self) -> Result<Ticket, Option<Duration>> {
        match self.passes.load(Ordering::Acquire) {
            REFUSES | ASK => self.ask_for_ticket(),
            next => Ok(Ticket::of(next - 1)),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_for_ticket(&self) -> Result<Ticket, Option<Duration>> {
        if let Some(wait) = self.is_shut(true) {
            return Err(wait);
        }
        let now = self.clock.now();
        self.step(|breaker| breaker.admit(now))
    }

    /// Whether a caller would be refused now, and how long. Takes nothing.
    #[inline]
    pub(super) fn look(&self) -> Looked {
        self.look_and(false)
    }

    /// As `look`, for a call: a refusal counts.
    #[inline]
    pub(super) fn pass(&self) -> Looked {
        self.look_and(true)
    }

    #[inline]
    fn look_and(&self, count: bool) -> Looked {
        if self.passes.load(Ordering::Acquire) != REFUSES {
            return Ok(());
        }
        self.look_at_refusing(count)
    }

    #[cold]
    #[inline(never)]
    fn look_at_refusing(&self, count: bool) -> Looked {
        if let Some(wait) = self.is_shut(count) {
            return Err(wait);
        }
        let now = self.clock.now();
        self.step(|breaker| {
            let moves = breaker.advance(now);
            let looked = breaker.look(now);
            if count && looked.is_err() {
                breaker.refused(1);
            }
            (looked, moves)
        })
    }

    /// Whether it refuses for sure, and how long; counted where that is said.
    #[inline]
    fn is_shut(&self, count: bool) -> Option<Option<Duration>> {
        let wait = match self.shut.until() {
            Time::ZERO => return None,
            Time::MAX => None,
            until => {
                let now = self.clock.now();
                if until <= now {
                    return None;
                }
                Some(until.since(now))
            }
        };
        if count {
            self.shut.refused();
        }
        Some(wait)
    }

    /// The refusal of a call.
    pub(super) fn refusal(&self, wait: Option<Duration>) -> BoxError {
        self.house.told.refused(wait);
        RejectedError::boxed(
            Rejected::new(Reason::CircuitOpen)
                .retry_after(wait)
                .scope(Scope::Shared),
        )
    }

    /// A call has succeeded that began at `since`; `None` where it was answered at once.
    #[inline]
    pub(super) fn succeeded(&self, ticket: Ticket, since: Option<Moment>) {
        let mut seen = None;
        let counted = self.calm.count(ticket.era(), |until| {
            if let Some(since) = since {
                match self.calm.slow() {
                    u64::MAX => {}
                    slow => {
                        let moment = *seen.get_or_insert_with(clock::look);
                        if nanos(moment.since(since)) > slow {
                            return false;
                        }
                    }
                }
            }
            until == Time::MAX || self.clock.at(*seen.get_or_insert_with(clock::look)) < until
        });
        match counted {
            Counted::Yes => {}
            Counted::No => self.judge(ticket, Sample::Success, since, seen),
            Counted::Full => self.succeeded_after_others(ticket, since),
        }
    }

    #[cold]
    #[inline(never)]
    fn succeeded_after_others(&self, ticket: Ticket, since: Option<Moment>) {
        drop(self.hold());
        self.succeeded(ticket, since);
    }

    /// Judges a call that began at `since`; `None` where it was answered at once.
    pub(super) fn record(&self, ticket: Ticket, sample: Sample, since: Option<Moment>) {
        // What says nothing changes nothing where everybody passes, nor does it move the circuit.
        let passes = || self.passes.load(Ordering::Acquire) == ticket.era() + 1;
        if sample == Sample::Neutral && passes() {
            return;
        }
        self.judge(ticket, sample, since, None);
    }

    #[cold]
    fn judge(&self, ticket: Ticket, sample: Sample, since: Option<Moment>, seen: Option<Moment>) {
        let moment = seen.unwrap_or_else(clock::look);
        let took = since.map_or(Duration::ZERO, |since| moment.since(since));
        let now = self.clock.at(moment);
        self.step(|breaker| ((), breaker.record(ticket, sample, took, now)));
    }

    pub(super) fn state(&self) -> CircuitState {
        self.ask(|breaker, _| breaker.state())
    }

    pub(super) fn counts(&self) -> CircuitCounts {
        self.ask(Breaker::counts)
    }

    /// Asks something, the time being now.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Breaker, Time) -> T) -> T {
        let now = self.clock.now();
        self.step(|breaker| {
            let moves = breaker.advance(now);
            (question(breaker, now), moves)
        })
    }

    /// Whether anything would be lost with it. Moves and tells nothing.
    pub(super) fn worth(&self) -> Worth {
        let now = self.clock.now();
        self.hold().worth(now)
    }

    /// Moves it by hand.
    pub(super) fn force(&self, step: impl FnOnce(&mut Breaker, Time) -> Move) {
        let now = self.clock.now();
        self.step(|breaker| ((), step(breaker, now).into()));
    }

    /// What happens to it from now on.
    pub(super) fn subscribe(&self) -> CircuitEvents {
        let only = Some(Arc::clone(&self.name));
        self.house.hub.subscribe(only, |_| ())
    }

    /// One step of the breaker under its lock, and what follows from it once the lock is given
    /// back.
    fn step<T>(&self, step: impl FnOnce(&mut Breaker) -> (T, Moves)) -> T {
        let mut breaker = loop {
            let breaker = self.hold();
            let Some(opening) = breaker.wants() else {
                break breaker;
            };
            drop(breaker);
            let drawn = self.house.draw(opening);
            let mut breaker = self.hold();
            let Some(wait) = drawn else { break breaker };
            breaker.draw(wait);
        };
        let (done, moves) = step(&mut breaker);
        if moves.is_empty() {
            return done;
        }
        self.mark(&breaker);
        let told = self.house.hub.keep(&self.name, moves.iter());
        drop(breaker);
        let opened = |m: Move| matches!(m.to, CircuitState::Open | CircuitState::ForcedOpen);
        if moves.iter().any(opened) {
            self.lobby.wake();
            (*self.house).as_ref().wake();
        }
        if let Some(told) = told {
            self.house.hub.tell(told);
        }
        self.house.told.moved(&moves);
        done
    }

    fn mark(&self, breaker: &Breaker) {
        self.shut.set(breaker);
        self.set(passes(breaker));
    }

    fn set(&self, passes: u64) {
        let refusing = &self.house.refusing;
        match (self.passes.swap(passes, Ordering::AcqRel), passes) {
            (REFUSES, REFUSES) => {}
            (REFUSES, _) => drop(refusing.fetch_sub(1, Ordering::AcqRel)),
            (_, REFUSES) => drop(refusing.fetch_add(1, Ordering::AcqRel)),
            _ => {}
        }
    }

    fn hold(&self) -> Held<'_> {
        let mut book = self.breaker.lock();
        let (breaker, is_open) = &mut *book;
        breaker.succeeded(self.calm.shut(is_open));
        breaker.refused(self.shut.take_refused());
        Held {
            book,
            calm: &self.calm,
        }
    }

    /// To look at what successes don't change.
    fn lock(&self) -> impl Deref<Target = (Breaker, bool)> + '_ {
        self.breaker.lock()
    }
}

/// The breaker under its lock, with all successes that were counted without it; others are counted so again after it.
struct Held<'a> {
    book: MutexGuard<'a, (Breaker, bool)>,
    calm: &'a Calm,
}

impl Deref for Held<'_> {
    type Target = Breaker;

    fn deref(&self) -> &Breaker {
        &self.book.0
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Breaker {
        &mut self.book.0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let (breaker, is_open) = &mut *self.book;
        self.calm.open(is_open, breaker);
    }
}

fn passes(breaker: &Breaker) -> u64 {
    match breaker.era_without_clock() {
        _ if !breaker.state().lets_pass() => REFUSES,
        Some(era) => era + 1,
        None => ASK,
    }
}

impl Drop for Circuit {
    fn drop(&mut self) {
        self.set(ASK);
        let state = self.lock().0.state();
        self.house.told.ends(state);
    }
}

impl AsRef<Lobby> for Circuit {
    fn as_ref(&self) -> &Lobby {
        &self.lobby
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock().0.state();
        f.debug_struct("Circuit")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
