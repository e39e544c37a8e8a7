//! What a call costs, beside the simplest there is: in one run.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_quota::{
    Cost, Limit, Quota,
    quota::shared::{Ask, Call, PoolId, PoolLimit, PoolShape, QuotaStore},
};

use crate::server::Server;

/// One limit by its theoretical arrival time, as redis-cell keeps it.
const GCRA: &str = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] \
    local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) \
    local next = tat + tonumber(ARGV[1]) if next - now > tonumber(ARGV[2]) then return next - now end \
    redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', 60000) return 0";

async fn measure<F: Future<Output = ()> + Send>(
    name: &str,
    callers: usize,
    server: &Server,
    grants: usize,
    work: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) {
    server.command(&["CONFIG", "RESETSTAT"]);
    let until = Instant::now() + Duration::from_secs(1);
    let number = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (work, number) = (work.clone(), Arc::clone(&number));
            tokio::spawn(async move {
                let mut spans = Vec::new();
                while Instant::now() < until {
                    let began = Instant::now();
                    work(number.fetch_add(1, Ordering::Relaxed)).await;
                    spans.push(began.elapsed());
                }
                spans
            })
        })
        .collect();
    let mut spans = Vec::new();
    for task in tasks {
        spans.extend(task.await.unwrap());
    }
    spans.sort();
    let at = |percent: usize| spans[(spans.len() - 1) * percent / 100];
    let server = server.micros();
    println!(
        "{name:>34}, {callers:>2} callers: {:>7} a second ({:>7} grants), p50 {:?}, p99 {:?}, {server:.1} us of the server a call",
        spans.len(),
        spans.len() * grants,
        at(50),
        at(99)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures"]
async fn a_call_beside_incr_and_gcra() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let client = ::redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let script = Arc::new(::redis::Script::new(GCRA));
    let _: i64 = script
        .key("g")
        .arg(1)
        .arg(1)
        .invoke_async(&mut connection.clone())
        .await
        .unwrap();
    let store = server.store();
    for callers in [1, 64] {
        let incr = connection.clone();
        measure("INCR", callers, &server, 1, move |_| {
            let mut connection = incr.clone();
            async move {
                let _: i64 = ::redis::cmd("INCR")
                    .arg("i")
                    .query_async(&mut connection)
                    .await
                    .unwrap();
            }
        })
        .await;
        let (gcra, script) = (connection.clone(), Arc::clone(&script));
        measure("GCRA, one limit", callers, &server, 1, move |_| {
            let (mut connection, script) = (gcra.clone(), Arc::clone(&script));
            async move {
                let _: i64 = script
                    .key("g")
                    .arg(1)
                    .arg(60_000_000)
                    .invoke_async(&mut connection)
                    .await
                    .unwrap();
            }
        })
        .await;
        for limits in [1, 4] {
            let resources = ["a", "b", "c", "d"].iter().take(limits);
            let builder = resources.fold(Quota::builder(), |builder, unit| {
                builder.limit(Limit::units(unit, 1_000_000_000, Duration::from_secs(60)))
            });
            let builder = builder.shared(store.clone());
            let (quota, driver) = builder
                .pool(&format!("acquire-{limits}-{callers}"))
                .build()
                .unwrap();
            tokio::spawn(driver);
            let name = format!("`acquire`, {limits} limits");
            measure(&name, callers, &server, 1, move |_| {
                let quota = quota.clone();
                async move {
                    let cost = ["a", "b", "c", "d"].iter();
                    let cost = cost.fold(Cost::request(), |cost, unit| cost.unit(unit, 1));
                    drop(quota.acquire(cost).await.unwrap());
                }
            })
            .await;
        }
        for (limits, asks) in [(1, 1), (4, 1), (4, 8), (4, 32)] {
            let store = store.clone();
            let name = format!("this, {limits} limits, {asks} asks a call");
            let pool = PoolId::new(&format!("figures-{limits}-{asks}-{callers}"));
            measure(&name, callers, &server, asks, move |number| {
                let (store, pool) = (store.clone(), pool.clone());
                async move {
                    let ask = Ask {
                        cost: vec![1; limits],
                        horizon: 2_000_000,
                        beside: 0,
                    };
                    let call = Call {
                        process: number % 64 + 1,
                        seq: number + 1,
                        fresh: 1,
                        asks: vec![ask; asks],
                        ..Call::default()
                    };
                    store.call(&pool, &vec![WIDE; limits], &call).await.unwrap();
                }
            })
            .await;
        }
    }
}

const LIMITS: usize = 2;

/// So much that nobody waits.
const WIDE: PoolLimit = PoolLimit {
    shape: PoolShape::Rolling,
    amount: 1_000_000_000,
    window: 60_000_000,
    transit: 900_000,
    step: 1_000_000,
    burst: 0,
    ends: [0; 2],
};

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
                let (pool, limits) = (PoolId::new("sizing"), [WIDE; LIMITS]);
                while !over.load(Ordering::Relaxed) {
                    let seq = seqs[process].fetch_add(1, Ordering::Relaxed) + 1;
                    let call = call(process as u64 + 1, seq, asks);
                    store.call(&pool, &limits, &call).await.unwrap();
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        over.store(true, Ordering::Relaxed);
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
        let seq = seqs[process as usize - 1].load(Ordering::Relaxed) + 1;
        let call = call(process, seq, 1);
        stores[0]
            .call(&PoolId::new("sizing"), &[WIDE; LIMITS], &call)
            .await
            .unwrap();
    }
    println!("and {} after calls of one", size("tower-quota:{sizing}:q"));
    // One process, and something in each slot of a minute.
    let clock = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let store = server.store().clock_for_tests(Arc::clone(&clock));
    for seq in 1..=70 {
        let (pool, call) = (PoolId::new("slots"), call(1, seq, 1));
        store.call(&pool, &[WIDE; LIMITS], &call).await.unwrap();
        clock.fetch_add(1_000_000, Ordering::Relaxed);
    }
    println!(
        "a pool of one process, all slots in use: {} bytes",
        size("tower-quota:{slots}:q") + size("tower-quota:{slots}:n")
    );
}
