//! What a waiter costs: `cargo bench --bench queue` lets lines of waiters go and says what one took.
//!
//! *handed on*: one place in flight, which each gives to the next. *a window ends*: all may go at once, by one timer.

#![allow(clippy::print_stdout)]

use std::{
    cell::RefCell,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use tower_quota::{
    Cost, Limit, Quota, Rejected,
    quota::{Acquire, QuotaBuilder},
};

/// Who was woken, in order.
type Woken = Arc<Mutex<Vec<usize>>>;

struct Waiter {
    number: usize,
    woken: Woken,
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.number);
    }
}

/// A line of waiters, each with a waker of its own.
struct Line {
    waiters: Vec<(RefCell<Acquire>, Waker)>,
    woken: Woken,
    wakes: usize,
}

impl Line {
    fn new(quota: &Quota, length: usize) -> Self {
        let woken = Woken::default();
        let waiter = |number| {
            let woken = woken.clone();
            let waker = Waker::from(Arc::new(Waiter { number, woken }));
            (RefCell::new(quota.acquire(Cost::request())), waker)
        };
        let waiters = (0..length).map(waiter).collect();
        let line = Self {
            waiters,
            woken,
            wakes: 0,
        };
        for number in 0..length {
            assert!(!line.goes(number));
        }
        line
    }

    /// Polls one; its permit is dropped at once.
    fn goes(&self, number: usize) -> bool {
        let (acquire, waker) = &self.waiters[number];
        let mut acquire = acquire.borrow_mut();
        let poll = Pin::new(&mut *acquire).poll(&mut Context::from_waker(waker));
        matches!(poll.map(Result::<_, Rejected>::unwrap), Poll::Ready(_))
    }

    /// Polls those who were woken until nobody is; says how many went.
    fn drain(&mut self) -> usize {
        let mut gone = 0;
        loop {
            let woken = std::mem::take(&mut *self.woken.lock().unwrap());
            if woken.is_empty() {
                return gone;
            }
            self.wakes += woken.len();
            gone += woken
                .into_iter()
                .filter(|number| self.goes(*number))
                .count();
        }
    }
}

fn patient() -> QuotaBuilder {
    Quota::builder()
        .max_queue(usize::MAX)
        .max_wait(Duration::from_secs(3_600))
}

async fn handed_on(length: usize) -> (Duration, usize) {
    let quota = patient().max_in_flight(1).build().unwrap();
    let first = quota.try_acquire(Cost::request()).unwrap();
    let mut line = Line::new(&quota, length);
    let start = Instant::now();
    drop(first);
    assert_eq!(line.drain(), length);
    (start.elapsed(), line.wakes)
}

async fn a_window_ends(length: usize) -> (Duration, usize) {
    let window = Duration::from_secs(60);
    let limit = Limit::requests(length as u64, window);
    let quota = patient().limit(limit).build().unwrap();
    for _ in 0..length {
        drop(quota.try_acquire(Cost::request()).unwrap());
    }
    let mut line = Line::new(&quota, length);
    let (mut took, mut gone) = (Duration::ZERO, 0);
    while gone < length {
        tokio::time::advance(window / 64).await;
        let start = Instant::now();
        // The quota's timer is the runtime's to fire.
        tokio::task::yield_now().await;
        gone += line.drain();
        took += start.elapsed();
    }
    (took, line.wakes)
}

fn main() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    println!(
        "{:<16}{:>10}{:>16}{:>14}",
        "waiters", "", "µs/admission", "wakes each"
    );
    for length in [1_000, 100_000] {
        let runs = [
            ("handed on", runtime().block_on(handed_on(length))),
            ("a window ends", runtime().block_on(a_window_ends(length))),
        ];
        for (how, (took, wakes)) in runs {
            let each = took.as_secs_f64() * 1e6 / length as f64;
            let wakes = wakes as f64 / length as f64;
            println!("{how:<16}{length:>10}{each:>16.3}{wakes:>14.2}");
        }
    }
}
