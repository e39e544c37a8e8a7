//! What there is to see, four times a second.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::response::sse::{Event, Sse};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::{sync::broadcast, task::JoinHandle, time::interval};

use super::stack::{Stack, lock};

const EVERY: Duration = Duration::from_millis(250);

/// A minute of it, for pages that are opened later.
const KEPT: usize = 240;

pub(crate) struct View {
    seen: Arc<Seen>,
    looking: JoinHandle<()>,
}

struct Seen {
    past: Mutex<VecDeque<Arc<str>>>,
    news: broadcast::Sender<Arc<str>>,
}

impl View {
    pub(crate) fn start(stack: Stack) -> Self {
        let seen = Arc::new(Seen {
            past: Mutex::default(),
            news: broadcast::channel(16).0,
        });
        let looking = tokio::spawn(look(stack, seen.clone()));
        Self { seen, looking }
    }

    /// The past at once, then what is new.
    pub(crate) fn events(&self) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let past = lock(&self.seen.past);
        let news = self.seen.news.subscribe();
        let past = stream::iter(past.iter().cloned().collect::<Vec<_>>());
        let news = stream::unfold(news, |mut news| async {
            loop {
                match news.recv().await {
                    Ok(sample) => return Some((sample, news)),
                    // A page that was too slow misses some.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        Sse::new(
            past.chain(news)
                .map(|sample| Ok(Event::default().data(sample))),
        )
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look(stack: Stack, seen: Arc<Seen>) {
    let begun = Instant::now();
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        let sample: Arc<str> = sample(&stack, begun.elapsed()).to_string().into();
        let mut past = lock(&seen.past);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(sample.clone());
        // Nobody may be looking.
        let _ = seen.news.send(sample);
    }
}

fn sample(stack: &Stack, at: Duration) -> Value {
    let quotas = stack.quotas.iter().map(|(name, quota)| {
        let snapshot = serde_json::to_value(quota.snapshot()).unwrap_or_default();
        ((*name).to_owned(), snapshot)
    });
    let circuits = stack.circuits.iter().map(|(name, circuit)| {
        let state = format!("{:?}", circuit.state());
        ((*name).to_owned(), state.into())
    });
    let tokens = lock(&stack.tally.tokens);
    let (input, output) = tokens.values().fold((0, 0), |sum, (input, output)| {
        (sum.0 + input, sum.1 + output)
    });
    drop(tokens);
    json!({
        "at": at.as_secs_f64(),
        "quotas": quotas.collect::<Map<_, _>>(),
        "circuits": circuits.collect::<Map<_, _>>(),
        "verdicts": *lock(&stack.tally.verdicts),
        "cost": {"dollars": stack.tally.dollars(), "input": input, "output": output},
    })
}
