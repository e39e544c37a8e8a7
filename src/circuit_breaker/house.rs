//! What circuits have in common.

use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use super::{events::Hub, lobby::Lobby, told::Told};
use crate::{
    core::{
        backoff::{Backoff, Jitter},
        breaker::UNTOLD,
        dice::Dice,
    },
    lock::lock,
};

thread_local! {
    // Whether somebody's schedule or source of numbers runs, which may ask us something in turn.
    static DRAWING: Cell<bool> = const { Cell::new(false) };
}

/// What the circuits of one layer share: a single one, or one for every key.
pub(super) struct House {
    schedule: Mutex<Arc<Schedule>>,
    pub(super) hub: Hub,
    pub(super) told: Told,
    // Who waits without a key, for any circuit to open.
    lobby: Lobby,
    // How many of its circuits don't let everything pass.
    pub(super) refusing: AtomicUsize,
}

#[derive(Clone)]
struct Schedule {
    open: Backoff,
    dice: Dice,
}

impl House {
    pub(super) fn new() -> Arc<Self> {
        Self::telling(Told::default())
    }

    fn telling(told: Told) -> Arc<Self> {
        let open = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(60));
        Arc::new(Self {
            schedule: Mutex::new(Arc::new(Schedule {
                open: open.jitter(Jitter::Proportional(20)),
                dice: Dice::default(),
            })),
            hub: Hub::new(),
            told,
            lobby: Lobby::default(),
            refusing: AtomicUsize::new(0),
        })
    }

    pub(super) fn open_by(&self, open: Backoff) {
        let dice = self.schedule().dice.clone();
        self.set(Schedule { open, dice });
    }

    pub(super) fn load_dice(&self, dice: Dice) {
        let open = self.schedule().open.clone();
        self.set(Schedule { open, dice });
    }

    /// How long an opening lasts; `None` to whoever asks from within. Somebody's own code, in a
    /// schedule or a source of numbers: never under a lock, and its panic wedges nothing.
    pub(super) fn draw(&self, opening: u32) -> Option<Duration> {
        if DRAWING.replace(true) {
            return None;
        }
        let schedule = self.schedule();
        let draw = || schedule.open.wait(opening, None, schedule.dice.roll());
        let wait = catch_unwind(AssertUnwindSafe(draw)).unwrap_or(UNTOLD);
        DRAWING.set(false);
        Some(wait)
    }

    fn schedule(&self) -> Arc<Schedule> {
        Arc::clone(&lock(&self.schedule))
    }

    fn set(&self, schedule: Schedule) {
        let old = std::mem::replace(&mut *lock(&self.schedule), Arc::new(schedule));
        drop(old);
    }

    /// Another with the same schedule and name, and nobody in it.
    pub(super) fn alike(&self) -> Arc<Self> {
        let house = Self::telling(self.told.alike());
        house.set((*self.schedule()).clone());
        house
    }
}

impl AsRef<Lobby> for House {
    fn as_ref(&self) -> &Lobby {
        &self.lobby
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House")
            .field("refusing", &self.refusing)
            .finish_non_exhaustive()
    }
}
