//! One quota for many processes: a store counts, each process keeps its own line.
//!
//! Limits are an organisation's, so all of its processes share one quota. [`shared`](crate::quota::QuotaBuilder::shared) moves it into
//! a store; limits, layers and errors stay what they were.
//!
#![cfg_attr(feature = "redis", doc = "```no_run")]
#![cfg_attr(not(feature = "redis"), doc = "```ignore")]
//! use tower_quota::{Cost, Limit, Quota, quota::shared::RedisStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (quota, driver) = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000))
//!     .named("openai")
//!     .shared(RedisStore::connect("redis://localhost:6379")?)
//!     .build()?;
//! tokio::spawn(driver);
//!
//! let permit = quota.acquire(Cost::tokens(1_200)).await?;
//! # drop(permit); Ok(()) }
//! ```
//!
//! # Who decides what
//!
//! The store grants amounts, all limits or none, on its own clock, in the order in which processes ask; where there isn't enough for
//! all, each gets the same, however fast it asks and however many wait in it: whoever has had its share lets those go first who
//! haven't, for up to 100 ms. Who inside of a process gets what was granted is decided by its line. So [priorities](crate::Priority)
//! and turns order those who wait inside a process, and mean nothing to the others: a process whose requests are all urgent gets no more
//! than one whose requests are not.
//!
//! Everything that a process has to say goes in one call at a time for each pool: what was given back or used beyond its
//! estimate, a pause after a 429, how much others spend, and up to 64 requests. While it is on its way those who come are for the
//! next. Where a request has to wait the answer says for how long; two seconds ahead at most, or a quarter of the
//! shortest window, it is reserved, and whoever has waited for five seconds, or half that window, is reserved further ahead, so
//! that nobody large starves.
//!
//! [`try_acquire`](crate::Quota::try_acquire) answers from what is granted already and never waits for the store. Where that is too
//! little it is refused, and as much is asked for; it stays here for 50 ms, or the [`lease`](SharedQuotaBuilder::lease).
//!
//! A rolling window is kept in 60 [`slots`](SharedQuotaBuilder::slots), each charge up to one slot longer than it counts. With as many
//! slots as a quota of one process has, 1,024, it decides as that does. A request that is held for long before it leaves counts from
//! when it leaves. What the answer to a request gives back is given back to when it was granted, or earlier.
//!
//! What it costs, how to size it and what was tried on real servers is on [a page of its own](sizing).
//!
//! # A quota for every key
//!
//! Keys of [keyed](crate::RateLimitLayer::keyed) layers, and of tiers that are made [like](crate::quota::Tier::like) a shared quota, have
//! pools of their own in the store. A tier's `resize` and `change`, and another tier that a key is `set` to, reach the keys that are
//! there with their next request, and the store counts on; each process is told by itself.
//!
//! # What it doesn't do
//!
//! [`discover`](crate::Quota::discover) and [`restore`](crate::quota::QuotaBuilder::restore) are refused; limits that
//! [`adopt`](crate::quota::QuotaBuilder::adopt) change their amounts, none is added. `max_in_flight` and `max_queue` are each
//! process's own, so is what a 429 does to bursts. Windows that open with their [first use](crate::Anchor::first_use) send nothing in their last
//! moments, twice the transit allowance.
//!
//! # When the store is away
//!
//! It is taken to be away when it hasn't answered for 100 ms, by [`patience`](SharedQuotaBuilder::patience); nobody waits
//! longer than that for it. What happens then is [`OnStoreDown`]. Both edges are events under `tower_quota::store`, at `warn` and
//! `info`, and metrics: `tower_quota_store_up`, `tower_quota_store_failures_total`.
//!
//! | what happens | what it comes to |
//! |---|---|
//! | no answer, a broken connection | the same call is made again under its number, over another connection, and done once |
//! | the server has become a replica, or loads | another connection, by Sentinel's word or the cluster's |
//! | it comes back empty, the pool was flushed or evicted | nothing is granted for 250 ms; each process replays what it has sent, and who finds it out what the pool held, with what was granted by answers that nobody got; longer [where one says nothing](#a-pool-that-was-lost) |
//! | a replica is promoted that lacks what was sent last | the same: a process knows the number of its last call that was answered |
//! | its scripts are flushed | sent again |
//! | its clock is set by more than 5 s | what counts goes on as if it hadn't been |
//! | it has no memory left (`OOM`), or too few replicas (`NOREPLICAS`) | as away; asked again six times a second |
//! | a wrong password, no permission | the same; after ten seconds it is asked every two seconds |
//! | a pool's slot moves to another node of a cluster | followed; a pool that is new meanwhile waits until it has moved |
//! | it stands still, and goes on | what it had been asked is done once |
//! | a process dies | what it was granted and hadn't sent counts until it expires |
//!
//! # A pool that was lost
//!
//! A process that asks for nothing now learns of a loss as well, and replays what it has sent: at once where the store says so
//! ([`QuotaStore::lost`]; Redis does of a flush and of a connection that breaks), within 200 ms of a server's return, else when it
//! looks, which it does every second, or every eighth of the longest window, as long as something that it has sent counts.
//!
//! So as many replay within those 250 ms as have used the pool in the last minute, unless one stands still, has died, or hasn't looked
//! yet where its pool alone was evicted. Until it does, all that was free counts as used, since nobody knows how much of that it was
//! granted, and all is taken for reserved that may have been: for two seconds, of shorter windows a quarter, nothing is granted, then
//! only what expires. That ends when as many have replayed as there were; at the latest once what was free then would have expired,
//! or after a minute. So however late a process tells, and wherever it stands still, no more leaves than the limit: of 200 in 11,000
//! random trials never more than 204, but for 206 and 215 in one each. What remains:
//!
//! | nobody knows of | so beyond the limit may leave |
//! |---|---|
//! | a process that began after all others were answered last, and then stands still or dies | what it was granted until then |
//! | one that stands still for more than a minute, where a window is longer than that | what it was granted after the others were answered last |
//! | a request that waited for long and so is reserved further ahead than those two seconds, of a process that says nothing | that one |
//! | a life before the pool's, to a process that is new and comes before all others | what it is granted before the first of them comes, who are told at once but where the pool alone was evicted |
//! | a primary's last moments, where a replica is promoted without them, if whoever was granted something then stands still | that: others notice nothing before it asks |
//! | anything, where all processes die together with what the store holds | what they had sent |
//!
//! # A server
//!
//! Redis from 6.2 on, or Valkey (tried with Redis 6.2, there without cluster and TLS, 7.0, and Valkey 9.1): one server, [behind
//! Sentinel](RedisStore::sentinel), or a [cluster](RedisStore::connect_any), whose other nodes are found by what one says. Memory has
//! to suffice: with `allkeys-*` policies pools are evicted, which is noticed but costs 250 ms each, two seconds and more where
//! somebody who has used the pool asks for nothing now, and where it happens more than once in a window less is granted than the
//! limit; use `maxmemory-policy noeviction`, or a server of its own. Nothing has to be kept on disk.
//!
//! A replica that is promoted lacks what hadn't reached it, which whoever was granted that notices with its next call. What isn't is a
//! primary that is cut off and goes on with those who still reach it, beside the one that was promoted: for as long both grant the
//! whole limit. `min-replicas-to-write 1` with `min-replicas-max-lag 1` ends that within two seconds (1.5 measured) from Redis 7.0
//! on; 6.2 lets scripts write all the same.
//!
//! A pool is two keys, `tower-quota:{pool}:q` and `tower-quota:{pool}:n`, in one slot of a cluster, which expire two days after
//! their last use. Keys of [keyed](crate::RateLimitLayer::keyed) layers have pools of their own, under the first half of the key's
//! SHA-256: never the key itself. These permissions are enough:
//!
//! ```text
//! user pool on >secret resetkeys ~tower-quota:* resetchannels -@all +eval +evalsha +time +hmget +hset +hdel +del +zadd +zrem +zrangebyscore +zcard +pexpire
//! ```
//!
//! With `+client|tracking` a process that asks for nothing learns at once that a server was flushed, and not only of a connection that
//! broke. In a cluster, add `+asking +cluster|slots`: without the first a pool isn't found while its slot moves, without the second the
//! other nodes are known only as far as pools are moved there. With `+config|get` an eviction policy that forgets quotas is told as an
//! event. A sentinel is asked for nothing but `sentinel|get-master-addr-by-name`.
//!
//! The user and password of an address log in, `rediss://` and the feature `redis-tls` encrypt, and `RedisStore::trust` names a
//! certificate instead of the public authorities: tried with one server, not behind Sentinel nor in a cluster. Neither appears in an
//! event, an error or in `Debug`.
//!
//! # Another store
//!
//! [`QuotaStore`] is the seam, and `conformance`, with the feature `testing`, puts any store to the test.

mod builder;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod conformance;
mod demand;
mod desk;
mod flight;
mod line;
mod memory;
mod outage;
#[cfg(feature = "redis")]
mod redis;
mod rest;
mod session;
pub mod sizing;
mod store;
mod talk;

pub(in crate::quota) use self::desk::{Desk, Shared};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis::RedisStore;
pub use self::{
    builder::{PoolId, SharedQuotaBuilder},
    desk::Driver,
    memory::MemoryStore,
    outage::OnStoreDown,
    store::{LossFuture, QuotaStore, StoreError, StoreFuture},
};
pub use crate::core::pool::{
    Adjust, Ask, Call, Change, Decision, PoolLimit, PoolShape, Reply, Stamp,
};
