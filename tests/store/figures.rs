//! What a call costs, beside the simplest there is: in one run.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_quota::quota::shared::{Ask, Call, PoolId, PoolLimit, PoolShape, QuotaStore};

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
        "{name:>34}, {callers:>2} callers: {:>7} a second, p50 {:?}, p99 {:?}, {server:.1} us of the server",
        spans.len(),
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
        measure("INCR", callers, &server, move |_| {
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
        measure("GCRA, one limit", callers, &server, move |_| {
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
        for (limits, asks) in [(1, 1), (4, 1), (4, 8), (4, 32)] {
            let store = store.clone();
            let name = format!("this, {limits} limits, {asks} asks a call");
            let pool = PoolId::new(&format!("figures-{limits}-{asks}-{callers}"));
            measure(&name, callers, &server, move |number| {
                let (store, pool) = (store.clone(), pool.clone());
                async move {
                    let limit = PoolLimit {
                        shape: PoolShape::Rolling,
                        amount: 1_000_000_000,
                        window: 60_000_000,
                        transit: 900_000,
                        step: 1_000_000,
                        burst: 0,
                        ends: [0; 2],
                    };
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
                    store
                        .call(&pool, &vec![limit; limits], &call)
                        .await
                        .unwrap();
                }
            })
            .await;
        }
    }
}
