//! What a pool of many processes takes of its server: fleets simulated in virtual time, with what a call was measured to cost.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};
use tower_quota::{
    Cost, Limit, Quota,
    quota::shared::{Call, Driver, MemoryStore, PoolId, PoolLimit, QuotaStore, StoreFuture},
};

/// What a call of two limits takes of the server's core, its share of the network included, and each request in it; as
/// `figures::what_a_call_takes_of_a_server` measured it.
const CALL: Duration = Duration::from_micros(20);
const ASK: Duration = Duration::from_nanos(2_500);
/// There and back.
const ROUND_TRIP: Duration = Duration::from_micros(500);

/// A server with one core behind a network, whose time is virtual.
struct Simulated {
    pools: MemoryStore,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    // When it has done all that has come.
    free: Duration,
    busy: Duration,
    calls: u64,
    asks: u64,
}

impl Simulated {
    fn new() -> Self {
        Self {
            pools: MemoryStore::new(),
            began: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl QuotaStore for Simulated {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        let comes = self.began.elapsed() + ROUND_TRIP / 2;
        let takes = CALL + ASK * (call.asks.len() + call.adjusts.len()) as u32;
        let done = {
            let mut state = self.state.lock().unwrap();
            state.free = state.free.max(comes) + takes;
            state.busy += takes;
            state.calls += 1;
            state.asks += call.asks.len() as u64;
            state.free
        };
        Box::pin(async move {
            let answer = self.pools.call(pool, limits, call).await;
            sleep_until(self.began + done + ROUND_TRIP / 2).await;
            answer
        })
    }
}

/// With a comma between thousands.
fn grouped(n: u32) -> String {
    match (n / 1_000, n % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

fn numbers(row: &str) -> Vec<f64> {
    let cells = row
        .split(['|', ' ', 'm', 's'])
        .map(|cell| cell.replace(',', ""));
    cells.filter_map(|cell| cell.parse().ok()).collect()
}

/// Prints a row of a table on the page, which has to tell about the same.
fn tell(head: &str, row: &str) {
    println!("{head}{row}");
    let page = include_str!("../../src/quota/shared/sizing.rs");
    let stated = page
        .lines()
        .find_map(|line| line.strip_prefix("//! ")?.strip_prefix(head));
    let (stated, found) = (numbers(stated.expect(head)), numbers(row));
    assert_eq!(stated.len(), found.len(), "{head}");
    for (stated, found) in stated.iter().zip(&found) {
        assert!(
            (stated - found).abs() <= 0.5 + stated / 4.0,
            "{head} {stated} on the page, {found} now"
        );
    }
}

/// A fleet: so many processes, each with so many requests a second.
#[derive(Clone, Copy)]
struct Fleet {
    processes: u32,
    rate: u32,
    lease: Duration,
    // Of the limit.
    demand: f64,
}

#[derive(Debug)]
struct Figures {
    calls: f64,
    asks: f64,
    core: f64,
    p50: Duration,
    p99: Duration,
    sent: f64,
}

impl Fleet {
    fn quota(&self, store: &Arc<Simulated>) -> (Quota, Driver) {
        let amount = f64::from(self.processes * self.rate) * 60.0 / self.demand;
        let builder = Quota::builder()
            .limit(Limit::requests_per_minute(amount as u64))
            .limit(Limit::tokens_per_minute(amount as u64 * 100));
        let builder = builder.max_queue(1_000_000).shared(Arc::clone(store));
        builder.pool("sizing").lease(self.lease).build().unwrap()
    }

    /// The processes start within `ramp`; a second and two leases later it's looked at, for so long.
    async fn run(self, ramp: Duration, span: Duration) -> Figures {
        let processes = self.processes;
        let store = Arc::new(Simulated::new());
        let waits = Arc::new(Mutex::new(Vec::new()));
        let looks = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for process in 0..self.processes {
            let (quota, driver) = self.quota(&store);
            tasks.push(tokio::spawn(driver));
            let (waits, looks) = (Arc::clone(&waits), Arc::clone(&looks));
            tasks.push(tokio::spawn(async move {
                // Somewhere between two requests, not all at once.
                let every = Duration::from_secs(1) / self.rate;
                let begins = ramp * process / processes;
                let mut next =
                    Instant::now() + begins + every.mul_f64(f64::from(process % 97) / 97.0);
                loop {
                    sleep_until(next).await;
                    next += every;
                    let (quota, waits, looks) =
                        (quota.clone(), Arc::clone(&waits), Arc::clone(&looks));
                    tokio::spawn(async move {
                        let asked = Instant::now();
                        if let Ok(permit) = quota.acquire(Cost::tokens(100)).await {
                            drop(permit);
                            if looks.load(Relaxed) {
                                waits.lock().unwrap().push(asked.elapsed());
                            }
                        }
                    });
                }
            }));
        }
        sleep(ramp + Duration::from_millis(500) + 2 * self.lease).await;
        looks.store(true, Relaxed);
        let before = std::mem::take(&mut *store.state.lock().unwrap());
        store.state.lock().unwrap().free = before.free;
        sleep(span).await;
        let state = std::mem::take(&mut *store.state.lock().unwrap());
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let mut waits = std::mem::take(&mut *waits.lock().unwrap());
        waits.sort();
        let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
        let seconds = span.as_secs_f64();
        Figures {
            calls: state.calls as f64 / seconds,
            asks: state.asks as f64 / state.calls as f64,
            core: state.busy.as_secs_f64() / seconds,
            p50: at(50),
            p99: at(99),
            sent: waits.len() as f64 / seconds,
        }
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "figures"]
async fn from_one_process_to_a_thousand_with_a_thousand_requests_a_second() {
    let second = Duration::from_secs(1);
    let mut cores = Vec::new();
    for (processes, rate, lease) in [
        (1, 10, 0),
        (10, 100, 0),
        (100, 100, 0),
        (1_000, 10, 0),
        (1_000, 10, 2_000),
        (100, 1_000, 0),
        (100, 1_000, 100),
        (1_000, 100, 1_000),
        (1_000, 1_000, 100),
    ] {
        let lease = Duration::from_millis(lease);
        let fleet = Fleet {
            processes,
            rate,
            lease,
            demand: 0.8,
        };
        // Those who start together ask one by one until they know what they need.
        let ramp = second * if rate >= 1_000 { processes / 200 } else { 1 };
        let figures = fleet.run(ramp, second).await;
        let lease = if lease.is_zero() {
            "none".into()
        } else {
            format!("{lease:?}")
                .replace("ms", " ms")
                .replace("0s", "0 s")
                .replace("1s", "1 s")
                .replace("2s", "2 s")
        };
        tell(
            &format!("| {} | {} | {lease} |", grouped(processes), grouped(rate)),
            &format!(
                " {} | {:.1} | {:.1} % | {} ms | {} ms |",
                grouped(figures.calls.round() as u32),
                figures.asks,
                figures.core * 100.0,
                figures.p50.as_millis(),
                figures.p99.as_millis()
            ),
        );
        assert!(
            figures.sent >= 0.99 * f64::from(processes * rate),
            "{figures:?}"
        );
        cores.push(figures.core);
    }
    let largest = *cores.last().unwrap();
    assert!(largest < 0.5, "a million requests a second: {largest}");
}

#[tokio::test(start_paused = true)]
#[ignore = "figures"]
async fn a_full_limit_is_asked_for_seldom_however_many_wait() {
    for (processes, limit) in [(10, 6_000), (100, 6_000), (1_000, 6_000), (1_000, 60_000)] {
        let store = Arc::new(Simulated::new());
        let sent = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for _ in 0..processes {
            let builder = Quota::builder().limit(Limit::requests_per_minute(limit));
            let builder = builder.max_wait(Duration::from_secs(600));
            let builder = builder.shared(Arc::clone(&store)).pool("full");
            let (quota, driver) = builder.build().unwrap();
            tasks.push(tokio::spawn(driver));
            for _ in 0..8 {
                let (quota, sent) = (quota.clone(), Arc::clone(&sent));
                tasks.push(tokio::spawn(async move {
                    while let Ok(permit) = quota.acquire(Cost::request()).await {
                        drop(permit);
                        sent.fetch_add(1, Relaxed);
                    }
                }));
            }
        }
        let (mut calls, mut busiest, mut core) = (0, 0, 0.0f64);
        for _ in 0..180 {
            sleep(Duration::from_secs(1)).await;
            let mut state = store.state.lock().unwrap();
            let free = state.free;
            let second = std::mem::take(&mut *state);
            state.free = free;
            calls += second.calls;
            busiest = busiest.max(second.calls);
            core = core.max(second.busy.as_secs_f64());
        }
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let sent = sent.load(Relaxed);
        let each = calls as f64 / sent as f64;
        tell(
            &format!("| {} | {} |", grouped(processes), grouped(limit as u32)),
            &format!(
                " {each:.2} | {} | {:.0} % |",
                grouped(busiest as u32),
                core * 100.0
            ),
        );
        assert!(sent >= 3 * limit * 95 / 100, "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_used_up_is_followed_by_another() {
    let fleet = Fleet {
        processes: 4,
        rate: 100,
        lease: Duration::from_secs(1),
        demand: 0.8,
    };
    let second = Duration::from_secs(1);
    let figures = fleet.run(second, 6 * second).await;
    println!("{figures:?}");
    assert!(figures.calls <= 4.0 * 3.0 && figures.sent >= 399.0);
}
