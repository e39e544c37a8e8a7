//! Who asks for how much and when, and what the provider made of it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{
    task::{JoinSet, LocalSet},
    time::{Instant, sleep, sleep_until},
};
use tower_quota::testing::{Call, Provider, Shape};

use crate::{MINUTE, TOKENS, limiters::Limiter};

/// Minutes that are looked at.
const MINUTES: u32 = 100;
/// Callers that ask again as soon as they are answered.
const CALLERS: u32 = 300;
/// The requests of a burst are two minutes' worth, and another comes after three minutes.
const BURST: u64 = 2 * TOKENS;
const BETWEEN: Duration = Duration::from_secs(180);
/// A provider that is asked as soon as it admits has taken them a minute after they came; this much later is looked.
const SLACK: Duration = Duration::from_millis(60_000 / 32 + 500);
/// On its way a request is half as long as the limit allows for by default.
const TRANSIT: Duration = Duration::from_millis(468);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Demand {
    /// Always more than can be served, requests of 100 tokens.
    Steady,
    /// Requests of 100 tokens, two minutes' worth at once, then nothing for a while.
    Bursty,
    /// Always more than can be served, requests of 15 to 1,500 tokens, which is 5 % of the limit.
    Mixed,
}

impl Demand {
    pub(crate) fn size(self, n: u64) -> u32 {
        if self != Self::Mixed {
            return 100;
        }
        let draw = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u32;
        match draw % 10 {
            0 => 1_000 + draw % 501,
            1 | 2 => 300 + draw % 500,
            _ => 15 + draw % 200,
        }
    }

    /// Of all sizes the mean, and the largest.
    pub(crate) fn sizes(self) -> (u64, u32) {
        const MANY: u64 = 100_000;
        let sizes = || (0..MANY).map(|n| self.size(n));
        let sum: u64 = sizes().map(u64::from).sum();
        (sum / MANY, sizes().max().unwrap_or_default())
    }
}

/// What the provider saw.
pub(crate) struct Seen {
    /// The share of what it allows that it admitted.
    pub(crate) used: f64,
    pub(crate) refused: u64,
}

struct Run {
    limiter: Limiter,
    provider: Provider,
    demand: Demand,
    start: Instant,
    sent: Cell<u64>,
    /// When how many tokens were admitted.
    admitted: RefCell<Vec<(Duration, u64)>>,
    refused: Cell<u64>,
}

impl Run {
    /// Sends the next request, again after what the provider says when it refuses, until it is served.
    async fn send(&self) {
        let number = self.sent.get();
        self.sent.set(number + 1);
        let tokens = self.demand.size(number);
        let (prompt, answer) = (u64::from(tokens / 2), u64::from(tokens - tokens / 2));
        // Drawn from the number, so that all candidates meet the same.
        let draw = number.wrapping_mul(0xD134_2543_DE82_EF95) >> 33;
        loop {
            self.limiter.leave(tokens).await;
            sleep(TRANSIT * (draw % 1_000) as u32 / 1_000).await;
            let call = Call::chat("gpt-4.1-mini", prompt, answer);
            let now = Instant::now();
            let reply = self.provider.handle(now, &call);
            if reply.is_admitted() {
                let admitted = (now - self.start, u64::from(tokens));
                self.admitted.borrow_mut().push(admitted);
                sleep(Duration::from_millis(300 + draw % 2_700)).await;
                return;
            }
            self.refused.set(self.refused.get() + 1);
            self.limiter.refused();
            sleep(reply.retry_after().expect("not too large")).await;
        }
    }
}

pub(crate) async fn run(limiter: fn(u64, u32) -> Limiter, demand: Demand, shape: Shape) -> Seen {
    let (mean, largest) = demand.sizes();
    let provider = Provider::openai().tokens_per_minute(TOKENS).shape(shape);
    let run = Rc::new(Run {
        limiter: limiter(mean, largest),
        provider: provider.build().expect("settings that make sense"),
        demand,
        start: Instant::now(),
        sent: Cell::new(0),
        admitted: RefCell::default(),
        refused: Cell::new(0),
    });
    let local = LocalSet::new();
    let asking = local.run_until(ask(run.clone()));
    asking.await;
    let admitted = run.admitted.borrow();
    let first = admitted.iter().map(|(at, _)| *at).min().unwrap_or_default();
    let counts = |at: Duration| match demand {
        Demand::Bursty => {
            Duration::from_nanos((at.as_nanos() % BETWEEN.as_nanos()) as u64) < MINUTE + SLACK
        }
        _ => at < first + MINUTE * MINUTES,
    };
    let sum: u64 = (admitted.iter().filter(|(at, _)| counts(*at)))
        .map(|(_, tokens)| tokens)
        .sum();
    let allowed = match demand {
        Demand::Bursty => BURST * u64::from(MINUTES / 3),
        _ => TOKENS * u64::from(MINUTES),
    };
    Seen {
        used: sum as f64 / allowed as f64,
        refused: run.refused.get(),
    }
}

async fn ask(run: Rc<Run>) {
    let mut tasks = JoinSet::new();
    if run.demand == Demand::Bursty {
        for burst in 0..MINUTES / 3 {
            sleep_until(run.start + BETWEEN * burst).await;
            for _ in 0..BURST / 100 {
                let run = run.clone();
                tasks.spawn_local(async move { run.send().await });
            }
        }
    } else {
        for _ in 0..CALLERS {
            let run = run.clone();
            tasks.spawn_local(async move {
                while run.start.elapsed() < MINUTE * (MINUTES + 2) {
                    run.send().await;
                }
            });
        }
    }
    // Those that are still waiting then count for nothing.
    let end = run.start + MINUTE * (MINUTES + 10);
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout_at(end, all).await;
}
