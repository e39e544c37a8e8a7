//! Where the primary is, by what Sentinel says.

use std::{collections::HashMap, time::Duration};

use ::redis::{ConnectionInfo, Value, cmd};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Inner, explain, node, text, ways::elsewhere};
use crate::quota::shared::store::StoreError;

/// A primary that sentinels watch over.
pub(super) struct Primary {
    pub(super) name: String,
    pub(super) sentinels: Vec<ConnectionInfo>,
}

/// So long a sentinel may take.
const ANSWER: Duration = Duration::from_millis(125);

/// Once one has answered, the others may still take so long.
const OTHERS: Duration = Duration::from_millis(20);

impl Primary {
    /// Where it is, by what most sentinels say that answer: one that was away may know an old one. `login`: how it's logged in to
    /// there.
    pub(super) async fn find(
        &self,
        store: &Inner,
        login: &ConnectionInfo,
    ) -> Result<ConnectionInfo, StoreError> {
        let ask = |sentinel| timeout(ANSWER, self.ask(store, sentinel));
        let mut asked: FuturesUnordered<_> = self.sentinels.iter().map(ask).collect();
        let mut last = StoreError::Unavailable("no sentinel answers".into());
        let mut said = HashMap::new();
        let mut until = Instant::now() + ANSWER + OTHERS;
        while let Ok(Some(answer)) = timeout_at(until, asked.next()).await {
            match answer {
                Ok(Ok(at)) => {
                    let voices = said.entry(at).or_insert(0);
                    *voices += 1;
                    if *voices > self.sentinels.len() / 2 {
                        break;
                    }
                    until = until.min(Instant::now() + OTHERS);
                }
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
        let most = said.into_iter().max_by_key(|(_, voices)| *voices);
        let ((host, port), _) = most.ok_or(last)?;
        elsewhere(login, &host, port)
            .ok_or_else(|| StoreError::Unavailable("a sentinel names no host".into()))
    }

    async fn ask(
        &self,
        store: &Inner,
        sentinel: &ConnectionInfo,
    ) -> Result<(String, u16), StoreError> {
        let mut connection = node::connect(store, sentinel, false).await?;
        let mut command = cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(&self.name);
        let answer: Value = command
            .query_async(&mut connection)
            .await
            .map_err(|error| explain(&error))?;
        let parts = match &answer {
            Value::Array(parts) => parts.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        match parts.as_slice() {
            [host, port] => {
                let port = port
                    .parse()
                    .map_err(|_| StoreError::Unavailable("a sentinel names no port".into()))?;
                Ok((host.clone(), port))
            }
            _ => Err(StoreError::Unavailable(format!(
                "no sentinel knows a primary {:?}",
                self.name
            ))),
        }
    }
}
