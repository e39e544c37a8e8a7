//! What a shared quota costs, what its users notice when the server dies, and how to size it.
//!
//! In short: up to 100 requests a second in each process and 10,000 in all, take the defaults and any server there is. Above that
//! give the quota a [`lease`](crate::quota::shared::SharedQuotaBuilder::lease) in which a process sends fifty requests or more. A
//! provider's own limit is what bounds the load: 30,000 requests a minute are 500 a second, one hundredth of a core.
//!
//! # What it costs
//!
//! | | |
//! |---|---|
//! | round trips that a request waits for | one, where it is granted at once; none from a lease |
//! | calls at a time | one in each process for each pool; those who come meanwhile share the next, up to 64 |
//! | calls a request | 1 where requests are rare, down to 1/64 where many wait in a process |
//! | calls without requests | a process of whose requests some still count looks every second, of limits with longer windows every eighth of the longest: 1,000 processes at limits per minute, 133 calls a second. What is given back goes with the next call, or at once where it is more than a 64th of the limit |
//! | a call, of the server's core | 20 µs and 2.5 µs for each request in it, with two limits, the network included |
//! | a call, of the network | 0.4 kB there and 0.1 kB back with one request, 1.4 and 0.9 kB with 32 |
//! | memory of a pool | 0.2 kB for each process that has used it within a minute, 1 kB where its calls carry 32 requests; up to 4 kB for each rolling limit, with 60 slots all in use |
//! | memory of a connection | 24 kB of the server's; a process has one for each server, whatever pools it uses |
//! | tasks | the one driver that you spawn |
//!
//! Measured with 100 processes on a server of two shared cores (`cargo test --all-features --test store figures::what -- --ignored
//! --nocapture`), where it was 16 to 21 µs and 1.7 to 2.5 µs. A server does all of this on one core: two pools of a cluster may be
//! on two nodes, one pool can't.
//!
//! # From one process to a thousand
//!
//! Simulated in virtual time: this crate's own client code, a network of 0.5 ms there and back, and a server with one core at the
//! costs above. Each process asks for requests of two limits evenly, 80 % of the limit in all. Spans are in steps of a millisecond.
//! `cargo test --all-features --test store sizing::from -- --ignored --nocapture` prints it, and fails where this table says
//! something else.
//!
//! | processes | requests a second each | lease | calls a second | requests a call | of a core | p50 | p99 |
//! |---|---|---|---|---|---|---|---|
//! | 1 | 10 | none | 10 | 1.0 | 0.0 % | 1 ms | 1 ms |
//! | 10 | 100 | none | 1,000 | 1.0 | 2.2 % | 1 ms | 1 ms |
//! | 100 | 100 | none | 10,000 | 1.0 | 22.5 % | 1 ms | 1 ms |
//! | 1,000 | 10 | none | 10,000 | 1.0 | 22.5 % | 1 ms | 1 ms |
//! | 1,000 | 10 | 2 s | 250 | 2.0 | 0.8 % | 0 ms | 1 ms |
//! | 100 | 1,000 | none | 37,500 | 2.7 | 100.0 % | 4 ms | 6 ms |
//! | 100 | 1,000 | 100 ms | 900 | 2.0 | 2.2 % | 0 ms | 1 ms |
//! | 1,000 | 100 | 1 s | 1,883 | 1.0 | 5.1 % | 0 ms | 0 ms |
//! | 1,000 | 1,000 | 100 ms | 9,900 | 2.0 | 24.8 % | 0 ms | 0 ms |
//!
//! A row of a whole core is one that doesn't work: calls queue, and what is asked for in one second is asked for in the next. The
//! remedy is the row below it. A lease of so few requests that hardly eight go in it spares nothing.
//!
//! When there is more to send than the limit, the store is asked less, not more: whoever waits has been told for how long. Eight
//! callers in each process that always have more to send, over three minutes (`sizing::a_full`):
//!
//! | processes | requests a minute | calls a request | calls in the busiest second | of a core in it |
//! |---|---|---|---|---|
//! | 10 | 6,000 | 0.14 | 770 | 3 % |
//! | 100 | 6,000 | 0.26 | 900 | 4 % |
//! | 1,000 | 6,000 | 1.42 | 2,500 | 10 % |
//! | 1,000 | 60,000 | 0.26 | 9,600 | 38 % |
//!
//! # How to size it
//!
//! 1. **Requests a second**, in all: what the limit allows, not what is asked for. Times 22.5 µs, that is the part of a core. Below
//!    a quarter there is nothing to do.
//! 2. **A lease**, where that is more, or where a round trip is too long to wait for: fifty requests divided by what a process
//!    sends a second. Calls are then the processes divided by the lease, and should be below 10,000 a second. A request counts
//!    longer by the lease: of a minute's limit a lease of 100 ms takes 0.2 %, one of a second 1.7 %. A process that dies takes what
//!    it had ahead with it until that expires.
//! 3. **Processes**: each is a connection; a thousand take 25 MB of the server's memory, and `maxclients` has to allow them.
//! 4. **Memory**: `maxmemory-policy noeviction`, and room for the pools. A pool for each key (a tenant, say) is up to 8 kB with two
//!    limits, kept for two days after its last use.
//! 5. **Distance**: the round trip is what every request waits for that isn't granted ahead. Keep the server in the same region;
//!    above 30 ms raise [`patience`](crate::quota::shared::SharedQuotaBuilder::patience), which is 100 ms, or take a lease.
//! 6. **Alike limits**: processes whose limits have other windows or shapes use other pools, and don't share.
//!
//! # When the server dies
//!
//! | | |
//! |---|---|
//! | known | as soon as its connection breaks; 100 ms after a call, where there only is no answer |
//! | meanwhile | [`OnStoreDown`](crate::quota::shared::OnStoreDown): by default each process goes on with 0.8 of its share, paced, what had been used counted |
//! | asked again | six times a second by each process; where it has many pools, connections are tried up to twenty times a second: with 1,000 processes, 6,000 to 20,000 |
//! | back | what was sent meanwhile is told first; no request is charged twice, none forgotten |
//!
//! Tried on real servers, four processes on 200 requests in 3 s that always have more to send: killed and back empty, flushed,
//! evicted, promoted without the last 196 requests, without memory: never more than 200 in any window. How long after the server
//! was back somebody was granted:
//!
//! | what happened | granted after | by |
//! |---|---|---|
//! | Sentinel promotes a replica, the primary killed | 0.14 to 0.33 s | `cargo test --all-features --test store sentinel -- --nocapture` |
//! | the same, the primary demoted while it lives | 1 to 6 ms | the same |
//! | a cluster promotes a replica | 3 to 150 ms | `cargo test --all-features --test store cluster -- --nocapture` |
//! | a slot moves, its keys one by one 40 ms apart | nobody waits longer than 50 ms | the same |
//! | a replica is promoted that lacks a second's requests | 0.29 to 0.33 s, of which 0.25 s are for all to say what they have sent | `cargo test --all-features --test store losses -- --nocapture` |
//! | no memory for 3 s | 0.03 to 0.21 s | the same |
//!
//! Until a replica is promoted takes as long as Sentinel or the cluster is told to wait: 1.2 to 1.3 s in that test with
//! `down-after-milliseconds 500`, 2.3 to 2.8 s with `cluster-node-timeout 1000`.
