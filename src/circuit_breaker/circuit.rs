//! The circuit that all services of a layer share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    core::{
        breaker::{Breaker, CircuitCounts, CircuitState, Move, Moves, Sample, Settings, Ticket},
        dice::Dice,
        time::{Time, nanos},
    },
    error::{BoxError, Reason, Rejected, RejectedError, Scope},
};

/// The state, and who waits for an inner service while it is closed.
pub(super) struct Circuit {
    breaker: Mutex<Breaker>,
    // Whether the state is any but closed: what spares the usual caller the lock and the clock.
    unusual: AtomicBool,
    waiters: Mutex<Waiters>,
    // Instants are counted from the first one that was asked for.
    origin: OnceLock<Instant>,
    dice: Mutex<Dice>,
    // Drawn ahead, outside the lock and off the admitted path: the next opening's random number.
    roll: AtomicU64,
}

impl Circuit {
    pub(super) fn new() -> Arc<Self> {
        let dice = Dice::default();
        Arc::new(Self {
            breaker: Mutex::new(Breaker::new(Settings::default())),
            unusual: AtomicBool::new(false),
            waiters: Mutex::default(),
            origin: OnceLock::new(),
            roll: AtomicU64::new(dice.roll()),
            dice: Mutex::new(dice),
        })
    }

    /// Changes settings, and starts anew with them.
    pub(super) fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.lock().settings().clone();
        change(&mut settings);
        let mut breaker = self.lock();
        *breaker = breaker.anew(settings);
        self.mark(&breaker);
    }

    pub(super) fn load_dice(&self, dice: Dice) {
        let roll = dice.roll();
        *lock(&self.dice) = dice;
        self.roll.store(roll, Ordering::Relaxed);
    }

    /// Takes a ticket, or says how long the circuit refuses where that is known.
    pub(super) fn admit(&self) -> Result<Ticket, Option<Duration>> {
        // The guard must be gone before anything else is done: hence the statement of its own.
        let admitted = self.lock().admit_closed();
        if let Some(ticket) = admitted {
            return Ok(ticket);
        }
        let now = self.now();
        let (admitted, moves) = self.step(|breaker, roll| breaker.admit(now, roll));
        self.announce(moves);
        admitted
    }

    /// Whether a caller would be refused now, and how long. Takes nothing.
    pub(super) fn look(&self) -> Result<(), Option<Duration>> {
        self.look_and(|_, looked| looked)
    }

    /// As `look`, for a call: a refusal counts.
    pub(super) fn pass(&self) -> Result<(), Option<Duration>> {
        self.look_and(|breaker, looked| looked.inspect_err(|_| breaker.refused()))
    }

    fn look_and(
        &self,
        then: impl FnOnce(&mut Breaker, Result<(), Option<Duration>>) -> Result<(), Option<Duration>>,
    ) -> Result<(), Option<Duration>> {
        if !self.unusual.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = self.now();
        let (looked, moves) = self.step(|breaker, roll| {
            let moves = breaker.advance(now, roll);
            let looked = breaker.look(now);
            (then(breaker, looked), moves)
        });
        self.announce(moves);
        looked
    }

    /// Judges a call that began at `since`; `None` where it was answered at once.
    pub(super) fn record(&self, ticket: Ticket, sample: Sample, since: Option<Instant>) {
        let instant = Instant::now();
        let took = since.map_or(Duration::ZERO, |since| instant.duration_since(since));
        let now = self.time(instant);
        let ((), moves) = self.step(|breaker, roll| {
            let moves = breaker.record(ticket, sample, took, now, roll);
            ((), moves)
        });
        self.announce(moves);
    }

    pub(super) fn state(&self) -> CircuitState {
        let now = self.now();
        let (state, moves) = self.step(|breaker, roll| {
            let moves = breaker.advance(now, roll);
            (breaker.state(), moves)
        });
        self.announce(moves);
        state
    }

    pub(super) fn counts(&self) -> CircuitCounts {
        let now = self.now();
        let (counts, moves) = self.step(|breaker, roll| {
            let moves = breaker.advance(now, roll);
            (breaker.counts(now), moves)
        });
        self.announce(moves);
        counts
    }

    /// Moves it by hand.
    pub(super) fn force(&self, step: impl FnOnce(&mut Breaker) -> Move) {
        let ((), moves) = self.step(|breaker, _| ((), step(breaker).into()));
        self.announce(moves);
    }

    /// One step of the breaker under its lock.
    fn step<T>(&self, step: impl FnOnce(&mut Breaker, u64) -> (T, Moves)) -> (T, Moves) {
        let roll = self.roll.load(Ordering::Relaxed);
        let mut breaker = self.lock();
        let done = step(&mut breaker, roll);
        self.mark(&breaker);
        done
    }

    fn mark(&self, breaker: &Breaker) {
        let unusual = !matches!(
            breaker.state(),
            CircuitState::Closed | CircuitState::ForcedClosed
        );
        self.unusual.store(unusual, Ordering::Release);
    }

    /// Tells whoever should know of a change, the lock given back.
    fn announce(&self, moves: Moves) {
        for Move { from, to, wait } in moves.iter().filter(|m| m.from != m.to) {
            tracing::info!(from = from.name(), to = to.name(), ?wait, "circuit changed");
            if matches!(to, CircuitState::Open | CircuitState::ForcedOpen) {
                let dice = lock(&self.dice).clone();
                self.roll.store(dice.roll(), Ordering::Relaxed);
                let woken = lock(&self.waiters).take();
                woken.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn now(&self) -> Time {
        self.time(Instant::now())
    }

    fn time(&self, instant: Instant) -> Time {
        let origin = *self.origin.get_or_init(|| instant);
        Time::from_nanos(nanos(instant.saturating_duration_since(origin)))
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        lock(&self.breaker)
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock().state();
        f.debug_struct("Circuit")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

/// No user code runs under our locks, so that a panic can't have left anything half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The refusal of an open circuit.
pub(super) fn refusal(wait: Option<Duration>) -> BoxError {
    tracing::debug!(?wait, "refused: the circuit is open");
    RejectedError::boxed(
        Rejected::new(Reason::CircuitOpen)
            .retry_after(wait)
            .scope(Scope::Shared),
    )
}

/// Wakers of callers that wait for an inner service.
#[derive(Default)]
struct Waiters {
    seats: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiters {
    /// All wakers; everybody keeps their seat.
    fn take(&mut self) -> Vec<Waker> {
        self.seats.iter_mut().filter_map(Option::take).collect()
    }
}

/// A service's seat among those that wait. Left by drop.
pub(super) struct Seat {
    pub(super) circuit: Arc<Circuit>,
    number: Option<usize>,
}

impl Seat {
    pub(super) const fn new(circuit: Arc<Circuit>) -> Self {
        Self {
            circuit,
            number: None,
        }
    }

    /// Asks to be woken when the circuit opens.
    pub(super) fn wait(&mut self, waker: &Waker) {
        // Cloned before the lock is taken and dropped after it: a waker's code is anybody's.
        let waker = waker.clone();
        let mut waiters = lock(&self.circuit.waiters);
        let number = *self.number.get_or_insert_with(|| {
            waiters.free.pop().unwrap_or_else(|| {
                waiters.seats.push(None);
                waiters.seats.len() - 1
            })
        });
        let old = waiters.seats[number].replace(waker);
        drop(waiters);
        drop(old);
    }

    pub(super) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            let mut waiters = lock(&self.circuit.waiters);
            let old = waiters.seats[number].take();
            waiters.free.push(number);
            drop(waiters);
            drop(old);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Clone for Seat {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.circuit))
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.circuit.fmt(f)
    }
}
