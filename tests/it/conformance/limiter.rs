//! A quota of one limit, in virtual time: who is granted when, to the nanosecond.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use tokio::time::{Instant, advance};
use tower_quota::{
    Cost, Limit, Permit, Quota, RateReading, RateStatus, Reason, Rejected,
    quota::{Acquire, LimitSnapshot, QuotaBuilder},
};

use super::case::{Failure, Seen};
use crate::support::poll_once;

/// Longer than any case.
pub const FOR_EVER: Duration = Duration::from_secs(10 * 366 * 86_400);

pub struct Limiter {
    quota: Quota,
    /// The most that it holds; nothing where it has no limit at all.
    pub capacity: Option<u64>,
    start: Instant,
    line: Vec<Waiting>,
    permits: BTreeMap<String, Permit>,
    pub granted: Vec<String>,
    // When whoever was promised a turn had it: from then on there is nothing to give back.
    acted: BTreeMap<String, Duration>,
    lied: Option<Failure>,
}

struct Waiting {
    id: String,
    n: u64,
    // When its turn is, as far as that is known.
    due: Option<Duration>,
    turn: Pin<Box<Acquire>>,
}

/// What became of somebody who asked.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// Granted, then.
    At(Duration),
    Refused(Reason),
}

impl Limiter {
    pub fn new(limit: Option<(Limit, u64)>, max_wait: Option<Duration>) -> Result<Self, Failure> {
        let builder = Quota::builder().max_wait(max_wait.unwrap_or(FOR_EVER));
        let capacity = limit.as_ref().map(|(_, capacity)| *capacity);
        let builder: QuotaBuilder = match limit {
            Some((limit, _)) => builder.limit(limit.transit(Duration::ZERO)),
            None => builder.max_in_flight(1_000_000),
        };
        Ok(Self {
            quota: builder.build().map_err(|error| error.to_string())?,
            capacity,
            start: Instant::now(),
            line: Vec::new(),
            permits: BTreeMap::new(),
            granted: Vec::new(),
            acted: BTreeMap::new(),
            lied: None,
        })
    }

    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Moves the clock, and stops a nanosecond before each promised turn and at it, to see that it was kept.
    pub async fn advance_to(&mut self, to: Duration) -> Result<(), Failure> {
        loop {
            let now = self.now();
            let just_before = |due: Duration| due.saturating_sub(Duration::from_nanos(1));
            let stops = (self.line.iter().filter_map(|w| w.due)).flat_map(|d| [just_before(d), d]);
            let stop = stops.filter(|stop| *stop > now).min();
            let next = stop.unwrap_or(to).min(to);
            if next > now {
                advance(next - now).await;
            }
            self.tick();
            if next >= to {
                break;
            }
        }
        self.lied.take().map_or(Ok(()), Err)
    }

    /// Waits for every turn that was promised.
    pub async fn finish(&mut self) -> Result<(), Failure> {
        let last = self.line.iter().filter_map(|waiting| waiting.due).max();
        self.advance_to(last.unwrap_or_default().max(self.now()))
            .await
    }

    /// Looks who is granted by now.
    fn tick(&mut self) {
        let now = self.now();
        let mut line = std::mem::take(&mut self.line);
        line.retain_mut(|waiting| {
            let granted = poll_once(&mut waiting.turn);
            let was = match &granted {
                std::task::Poll::Pending => None,
                std::task::Poll::Ready(_) => Some(now),
            };
            let kept = match (waiting.due, was) {
                (Some(due), Some(was)) => due == was,
                (Some(due), None) => now < due,
                (None, _) => true,
            };
            if !kept {
                let (due, id) = (waiting.due, &waiting.id);
                self.lied = Some(format!(
                    "{id:?} was promised {due:?}, at {now:?} it got {granted:?}"
                ));
            }
            match granted {
                std::task::Poll::Pending => return true,
                std::task::Poll::Ready(Ok(permit)) => {
                    self.granted.push(waiting.id.clone());
                    self.acted.insert(waiting.id.clone(), now);
                    self.permits.insert(waiting.id.clone(), permit);
                }
                std::task::Poll::Ready(Err(rejected)) => {
                    self.lied = Some(format!("{:?} was refused in line: {rejected}", waiting.id));
                }
            }
            false
        });
        self.line = line;
    }

    fn cost(n: u64) -> Cost {
        Cost::tokens(n)
    }

    /// Takes `n` now or not at all.
    pub fn take(&mut self, id: &str, n: u64) -> Result<(), Rejected> {
        let permit = self.quota.try_acquire(Self::cost(n))?;
        self.granted.push(id.to_owned());
        self.permits.insert(id.to_owned(), permit);
        Ok(())
    }

    /// Takes `n` when its turn comes; tells when that is. Nobody waits longer than `max_wait`.
    pub fn ask(&mut self, id: &str, n: u64, max_wait: Option<Duration>) -> Asked {
        let now = self.now();
        let due = match self.take(id, n) {
            Ok(()) => {
                self.acted.insert(id.to_owned(), now);
                return Asked::At(now);
            }
            Err(rejected) if rejected.reason == Reason::TooLarge => {
                return Asked::Refused(rejected.reason);
            }
            Err(rejected) => rejected.retry_after,
        };
        if due > max_wait && max_wait.is_some() {
            return Asked::Refused(Reason::WaitTooLong);
        }
        let mut turn = Box::pin(self.quota.acquire(Self::cost(n)));
        match poll_once(&mut turn) {
            std::task::Poll::Ready(Ok(permit)) => {
                self.permits.insert(id.to_owned(), permit);
                self.granted.push(id.to_owned());
                Asked::At(now)
            }
            std::task::Poll::Ready(Err(rejected)) => Asked::Refused(rejected.reason),
            std::task::Poll::Pending => {
                let due = due.map(|wait| now + wait);
                let id = id.to_owned();
                self.line.push(Waiting { id, n, due, turn });
                Asked::At(due.unwrap_or(FOR_EVER))
            }
        }
    }

    /// What somebody was granted; by default whoever was last.
    pub fn permit(&mut self, id: Option<&str>) -> Option<Permit> {
        let last = self.granted.last().cloned()?;
        let id = id.unwrap_or(&last);
        (self.permits.remove(id)).or_else(|| self.permits.remove(&format!("{id}.0")))
    }

    /// Whoever it was goes away.
    pub fn cancel(&mut self, id: &str) {
        let before = self.line.len();
        self.line.retain(|waiting| waiting.id != id);
        if self.line.len() < before {
            self.unsettled();
        } else if let Some(permit) = self.permit(Some(id)) {
            if self.acted.get(id).is_some_and(|at| *at < self.now()) {
                // Too late: it counts as sent.
                return;
            }
            permit.cancel();
            self.granted.retain(|granted| granted != id);
            self.unsettled();
        }
        self.tick();
    }

    /// What was promised may be better now.
    fn unsettled(&mut self) {
        self.line.iter_mut().for_each(|waiting| waiting.due = None);
    }

    /// The provider says that nothing is left.
    pub fn drain(&mut self) {
        let mut status = RateStatus::new();
        status.tokens = RateReading::new().remaining(0);
        self.quota.observe(&status);
        self.unsettled();
    }

    pub fn resize(&mut self, limit: Limit) -> Result<(), Failure> {
        self.quota
            .resize(limit)
            .map_err(|error| error.to_string())?;
        self.unsettled();
        self.tick();
        Ok(())
    }

    pub fn limit(&self) -> Option<LimitSnapshot> {
        self.quota.snapshot().limits.first().copied()
    }

    /// What is left when all in line are served; less than nothing where that is owed.
    pub fn tokens(&self) -> Seen {
        let Some((limit, capacity)) = self.limit().zip(self.capacity) else {
            return Seen::Number(f64::INFINITY);
        };
        let spent =
            limit.used + limit.held + self.line.iter().map(|waiting| waiting.n).sum::<u64>();
        Seen::Number(capacity as f64 - spent as f64)
    }

    /// What may be spent now.
    pub fn left(&self) -> Seen {
        Seen::Number(
            self.limit()
                .map_or(f64::INFINITY, |limit| limit.left as f64),
        )
    }

    /// How long until `n` are granted; `None` where they never are.
    pub fn wait_for(&self, n: u64) -> Option<Duration> {
        let fits = self.limit().is_none_or(|limit| limit.left >= n);
        if fits && self.line.is_empty() {
            return Some(Duration::ZERO);
        }
        match self.quota.try_acquire(Self::cost(n)) {
            Ok(permit) => {
                permit.cancel();
                Some(Duration::ZERO)
            }
            Err(rejected) if rejected.reason == Reason::TooLarge => None,
            Err(rejected) => rejected.retry_after,
        }
    }

    pub fn waiting(&self) -> Vec<String> {
        self.line.iter().map(|waiting| waiting.id.clone()).collect()
    }
}

/// A refusal's reason, by all the names that it has.
pub const fn reason(reason: Reason) -> Seen {
    Seen::AnyOf(match reason {
        Reason::TooLarge => &[
            "exceeds_burst",
            "exceeds_limit",
            "too_large",
            "exceeds_capacity",
        ],
        Reason::WaitTooLong => &[
            "max_wait",
            "exceeds_max_wait",
            "wait_too_long",
            "deadline",
            "exceeds_deadline",
            "would_exceed_deadline",
            "deadline_exceeded",
            "timeout",
        ],
        _ => &["limited", "limit_reached"],
    })
}
