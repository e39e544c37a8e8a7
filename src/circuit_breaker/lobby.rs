//! Who waits for something that isn't theirs to hurry.

use std::{fmt, sync::Arc, task::Waker};

use crate::sync::Mutex;

/// Wakers of callers that wait.
#[derive(Default)]
pub(super) struct Lobby(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Lobby {
    /// Wakes everybody; everybody keeps their seat.
    pub(super) fn wake(&self) {
        let wakers: Vec<Waker> = {
            let mut seats = self.0.lock();
            seats.wakers.iter_mut().filter_map(Option::take).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A seat in a host's lobby. Left by drop.
pub(super) struct Seat<H: AsRef<Lobby>> {
    pub(super) host: Arc<H>,
    number: Option<usize>,
}

impl<H: AsRef<Lobby>> Seat<H> {
    pub(super) const fn new(host: Arc<H>) -> Self {
        Self { host, number: None }
    }

    /// Asks to be woken.
    pub(super) fn wait(&mut self, waker: &Waker) {
        // Cloned before the lock is taken and dropped after it: a waker's code is anybody's.
        let waker = waker.clone();
        let mut seats = (*self.host).as_ref().0.lock();
        let number = *self.number.get_or_insert_with(|| {
            seats.free.pop().unwrap_or_else(|| {
                seats.wakers.push(None);
                seats.wakers.len() - 1
            })
        });
        let old = seats.wakers[number].replace(waker);
        drop(seats);
        drop(old);
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            self.free(number);
        }
    }

    #[cold]
    #[inline(never)]
    fn free(&self, number: usize) {
        let mut seats = (*self.host).as_ref().0.lock();
        let old = seats.wakers[number].take();
        seats.free.push(number);
        drop(seats);
        drop(old);
    }
}

impl<H: AsRef<Lobby>> Drop for Seat<H> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A clone waits for itself.
impl<H: AsRef<Lobby>> Clone for Seat<H> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.host))
    }
}

impl<H: AsRef<Lobby> + fmt::Debug> fmt::Debug for Seat<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)
    }
}
