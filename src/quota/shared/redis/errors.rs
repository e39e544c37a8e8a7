//! What a server's errors mean.

use ::redis::{ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};

use super::ways::elsewhere;
use crate::quota::shared::store::StoreError;

/// What a server's refusal means.
pub(super) fn explain(error: &RedisError) -> StoreError {
    let why = match error.code() {
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => error.category().to_owned(),
    };
    let lasts = match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => true,
        ErrorKind::Server(kind) => !matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
        ),
        ErrorKind::Extension => !matches!(
            error.code(),
            Some("UNBLOCKED" | "BUSY" | "MISCONF" | "NOREPLICAS")
        ),
        _ => false,
    };
    if lasts {
        StoreError::Rejected(why)
    } else {
        StoreError::Unavailable(why)
    }
}

/// Whether another connection may help.
pub(super) fn is_of_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly
        ),
        ErrorKind::Extension => error.code() == Some("NOAUTH"),
        _ => true,
    }
}

/// Where a pool is instead.
pub(super) fn moved_to(error: &RedisError, from: &ConnectionInfo) -> Option<ConnectionInfo> {
    let (node, _) = error.redirect_node()?;
    let (host, port) = node.rsplit_once(':')?;
    elsewhere(from, host.trim_matches(['[', ']']), port.parse().ok()?)
}
