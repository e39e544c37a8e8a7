//! What a pool of many processes takes: what a call costs a real server, and fleets simulated in virtual time with these costs.

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
    quota::shared::{
        Ask, Call, Driver, MemoryStore, PoolId, PoolLimit, PoolShape, QuotaStore, StoreFuture,
    },
};

use crate::server::Server;

/// What a call of two limits takes of the server's core, its share of the network included, and each request in it; as
/// `what_a_call_takes_of_a_server` measured it, rounded up.
const CALL: Duration = Duration::from_micros(20);
const ASK: Duration = Duration::from_micros(2);
/// There and back.
const ROUND_TRIP: Duration = Duration::from_micros(500);

const LIMITS: usize = 2;

fn limits() -> Vec<PoolLimit> {
    let limit = PoolLimit {
        shape: PoolShape::Rolling,
        amount: 1_000_000_000,
        window: 60_000_000,
        transit: 900_000,
        step: 1_000_000,
        burst: 0,
        ends: [0; 2],
    };
    vec![limit; LIMITS]
}

fn call(process: u64, seq: u64, asks: usize) -> Call {
    let ask = Ask {
        cost: vec![1, 100],
        horizon: 2_000_000,
        beside: 0,
    };
    Call {
        process,
        seq,
        fresh: 1,
        beat: seq == 1,
        asks: vec![ask; asks],
        ..Call::default()
    }
}

/// A number in what the server says of itself.
fn info(server: &Server, section: &str, name: &str) -> f64 {
    let text = format!("{:?}", server.command(&["INFO", section]));
    let value = text.split(&format!("{name}:")).nth(1).unwrap();
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.');
    value[..end.unwrap_or(value.len())].parse().unwrap()
}

fn cpu(server: &Server) -> f64 {
    info(server, "cpu", "used_cpu_user") + info(server, "cpu", "used_cpu_sys")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures"]
async fn what_a_call_takes_of_a_server() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    // A process each, with a connection and one call at a time.
    let processes = 100;
    let stores: Vec<_> = (0..processes).map(|_| server.store()).collect();
    let before = info(&server, "memory", "used_memory");
    let seqs: Arc<Vec<AtomicU64>> = Arc::new((0..processes).map(|_| AtomicU64::new(0)).collect());
    let mut costs = Vec::new();
    for asks in [1, 8, 32] {
        server.command(&["CONFIG", "RESETSTAT"]);
        let spent = cpu(&server);
        let over = Arc::new(AtomicBool::new(false));
        let tasks = stores.iter().cloned().enumerate().map(|(process, store)| {
            let (over, seqs) = (Arc::clone(&over), Arc::clone(&seqs));
            tokio::spawn(async move {
                let (pool, limits) = (PoolId::new("sizing"), limits());
                while !over.load(Relaxed) {
                    let seq = seqs[process].fetch_add(1, Relaxed) + 1;
                    let call = call(process as u64 + 1, seq, asks);
                    store.call(&pool, &limits, &call).await.unwrap();
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        sleep(Duration::from_secs(2)).await;
        over.store(true, Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        let calls = server.calls() as f64;
        let micros = (cpu(&server) - spent) * 1e6 / calls;
        let bytes = |name| info(&server, "stats", name) / calls;
        println!(
            "{processes} processes, {LIMITS} limits, {asks:>2} requests a call: {micros:.1} us of the server's core a call, {:.1} in the \
             script; {:.0} bytes there, {:.0} back; {:.0} calls a second",
            server.micros(),
            bytes("total_net_input_bytes"),
            bytes("total_net_output_bytes"),
            calls / 2.0
        );
        costs.push((asks as f64, micros));
    }
    let each = (costs[2].1 - costs[0].1) / (costs[2].0 - costs[0].0);
    println!(
        "that is {:.1} us a call and {each:.2} us a request",
        costs[0].1 - each
    );
    let after = info(&server, "memory", "used_memory");
    println!(
        "{:.0} bytes a process in all, its connection included",
        (after - before) / processes as f64
    );
    let size = |key: &str| match server.command(&["MEMORY", "USAGE", key, "SAMPLES", "0"]) {
        ::redis::Value::Int(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    println!(
        "of the pool itself {} and {} bytes, after calls of 32 requests",
        size("tower-quota:{sizing}:q"),
        size("tower-quota:{sizing}:n")
    );
    for process in 1..=processes as u64 {
        let seq = seqs[process as usize - 1].load(Relaxed) + 1;
        let call = call(process, seq, 1);
        stores[0]
            .call(&PoolId::new("sizing"), &limits(), &call)
            .await
            .unwrap();
    }
    println!("and {} after calls of one", size("tower-quota:{sizing}:q"));
}

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
    println!(
        "| processes | requests a second each | lease | calls a second | requests a call | of a core | p50 | p99 |"
    );
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
        println!(
            "| {processes} | {rate} | {lease:?} | {:.0} | {:.1} | {:.1} % | {:?} | {:?} |",
            figures.calls,
            figures.asks,
            figures.core * 100.0,
            figures.p50,
            figures.p99
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
    println!(
        "| processes | callers each | requests a minute | calls a request | calls in the busiest second | of a core in it |"
    );
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
        println!(
            "| {processes} | 8 | {limit} | {each:.2} | {busiest} | {:.0} % |",
            core * 100.0
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
