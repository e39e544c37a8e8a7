//! Who is asked before a request leaves: ours and the peers, each with its default settings for the same limit.

use std::{cell::Cell, num::NonZeroU32, time::Duration};

use http::Request;
use peers::{Answer, Client, VirtualGovernor};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};
use tower::{
    BoxError, Layer, ServiceBuilder, ServiceExt, buffer::BufferLayer, util::BoxCloneService,
};
use tower_quota::{Cost, Limit, Quota};
use tower_resilience::ratelimiter::{RateLimiterLayer, WindowType};

use crate::{MINUTE, TOKENS};

pub(crate) enum Limiter {
    Ours(Quota),
    Governor(VirtualGovernor),
    /// Limits requests alone.
    Service(BoxCloneService<Request<()>, Answer, BoxError>),
    Cookbook(Cookbook),
}

impl Limiter {
    /// Returns when a request with so many tokens may leave.
    pub(crate) async fn leave(&self, tokens: u32) {
        match self {
            Self::Ours(quota) => {
                let permit = quota.acquire(Cost::tokens(tokens.into())).await;
                drop(permit.expect("patient"));
            }
            Self::Governor(limiter) => {
                limiter
                    .until_ready(NonZeroU32::new(tokens).expect("some"))
                    .await;
            }
            Self::Service(service) => {
                let answer = service.clone().oneshot(Request::new(())).await;
                answer.expect("patient");
            }
            Self::Cookbook(cookbook) => cookbook.leave(tokens.into()).await,
        }
    }

    /// The provider refused one.
    pub(crate) fn refused(&self) {
        if let Self::Cookbook(cookbook) = self {
            cookbook.refused.set(Some(Instant::now()));
        }
    }
}

/// The algorithm of the OpenAI cookbook's parallel processor: a capacity of tokens that grows all the time up to the limit of a
/// minute, with which it begins; one request after another; nothing for 15 s after a refusal. Its turns of a millisecond are kept.
pub(crate) struct Cookbook {
    // What there is, and when that was.
    capacity: Mutex<(f64, Instant)>,
    refused: Cell<Option<Instant>>,
}

impl Cookbook {
    const PAUSE: Duration = Duration::from_secs(15);

    fn new() -> Self {
        Self {
            capacity: Mutex::new((TOKENS as f64, Instant::now())),
            refused: Cell::new(None),
        }
    }

    async fn leave(&self, tokens: f64) {
        let each = TOKENS as f64 / MINUTE.as_secs_f64();
        let mut capacity = self.capacity.lock().await;
        loop {
            if let Some(at) = self.refused.get() {
                sleep_until(at + Self::PAUSE).await;
                // Unless there was another meanwhile.
                if self.refused.get() == Some(at) {
                    self.refused.set(None);
                }
                continue;
            }
            let (there, since) = *capacity;
            let grown = (there + since.elapsed().as_secs_f64() * each).min(TOKENS as f64);
            *capacity = (grown, Instant::now());
            if grown >= tokens {
                capacity.0 -= tokens;
                return;
            }
            let millis = ((tokens - grown) / each * 1_000.0).ceil().max(1.0);
            sleep(Duration::from_millis(millis as u64)).await;
        }
    }
}

/// A candidate: its name, and how it is made for requests of such a mean size, of which the largest is known.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) make: fn(mean: u64, largest: u32) -> Limiter,
}

fn ours(limit: Limit) -> Limiter {
    let quota = Quota::builder().limit(limit).max_wait(MINUTE * 60);
    Limiter::Ours(quota.build().expect("settings that make sense"))
}

fn governed(burst: u64) -> Limiter {
    let number = |n: u64| NonZeroU32::new(n as u32).expect("not 0");
    let quota = governor::Quota::per_minute(number(TOKENS)).allow_burst(number(burst));
    Limiter::Governor(VirtualGovernor::new(quota))
}

fn resilient(mean: u64, window: WindowType) -> Limiter {
    let layer = RateLimiterLayer::builder()
        .limit_for_period((TOKENS / mean) as usize)
        .refresh_period(MINUTE)
        .timeout_duration(MINUTE * 60)
        .window_type(window)
        .build()
        .expect("settings that make sense");
    let service = layer.layer(Client);
    let service = ServiceExt::<Request<()>>::map_err(service, BoxError::from);
    Limiter::Service(BoxCloneService::new(service))
}

pub(crate) const CANDIDATES: [Candidate; 9] = [
    Candidate {
        name: "**tower-quota**",
        make: |_, _| ours(Limit::tokens(TOKENS, MINUTE)),
    },
    Candidate {
        name: "**tower-quota**, `.bucket()`",
        make: |_, _| ours(Limit::tokens(TOKENS, MINUTE).bucket()),
    },
    Candidate {
        name: "governor",
        make: |_, _| governed(TOKENS),
    },
    Candidate {
        name: "governor, a burst of the largest request",
        make: |_, largest| governed(largest.into()),
    },
    Candidate {
        name: "tower: RateLimit behind Buffer",
        make: |mean, _| {
            let service = ServiceBuilder::new()
                .layer(BufferLayer::new(1_000))
                .rate_limit(TOKENS / mean, MINUTE)
                .service(Client);
            Limiter::Service(BoxCloneService::new(service))
        },
    },
    Candidate {
        name: "tower-resilience",
        make: |mean, _| resilient(mean, WindowType::Fixed),
    },
    Candidate {
        name: "tower-resilience, sliding log",
        make: |mean, _| resilient(mean, WindowType::SlidingLog),
    },
    Candidate {
        name: "tower-resilience, sliding counter",
        make: |mean, _| resilient(mean, WindowType::SlidingCounter),
    },
    Candidate {
        name: "the cookbook's algorithm",
        make: |_, _| Limiter::Cookbook(Cookbook::new()),
    },
];
