//! Servers that lose what they were told: a replica that lags, memory that runs out.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ::redis::Value;
use tokio::sync::watch;
use tower_quota::{
    Cost, Limit, Quota,
    quota::shared::{OnStoreDown, RedisStore},
};

use crate::{
    fleet::{Fleet, Log, Sent, bound, counted, seconds, share, within},
    proxy::Proxy,
    server::Server,
    stands::runs,
};

const WINDOW: Duration = Duration::from_secs(3);
const LIMIT: usize = 200;

fn limit() -> Limit {
    Limit::requests(LIMIT as u64, WINDOW)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_promoted_without_what_was_sent_last_hands_out_no_second_limit() {
    let Some(mut primary) = Server::on_a_port(&[]) else {
        return;
    };
    let (link, port) = Proxy::before(primary.port()).await;
    let port = port.to_string();
    let replica = Server::on_a_port(&["--replicaof", "127.0.0.1", &port]).unwrap();
    let linked = || format!("{:?}", replica.command(&["ROLE"])).contains("connected");
    crate::fleet::until("linked", linked).await;
    let urls = [primary.tcp(), replica.tcp()];
    let store = |_| RedisStore::connect_any(urls.iter().map(String::as_str)).unwrap();
    let mut tight = Fleet::new(4, &limit(), store, share);
    let wide = Limit::requests(100_000, Duration::from_secs(60));
    let wait = OnStoreDown::Wait {
        max: Duration::from_secs(20),
    };
    let mut exact = Fleet::named("exact", 3, &wide, store, |builder| {
        builder.on_store_down(wait)
    });
    // The replica knows the pools, and then no more.
    for quota in tight.quotas.iter().chain(&exact.quotas) {
        drop(quota.acquire(Cost::request()).await.unwrap());
    }
    seconds(0.3).await;
    link.freeze();
    tight.send(8, Duration::from_millis(5));
    exact.send(2, Duration::from_millis(5));
    seconds(1.0).await;
    let unknown = tight.log.times().len();
    primary.kill();
    seconds(0.1).await;
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    let promoted = Instant::now();
    seconds(6.5).await;
    exact.stop().await;
    let (next, most) = (
        exact.log.next_after(promoted).unwrap(),
        tight.log.most_in(WINDOW),
    );
    let (sent, counted) = (
        exact.log.times().len() + exact.quotas.len(),
        counted(&exact).await,
    );
    println!(
        "promoted without the last {unknown} requests: granted {next:?} later, {most} of {LIMIT} in a window; \
         {counted} counted of {sent}"
    );
    assert!(unknown >= LIMIT * 9 / 10, "{unknown}");
    assert!(most <= bound(LIMIT), "{most}");
    assert!(tight.log.times().len() > LIMIT * 2);
    assert!(next < within(Duration::from_millis(500)), "{next:?}");
    // What it granted as it died may count as well, where another process had seen it there: each of six had one request.
    assert!((sent..=sent + 6).contains(&counted), "each once");
}

/// In how many lives the pool was seen.
fn epoch(server: &Server) -> Option<u64> {
    let keys: Vec<String> = ::redis::from_redis_value(server.command(&["KEYS", "*:q"])).ok()?;
    match server.command(&["HGET", keys.first()?, "h"]) {
        Value::BulkString(state) => Some(f64::from_le_bytes(state[..8].try_into().ok()?) as u64),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_that_are_evicted_over_and_over_are_rebuilt() {
    let Some(server) = Server::start(&["--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    let server = Arc::new(server);
    let mut fleet = Fleet::new(4, &limit(), |_| server.store(), share);
    fleet.send(8, Duration::from_millis(20));
    seconds(0.5).await;
    let info = format!("{:?}", server.command(&["INFO", "memory"]));
    let used = info.split("used_memory:").nth(1).unwrap();
    let used: u64 = used[..used.find(|c: char| !c.is_ascii_digit()).unwrap()]
        .parse()
        .unwrap();
    let most = (used + 300_000).to_string();
    server.command(&["CONFIG", "SET", "maxmemory", &most]);
    // Somebody else needs memory, every now and then.
    let (other, over) = (Arc::clone(&server), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&over);
    let writer = tokio::task::spawn_blocking(move || {
        let (mut lives, large) = (BTreeSet::new(), "x".repeat(40_000));
        let mut number = 0u64;
        while !ends.load(Ordering::Relaxed) {
            for _ in 0..12 {
                number += 1;
                other.command(&["SET", &format!("other-{number}"), &large]);
            }
            std::thread::sleep(Duration::from_millis(900));
            lives.extend(epoch(&other));
        }
        lives.len()
    });
    seconds(6.0).await;
    over.store(true, Ordering::Relaxed);
    let lives = writer.await.unwrap();
    println!(
        "evicted: {lives} lives in 6 s, {} of {LIMIT} in a window, {} sent",
        fleet.log.most_in(WINDOW),
        fleet.log.times().len()
    );
    assert!(lives > 2, "{lives}");
    assert!(fleet.log.most_in(WINDOW) <= bound(LIMIT));
    // Where the machine lets one stand still, the others wait for it, a quarter of a window each time.
    assert!(fleet.log.times().len() > LIMIT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_that_stands_still_has_sent_counts_where_its_pool_is_evicted_meanwhile() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (stands, seen) = watch::channel(false);
    let quotas: Vec<_> = (0..4)
        .map(|process| {
            let builder = Quota::builder().limit(limit()).max_wait(WINDOW * 3);
            let builder = builder.shared(server.store()).pool("stands");
            let (quota, driver) = builder.build().unwrap();
            if process == 0 {
                tokio::spawn(runs(seen.clone(), driver));
            } else {
                tokio::spawn(driver);
            }
            quota
        })
        .collect();
    let log = Log::default();
    let send = async |quota: &Quota| {
        let (asked, permit) = (Instant::now(), quota.acquire(Cost::request()).await);
        if permit.is_ok() {
            let at = Instant::now();
            let waited = at - asked;
            log.add(Sent { at, waited });
        }
    };
    // All know how many they are; of the rest nobody knows but whoever sends it.
    for quota in quotas.iter().chain(&quotas) {
        send(quota).await;
    }
    for _ in 0..LIMIT / 2 {
        send(&quotas[0]).await;
    }
    stands.send_replace(true);
    server.command(&["DEL", "tower-quota:{stands}:q"]);
    let others = quotas[1..].iter().flat_map(|quota| [quota; 8]);
    let others = others.map(async |quota| {
        let until = Instant::now() + WINDOW * 2;
        while Instant::now() < until {
            send(quota).await;
        }
    });
    let goes_on = async {
        seconds(0.6).await;
        stands.send_replace(false);
    };
    futures_util::future::join(futures_util::future::join_all(others), goes_on).await;
    let (most, all) = (log.most_in(WINDOW), log.times().len());
    println!("stood still for 0.6 s: {most} of {LIMIT} in a window, {all} sent in two");
    assert!(most <= bound(LIMIT), "{most}");
    assert!(all >= LIMIT * 3 / 2, "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_each_goes_on_with_its_share_and_comes_back_when_there_is_some() {
    let Some(server) = Server::start(&["--maxmemory-policy", "noeviction"]) else {
        return;
    };
    let wide = Limit::requests(20_000, WINDOW);
    let mut tight = Fleet::new(4, &limit(), |_| server.store(), share);
    let mut waiting = Fleet::named(
        "waiting",
        2,
        &wide,
        |_| server.store(),
        |builder| {
            builder.on_store_down(OnStoreDown::Wait {
                max: Duration::from_secs(20),
            })
        },
    );
    tight.send(8, Duration::from_millis(5));
    waiting.send(2, Duration::from_millis(5));
    seconds(0.5).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    seconds(0.1).await;
    let (full, calls) = (Instant::now(), server.calls());
    seconds(2.9).await;
    let calls = server.calls() - calls;
    let none = waiting.log.times().iter().filter(|at| **at > full).count();
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let back = Instant::now();
    seconds(3.5).await;
    let next = waiting.log.next_after(back).unwrap();
    println!(
        "no memory for 3 s: {calls} calls by 6 processes, granted {next:?} after there was some, {} of {LIMIT} in a window",
        tight.log.most_in(WINDOW)
    );
    assert_eq!(none, 0, "who waits for the store waits");
    assert!(calls <= 6 * 26, "{calls}: no tight circle");
    assert!(next < within(Duration::from_millis(500)), "{next:?}");
    assert!(tight.log.most_in(WINDOW) <= bound(LIMIT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_cut_off_soon_grants_nothing_where_it_has_to_have_a_replica() {
    let needs_one = [
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        "1",
    ];
    let Some(primary) = Server::on_a_port(&needs_one) else {
        return;
    };
    let (link, port) = Proxy::before(primary.port()).await;
    let replica = Server::on_a_port(&["--replicaof", "127.0.0.1", &port.to_string()]).unwrap();
    let linked = || format!("{:?}", replica.command(&["ROLE"])).contains("connected");
    crate::fleet::until("linked", linked).await;
    seconds(1.0).await;
    let wide = Limit::requests(100_000, Duration::from_secs(60));
    let wait = OnStoreDown::Wait {
        max: Duration::from_secs(20),
    };
    let mut fleet = Fleet::new(
        2,
        &wide,
        |_| primary.store(),
        |builder| builder.on_store_down(wait),
    );
    fleet.send(2, Duration::from_millis(5));
    seconds(0.5).await;
    link.freeze();
    let cut = Instant::now();
    seconds(4.0).await;
    let last = *fleet.log.times().last().unwrap();
    println!(
        "cut off: granted for {:?} more",
        last.saturating_duration_since(cut)
    );
    assert!(last > cut && last < cut + Duration::from_secs(3));
    primary.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    let back = Instant::now();
    seconds(1.0).await;
    let next = fleet.log.next_after(back).unwrap();
    assert!(next < within(Duration::from_millis(500)), "{next:?}");
}
