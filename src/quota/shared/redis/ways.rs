//! Which server has a pool.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use ::redis::{ConnectionAddr, ConnectionInfo, Value};

use super::{node::Node, text};
use crate::quota::sync::{Arc, Mutex};

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a cluster in which a hash tag is.
pub(super) fn slot(tag: &str) -> u16 {
    // CRC-16/XMODEM, as the specification of clusters says.
    let crc = tag.bytes().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    });
    crc % SLOTS
}

/// The same kind of connection to another server; no host: the same one.
pub(super) fn elsewhere(from: &ConnectionInfo, host: &str, port: u16) -> Option<ConnectionInfo> {
    let here = |own: &str| if host.is_empty() { own } else { host }.to_owned();
    let to = match from.addr() {
        ConnectionAddr::Tcp(own, _) => ConnectionAddr::Tcp(here(own), port),
        ConnectionAddr::TcpTls {
            host: own,
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host: here(own),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ if host.is_empty() => return None,
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    Some(from.clone().set_addr(to))
}

/// The servers that there are, and which has what, as far as it's known.
pub(super) struct Ways {
    seeds: Vec<Arc<Node>>,
    known: Mutex<Known>,
    // Whose turn it is to be asked about what nobody has told.
    turn: AtomicUsize,
}

#[derive(Default)]
struct Known {
    // Of what the cluster consists by its own word.
    members: Vec<Arc<Node>>,
    // Where slots are of which something was told.
    slots: HashMap<u16, Arc<Node>>,
}

impl Ways {
    pub(super) fn new(seeds: Vec<ConnectionInfo>) -> Self {
        let node = |info| Arc::new(Node::new(info));
        Self {
            seeds: seeds.into_iter().map(node).collect(),
            known: Mutex::new(Known::default()),
            turn: AtomicUsize::new(0),
        }
    }

    /// Who is to be asked about a slot.
    pub(super) fn to(&self, slot: u16) -> Arc<Node> {
        let known = self.known.lock();
        let node = known.slots.get(&slot);
        Arc::clone(node.unwrap_or_else(|| self.next(&known)))
    }

    fn next<'a>(&'a self, known: &'a Known) -> &'a Arc<Node> {
        let all = self.seeds.len() + known.members.len();
        let turn = self.turn.load(Ordering::Relaxed) % all;
        match self.seeds.get(turn) {
            Some(seed) => seed,
            None => &known.members[turn - self.seeds.len()],
        }
    }

    /// The node of that address.
    pub(super) fn node(&self, info: ConnectionInfo) -> Arc<Node> {
        let mut known = self.known.lock();
        let all = self.seeds.iter().chain(&known.members);
        let mut all = all.chain(known.slots.values());
        if let Some(node) = all.find(|node| node.info().addr() == info.addr()) {
            return Arc::clone(node);
        }
        let node = Arc::new(Node::new(info));
        known.members.push(Arc::clone(&node));
        node
    }

    /// A slot is there from now on.
    pub(super) fn moved(&self, slot: u16, to: &Arc<Node>) {
        let old = self.known.lock().slots.insert(slot, Arc::clone(to));
        drop(old);
    }

    /// Nothing good comes from there: others know better what it had.
    pub(super) fn lost(&self, node: &Arc<Node>) {
        let mut known = self.known.lock();
        known.slots.retain(|_, at| !Arc::ptr_eq(at, node));
        if Arc::ptr_eq(self.next(&known), node) {
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a node of a cluster says of the others, in answer to `CLUSTER SLOTS`.
    pub(super) fn learn(&self, from: &ConnectionInfo, slots: &Value) {
        let mut members: Vec<Arc<Node>> = Vec::new();
        for range in array(slots) {
            for node in array(range).iter().skip(2) {
                let [host, Value::Int(port), ..] = array(node) else {
                    continue;
                };
                let host = text(host).unwrap_or_default();
                let Some(info) = u16::try_from(*port)
                    .ok()
                    .and_then(|port| elsewhere(from, &host, port))
                else {
                    continue;
                };
                let node = self.node(info);
                let had = self.seeds.iter().chain(&members);
                if !had.into_iter().any(|other| Arc::ptr_eq(other, &node)) {
                    members.push(node);
                }
            }
        }
        if !members.is_empty() {
            let old = std::mem::replace(&mut self.known.lock().members, members);
            drop(old);
        }
    }
}

const fn array(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values.as_slice(),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use ::redis::IntoConnectionInfo;

    use super::*;

    fn info(url: &str) -> ConnectionInfo {
        url.into_connection_info().unwrap()
    }

    fn ways(urls: &[&str]) -> Ways {
        Ways::new(urls.iter().map(|url| info(url)).collect())
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31c3);
        // By `CLUSTER KEYSLOT` of a server.
        assert_eq!((slot("foo"), slot("user1000")), (12_182, 3_443));
    }

    #[test]
    fn whoever_is_lost_is_asked_last_and_what_it_had_is_asked_of_others() {
        let ways = ways(&["redis://a", "redis://b"]);
        let (a, b) = (ways.to(1), ways.node(info("redis://b")));
        ways.moved(1, &b);
        ways.moved(2, &b);
        assert!(Arc::ptr_eq(&ways.to(1), &b) && Arc::ptr_eq(&ways.to(3), &a));
        ways.lost(&b);
        assert!(Arc::ptr_eq(&ways.to(1), &a) && Arc::ptr_eq(&ways.to(2), &a));
        ways.lost(&a);
        ways.lost(&a);
        assert!(Arc::ptr_eq(&ways.to(1), &b), "told twice, it's left once");
        ways.lost(&b);
        assert!(Arc::ptr_eq(&ways.to(1), &a));
    }

    #[test]
    fn the_members_of_a_cluster_are_learnt_and_those_that_have_gone_forgotten() {
        let ways = ways(&["redis://a:1"]);
        let node = |host: &str, port| {
            Value::Array(vec![
                Value::BulkString(host.into()),
                Value::Int(port),
                Value::BulkString("id".into()),
            ])
        };
        let range = |nodes: Vec<Value>| {
            let mut range = vec![Value::Int(0), Value::Int(9)];
            range.extend(nodes);
            Value::Array(range)
        };
        let from = info("redis://a:1");
        let all = Value::Array(vec![
            range(vec![node("", 1), node("b", 2)]),
            range(vec![node("b", 2), node("c", 3)]),
        ]);
        ways.learn(&from, &all);
        let asked = || {
            let node = ways.to(5);
            ways.lost(&node);
            node.info().addr().to_string()
        };
        let turns: Vec<_> = (0..4).map(|_| asked()).collect();
        assert_eq!(turns, ["a:1", "b:2", "c:3", "a:1"]);
        ways.learn(&from, &Value::Array(vec![range(vec![node("d", 4)])]));
        ways.learn(&from, &Value::Nil);
        let turns: Vec<_> = (0..3).map(|_| asked()).collect();
        assert!(
            turns.contains(&"a:1".into()) && turns.contains(&"d:4".into()),
            "{turns:?}"
        );
        assert!(!turns.contains(&"b:2".into()));
    }
}
