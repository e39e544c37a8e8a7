//! What both model checkers need: tasks, and how their schedules are tried.
//!
//! Time stands still: the checkers run everything on one thread, inside of a runtime whose clock is paused, so that no look at
//! the clock differs from one schedule to the next.
#![cfg(any(tower_quota_loom, tower_quota_shuttle))]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

#[cfg(tower_quota_loom)]
pub use loom::{
    sync::atomic::AtomicUsize,
    thread::{JoinHandle, spawn},
};
#[cfg(tower_quota_shuttle)]
pub use shuttle::{
    sync::atomic::AtomicUsize,
    thread::{JoinHandle, spawn},
};

#[cfg(tower_quota_loom)]
use loom::sync::{Condvar, Mutex};
#[cfg(tower_quota_shuttle)]
use shuttle::sync::{Condvar, Mutex};

fn number(name: &str, otherwise: usize) -> usize {
    let told = std::env::var(name).ok().and_then(|n| n.parse().ok());
    told.unwrap_or(otherwise)
}

/// Tries a few tasks in every order, with so many switches at the most where nobody waits: `LOOM_MAX_PREEMPTIONS`, or else
/// `switches`.
#[cfg(tower_quota_loom)]
pub fn try_all(name: &str, switches: usize, tasks: impl Fn() + Send + Sync + 'static) {
    in_stopped_time(|| {
        let schedules = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(number("LOOM_MAX_PREEMPTIONS", switches));
        model.max_branches = 100_000;
        let counted = Arc::clone(&schedules);
        model.check(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tasks();
        });
        let schedules = schedules.load(std::sync::atomic::Ordering::Relaxed);
        println!("{name}: {schedules} schedules");
    });
}

/// Tries tasks in very many orders by chance: `SCHEDULES`, 5,000 otherwise.
#[cfg(tower_quota_shuttle)]
pub fn try_all(name: &str, _: usize, tasks: impl Fn() + Send + Sync + 'static) {
    in_stopped_time(|| {
        let schedules = number("SCHEDULES", 5_000);
        shuttle::check_random(tasks, schedules);
        println!("{name}: {schedules} schedules");
    });
}

/// Three tasks in every order, or eight by chance.
pub const TASKS: usize = if cfg!(tower_quota_loom) { 3 } else { 8 };

/// As many as can be tried where every task takes many steps.
pub const FEW: usize = if cfg!(tower_quota_loom) { 2 } else { 8 };

fn in_stopped_time(run: impl FnOnce()) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    run();
}

/// Whether somebody was woken.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().expect("a bell") = true;
        self.changed.notify_one();
    }
}

/// Polls whenever it was woken; a wake-up that is lost is a deadlock, which the checkers find.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let bell = Arc::new(Bell {
        rung: Mutex::new(false),
        changed: Condvar::new(),
    });
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        let mut rung = bell.rung.lock().expect("a bell");
        while !*rung {
            rung = bell.changed.wait(rung).expect("a bell");
        }
        *rung = false;
    }
}

/// Polls once.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
