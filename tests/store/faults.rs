//! What goes wrong with a store, and what its clients make of it: in real time, so all at once and bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_quota::{
    Cost, Limit, Quota, Reason,
    quota::shared::{Call, OnStoreDown, PoolId, QuotaStore, RedisStore},
};

use crate::{
    fleet::{Fleet, bound, seconds, share, within},
    server::Server,
};

const WINDOW: Duration = Duration::from_secs(3);
const LIMIT: usize = 200;

fn limit() -> Limit {
    Limit::requests(LIMIT as u64, WINDOW)
}

const RECOVERED: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_empty_hands_out_no_second_limit() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let mut fleet = Fleet::new(4, &limit(), |_| server.store(), share);
    fleet.send(8, Duration::from_millis(5));
    seconds(0.8).await;
    server.kill();
    seconds(0.3).await;
    server.run();
    let back = Instant::now();
    seconds(7.0).await;
    println!(
        "killed: {} of {LIMIT} in a window, {} sent; next after {:?}",
        fleet.log.most_in(WINDOW),
        fleet.log.times().len(),
        fleet.log.next_after(back)
    );
    assert!(fleet.log.most_in(WINDOW) <= bound(LIMIT));
    // Two more windows' worth.
    let since: Vec<_> = fleet
        .log
        .times()
        .into_iter()
        .filter(|at| *at > back)
        .collect();
    assert!(since.len() >= LIMIT * 3 / 2, "{}", since.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_flushed_or_evicted_is_rebuilt_by_those_who_use_it() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut fleet = Fleet::new(4, &limit(), |_| server.store(), share);
    fleet.send(8, Duration::from_millis(20));
    for _ in 0..6 {
        seconds(0.9).await;
        server.command(&["FLUSHALL"]);
    }
    seconds(1.5).await;
    println!(
        "flushed: {} of {LIMIT} in a window, {} sent",
        fleet.log.most_in(WINDOW),
        fleet.log.times().len()
    );
    assert!(fleet.log.most_in(WINDOW) <= bound(LIMIT));
    assert!(fleet.log.times().len() >= LIMIT * 3 / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_blocks_nobody_and_what_it_does_afterwards_counts_once() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let wide = Limit::requests(20_000, WINDOW);
    let mut fleet = Fleet::new(4, &wide, |_| server.store(), share);
    fleet.send(2, Duration::from_millis(50));
    seconds(1.0).await;
    let stopped = Instant::now();
    server.stop();
    seconds(2.0).await;
    server.go_on();
    let back = Instant::now();
    seconds(2.0).await;
    let blocked = fleet
        .log
        .longest_wait_between(stopped, back + Duration::from_secs(2));
    let sent = fleet
        .log
        .times()
        .iter()
        .filter(|at| **at > stopped && **at < back)
        .count();
    println!("stopped for 2 s: nobody waited longer than {blocked:?}, {sent} sent meanwhile");
    assert!(blocked < within(Duration::from_millis(150)), "{blocked:?}");
    assert!(sent > 200, "{sent}");
    // All that left counts, and nothing twice.
    fleet.log.times();
    drop(fleet.quotas.clone());
    seconds(0.3).await;
    let now = Instant::now();
    let counted = fleet.quotas[0].snapshot().limits[0].used as usize;
    let left = fleet
        .log
        .times()
        .iter()
        .filter(|at| now.duration_since(**at) < WINDOW)
        .count();
    assert!(
        counted <= left + left / 10 + 60,
        "{counted} counted, {left} sent"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_all_the_time_are_no_errors() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut fleet = Fleet::new(
        2,
        &Limit::requests(100_000, WINDOW),
        |_| server.store(),
        |builder| builder.on_store_down(OnStoreDown::FailClosed),
    );
    fleet.send(4, Duration::from_millis(2));
    let began = Instant::now();
    let mut flushed = 0;
    while began.elapsed() < Duration::from_secs(2) {
        server.command(&["SCRIPT", "FLUSH"]);
        flushed += 1;
        seconds(0.01).await;
    }
    let (sent, longest) = (
        fleet.log.times().len(),
        fleet.log.longest_wait_between(began, Instant::now()),
    );
    println!("{flushed} flushes: {sent} sent, nobody waited longer than {longest:?}");
    assert!(sent > 500 && longest < within(Duration::from_millis(100)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_become_a_replica_is_left_and_found_again() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let mut fleet = Fleet::new(
        2,
        &Limit::requests(50_000, WINDOW),
        |_| server.store(),
        |builder| {
            builder.on_store_down(OnStoreDown::Wait {
                max: Duration::from_secs(5),
            })
        },
    );
    fleet.send(4, Duration::from_millis(5));
    seconds(0.5).await;
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    seconds(0.7).await;
    server.command(&["REPLICAOF", "NO", "ONE"]);
    let back = Instant::now();
    seconds(1.2).await;
    let next = fleet.log.next_after(back).unwrap();
    println!("a replica for 0.7 s: granted {next:?} after it was promoted");
    assert!(next < within(RECOVERED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_refuses_and_the_policy_decides() {
    let Some(server) = Server::start(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"])
    else {
        return;
    };
    let (quota, driver) = Quota::builder()
        .limit(limit())
        .shared(server.store())
        .pool("full")
        .on_store_down(OnStoreDown::FailClosed)
        .build()
        .unwrap();
    tokio::spawn(driver);
    let refused = quota.acquire(Cost::request()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Unavailable);
    let calls = server.calls();
    seconds(1.0).await;
    let _ = quota.acquire(Cost::request()).await;
    assert!(server.calls() - calls <= 8, "no tight circle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_or_a_missing_permission_is_refused_and_not_tried_in_a_circle() {
    let Some(server) = Server::on_a_port(&["--requirepass", "right"]) else {
        return;
    };
    let store = |login: &str| {
        RedisStore::connect(&format!("redis://{login}127.0.0.1:{}", server.port())).unwrap()
    };
    let quota = |store| {
        let builder = Quota::builder().limit(limit()).shared(store).pool("door");
        let (quota, driver) = builder
            .on_store_down(OnStoreDown::FailClosed)
            .build()
            .unwrap();
        tokio::spawn(driver);
        quota
    };
    let wrong = quota(store(":wrong@"))
        .acquire(Cost::request())
        .await
        .unwrap_err();
    assert_eq!(wrong.reason, Reason::Unavailable);
    drop(
        quota(store(":right@"))
            .acquire(Cost::request())
            .await
            .unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_permissions_are_enough() {
    let permissions = "user pool on >secret resetkeys ~tower-quota:* resetchannels -@all +eval +evalsha +time +hmget +hset \
                       +hdel +del +zadd +zrem +zrangebyscore +zcard +pexpire";
    let options: Vec<_> = std::iter::once("--user")
        .chain(permissions.split(' ').skip(1))
        .collect();
    let Some(server) = Server::on_a_port(&options) else {
        return;
    };
    let url = format!("redis://pool:secret@127.0.0.1:{}", server.port());
    let builder = Quota::builder()
        .limit(limit())
        .shared(RedisStore::connect(&url).unwrap())
        .pool("acl");
    let (quota, driver) = builder
        .on_store_down(OnStoreDown::FailClosed)
        .build()
        .unwrap();
    tokio::spawn(driver);
    drop(quota.acquire(Cost::request()).await.unwrap());
    // What a pool that lost its state does is permitted as well, and that it knows of a call that it never had.
    for _ in 0..2 {
        server.command(&["FLUSHALL"]);
        seconds(0.2).await;
        drop(quota.acquire(Cost::request()).await.unwrap());
    }
    let (store, pool) = (RedisStore::connect(&url).unwrap(), PoolId::new("acl"));
    let mut call = Call {
        process: 1,
        ..Call::default()
    };
    for (epoch, heard) in [(0, 0), (7, 1_000)] {
        (call.seq, call.epoch, call.heard) = (call.seq + 1, epoch, heard);
        call.fresh = 7 + heard;
        let answer = store.call(&pool, &[], &call).await.unwrap();
        assert_eq!(answer.lost, heard > 0);
    }
    let page = include_str!("../../src/quota/shared/mod.rs");
    assert!(page.contains(permissions), "the page tells others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_hands_out_no_second_limit() {
    for step in [45_000_000, -30_000_000] {
        let Some(server) = Server::start(&[]) else {
            return;
        };
        let clock = Arc::new(AtomicI64::new(0));
        let store = |_| server.store().clock_for_tests(Arc::clone(&clock));
        let mut fleet = Fleet::new(4, &limit(), store, share);
        fleet.send(8, Duration::from_millis(20));
        seconds(1.0).await;
        clock.fetch_add(step, Ordering::Relaxed);
        seconds(5.0).await;
        let (most, all) = (fleet.log.most_in(WINDOW), fleet.log.times().len());
        println!("clock set by {step} us: {most} of {LIMIT} in a window, {all} sent");
        assert!(most <= bound(LIMIT) && all >= LIMIT * 3 / 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_node_takes_pools_and_their_keys() {
    let bus = crate::server::free_port().to_string();
    let options = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let Some(server) = Server::on_a_port(&options) else {
        return;
    };
    server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    seconds(2.5).await;
    let store = RedisStore::connect(&format!("redis://127.0.0.1:{}", server.port())).unwrap();
    for name in ["one", "two", "three"] {
        let builder = Quota::builder()
            .limit(limit())
            .shared(store.clone())
            .pool(name);
        let (quota, driver) = builder
            .on_store_down(OnStoreDown::FailClosed)
            .build()
            .unwrap();
        tokio::spawn(driver);
        drop(quota.acquire(Cost::request()).await.unwrap());
    }
}
