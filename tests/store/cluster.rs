//! A cluster of several nodes: pools on each, a slot that moves, a node that dies.

use std::time::{Duration, Instant};

use ::redis::Value;
use tower_quota::{
    Limit,
    quota::shared::{Call, OnStoreDown, PoolId, QuotaStore, RedisStore, StoreError},
};

use crate::{
    fleet::{Fleet, bound, counted, seconds, share, until, within},
    server::{Server, free_port, user},
};

const WINDOW: Duration = Duration::from_secs(3);
const LIMIT: usize = 200;
/// What a user needs besides, by the page.
const CLUSTERED: &str = "+asking +cluster|slots";
const WAIT: OnStoreDown = OnStoreDown::Wait {
    max: Duration::from_secs(60),
};

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Three primaries, each with a third of the slots, and a replica of each where that is asked for.
    async fn start(replicas: bool) -> Option<Self> {
        let count = if replicas { 6 } else { 3 };
        let mut cluster = Self { nodes: Vec::new() };
        let mut buses = Vec::new();
        for number in 1..=count {
            let bus = free_port().to_string();
            let mut options = vec![
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "1000",
                "--repl-diskless-sync-delay",
                "0",
            ];
            options.extend(user());
            options.extend(CLUSTERED.split(' '));
            let node = Server::on_a_port(&options)?;
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &number.to_string()]);
            cluster.nodes.push(node);
            buses.push(bus);
        }
        let nodes = &cluster.nodes;
        for (node, (from, to)) in nodes
            .iter()
            .zip([(0, 5_460), (5_461, 10_922), (10_923, 16_383)])
        {
            let (from, to) = (from.to_string(), to.to_string());
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &from, &to]);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let port = node.port().to_string();
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        until("acquainted", || {
            nodes
                .iter()
                .all(|node| node_says(node, &format!("cluster_known_nodes:{count}")))
        })
        .await;
        for (primary, replica) in nodes.iter().zip(nodes.iter().skip(3)) {
            let id = text(&primary.command(&["CLUSTER", "MYID"]));
            until("its replica", || {
                let answer = replica.try_command(&["CLUSTER", "REPLICATE", &id]);
                answer.is_ok()
            })
            .await;
        }
        until("replicated", || {
            nodes.iter().skip(3).all(|node| {
                text(&node.command(&["INFO", "replication"])).contains("master_link_status:up")
            })
        })
        .await;
        until("in order", || {
            nodes.iter().all(|node| node_says(node, "cluster_state:ok"))
        })
        .await;
        Some(cluster)
    }

    /// The store of a process that was told of so many nodes.
    fn store(&self, told: usize) -> RedisStore {
        let nodes = self.nodes.iter().take(told);
        let url = |node: &Server| format!("redis://pool:secret@127.0.0.1:{}", node.port());
        let urls: Vec<_> = nodes.map(url).collect();
        RedisStore::connect_any(urls.iter().map(String::as_str)).unwrap()
    }

    /// The keys of a pool, and the number of the node that has them.
    fn place(&self, pool: &str) -> (Vec<String>, usize) {
        for (number, node) in self.nodes.iter().enumerate() {
            let pattern = format!("*{{{pool}/*");
            let Ok(keys) = node.try_command(&["KEYS", &pattern]) else {
                continue;
            };
            let keys: Vec<String> = ::redis::from_redis_value(keys).unwrap();
            if !keys.is_empty() {
                return (keys, number);
            }
        }
        panic!("{pool} is nowhere");
    }
}

fn slot_of(node: &Server, key: &str) -> String {
    match node.command(&["CLUSTER", "KEYSLOT", key]) {
        Value::Int(slot) => slot.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_new_while_its_slot_moves_waits_until_it_has_moved() {
    let Some(cluster) = Cluster::start(false).await else {
        return;
    };
    let (store, pool) = (cluster.store(3), PoolId::new("new"));
    let call = Call {
        process: 1,
        seq: 1,
        fresh: 1,
        ..Call::default()
    };
    let slot = slot_of(&cluster.nodes[0], "tower-quota:{new}:q");
    let number: u32 = slot.parse().unwrap();
    let at = (number as usize / 5_461).min(2);
    let (source, target) = (&cluster.nodes[at], &cluster.nodes[(at + 1) % 3]);
    let [from, to] = [source, target].map(|node| text(&node.command(&["CLUSTER", "MYID"])));
    target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
    source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    let error = store.call(&pool, &[], &call).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable(why) if why.contains("TRYAGAIN")),
        "{error}"
    );
    for node in [target, source] {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
    }
    assert!(store.call(&pool, &[], &call).await.unwrap().created);
}

#[test]
fn what_a_cluster_needs_besides_is_on_the_page() {
    let page = include_str!("../../src/quota/shared/mod.rs");
    assert!(page.contains(&format!("`{CLUSTERED}`")));
}

fn node_says(node: &Server, what: &str) -> bool {
    text(&node.command(&["CLUSTER", "INFO"])).contains(what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_are_spread_over_a_cluster_and_one_whose_slot_moves_is_followed() {
    let Some(cluster) = Cluster::start(false).await else {
        return;
    };
    let limit = Limit::requests(100_000, Duration::from_secs(60));
    let mut fleets: Vec<_> = (0..8)
        .map(|number| {
            let name = format!("pool-{number}");
            // One address is enough.
            Fleet::named(
                &name,
                2,
                &limit,
                |_| cluster.store(1),
                |b| b.on_store_down(WAIT),
            )
        })
        .collect();
    for fleet in &mut fleets {
        fleet.send(2, Duration::from_millis(5));
    }
    seconds(0.5).await;
    let mut pools = [0; 3];
    for number in 0..8 {
        pools[cluster.place(&format!("pool-{number}")).1] += 1;
    }
    println!("8 pools on 3 nodes: {pools:?}");
    assert!(pools.iter().all(|count| *count > 0), "{pools:?}");

    // The first pool's slot moves to the next node, its keys one after the other.
    let (keys, at) = cluster.place("pool-0");
    let (source, target) = (&cluster.nodes[at], &cluster.nodes[(at + 1) % 3]);
    let slot = slot_of(source, &keys[0]);
    let [from, to] = [source, target].map(|node| text(&node.command(&["CLUSTER", "MYID"])));
    let began = Instant::now();
    target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
    source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    let port = target.port().to_string();
    for key in &keys {
        let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "1000", "KEYS", key];
        source.command(&migrate);
        // Half of a pool is on either side.
        seconds(0.04).await;
    }
    assert_eq!(keys.len(), 2);
    seconds(0.5).await;
    for node in [target, source] {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
    }
    let ended = Instant::now();
    seconds(0.5).await;
    assert_eq!(cluster.place("pool-0").1, (at + 1) % 3);
    let longest = fleets[0].log.longest_wait_between(began, ended);
    println!(
        "a slot moved in {:?}: nobody waited longer than {longest:?}",
        ended - began
    );
    // Less than until whoever takes the store to be away asks again.
    assert!(longest < Duration::from_millis(200), "{longest:?}");
    let moved = fleets[0].log.next_after(ended).unwrap();
    assert!(moved < within(Duration::from_millis(100)), "{moved:?}");
    for fleet in &mut fleets {
        fleet.stop().await;
        assert_eq!(counted(fleet).await, fleet.log.times().len(), "each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_followed_by_its_replica_whoever_was_told_of_it() {
    let Some(mut cluster) = Cluster::start(true).await else {
        return;
    };
    // A process knows the address of one node, which may be the very one that dies.
    let mut tight = Fleet::new(
        4,
        &Limit::requests(LIMIT as u64, WINDOW),
        |_| cluster.store(1),
        share,
    );
    let exact = Limit::requests(100_000, Duration::from_secs(60));
    let mut exact: Vec<_> = (0..8)
        .map(|number| {
            let name = format!("pool-{number}");
            Fleet::named(
                &name,
                2,
                &exact,
                |_| cluster.store(1),
                |b| b.on_store_down(WAIT),
            )
        })
        .collect();
    tight.send(8, Duration::from_millis(5));
    for fleet in &mut exact {
        fleet.send(1, Duration::from_millis(10));
    }
    seconds(1.0).await;
    let on_first = (0..8).find(|number| cluster.place(&format!("pool-{number}")).1 == 0);
    let on_first = on_first.unwrap();
    cluster.nodes[0].kill();
    let killed = Instant::now();
    let promoted = until("promoted", || {
        text(&cluster.nodes[3].command(&["INFO", "replication"])).contains("role:master")
            && cluster.nodes[1..]
                .iter()
                .all(|node| node_says(node, "cluster_state:ok"))
    })
    .await;
    seconds(1.5).await;
    let next = exact[on_first].log.next_after(promoted).unwrap();
    println!(
        "killed: promoted after {:?}, granted {next:?} later, {} of {LIMIT} in a window",
        promoted - killed,
        tight.log.most_in(WINDOW)
    );
    assert!(next < within(Duration::from_millis(500)), "{next:?}");
    assert!(tight.log.most_in(WINDOW) <= bound(LIMIT));
    for fleet in &mut exact {
        fleet.stop().await;
        assert_eq!(counted(fleet).await, fleet.log.times().len(), "each once");
    }
}
