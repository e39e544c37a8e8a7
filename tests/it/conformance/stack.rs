//! Whole stacks: `stack` and `amplify`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, CircuitBreakerLayer, CircuitHandle, CircuitState,
    FallbackLayer, Jitter, Limit, Quota, RateLimitLayer, Reason, Rejected, Verdict,
};

use super::{
    breaker_setup::circuit,
    case::{Case, Failure, Fields, Seen, Step, ms},
};

type Stack = BoxCloneService<(), String, BoxError>;

/// A service that says these words in turn, then the last one for ever, and how often it was asked.
fn upstream(words: Vec<String>) -> (Stack, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let (count, words) = (Arc::clone(&calls), Arc::new(words));
    let service = service_fn(move |()| {
        let call = count.fetch_add(1, SeqCst) as usize;
        let word = words.get(call).or(words.last()).cloned();
        async move {
            match word.as_deref() {
                None | Some("ok") => Ok("ok".to_owned()),
                Some("panic") => std::panic::resume_unwind(Box::new("panic")),
                Some("hang") => std::future::pending().await,
                Some(err) if err.starts_with("err") => Err(BoxError::from(err.to_owned())),
                Some(other) => Ok(other.to_owned()),
            }
        }
    });
    (BoxCloneService::new(service), calls)
}

fn counted(inner: Stack) -> (Stack, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    let inner = ServiceBuilder::new()
        .map_request(move |()| {
            count.fetch_add(1, SeqCst);
        })
        .service(inner);
    (BoxCloneService::new(inner), calls)
}

#[derive(Default)]
struct Watched {
    attempts: Option<Arc<AtomicU64>>,
    circuit: Option<CircuitHandle>,
    fallbacks: Option<Arc<AtomicU64>>,
}

/// What went wrong, in the words of the cases.
fn named(error: &BoxError) -> String {
    match Rejected::find(error.as_ref()).map(|rejected| rejected.reason) {
        Some(Reason::CircuitOpen) => "circuit_open".to_owned(),
        Some(Reason::InFlightFull | Reason::QueueFull) => "bulkhead_full".to_owned(),
        Some(_) => "rate_limited".to_owned(),
        None if error.is::<tower::timeout::error::Elapsed>() => "timeout".to_owned(),
        None => error.to_string(),
    }
}

/// Retries without a wait. What isn't named as final is tried again, refusals included; where an open circuit alone is, that
/// is how ours is by default.
fn retry(layer: &Fields, inner: Stack) -> Result<Stack, Failure> {
    let attempts = layer.count("max_attempts")?.unwrap_or(3);
    let finals = layer.texts("not_retryable")?;
    let wait = layer.span("backoff_ms")?.or(layer.span("delay_ms")?);
    let wait = wait.unwrap_or_default();
    let retry = BackoffRetryLayer::new()
        .attempts(u32::try_from(attempts).map_err(|error| error.to_string())?)
        .backoff(Backoff::constant(wait).jitter(Jitter::None))
        .no_budget()
        .opaque();
    if finals == ["circuit_open"] {
        return Ok(BoxCloneService::new(retry.layer(inner)));
    }
    let judge = move |outcome: Result<&String, &BoxError>| match outcome {
        Ok(_) => Verdict::Success,
        Err(error) if finals.contains(&named(error)) => Verdict::Permanent,
        Err(_) => Verdict::Transient { sent: true },
    };
    Ok(BoxCloneService::new(retry.classify(judge).layer(inner)))
}

fn breaker(layer: &Fields) -> Result<CircuitBreakerLayer, Failure> {
    if layer.has("trip") || layer.has("window") {
        return circuit(layer);
    }
    let mut breaker = CircuitBreakerLayer::new().no_failure_rate();
    if let Some(consecutive) = layer.count("consecutive")? {
        breaker = breaker.consecutive_failures(consecutive as u32);
    }
    if let Some(open) = layer.span("open_ms")? {
        breaker = breaker.open_backoff(Backoff::constant(open).jitter(Jitter::None));
    }
    Ok(breaker)
}

fn build(case: &Case, watched: &mut Watched, mut stack: Stack) -> Result<Stack, Failure> {
    // The first is the outermost.
    for layer in case.config.inners("layers")?.iter().rev() {
        stack = match layer.text("kind")?.ok_or("a layer without a kind")? {
            "retry" => {
                let (inner, attempts) = counted(stack);
                watched.attempts = Some(attempts);
                retry(layer, inner)?
            }
            "breaker" => {
                let breaker = breaker(layer)?;
                watched.circuit = Some(breaker.handle());
                BoxCloneService::new(breaker.opaque().layer(stack))
            }
            "rate_limit" => {
                let permits = layer
                    .count("permits")?
                    .or(case.config.count("rate_limit_permits")?);
                let hour = Duration::from_secs(3_600);
                let limit = Limit::requests(permits.ok_or("no `rate_limit_permits`")?, hour);
                let quota = Quota::new(limit).map_err(|error| error.to_string())?;
                BoxCloneService::new(RateLimitLayer::new(quota).reject().opaque().layer(stack))
            }
            "bulkhead" => {
                let most = layer.count("permits")?.unwrap_or(1) as usize;
                let quota = Quota::builder().max_in_flight(most).build();
                let quota = quota.map_err(|error| error.to_string())?;
                BoxCloneService::new(RateLimitLayer::new(quota).reject().opaque().layer(stack))
            }
            "timeout" => {
                let after = match layer.span("timeout_ms")? {
                    None => layer.span("ms")?.ok_or("no `timeout_ms`")?,
                    Some(after) => after,
                };
                let timeout = tower::timeout::TimeoutLayer::new(after);
                BoxCloneService::new(timeout.layer(stack))
            }
            "fallback" => {
                let value = layer
                    .text("value")?
                    .or(layer.text("result")?)
                    .unwrap_or("fallback");
                let (second, calls) = upstream(vec![value.to_owned()]);
                watched.fallbacks = Some(calls);
                BoxCloneService::new(FallbackLayer::to(second).opaque().layer(stack))
            }
            other => return Err(format!("unknown layer {other:?}")),
        };
        layer.all_read("layer")?;
    }
    Ok(stack)
}

pub async fn stack(case: &Case) -> Result<(), Failure> {
    let (service, calls) = upstream(case.config.texts("service")?);
    let mut watched = Watched::default();
    let stack = build(case, &mut watched, service)?;
    case.config.count("rate_limit_permits")?;
    case.config.all_read("config")?;
    let start = tokio::time::Instant::now();
    for (number, step) in case.steps.iter().enumerate() {
        tokio::time::advance(step.at.saturating_sub(start.elapsed())).await;
        let done = run(step, &stack, &calls, &watched).await;
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

async fn run(
    step: &Step,
    stack: &Stack,
    calls: &AtomicU64,
    watched: &Watched,
) -> Result<(), Failure> {
    let all = || {
        let attempts = watched.attempts.as_deref().map_or(0, |it| it.load(SeqCst));
        let fallbacks = watched.fallbacks.as_deref().map_or(0, |it| it.load(SeqCst));
        [calls.load(SeqCst), attempts, fallbacks].map(|it| it as f64)
    };
    let (before, begun) = (all(), tokio::time::Instant::now());
    let mut result = None;
    match &*step.event {
        "run" | "call" => {
            for _ in 0..step.repeat {
                result = Some(match stack.clone().oneshot(()).await {
                    Ok(word) => word,
                    Err(error) => named(&error),
                });
            }
        }
        "read" => {}
        _ => return step.unknown(),
    }
    step.fields.all_read("step")?;
    let after = all();
    // Of this step, or since the beginning: the cases don't say.
    let count = |which: usize| Seen::Either(after[which] - before[which], after[which]);
    step.check(|key| {
        Some(match key {
            "result" => result.clone().map_or(Seen::Nothing, Seen::Text),
            "elapsed_ms" => Seen::Number(ms(begun.elapsed())),
            "service_calls" => count(0),
            "attempts" => count(1),
            "fallback_calls" => count(2),
            "breaker_failures" => Seen::Number(watched.circuit.as_ref()?.counts().failures as f64),
            "breaker_open" => Seen::Flag(watched.circuit.as_ref()?.state() == CircuitState::Open),
            _ => return None,
        })
    })
}

/// Retries around retries, none with a budget.
pub async fn amplify(case: &Case) -> Result<(), Failure> {
    let layers = case.config.count("layers")?.ok_or("no `layers`")?;
    let attempts = case
        .config
        .count("attempts_per_layer")?
        .ok_or("no `attempts_per_layer`")?;
    case.config.all_read("config")?;
    for (number, step) in case.steps.iter().enumerate() {
        let (mut stack, calls) = upstream(vec!["err".to_owned()]);
        if step.event != "outage" {
            return step.unknown();
        }
        for _ in 0..layers {
            let retry = BackoffRetryLayer::new()
                .attempts(attempts as u32)
                .backoff(Backoff::constant(Duration::ZERO).jitter(Jitter::None))
                .no_budget()
                .opaque();
            stack = BoxCloneService::new(retry.layer(stack));
        }
        drop(stack.oneshot(()).await);
        step.fields.all_read("step")?;
        let seen = Seen::Number(calls.load(SeqCst) as f64);
        step.check(|key| (key == "load_factor").then(|| seen.clone()))
            .map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}
