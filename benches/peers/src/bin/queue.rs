//! What a waiter costs, ours and the peers': `cargo run --release --features virtual-time --bin queue`.
//!
//! Each waiter is a task of one thread; what is timed, by the processor's clock, is from the moment that the line begins to move to
//! the end of the last one. Where a rate has to pass it is in virtual time. Rounds are interleaved, each figure is their median.
//!
//! - *handed on*: one place, which each gives to the next;
//! - *at once*: all may go, by one timer or one release;
//! - *one by one*: one at each tick of 10 ms.

use std::{
    cell::Cell,
    future::Future,
    num::NonZeroU32,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use cpu_time::ThreadTime;
use http::Request;
use peers::{Client, VirtualGovernor, median, paused};
use tokio::{
    sync::{Notify, Semaphore},
    task::{LocalSet, spawn_local, yield_now},
    time::advance,
};
use tower::{Service, ServiceBuilder, ServiceExt, buffer::BufferLayer};
use tower_quota::{Cost, Limit, Quota, quota::QuotaBuilder};

const TICK: Duration = Duration::from_millis(10);
const MINUTE: Duration = Duration::from_secs(60);

/// How often all were polled, who has been, and who is done.
#[derive(Default)]
struct Counts {
    polls: Cell<usize>,
    begun: Cell<usize>,
    done: Cell<usize>,
    all_done: Notify,
}

/// A waiter whose polls are counted.
struct Counted<F> {
    waiter: F,
    counts: Rc<Counts>,
    begun: bool,
}

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let counts = &self.counts;
        counts.polls.set(counts.polls.get() + 1);
        if !self.begun {
            counts.begun.set(counts.begun.get() + 1);
            self.begun = true;
        }
        Pin::new(&mut self.waiter).poll(cx)
    }
}

struct Drained {
    micros: f64,
    wakes: f64,
}

/// Lets `length` waiters go, once all are in line.
async fn drain<F: Future>(
    length: usize,
    waiter: impl Fn() -> F + Clone + 'static,
    begin: impl AsyncFnOnce(),
) -> Drained {
    let counts = Rc::new(Counts::default());
    for _ in 0..length {
        let (waiter, counts) = (waiter.clone(), counts.clone());
        spawn_local(async move {
            let waiter = pin!(waiter());
            let counted = Counted {
                waiter,
                counts: counts.clone(),
                begun: false,
            };
            drop(counted.await);
            counts.done.set(counts.done.get() + 1);
            if counts.done.get() == length {
                counts.all_done.notify_one();
            }
        });
    }
    while counts.begun.get() < length {
        yield_now().await;
    }
    let (before, start) = (counts.polls.get(), ThreadTime::now());
    begin().await;
    counts.all_done.notified().await;
    let took = start.elapsed();
    Drained {
        micros: took.as_secs_f64() * 1e6 / length as f64,
        wakes: (counts.polls.get() - before) as f64 / length as f64,
    }
}

fn patient() -> QuotaBuilder {
    Quota::builder()
        .max_queue(usize::MAX)
        .max_wait(Duration::MAX)
}

type Drain = fn(usize) -> Pin<Box<dyn Future<Output = Drained>>>;

macro_rules! drain {
    ($length:ident => $body:block) => {
        |$length| Box::pin(async move { $body })
    };
}

/// What moves how, by whom, and for how many waiters at the most.
const CASES: [(&str, &str, usize, Drain); 11] = [
    (
        "handed on",
        "",
        1_000_000,
        drain!(length => {
            let quota = patient().max_in_flight(1).build().expect("sense");
            let first = quota.try_acquire(Cost::request()).expect("nobody else");
            drain(length, move || quota.acquire(Cost::request()), async || drop(first)).await
        }),
    ),
    (
        "handed on",
        "tokio's Semaphore",
        1_000_000,
        drain!(length => {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters = semaphore.clone();
            drain(length, move || waiters.clone().acquire_owned(), async || semaphore.add_permits(1)).await
        }),
    ),
    (
        "at once",
        "",
        1_000_000,
        drain!(length => {
            let limit = Limit::requests(length as u64, MINUTE);
            let quota = patient().limit(limit).build().expect("sense");
            for _ in 0..length {
                drop(quota.try_acquire(Cost::request()).expect("it fits"));
            }
            drain(length, move || quota.acquire(Cost::request()), async || advance(2 * MINUTE).await).await
        }),
    ),
    (
        "at once",
        "tokio's Semaphore",
        1_000_000,
        drain!(length => {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters = semaphore.clone();
            let waiter = async move || waiters.acquire().await.map(tokio::sync::SemaphorePermit::forget);
            let waiter = Rc::new(waiter);
            drain(
                length,
                move || {
                    let waiter = waiter.clone();
                    async move { waiter().await }
                },
                async || semaphore.add_permits(length),
            )
            .await
        }),
    ),
    (
        "at once",
        "leaky-bucket",
        100_000,
        drain!(length => {
            let limiter = leaky_bucket::RateLimiter::builder()
                .max(length)
                .initial(0)
                .refill(length)
                .interval(MINUTE)
                .build();
            let limiter = Arc::new(limiter);
            drain(length, move || limiter.clone().acquire_owned(1), async || ()).await
        }),
    ),
    (
        "one by one",
        "",
        100_000,
        drain!(length => {
            let limit = Limit::requests(1_000, 1_000 * TICK).bucket().burst(1);
            let quota = patient().limit(limit).build().expect("sense");
            drop(quota.try_acquire(Cost::request()).expect("it fits"));
            drain(length, move || quota.acquire(Cost::request()), async || ()).await
        }),
    ),
    (
        "one by one",
        "leaky-bucket",
        100_000,
        drain!(length => {
            let limiter = leaky_bucket::RateLimiter::builder()
                .max(1)
                .initial(0)
                .refill(1)
                .interval(TICK)
                .build();
            let limiter = Arc::new(limiter);
            drain(length, move || limiter.clone().acquire_owned(1), async || ()).await
        }),
    ),
    (
        "one by one",
        "tower: RateLimit behind Buffer",
        100_000,
        drain!(length => {
            let service = ServiceBuilder::new()
                .layer(BufferLayer::new(length))
                .rate_limit(1, TICK)
                .service(Client);
            drain(
                length,
                move || {
                    let mut service = service.clone();
                    async move {
                        let ready = service.ready().await.expect("it is ready");
                        ready.call(Request::new(())).await.expect("it answers")
                    }
                },
                async || (),
            )
            .await
        }),
    ),
    (
        "one by one",
        "governor's until_ready",
        1_000,
        drain!(length => {
            let once = governor::Quota::with_period(TICK).expect("not 0");
            let limiter = Rc::new(VirtualGovernor::new(once.allow_burst(NonZeroU32::MIN)));
            drain(
                length,
                move || {
                    let limiter = limiter.clone();
                    async move { limiter.until_ready(NonZeroU32::MIN).await }
                },
                async || (),
            )
            .await
        }),
    ),
    (
        "one by one",
        "tokio's Semaphore, fed by a task",
        100_000,
        drain!(length => {
            let semaphore = Arc::new(Semaphore::new(0));
            let waiters = semaphore.clone();
            spawn_local(async move {
                for _ in 0..length {
                    tokio::time::sleep(TICK).await;
                    semaphore.add_permits(1);
                }
            });
            let waiter = move || {
                let waiters = waiters.clone();
                async move { waiters.acquire().await.map(tokio::sync::SemaphorePermit::forget).ok() }
            };
            drain(length, waiter, async || ()).await
        }),
    ),
    (
        "one by one",
        "nothing but a timer",
        100_000,
        drain!(length => {
            let counts = Rc::new(Cell::new(0));
            let start = ThreadTime::now();
            for _ in 0..length {
                tokio::time::sleep(TICK).await;
                counts.set(counts.get() + 1);
            }
            Drained {
                micros: start.elapsed().as_secs_f64() * 1e6 / length as f64,
                wakes: 1.0,
            }
        }),
    ),
];

fn main() {
    println!(
        "| the line moves | waiters | whose | CPU a waiter, µs | to the best peer | wakes an admission |"
    );
    println!("|---|---|---|---|---|---|");
    for job in ["handed on", "at once", "one by one"] {
        for (length, rounds) in [(1_000, 21), (100_000, 5), (1_000_000, 1)] {
            let mut cases: Vec<_> = CASES
                .iter()
                .filter(|(how, _, most, _)| *how == job && length <= *most)
                .map(|(_, peer, _, drain)| (*peer, drain, Vec::new(), 0.0))
                .collect();
            for _ in 0..rounds {
                for (_, drain, micros, wakes) in &mut cases {
                    let drained = paused().block_on(LocalSet::new().run_until(drain(length)));
                    micros.push(drained.micros);
                    *wakes = drained.wakes;
                }
            }
            let mut lines: Vec<_> = cases
                .iter_mut()
                .map(|(peer, _, micros, wakes)| (*peer, median(micros), *wakes))
                .collect();
            lines.sort_by(|one, other| one.0.cmp(other.0));
            let peers = lines
                .iter()
                .filter(|(peer, ..)| !peer.is_empty() && !peer.starts_with("nothing"));
            let best = peers.map(|(_, micros, _)| *micros).reduce(f64::min);
            for (peer, micros, wakes) in &lines {
                let ratio = best.map_or(String::new(), |best| format!("{:.2}", micros / best));
                let whose = if peer.is_empty() {
                    "**tower-quota**"
                } else {
                    peer
                };
                println!("| {job} | {length} | {whose} | {micros:.2} | {ratio} | {wakes:.2} |");
            }
        }
    }
}
