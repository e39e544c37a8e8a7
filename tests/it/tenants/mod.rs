//! A server's own users, over real sockets.

mod causes;
mod load;
mod restart;

use std::{env, process::Stdio};

use http::{HeaderMap, Request};
use tokio::process::Command;

/// Who asks.
fn tenant<B>(request: &Request<B>) -> String {
    let key = request.headers().get("x-api-key");
    let key = key.and_then(|key| key.to_str().ok());
    key.unwrap_or_default().to_owned()
}

/// A header as a number; none where it isn't there, or isn't one.
fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// This program once more, for that one test alone, which is told what to do by the variable.
fn second_process(test: &str, (variable, value): (&str, &str)) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(variable, value)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}
