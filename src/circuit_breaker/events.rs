//! What happens to circuits, for whoever listens.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;

use super::lobby::{Lobby, Seat};
use crate::{
    core::breaker::{CircuitState, Move},
    lock::lock,
};

/// So many events are kept for listeners that are late.
const KEPT: usize = 256;

/// What happened to a circuit: the items of [`CircuitEvents`].
///
/// Its `Debug` shows the key as the key's own does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitEvent<K = ()> {
    /// It has changed its state; or it was open and was opened anew by hand, for the time that is told: `from` and `to` are
    /// both `Open` then.
    #[non_exhaustive]
    Changed {
        /// Whose circuit it is; `()` where all requests share one.
        key: K,
        /// The state before.
        from: CircuitState,
        /// The state now.
        to: CircuitState,
        /// How long it will be open.
        wait: Option<Duration>,
    },
    /// It would have opened, were it not metrics-only. Told again only after it would have been
    /// closed in between.
    #[non_exhaustive]
    WouldOpen {
        /// Whose circuit it is; `()` where all requests share one.
        key: K,
        /// How long it would have been open.
        wait: Duration,
    },
    /// So many events came and went before they were asked for.
    #[non_exhaustive]
    Missed {
        /// How many.
        events: u64,
    },
}

/// A circuit's name, whatever its type: only whoever made it knows.
pub(super) type Name = Arc<dyn Any + Send + Sync>;

/// The events that are kept, and who listens. Closed when its last circuit is gone.
pub(super) struct Hub(Arc<Shared>);

struct Shared {
    log: Mutex<Log>,
    listeners: AtomicUsize,
    lobby: Lobby,
}

#[derive(Default)]
struct Log {
    kept: VecDeque<(Name, Move)>,
    // The number of the event that comes next.
    next: u64,
    closed: bool,
}

/// What is to be done once no lock is held any more. The name may be the last of its kind, and
/// dropping it somebody's own code.
#[must_use]
pub(super) struct Told {
    spilled: [Option<(Name, Move)>; 2],
}

impl Hub {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            log: Mutex::default(),
            listeners: AtomicUsize::new(0),
            lobby: Lobby::default(),
        }))
    }

    /// Keeps `moves` where anybody listens. May be called under a circuit's lock, so that events
    /// come in the order in which they happened.
    pub(super) fn keep(&self, name: &Name, moves: impl Iterator<Item = Move>) -> Option<Told> {
        if self.0.listeners.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut spilled = [None, None];
        let mut log = lock(&self.0.log);
        for (change, spilled) in moves.zip(&mut spilled) {
            if log.kept.len() == KEPT {
                *spilled = log.kept.pop_front();
            }
            log.kept.push_back((Arc::clone(name), change));
            log.next += 1;
        }
        Some(Told { spilled })
    }

    /// Wakes the listeners, no lock held.
    pub(super) fn tell(&self, told: Told) {
        self.0.lobby.wake();
        drop(told.spilled);
    }

    /// Listens to `only` this circuit, or to all.
    pub(super) fn subscribe<K>(&self, only: Option<Name>, key: fn(&Name) -> K) -> CircuitEvents<K> {
        let next = {
            let log = lock(&self.0.log);
            self.0.listeners.fetch_add(1, Ordering::AcqRel);
            log.next
        };
        CircuitEvents {
            seat: Seat::new(Arc::clone(&self.0)),
            next,
            only,
            key,
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        lock(&self.0.log).closed = true;
        self.0.lobby.wake();
    }
}

impl AsRef<Lobby> for Shared {
    fn as_ref(&self) -> &Lobby {
        &self.lobby
    }
}

/// What happens to a circuit from now on, in order: a [`Stream`] of [`CircuitEvent`]s that never
/// ends before the circuit is gone. Made by [`CircuitHandle::subscribe`](super::CircuitHandle::subscribe) and
/// [`KeyedCircuitHandle::subscribe`](super::KeyedCircuitHandle::subscribe).
///
/// The last 256 events are kept for all listeners together. Who is later than that is told how many
/// were [missed](CircuitEvent::Missed), those of other keys included. Nothing is kept while nobody
/// listens, and a listener that is dropped is forgotten.
///
/// An open circuit whose time is over stays open until somebody calls, or asks for its state: only
/// then is there an event.
#[must_use = "streams do nothing unless polled"]
pub struct CircuitEvents<K = ()> {
    seat: Seat<Shared>,
    // The number of the event that is read next.
    next: u64,
    only: Option<Name>,
    key: fn(&Name) -> K,
}

impl<K> CircuitEvents<K> {
    /// The next event; `None` once the circuit is gone, with all its services and handles.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken no event.
    pub async fn next(&mut self) -> Option<CircuitEvent<K>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<CircuitEvent<K>>> {
        if let Poll::Ready(read) = self.read() {
            self.seat.leave();
            return Poll::Ready(read);
        }
        self.seat.wait(cx.waker());
        // Something may have happened before the seat was taken.
        let read = self.read();
        if read.is_ready() {
            self.seat.leave();
        }
        read
    }

    fn read(&mut self) -> Poll<Option<CircuitEvent<K>>> {
        let (name, change) = loop {
            let log = lock(&self.seat.host.log);
            let first = log.next - log.kept.len() as u64;
            if self.next < first {
                let events = first - self.next;
                self.next = first;
                return Poll::Ready(Some(CircuitEvent::Missed { events }));
            }
            let Some(event) = log.kept.get((self.next - first) as usize) else {
                return if log.closed {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            };
            self.next += 1;
            let other = |only: &Name| !Arc::ptr_eq(only, &event.0);
            if !self.only.as_ref().is_some_and(other) {
                break event.clone();
            }
        };
        let key = (self.key)(&name);
        Poll::Ready(Some(match change.wait {
            Some(wait) if change.would_open() => CircuitEvent::WouldOpen { key, wait },
            wait => CircuitEvent::Changed {
                key,
                from: change.from,
                to: change.to,
                wait,
            },
        }))
    }
}

impl<K> Stream for CircuitEvents<K> {
    type Item = CircuitEvent<K>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx)
    }
}

impl<K> Drop for CircuitEvents<K> {
    fn drop(&mut self) {
        let forgotten = {
            let mut log = lock(&self.seat.host.log);
            if self.seat.host.listeners.fetch_sub(1, Ordering::AcqRel) == 1 {
                std::mem::take(&mut log.kept)
            } else {
                VecDeque::new()
            }
        };
        drop(forgotten);
    }
}

impl<K> fmt::Debug for CircuitEvents<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitEvents")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
