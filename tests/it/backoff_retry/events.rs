//! What a retry tells by its events.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::{Layer, ServiceExt};
use tower_quota::{BackoffRetryLayer, RetryBudget};
use tracing_subscriber::fmt::MakeWriter;

use super::longest;
use crate::support::mock::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The events of one call.
async fn told(layer: BackoffRetryLayer, steps: &[Step]) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // While there is one subscriber alone, a place that another test's thread reaches first is thought
    // to interest nobody.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let guard = tracing::subscriber::set_default(subscriber);
    let mock = Mock::new(steps.iter().copied());
    let _ = layer.layer(mock).oneshot(request()).await;
    drop(guard);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_says_so_and_a_success_says_nothing() {
    let day = rate_limited(Some(Duration::from_secs(86_400)));
    let events = told(longest(), &[day]).await;
    assert!(
        events.contains("INFO") && events.contains("asks to wait too long"),
        "{events}"
    );
    let events = told(longest(), &[DOWN]).await;
    assert_eq!(events.matches("retrying").count(), 2, "{events}");
    assert!(events.contains("no attempts are left"), "{events}");
    let poor = longest().budget(RetryBudget::percent(0).reserve(0));
    let events = told(poor, &[DOWN]).await;
    assert!(events.contains("the retry budget is empty"), "{events}");
    let events = told(longest(), &[OK]).await;
    assert_eq!(events, "");
}
