//! Layers over a chancy service, and what must hold once everything was dropped.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::advance;
use tower::{ServiceExt, layer::util::Identity};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, CircuitState, FallbackLayer, Limit, Quota,
    RateLimitLayer, RetryBudget, TokenBudgetLayer,
};

use super::{
    super::{
        Stack, books, chat, cost, inside, patient_with, stack,
        stacks::{Refusing, counting},
    },
    chancy::{Chancy, Log},
};

const HOUR: Duration = Duration::from_secs(3_600);
const RESERVE: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Fallback,
    Retry,
    Gate,
    Requests,
    Tokens,
    Breaker,
}

use Part::{Breaker, Fallback, Gate, Requests, Retry, Tokens};

/// Each layer's own future, all of them, and limits outside of what tries again.
pub(super) const ALL: [&[Part]; 9] = [
    &[Requests],
    &[Tokens],
    &[Requests, Breaker],
    &[Retry, Requests],
    &[Fallback, Requests, Tokens],
    &[Fallback, Retry, Gate, Requests, Tokens, Breaker],
    &[Requests, Retry],
    &[Tokens, Retry, Requests],
    &[Requests, Tokens, Retry, Breaker],
];

pub(super) struct World {
    parts: &'static [Part],
    requests: Quota,
    tokens: Quota,
    breaker: CircuitBreakerLayer,
    budget: RetryBudget,
    log: Arc<Mutex<Log>>,
    second: Arc<Mutex<Log>>,
    // What the retry was asked, and what it asked for.
    asked: Arc<AtomicU64>,
    tried: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    service: Stack,
}

impl World {
    pub(super) fn new(parts: &'static [Part], seed: u64) -> Self {
        let requests = patient_with([Limit::requests(8, HOUR)], 3);
        let tokens = patient_with([Limit::tokens(1_500, HOUR)], 4);
        let breaker = CircuitBreakerLayer::new()
            .consecutive_failures(3)
            .open_for(Duration::from_secs(1), Duration::from_secs(4))
            // A probe that leaks isn't forgotten.
            .max_half_open(HOUR * 100);
        // Each request deposits a whole retry, and nothing ages here: so the balance is exact.
        let budget = RetryBudget::ratio(1, 1)
            .reserve(RESERVE as u32)
            .window(HOUR * 100);
        let (asked, tried) = (Arc::default(), Arc::default());
        let refused = Arc::new(AtomicU64::new(0));
        let (chancy, log) = Chancy::new(seed);
        let (other, second) = Chancy::new(seed + 1);
        let mut service: Stack = stack(Identity::new(), chancy);
        for part in parts.iter().rev() {
            service = match part {
                Fallback => stack(FallbackLayer::to(other.clone()), service),
                Retry => {
                    let layer = BackoffRetryLayer::new()
                        .budget(budget.clone())
                        .attempt_extension();
                    let inner = Refusing {
                        inner: counting(&tried, service),
                        refused: Arc::clone(&refused),
                    };
                    counting(&asked, stack(layer, inner))
                }
                Gate => stack(breaker.gate(), service),
                Requests => stack(RateLimitLayer::new(requests.clone()), service),
                Tokens => stack(TokenBudgetLayer::new(tokens.clone()).cost(cost), service),
                Breaker => stack(breaker.clone(), service),
            };
        }
        Self {
            parts,
            requests,
            tokens,
            breaker,
            budget,
            log,
            second,
            asked,
            tried,
            refused,
            service,
        }
    }

    pub(super) fn service(&self) -> Stack {
        self.service.clone()
    }

    fn calls(&self) -> (u64, u64) {
        (
            self.log.lock().unwrap().calls,
            self.second.lock().unwrap().calls,
        )
    }

    /// Everything was dropped: what must hold.
    pub(super) async fn check(&self) {
        let (requests, tokens) = {
            let log = self.log.lock().unwrap();
            (log.requests, log.tokens)
        };
        if self.parts.contains(&Requests) {
            assert_eq!(books(&self.requests), (vec![(requests, 0)], 0, 0));
        }
        if self.parts.contains(&Tokens) {
            assert_eq!(books(&self.tokens), (vec![(tokens, 0)], 0, 0));
        }
        if self.parts.contains(&Retry) {
            let asked = self.asked.load(Ordering::SeqCst);
            let refused = self.refused.load(Ordering::SeqCst);
            let again = self.tried.load(Ordering::SeqCst) - asked - refused;
            assert_eq!(self.budget.balance(), Some(RESERVE + asked - again));
        }
        // Nothing is sent any more.
        let calls = self.calls();
        for _ in 0..3 {
            advance(Duration::from_secs(20)).await;
        }
        assert_eq!(self.calls(), calls);
        self.works_again().await;
    }

    /// No probe and no place is missing: with a kind provider and room, a call succeeds.
    async fn works_again(&self) {
        self.log.lock().unwrap().kind = true;
        let most = u64::from(u32::MAX);
        self.requests.resize(Limit::requests(most, HOUR)).unwrap();
        self.tokens.resize(Limit::tokens(most, HOUR)).unwrap();
        self.requests.resume();
        self.tokens.resume();
        let before = self.calls().0;
        let mut answers = Vec::new();
        for _ in 0..3 {
            let answer = self.service().oneshot(inside(chat(5))).await.unwrap();
            assert_eq!(answer.status(), 200);
            answers.push(answer);
        }
        assert_eq!(self.calls().0, before + 3);
        assert_eq!(self.breaker.handle().state(), CircuitState::Closed);
    }
}
