//! A store in Redis or Valkey.
//!
//! One script does a whole call, on the server's clock; one hash a pool, so that a pool is in one slot of a cluster.

mod errors;
mod node;
mod sentinel;
mod ways;
mod wire;

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

use ::redis::{
    ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, Script, ServerErrorKind, Value,
    aio::MultiplexedConnection, cmd,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use self::{
    errors::{explain, is_of_connection, moved_to},
    node::Tls,
    sentinel::Primary,
    ways::Ways,
};
use super::{
    PoolId,
    store::{LossFuture, QuotaStore, StoreError, StoreFuture, changed},
};
use crate::{
    core::pool::{Call, PoolLimit, Reply},
    error::ConfigError,
    quota::sync::Arc,
};

const SCRIPT: &str = include_str!("script.lua");
/// A connection that hasn't answered for so long is given up.
const SILENCE: Duration = Duration::from_millis(220);
/// To so many servers a call is brought at most, until one does it.
const TRIES: usize = 8;
/// While a slot moves, a pool's keys may be on both sides for so long.
const MOVING: Duration = Duration::from_millis(4);

/// A store in Redis 6.2 or later, or in Valkey: standalone, behind Sentinel, or a cluster.
///
/// It connects when it's first asked, and again whenever it has to: a connection is given up when it breaks, when nothing has
/// come for 220 ms, and when the server has become a replica; while none is to be had it is tried up to twenty times a second. A call
/// is repeated by whoever made it, under its number, so that it is done once. A clone shares the connections.
///
/// | address | |
/// |---|---|
/// | `redis://user:password@host:6379/0` | plain |
/// | `rediss://user:password@host:6379/0` | by TLS, with the feature `redis-tls` |
/// | `redis+unix:///run/redis.sock` | by a socket of this machine |
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    ways: Ways,
    // Its way is asked of sentinels; `ways` knows how it is logged in to.
    primary: Option<Primary>,
    tls: Option<Tls>,
    prefix: String,
    script: Script,
    clock: Option<Arc<AtomicI64>>,
    // A server was flushed, or its connection broke.
    losses: watch::Sender<()>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Addresses may hold passwords.
        f.debug_struct("RedisStore")
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}

fn address(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url.into_connection_info();
    // The text isn't shown: it may hold a password.
    let info = info.map_err(|_| {
        ConfigError::new(
            "redis",
            "not an address like `redis://host:6379`, `rediss://host:6379` or `redis+unix:///path`",
        )
    })?;
    let redis = info.redis_settings().clone().set_skip_set_lib_name();
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    let tcp = tcp.set_user_timeout(Duration::from_secs(1));
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp))
}

fn addresses<'a>(
    urls: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<ConnectionInfo>, ConfigError> {
    let addresses: Vec<_> = urls.into_iter().map(address).collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err(ConfigError::new("redis", "no address was given"));
    }
    Ok(addresses)
}

impl RedisStore {
    fn new(seeds: Vec<ConnectionInfo>, primary: Option<Primary>) -> Self {
        let inner = Inner {
            ways: Ways::new(seeds),
            primary,
            tls: None,
            prefix: "tower-quota".into(),
            script: Script::new(SCRIPT),
            clock: None,
            losses: watch::Sender::new(()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The server at this address. One node of a cluster is enough as long as it lives when the process begins: the others are
    /// found by what it says.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what isn't an address. Nothing is connected yet.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Self::connect_any([url])
    }

    /// The cluster of which these are some nodes: any that lives is asked where a pool is. Or the primary and the replicas that one
    /// of them may become: whichever isn't a replica is used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what isn't an address, and for none.
    pub fn connect_any<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Ok(Self::new(addresses(urls)?, None))
    }

    /// The primary that these sentinels know under `name`: all are asked, whenever a connection is made, and what most say of those
    /// that answer is believed. Their addresses log in to them. `login` is an address whose user, password, number of the database
    /// and kind of connection are taken for the primary; its host and port aren't.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what isn't an address, for none, and for an empty name.
    pub fn sentinel<'a>(
        name: &str,
        sentinels: impl IntoIterator<Item = &'a str>,
        login: &str,
    ) -> Result<Self, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::new("redis", "\"\" is the name of no primary"));
        }
        let primary = Primary {
            name: name.to_owned(),
            sentinels: addresses(sentinels)?,
        };
        Ok(Self::new(vec![address(login)?], Some(primary)))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("settings come before the first clone");
        change(inner);
        self
    }

    /// What keys begin with, so that several programs share a server. Default: `tower-quota`.
    ///
    /// # Panics
    ///
    /// Where the store was cloned already.
    pub fn prefix(self, prefix: &str) -> Self {
        let prefix = prefix.replace(['{', '}'], "_");
        self.with(|inner| inner.prefix = prefix)
    }

    /// Trusts this certificate, in PEM, instead of the public authorities.
    ///
    /// # Panics
    ///
    /// Where the store was cloned already.
    #[cfg(feature = "redis-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-tls")))]
    pub fn trust(self, certificate: impl Into<Vec<u8>>) -> Self {
        let certificate = certificate.into();
        self.with(|inner| inner.tls = Some(Tls { root: certificate }))
    }

    /// Has the script take its time from this machine's clock, so many microseconds off, instead of from the server's.
    #[doc(hidden)]
    pub fn clock_for_tests(self, off: std::sync::Arc<AtomicI64>) -> Self {
        self.with(|inner| inner.clock = Some(off))
    }
}

impl Inner {
    fn command(
        &self,
        name: &str,
        body: &str,
        pool: &PoolId,
        packed: &[u8],
        process: u64,
    ) -> ::redis::Cmd {
        let mut command = cmd(name);
        command
            .arg(body)
            .arg(2)
            .arg(format!("{}:{{{pool}}}:q", self.prefix))
            .arg(format!("{}:{{{pool}}}:n", self.prefix))
            .arg(packed)
            .arg(format!("{process:x}"));
        if let Some(off) = &self.clock {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let now = (now.as_micros() as i64).saturating_add(off.load(Ordering::Relaxed));
            command.arg(now);
        }
        command
    }

    async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        asking: bool,
        pool: &PoolId,
        packed: &[u8],
        process: u64,
    ) -> Result<Vec<u8>, RedisError> {
        let send = async |connection: &mut MultiplexedConnection, command: ::redis::Cmd| {
            if asking {
                let mut both = ::redis::pipe();
                both.cmd("ASKING").ignore().add_command(command);
                let (answer,): (Vec<u8>,) = both.query_async(connection).await?;
                return Ok(answer);
            }
            command.query_async(connection).await
        };
        let command = self.command("EVALSHA", self.script.get_hash(), pool, packed, process);
        match send(connection, command).await {
            // Then it wasn't done.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let command = self.command("EVAL", SCRIPT, pool, packed, process);
                send(connection, command).await
            }
            other => other,
        }
    }

    async fn call(
        &self,
        pool: &PoolId,
        limits: &[PoolLimit],
        call: &Call,
    ) -> Result<Reply, StoreError> {
        let packed = wire::write(limits, call);
        let slot = ways::slot(pool.as_str());
        let (mut node, mut asking) = (self.ways.to(slot), false);
        let mut last = StoreError::Unavailable("the pool moves from node to node".into());
        for _ in 0..TRIES {
            let (mut connection, generation) = match node.connection(self).await {
                Ok(connection) => connection,
                Err(error) => {
                    // It wasn't done there; others may know where the pool is now.
                    last = error;
                    self.ways.lost(&node);
                    (node, asking) = (self.ways.to(slot), false);
                    continue;
                }
            };
            let answer = self.run(&mut connection, asking, pool, &packed, call.process);
            let error = match timeout(SILENCE, answer).await {
                Ok(Ok(bytes)) => {
                    let garbled =
                        || StoreError::Rejected("an answer that isn't the script's".into());
                    return wire::read(&bytes).ok_or_else(garbled);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    node.give_up(generation);
                    self.ways.lost(&node);
                    return Err(StoreError::Unavailable("no answer".into()));
                }
            };
            // Who moves, or isn't in charge, has done nothing.
            if let Some(elsewhere) = moved_to(&error, node.info()) {
                node = self.ways.node(elsewhere);
                asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
                if !asking {
                    self.ways.moved(slot, &node);
                }
                continue;
            }
            last = explain(&error);
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::TryAgain) => {
                    sleep(MOVING).await;
                    (node, asking) = (self.ways.to(slot), false);
                }
                ErrorKind::Server(ServerErrorKind::ClusterDown) => {
                    self.ways.lost(&node);
                    (node, asking) = (self.ways.to(slot), false);
                }
                _ => {
                    if is_of_connection(&error) {
                        node.give_up(generation);
                        self.ways.lost(&node);
                    }
                    break;
                }
            }
        }
        Err(last)
    }
}

impl QuotaStore for RedisStore {
    fn call<'a>(
        &'a self,
        pool: &'a PoolId,
        limits: &'a [PoolLimit],
        call: &'a Call,
    ) -> StoreFuture<'a> {
        Box::pin(self.inner.call(pool, limits, call))
    }

    fn lost(&self) -> LossFuture<'_> {
        changed(&self.inner.losses)
    }
}

/// A text in an answer.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}
