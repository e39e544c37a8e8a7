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
    fleet::{Fleet, bound, counted, seconds, share},
    proxy::Proxy,
    server::Server,
    trial::{LEARNING, LIMIT, PATIENCE, Trial, limit},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_empty_hands_out_no_second_limit() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let trial = Trial::begin("killed, and back empty", || server.store()).await;
    server.kill();
    seconds(0.3).await;
    server.run();
    trial.recovers(Instant::now()).await;
    server.kill();
    seconds(1.5).await;
    server.run();
    trial.recovers(Instant::now()).await;
    trial.ends(LEARNING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_flushed_is_rebuilt_by_those_who_use_it() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let trial = Trial::begin("flushed", || server.store()).await;
    for _ in 0..4 {
        server.command(&["FLUSHALL"]);
        trial.recovers(Instant::now()).await;
    }
    trial.ends(LEARNING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_that_sleeps_has_sent_counts_after_a_flush_or_a_restart() {
    for restarted in [false, true] {
        let Some(mut server) = Server::start(&[]) else {
            return;
        };
        let fleet = Fleet::new(2, &limit(), |_| server.store(), share);
        let [one, other] = &fleet.quotas[..] else {
            unreachable!("two");
        };
        // Whoever finds the pool empty has asked before the other has sent all that.
        drop(one.acquire(Cost::request()).await.unwrap());
        for _ in 0..150 {
            drop(other.acquire(Cost::request()).await.unwrap());
        }
        seconds(0.3).await;
        if restarted {
            server.kill();
            server.run();
        } else {
            server.command(&["FLUSHALL"]);
        }
        let (until, mut sent) = (Instant::now() + Duration::from_millis(1_500), 151);
        while let Ok(permit) =
            tokio::time::timeout_at(until.into(), one.acquire(Cost::request())).await
        {
            drop(permit.unwrap());
            sent += 1;
        }
        println!(
            "restarted: {restarted}; {sent} of {LIMIT} in a window, of which 150 by one that slept"
        );
        assert!((LIMIT * 9 / 10..=bound(LIMIT)).contains(&sent), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_blocks_nobody() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let trial = Trial::begin("stopped for 2 s", || server.store()).await;
    server.stop();
    seconds(2.0).await;
    server.go_on();
    trial.recovers(Instant::now()).await;
    trial.ends(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_late_and_what_left_without_it_counts_once() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    // A window in which all of it counts.
    let wide = Limit::requests(20_000, Duration::from_secs(60));
    let mut fleet = Fleet::new(4, &wide, |_| server.store(), share);
    fleet.send(4, Duration::from_millis(10));
    seconds(0.5).await;
    for _ in 0..3 {
        server.stop();
        seconds(0.8).await;
        server.go_on();
        seconds(0.6).await;
    }
    fleet.stop().await;
    let (counted, left) = (counted(&fleet).await, fleet.log.times().len());
    println!("stopped three times: {left} left, {counted} count");
    assert_eq!(counted, left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_freeze_or_lose_answers_are_replaced() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let (proxy, port) = Proxy::before(server.port()).await;
    let url = format!("redis://127.0.0.1:{port}");
    let trial = Trial::begin("frozen, and cut", || RedisStore::connect(&url).unwrap()).await;
    for _ in 0..2 {
        proxy.freeze();
        trial.recovers(Instant::now()).await;
    }
    for _ in 0..20 {
        proxy.cut();
        seconds(0.05).await;
    }
    trial.recovers(Instant::now()).await;
    trial.ends(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_are_charged_once() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let (proxy, port) = Proxy::before(server.port()).await;
    let url = format!("redis://127.0.0.1:{port}");
    let wide = Limit::requests(20_000, Duration::from_secs(60));
    let mut fleet = Fleet::new(4, &wide, |_| RedisStore::connect(&url).unwrap(), share);
    fleet.send(4, Duration::from_millis(10));
    for _ in 0..30 {
        seconds(0.05).await;
        proxy.cut();
    }
    seconds(0.5).await;
    fleet.stop().await;
    let (counted, left) = (counted(&fleet).await, fleet.log.times().len());
    println!("30 answers lost: {left} left, {counted} count");
    assert_eq!(counted, left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_all_the_time_are_no_errors() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let trial = Trial::begin("scripts flushed", || server.store()).await;
    let (began, mut flushed) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        server.command(&["SCRIPT", "FLUSH"]);
        flushed += 1;
        seconds(0.01).await;
    }
    println!("{flushed} flushes");
    trial.recovers(began).await;
    trial.ends(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_become_a_replica_is_left_and_found_again() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let trial = Trial::begin("a replica for a second", || server.store()).await;
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    seconds(1.0).await;
    server.command(&["REPLICAOF", "NO", "ONE"]);
    trial.recovers(Instant::now()).await;
    trial.ends(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_changed_and_changed_back_is_tried_again() {
    let Some(server) = Server::on_a_port(&[]) else {
        return;
    };
    let user = ["ACL", "SETUSER", "pool", "on", ">right", "~*", "+@all"];
    server.command(&user);
    let url = format!("redis://pool:right@127.0.0.1:{}", server.port());
    let trial = Trial::begin("a wrong password", || RedisStore::connect(&url).unwrap()).await;
    server.command(&["ACL", "SETUSER", "pool", "resetpass", ">other"]);
    server.command(&["CLIENT", "KILL", "USER", "pool"]);
    seconds(1.5).await;
    server.command(&["ACL", "SETUSER", "pool", "resetpass", ">right"]);
    trial.recovers(Instant::now()).await;
    trial.ends(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_hands_out_no_second_limit() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let clock = Arc::new(AtomicI64::new(0));
    let store = || server.store().clock_for_tests(Arc::clone(&clock));
    let trial = Trial::begin("clock set", store).await;
    for step in [45_000_000, -30_000_000] {
        clock.fetch_add(step, Ordering::Relaxed);
        trial.recovers(Instant::now()).await;
    }
    trial.ends(PATIENCE).await;
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
