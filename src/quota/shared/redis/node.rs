//! A connection to one server, and another one when that is of no more use.

use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    Value, aio::MultiplexedConnection, cmd,
};
use futures_util::future::join3;
use tokio::time::{Instant, timeout};

use super::{Inner, explain};
use crate::{
    observe::target,
    quota::{shared::store::StoreError, sync::Mutex},
};

/// So long a connection may take.
const CONNECT: Duration = Duration::from_millis(250);
/// After a connection that failed the next one waits: from so long to so long, less than until the next call that looks whether the
/// store is back.
const LEAST: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_millis(100);

/// How servers by TLS are known.
#[derive(Clone)]
pub(super) struct Tls {
    #[cfg_attr(not(feature = "redis-tls"), allow(dead_code))]
    pub(super) root: Vec<u8>,
}

fn client(info: ConnectionInfo, tls: Option<&Tls>) -> Result<Client, RedisError> {
    #[cfg(feature = "redis-tls")]
    if matches!(info.addr(), ::redis::ConnectionAddr::TcpTls { .. }) {
        // Of several that are built in rustls takes none by itself.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        if let Some(Tls { root }) = tls {
            let certificates = ::redis::TlsCertificates {
                client_tls: None,
                root_cert: Some(root.clone()),
            };
            return Client::build_with_tls(info, certificates);
        }
    }
    let _ = tls;
    Client::open(info)
}

/// One server.
pub(super) struct Node {
    info: ConnectionInfo,
    live: Mutex<Live>,
    // One connection is made at a time.
    connecting: tokio::sync::Mutex<()>,
}

struct Live {
    connection: Option<MultiplexedConnection>,
    generation: u64,
    failures: u32,
    // No further connection before, and why.
    retry: Option<(Instant, StoreError)>,
}

impl Node {
    pub(super) fn new(info: ConnectionInfo) -> Self {
        let live = Live {
            connection: None,
            generation: 0,
            failures: 0,
            retry: None,
        };
        Self {
            info,
            live: Mutex::new(live),
            connecting: tokio::sync::Mutex::const_new(()),
        }
    }

    /// Its address, and how it is logged in to.
    pub(super) const fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The connection of that generation is of no more use.
    pub(super) fn give_up(&self, generation: u64) {
        let mut live = self.live.lock();
        let old = if live.generation == generation {
            live.connection.take()
        } else {
            None
        };
        drop(live);
        drop(old);
    }

    fn live(&self) -> Option<Result<(MultiplexedConnection, u64), StoreError>> {
        let live = self.live.lock();
        if let Some(connection) = &live.connection {
            return Some(Ok((connection.clone(), live.generation)));
        }
        let (until, error) = live.retry.as_ref()?;
        (Instant::now() < *until).then(|| Err(error.clone()))
    }

    /// The connection, made where there is none.
    pub(super) async fn connection(
        &self,
        store: &Inner,
    ) -> Result<(MultiplexedConnection, u64), StoreError> {
        if let Some(live) = self.live() {
            return live;
        }
        let _alone = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return live;
        }
        let made = match timeout(CONNECT, open(store, &self.info)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StoreError::Unavailable("no connection in time".into())),
        };
        let mut live = self.live.lock();
        match made {
            Ok(connection) => {
                live.generation += 1;
                live.failures = 0;
                live.retry = None;
                live.connection = Some(connection.clone());
                Ok((connection, live.generation))
            }
            Err(error) => {
                let wait = (LEAST * 2u32.pow(live.failures.min(6))).min(MOST);
                live.failures += 1;
                let wait = wait.mul_f64(rand::random_range(0.5..1.0));
                live.retry = Some((Instant::now() + wait, error.clone()));
                Err(error)
            }
        }
    }
}

async fn open(store: &Inner, info: &ConnectionInfo) -> Result<MultiplexedConnection, StoreError> {
    let found = match &store.primary {
        Some(primary) => Some(primary.find(store, info).await?),
        None => None,
    };
    let connection = connect(store, found.as_ref().unwrap_or(info), true).await?;
    let others = async {
        if found.is_none() {
            look_around(store, info, connection.clone()).await;
        }
    };
    let losses = listen_to_losses(connection.clone());
    join3(others, look_after_memory(connection.clone()), losses).await;
    Ok(connection)
}

pub(super) async fn connect(
    store: &Inner,
    info: &ConnectionInfo,
    listens: bool,
) -> Result<MultiplexedConnection, StoreError> {
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None);
    let mut info = info.clone();
    if listens {
        // What a server says unasked comes by the third version of its protocol only.
        let settings = info.redis_settings().clone();
        info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
        let losses = store.losses.clone();
        config = config.set_push_sender(move |push: PushInfo| {
            if matches!(push.kind, PushKind::Invalidate | PushKind::Disconnection) {
                losses.send_replace(());
            }
            Ok::<(), ()>(())
        });
    }
    let client = client(info, store.tls.as_ref()).map_err(|error| explain(&error))?;
    let connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await;
    connection.map_err(|error| explain(&error))
}

/// Has the server tell when it is flushed: it does where keys are tracked, of which none is here.
async fn listen_to_losses(mut connection: MultiplexedConnection) {
    let mut command = cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("OPTIN");
    // Not everybody may ask: then it is found out with the next call.
    let _: Result<Value, RedisError> = command.query_async(&mut connection).await;
}

/// Of a cluster, who else is in it.
async fn look_around(store: &Inner, info: &ConnectionInfo, mut connection: MultiplexedConnection) {
    let mut command = cmd("CLUSTER");
    command.arg("SLOTS");
    // Others aren't one, and not everybody may ask.
    let slots: Result<Value, RedisError> = command.query_async(&mut connection).await;
    if let Ok(slots) = slots {
        store.ways.learn(info, &slots);
    }
}

/// A server that evicts what was written forgets what was sent.
async fn look_after_memory(mut connection: MultiplexedConnection) {
    let mut command = cmd("CONFIG");
    command.arg("GET").arg("maxmemory-policy");
    // Not everybody may ask.
    let answer: Result<Vec<(String, String)>, RedisError> =
        command.query_async(&mut connection).await;
    if let Ok([(_, policy)]) = answer.as_deref()
        && policy.starts_with("allkeys")
    {
        tracing::warn!(
            target: target::STORE,
            policy,
            "the server evicts quotas where it runs out of memory: use `noeviction`, or a server of their own"
        );
    }
}
