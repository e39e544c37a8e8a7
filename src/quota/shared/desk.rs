//! Where lines hand in what they want of the store, and the future that sees to it.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    OnStoreDown, PoolId,
    rest::Resting,
    session,
    store::{QuotaStore, StoreError},
    talk::{Talk, Until},
};
use crate::{
    core::cost::Cost,
    observe::{Metrics, target},
    quota::{
        line::Line,
        sync::{Arc, Mutex, Weak},
    },
};

/// How a quota is shared.
#[derive(Clone)]
pub(in crate::quota) struct Shared {
    pub(in crate::quota) hub: Arc<Hub>,
    /// The driver goes on as long as it is there.
    pub(super) _handle: Arc<Handle>,
    pub(super) pool: PoolId,
    pub(super) slots: u32,
    pub(super) lease: Duration,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// As long as there is one, there are lines, or may be: of keys.
pub(in crate::quota) struct Handle(Arc<Hub>);

impl Handle {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        *hub.handles.lock() += 1;
        Self(Arc::clone(hub))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        *self.0.handles.lock() -= 1;
        self.0.notify.notify_one();
    }
}

/// What all quotas share that one driver sees to.
pub(in crate::quota) struct Hub {
    pub(super) store: Arc<dyn QuotaStore>,
    pub(super) on_down: OnStoreDown,
    pub(super) expected: Option<u32>,
    pub(super) patience: Duration,
    pub(super) process: u64,
    pub(super) name: Arc<str>,
    metrics: Metrics,
    ready: Mutex<VecDeque<Arc<Line>>>,
    // How many handles there are: without any, the driver's work is done.
    handles: Mutex<usize>,
    notify: Notify,
    // Since when the store is away.
    down: Mutex<Option<Instant>>,
    gone: AtomicBool,
    resting: Mutex<Resting>,
}

impl Hub {
    pub(super) fn new(
        store: Arc<dyn QuotaStore>,
        on_down: OnStoreDown,
        expected: Option<u32>,
        patience: Duration,
        name: Arc<str>,
    ) -> Self {
        Self {
            store,
            on_down,
            expected,
            patience,
            process: number(),
            metrics: Metrics::new(Some(Arc::clone(&name)), None),
            name,
            ready: Mutex::new(VecDeque::new()),
            handles: Mutex::new(0),
            notify: Notify::new(),
            down: Mutex::new(None),
            gone: AtomicBool::new(false),
            resting: Mutex::new(Resting::default()),
        }
    }

    pub(super) fn heard(&self, now: Instant) {
        self.resting.lock().heard(now);
    }

    /// Until then a pool may have to learn from a line of which nothing is asked now.
    pub(super) fn rests(&self, line: &Arc<Line>, until: Until, now: Instant) {
        let first = {
            let mut resting = self.resting.lock();
            let none = resting.next(self.process, false).is_none();
            resting.add(line, until, now);
            none
        };
        if first {
            self.notify.notify_one();
        }
    }

    /// When to look at the store next.
    fn looks_at(&self) -> Option<Instant> {
        let away = self.down().is_some();
        self.resting.lock().next(self.process, away)
    }

    /// One line for which it is time to look.
    fn due(&self) -> Option<Arc<Line>> {
        let away = self.down().is_some();
        self.resting.lock().due(self.process, away, Instant::now())
    }

    /// Pools may have lost their state.
    pub(super) fn lost(&self) {
        let lines = self.resting.lock().take();
        for line in lines {
            line.look_up();
        }
    }

    /// Since when the store is away.
    pub(super) fn down(&self) -> Option<Instant> {
        *self.down.lock()
    }

    pub(super) fn went_down(&self, since: Instant, error: &StoreError) {
        let began = {
            let mut down = self.down.lock();
            let began = down.is_none();
            down.get_or_insert(since);
            began
        };
        if began {
            tracing::warn!(target: target::STORE, pool = &*self.name, %error, policy = ?self.on_down, "the shared store is away");
            self.metrics.store_away(true);
        }
    }

    pub(super) fn came_back(&self) {
        let since = self.down.lock().take();
        if let Some(since) = since {
            let away = since.elapsed();
            tracing::info!(target: target::STORE, pool = &*self.name, ?away, "the shared store is back");
            self.metrics.store_away(false);
        }
    }
}

/// A number below 2^53 and never 0.
pub(super) fn number() -> u64 {
    rand::random_range(1..1 << 53)
}

/// Where one line hands in what it wants.
pub(in crate::quota) struct Desk {
    line: Weak<Line>,
    pub(super) shared: Shared,
    scheduled: AtomicBool,
    pub(super) notify: Notify,
    // The store is to be heard, whether anything is asked of it or not.
    looks: AtomicBool,
    talk: Mutex<Option<Box<Talk>>>,
    wish: Mutex<Option<Cost>>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Desk {
    pub(in crate::quota) fn new(line: Weak<Line>, shared: Shared) -> Self {
        Self {
            line,
            shared,
            scheduled: AtomicBool::new(false),
            notify: Notify::new(),
            looks: AtomicBool::new(false),
            talk: Mutex::new(None),
            wish: Mutex::new(None),
        }
    }

    pub(in crate::quota) const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// There is something to see to.
    pub(super) fn wake(&self) {
        if self.is_forsaken() {
            if let Some(line) = self.line.upgrade() {
                line.close(true);
            }
        } else if self.scheduled.swap(true, Ordering::SeqCst) {
            self.notify.notify_one();
        } else if let Some(line) = self.line.upgrade() {
            let hub = &self.shared.hub;
            hub.ready.lock().push_back(line);
            hub.notify.notify_one();
        }
    }

    pub(super) fn wish(&self, cost: &Cost) {
        let cost = cost.clone();
        let old = self.wish.lock().replace(cost);
        drop(old);
        self.wake();
    }

    pub(super) fn look(&self) {
        self.looks.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn takes_a_look(&self) -> bool {
        self.looks.swap(false, Ordering::SeqCst)
    }

    pub(super) fn take_wish(&self) -> Option<Cost> {
        self.wish.lock().take()
    }

    pub(super) fn begin(&self) -> Box<Talk> {
        self.talk.lock().take().unwrap_or_default()
    }

    pub(super) fn end(&self, talk: Box<Talk>) {
        *self.talk.lock() = Some(talk);
        self.scheduled.store(false, Ordering::SeqCst);
    }

    /// Whether somebody has wished for something, or the store is to be heard.
    pub(super) fn has_wish(&self) -> bool {
        self.looks.load(Ordering::SeqCst) || self.wish.lock().is_some()
    }

    /// Nobody sees to anything any more.
    pub(super) fn is_forsaken(&self) -> bool {
        self.shared.hub.gone.load(Ordering::SeqCst)
    }
}

/// Talks to the store for all quotas that were built with it, those of keys included. Spawn it: `tokio::spawn(driver)`.
///
/// It ends when the last handle of those quotas is gone and what they held has been given back. Nothing is granted without it:
/// where it is dropped earlier, requests are refused as [`Unavailable`](crate::Reason::Unavailable).
#[must_use = "nothing is granted unless the driver is spawned"]
pub struct Driver {
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    hub: Arc<Hub>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("pool", &self.hub.name)
            .finish_non_exhaustive()
    }
}

impl Driver {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            work: Some(Box::pin(drive(Arc::clone(&hub)))),
            hub,
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.work {
            Some(work) => {
                let done = work.as_mut().poll(cx);
                if done.is_ready() {
                    self.work = None;
                }
                done
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.work.take().is_some() {
            self.hub.gone.store(true, Ordering::SeqCst);
            let waiting = std::mem::take(&mut *self.hub.ready.lock());
            for line in waiting {
                line.close(true);
            }
        }
    }
}

async fn drive(hub: Arc<Hub>) {
    let mut sessions = FuturesUnordered::new();
    let mut lost = hub.store.lost();
    loop {
        if let Some(line) = hub.due() {
            line.look_up();
        }
        loop {
            let line = hub.ready.lock().pop_front();
            let Some(line) = line else { break };
            sessions.push(Box::pin(session::serve(line)));
        }
        if sessions.is_empty() && *hub.handles.lock() == 0 {
            return;
        }
        let mut notified = pin!(hub.notify.notified());
        let mut looks = pin!(hub.looks_at().map(sleep_until));
        let was_lost = poll_fn(|cx| {
            if lost.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            let ended = matches!(sessions.poll_next_unpin(cx), Poll::Ready(Some(())));
            let looks = looks.as_mut().as_pin_mut();
            let looks = looks.is_some_and(|timer| timer.poll(cx).is_ready());
            if notified.as_mut().poll(cx).is_ready() || ended || looks {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        })
        .await;
        if was_lost {
            // What is lost from now on is told again; what was before is seen by the looks.
            lost = hub.store.lost();
            hub.lost();
        }
    }
}
