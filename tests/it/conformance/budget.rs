//! What retries may cost: `aws_quota`, `grpc_throttle`, `finagle_budget`, `concurrency_budget`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, Jitter, RetryBudget,
    backoff_retry::{Cause, Ongoing, Withdrawal},
};

use super::{
    backoff::NO_ATTEMPTS,
    case::{Case, Failure, Seen, Step},
};

fn balance(budget: &RetryBudget, beyond: f64) -> Seen {
    let parts = budget.balance_thousandths().expect("it says");
    Seen::Number(parts as f64 / 1e3 - beyond)
}

/// A stock that retries are paid from.
struct Stock {
    budget: RetryBudget,
    // Units that aren't the case's: a quota of nothing isn't made, one that never pays is.
    beyond: f64,
    attempts: u64,
    backoffs: BTreeMap<String, Backoff>,
    // The retry of each operation that is under way.
    paid: BTreeMap<String, Withdrawal>,
}

/// A kind of failure, as it is called by others.
fn causes(kind: &str) -> Result<&'static [Cause], Failure> {
    Ok(match kind {
        "server_error" | "transient" => &[Cause::Transient, Cause::Overloaded, Cause::Connection],
        "timeout" => &[Cause::TimedOut],
        "throttling" => &[Cause::RateLimited],
        other => return Err(format!("unknown kind {other:?}")),
    })
}

pub async fn aws_quota(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let capacity = config.count("capacity")?.ok_or("no `capacity`")? as u32;
    let mut budget = RetryBudget::quota(capacity.max(1));
    let costs = config.inner("cost")?;
    for kind in costs.keys() {
        let cost = costs.count(kind)?.unwrap_or_default() as u32;
        if capacity == 0 && cost < 2 {
            return Err(format!("a quota of 0 that pays {cost} for {kind}"));
        }
        for cause in causes(kind)? {
            budget = budget.cost(*cause, cost);
        }
    }
    let waits = config.inner("backoff")?;
    let mut backoffs = BTreeMap::new();
    for kind in waits.keys() {
        let first = waits.span(kind)?.unwrap_or_default();
        let backoff = Backoff::exponential(first, Duration::MAX).jitter(Jitter::None);
        causes(kind)?;
        backoffs.insert(kind.to_owned(), backoff);
    }
    let mut stock = Stock {
        budget,
        beyond: if capacity == 0 { 1.0 } else { 0.0 },
        attempts: config.count("max_attempts")?.unwrap_or(u64::MAX),
        backoffs,
        paid: BTreeMap::new(),
    };
    config.all_read("config")?;
    let start = Instant::now();
    for (number, step) in case.steps.iter().enumerate() {
        advance(step.at.saturating_sub(start.elapsed())).await;
        let done = stock.step(step);
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

impl Stock {
    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let fields = &step.fields;
        let op = fields.text("op")?.unwrap_or_default().to_owned();
        let kind = fields.text("kind")?.unwrap_or("server_error").to_owned();
        let attempt = fields.count("attempt")?.unwrap_or(1);
        let n = fields.count("n")?.unwrap_or(1);
        let mut retry = None;
        let mut why = None;
        for _ in 0..step.repeat {
            // Whatever happens to an operation, its last retry was sent.
            let mut before = match &*step.event {
                "deposit" | "read" => None,
                _ => self.paid.remove(&op),
            };
            if let Some(paid) = &mut before {
                paid.sent();
            }
            match &*step.event {
                "failure" if attempt >= self.attempts => {
                    self.budget.failed();
                    (retry, why) = (Some(false), Some("attempts"));
                }
                "failure" => match self.budget.withdraw(causes(&kind)?[0]) {
                    Some(paid) => {
                        self.paid.insert(op.clone(), paid);
                        retry = Some(true);
                    }
                    None => (retry, why) = (Some(false), Some("budget")),
                },
                "success" => {
                    match before {
                        Some(paid) => paid.succeeded(),
                        None => self.budget.succeeded(),
                    }
                    retry = Some(false);
                }
                "final_failure" => {
                    self.budget.failed();
                    retry = Some(false);
                }
                // Others that succeed at once.
                "deposit" => (0..n).for_each(|_| self.budget.succeeded()),
                "read" => {}
                _ => return step.unknown(),
            }
        }
        fields.all_read("step")?;
        let wait = || {
            let backoff = self.backoffs.get(&kind)?;
            Some(backoff.wait(u32::try_from(attempt).ok()?, None, 0))
        };
        step.check(|key| {
            Some(match key {
                "available" => balance(&self.budget, self.beyond),
                "retry" => retry.map_or(Seen::Nothing, Seen::Flag),
                "reason" => match why {
                    Some("attempts") => Seen::AnyOf(NO_ATTEMPTS),
                    Some(why) => Seen::text(why),
                    None => Seen::Nothing,
                },
                "delay_ms" if retry == Some(true) => {
                    wait().map_or(Seen::Nothing, |wait| Seen::ms(Some(wait), 0.0))
                }
                "delay_ms" => Seen::Nothing,
                _ => return None,
            })
        })
    }
}

/// Whole calls through a layer whose retries a throttle allows.
pub async fn grpc_throttle(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let max = config.count("max_tokens")?.ok_or("no `max_tokens`")? as u32;
    let ratio = config.number("token_ratio")?.ok_or("no `token_ratio`")?;
    let budget = RetryBudget::throttle(max, ratio);
    let attempts = config.count("max_attempts")?.unwrap_or(3) as u32;
    config.all_read("config")?;
    let start = Instant::now();
    for (number, step) in case.steps.iter().enumerate() {
        advance(step.at.saturating_sub(start.elapsed())).await;
        let done = call(step, &budget, attempts).await;
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

async fn call(step: &Step, budget: &RetryBudget, attempts: u32) -> Result<(), Failure> {
    let words = step.fields.texts("attempts")?;
    let mut result = None;
    let mut made = 0;
    match &*step.event {
        "call" => {
            for _ in 0..step.repeat {
                let (asked, answers) = (Arc::new(AtomicUsize::new(0)), words.clone());
                let count = Arc::clone(&asked);
                let inner = service_fn(move |()| {
                    let word = answers.get(count.fetch_add(1, SeqCst)).cloned();
                    async move {
                        match word.as_deref() {
                            Some("ok") => Ok(()),
                            _ => Err(BoxError::from("unavailable")),
                        }
                    }
                });
                let layer = BackoffRetryLayer::new()
                    .attempts(attempts)
                    .backoff(Backoff::constant(Duration::ZERO).jitter(Jitter::None))
                    .budget(budget.clone())
                    .opaque();
                let came = layer.layer(inner).oneshot(()).await;
                result = Some(if came.is_ok() { "ok" } else { "failed" });
                made = asked.load(SeqCst);
            }
        }
        "read" => {}
        _ => return step.unknown(),
    }
    step.fields.all_read("step")?;
    step.check(|key| {
        Some(match key {
            "result" => result.map_or(Seen::Nothing, Seen::text),
            "attempts" => Seen::Number(made as f64),
            "tokens" => balance(budget, 0.0),
            _ => return None,
        })
    })
}

/// A share of the requests, and so many a second besides.
pub async fn finagle_budget(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let lasts = config.span("ttl_ms")?.ok_or("no `ttl_ms`")?;
    let share = config.number("percent")?.ok_or("no `percent`")?;
    let least = config.count("min_per_s")?.unwrap_or(0) as u32;
    config.all_read("config")?;
    let budget = RetryBudget::ratio((share * 1e4).round() as u32, 10_000)
        .window(lasts)
        .max(u32::MAX)
        .reserve(least * lasts.as_secs() as u32)
        .per_second(least);
    let start = Instant::now();
    for (number, step) in case.steps.iter().enumerate() {
        advance(step.at.saturating_sub(start.elapsed())).await;
        let n = step
            .fields
            .count("n")
            .map_err(|why| step.failed(number, &why))?
            .unwrap_or(1);
        let mut granted = 0;
        for _ in 0..step.repeat * n {
            if matches!(&*step.event, "request" | "deposit") {
                budget.deposit();
            }
            // Every request would like to be sent once more.
            if matches!(&*step.event, "request" | "withdraw")
                && let Some(mut paid) = budget.withdraw(Cause::Transient)
            {
                paid.sent();
                granted += 1;
            }
        }
        let done = match &*step.event {
            "request" | "deposit" | "withdraw" | "read" => step.fields.all_read("step"),
            _ => step.unknown(),
        };
        let seen = |key: &str| {
            Some(match key {
                "granted" => Seen::Number(f64::from(granted)),
                "ok" => Seen::Flag(granted > 0),
                // Whole retries: a part of one pays for nothing.
                "balance" => Seen::Number(budget.balance()? as f64),
                _ => return None,
            })
        };
        done.and_then(|()| step.check(seen))
            .map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

/// Retries as a share of what is under way.
pub async fn concurrency_budget(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let percent = config.count("percent")?.ok_or("no `percent`")? as u32;
    let floor = config.count("min_concurrency")?.unwrap_or(0) as u32;
    config.all_read("config")?;
    // One that never allows any isn't made; it may become so.
    let mut budget = match (percent, floor) {
        (0, 0) => RetryBudget::of_active(1, 0).percent_of_active(0),
        _ => RetryBudget::of_active(percent, floor),
    };
    let (mut requests, mut retries) = (Vec::new(), Vec::new());
    for (number, step) in case.steps.iter().enumerate() {
        let done = under_way(step, &mut budget, &mut requests, &mut retries);
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

fn under_way(
    step: &Step,
    budget: &mut RetryBudget,
    requests: &mut Vec<Ongoing>,
    retries: &mut Vec<Withdrawal>,
) -> Result<(), Failure> {
    let n = step.repeat * step.fields.count("n")?.unwrap_or(1);
    let gone = |all: usize| all.saturating_sub(n as usize);
    match &*step.event {
        "request_start" => requests.extend((0..n).map(|_| budget.begin())),
        "request_end" => requests.truncate(gone(requests.len())),
        "retry_start" => {
            for _ in 0..n {
                retries.push(
                    budget
                        .withdraw(Cause::Transient)
                        .ok_or("no room for a retry")?,
                );
            }
        }
        "retry_end" => retries.truncate(gone(retries.len())),
        "set_percent" => {
            let percent = step.fields.count("percent")?.ok_or("no `percent`")? as u32;
            *budget = budget.clone().percent_of_active(percent);
        }
        "may_retry" | "read" => {}
        _ => return step.unknown(),
    }
    step.fields.all_read("step")?;
    step.check(|key| {
        Some(match key {
            "ok" => Seen::Flag(budget.withdraw(Cause::Transient).is_some()),
            "limit" => Seen::Number((budget.balance()? + retries.len() as u64) as f64),
            "retries" => Seen::Number(retries.len() as f64),
            _ => return None,
        })
    })
}
