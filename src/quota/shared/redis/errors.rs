//! What a server's errors mean.

use std::error::Error;

use ::redis::{ConnectionInfo, ErrorKind, RedisError};

use super::ways::elsewhere;
use crate::quota::shared::store::StoreError;

/// What passes by itself.
const PASSING: [&str; 12] = [
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
];
/// What another connection may not say.
const OF_CONNECTION: [&str; 4] = ["LOADING", "MASTERDOWN", "NOAUTH", "READONLY"];

/// The code of a server's error. Before 7.0 what a command in a script says is inside of what is said of the script.
fn code(error: &RedisError) -> Option<&str> {
    let inside = error
        .detail()
        .and_then(|detail| detail.rsplit_once(": -")?.1.split(' ').next());
    inside.or_else(|| error.code())
}

/// What a server's refusal means.
pub(super) fn explain(error: &RedisError) -> StoreError {
    let why = match error.code() {
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => match error.source() {
            // Of a socket, say, what the system says.
            Some(cause) => format!("{}: {cause}", error.category()),
            None => error.category().to_owned(),
        },
    };
    let lasts = match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => true,
        ErrorKind::Server(_) | ErrorKind::Extension => {
            code(error).is_none_or(|code| !PASSING.contains(&code))
        }
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
        ErrorKind::Server(_) | ErrorKind::Extension => {
            code(error).is_some_and(|code| OF_CONNECTION.contains(&code))
        }
        _ => true,
    }
}

/// Where a pool is instead.
pub(super) fn moved_to(error: &RedisError, from: &ConnectionInfo) -> Option<ConnectionInfo> {
    let (node, _) = error.redirect_node()?;
    let (host, port) = node.rsplit_once(':')?;
    elsewhere(from, host.trim_matches(['[', ']']), port.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> RedisError {
        let parsed = ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
        parsed.and_then(::redis::Value::extract_error).unwrap_err()
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_lasts() {
        let cases = [
            (
                "READONLY You can't write against a read only replica.",
                true,
                true,
            ),
            (
                "ERR Error running script (call to f_0): @user_script:7: -READONLY You can't write",
                true,
                true,
            ),
            ("LOADING Redis is loading the dataset in memory", true, true),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                true,
                false,
            ),
            (
                "ERR Error running script (call to f_0): @user_script:7: -OOM command not allowed",
                true,
                false,
            ),
            ("NOREPLICAS Not enough good replicas to write.", true, false),
            ("CLUSTERDOWN The cluster is down", true, false),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                true,
                false,
            ),
            ("NOAUTH Authentication required.", false, true),
            (
                "NOPERM this user has no permissions to run the 'time' command",
                false,
                false,
            ),
            (
                "ERR user_script:7: attempt to index a nil value",
                false,
                false,
            ),
            (
                "CROSSSLOT Keys in request don't hash to the same slot",
                false,
                false,
            ),
        ];
        for (line, passes, of_connection) in cases {
            let error = error(line);
            let explained = explain(&error);
            assert_eq!(
                matches!(explained, StoreError::Unavailable(_)),
                passes,
                "{explained}"
            );
            assert_eq!(is_of_connection(&error), of_connection, "{line}");
        }
    }

    #[test]
    fn where_a_pool_has_moved_to_is_read_with_and_without_a_host() {
        use ::redis::IntoConnectionInfo;
        let from = "redis://own:6379".into_connection_info().unwrap();
        for (line, to) in [
            ("MOVED 3999 10.0.0.1:6381", Some("10.0.0.1:6381")),
            ("ASK 3999 :6381", Some("own:6381")),
            ("MOVED 3999 [::1]:6381", Some("::1:6381")),
            ("MOVED 3999", None),
            ("ERR 3999 10.0.0.1:6381", None),
        ] {
            let there = moved_to(&error(line), &from).map(|info| info.addr().to_string());
            assert_eq!(there.as_deref(), to, "{line}");
        }
    }
}
