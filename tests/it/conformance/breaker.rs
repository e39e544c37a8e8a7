//! A circuit breaker over a service that answers as the case says: `breaker`.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use tower_quota::{
    BoxError, CircuitBreakerLayer, CircuitHandle, CircuitState, Reason, Rejected, RejectedError,
    Verdict,
};

use super::{
    breaker_setup::circuit,
    case::{Case, Failure, Seen, Step},
};
use crate::support::poll_once;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Success,
    Failure,
    /// It says nothing of the service.
    Ignored,
    /// A layer further in refused it.
    InnerRejected,
    Panic,
    /// Its caller went away.
    Dropped,
}

impl Outcome {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "success" => Self::Success,
            "failure" | "error" => Self::Failure,
            "ignored" | "excluded" | "neutral" => Self::Ignored,
            "inner_rejected" => Self::InnerRejected,
            "panic" => Self::Panic,
            "cancelled" | "dropped" | "released" => Self::Dropped,
            _ => return None,
        })
    }
}

/// Where a call's outcome is put once it is known.
type Slot = Arc<Mutex<Option<Outcome>>>;
type Breaker = BoxCloneService<Slot, Outcome, BoxError>;
type Call = (
    Slot,
    Pin<Box<dyn Future<Output = Result<Outcome, BoxError>>>>,
);

fn judge(outcome: Result<&Outcome, &BoxError>) -> Verdict {
    match outcome {
        Ok(Outcome::Success) => Verdict::Success,
        Ok(Outcome::Ignored) => Verdict::RateLimited {
            resource: None,
            window: None,
            retry_after: None,
        },
        Err(error) if Rejected::find(error.as_ref()).is_some() => Verdict::Refused,
        Ok(_) | Err(_) => Verdict::Transient { sent: true },
    }
}

fn over_the_service(layer: CircuitBreakerLayer) -> Breaker {
    let service = service_fn(|slot: Slot| {
        poll_fn(move |_| match slot.lock().unwrap().take() {
            None => Poll::Pending,
            // Without the message that a panic of its own would print.
            Some(Outcome::Panic) => std::panic::resume_unwind(Box::new("the service panics")),
            Some(Outcome::InnerRejected) => {
                let rejected = Rejected::new(Reason::LimitReached);
                Poll::Ready(Err(BoxError::from(RejectedError::from(rejected))))
            }
            Some(outcome) => Poll::Ready(Ok(outcome)),
        })
    });
    BoxCloneService::new(layer.opaque().classify(judge).layer(service))
}

struct World {
    breaker: Breaker,
    handle: CircuitHandle,
    // Only looks.
    gate: BoxCloneService<(), (), BoxError>,
    calls: BTreeMap<String, Call>,
    // How many half-open rounds had failed at each opening.
    log: Vec<f64>,
    permitted: Option<bool>,
    retry_after: Option<Duration>,
    // Refusals that are ours, to see how long they'd last.
    looks: u64,
    // How often it had changed when they began to count.
    since: u64,
}

pub async fn replay(case: &Case) -> Result<(), Failure> {
    let layer = circuit(&case.config)?;
    let handle = layer.handle();
    let gate = service_fn(|()| async { Ok::<_, BoxError>(()) });
    let mut world = World {
        gate: BoxCloneService::new(layer.gate().layer(gate)),
        breaker: over_the_service(layer),
        handle,
        calls: BTreeMap::new(),
        log: Vec::new(),
        permitted: None,
        retry_after: None,
        looks: 0,
        since: 0,
    };
    // Its time counts from the first look.
    let start = Instant::now();
    world.handle.state();
    for (number, step) in case.steps.iter().enumerate() {
        if let Some(wait) = step
            .at
            .checked_sub(start.elapsed())
            .filter(|it| !it.is_zero())
        {
            advance(wait).await;
        }
        let done = world.act(step).await.and_then(|()| {
            step.fields.all_read("step")?;
            step.check(|key| world.see(key))
        });
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

impl World {
    async fn act(&mut self, step: &Step) -> Result<(), Failure> {
        let fields = &step.fields;
        (self.permitted, self.retry_after) = (None, None);
        let call = |what: &str| {
            fields
                .text("call")?
                .ok_or_else(|| format!("no `call` to {what}"))
        };
        match &*step.event {
            "acquire" => {
                let name = call("acquire")?.to_owned();
                let begun = self.begin();
                self.calls.extend(begun.map(|call| (name, call)));
            }
            "complete" => {
                let name = call("complete")?;
                let begun = (self.calls.remove(name)).ok_or(format!("{name:?} isn't under way"))?;
                let outcome = fields.text("outcome")?.unwrap_or_default();
                let outcome =
                    Outcome::named(outcome).ok_or(format!("unknown outcome {outcome:?}"))?;
                end(begun, outcome)?;
                self.note();
            }
            // Its caller gives the permission back, or goes away.
            "release" | "drop" | "cancel" => {
                let name = call("release")?;
                drop((self.calls.remove(name)).ok_or(format!("{name:?} isn't under way"))?);
                self.note();
            }
            "force" => {
                self.force(fields.text("to")?.unwrap_or_default(), fields.span("ms")?)?;
                self.note();
            }
            "reset" => self.handle.reset(),
            "read" => {}
            name => {
                let Some(outcome) = Outcome::named(name) else {
                    return step.unknown();
                };
                let mut took = None;
                for name in ["took_ms", "duration_ms", "elapsed_ms"] {
                    took = fields.span(name)?.or(took);
                }
                for _ in 0..step.repeat {
                    if let Some(begun) = self.begin() {
                        if let Some(took) = took {
                            advance(took).await;
                        }
                        end(begun, outcome)?;
                    }
                    self.note();
                }
            }
        }
        Ok(())
    }

    /// A call begins, if it is permitted.
    fn begin(&mut self) -> Option<Call> {
        let slot = Slot::default();
        let mut call: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(self.breaker.clone().oneshot(Arc::clone(&slot)));
        let refused = match poll_once(&mut call) {
            Poll::Pending => None,
            Poll::Ready(Ok(_)) => unreachable!("nothing was said"),
            Poll::Ready(Err(error)) => Some(error),
        };
        self.permitted = Some(refused.is_none());
        match refused {
            None => Some((slot, call)),
            Some(error) => {
                let rejected = Rejected::find(error.as_ref()).expect("a refusal");
                assert_eq!(rejected.reason, Reason::CircuitOpen);
                self.retry_after = rejected.retry_after;
                None
            }
        }
    }

    fn force(&self, to: &str, span: Option<Duration>) -> Result<(), Failure> {
        match (to, span) {
            ("open", None) => self.handle.trip(),
            ("open" | "open_for", Some(span)) => self.handle.open_for(span),
            ("half_open", None) => self.handle.half_open(),
            ("closed", None) => self.handle.reset(),
            ("forced_open" | "isolated", None) => self.handle.force_open(),
            ("forced_closed", None) => self.handle.force_closed(),
            ("disabled", None) => self.handle.disable(),
            ("metrics_only", None) => self.handle.metrics_only(),
            other => return Err(format!("unknown `to` {other:?}")),
        }
        Ok(())
    }

    /// Whether it has opened just now.
    fn note(&mut self) {
        let counts = self.handle.counts();
        if counts.opened > self.log.len() as u64 {
            self.log.push(f64::from(counts.openings) - 1.0);
        }
    }

    /// How long calls are refused from now on.
    fn refused_for(&mut self) -> Option<Duration> {
        if self.retry_after.is_none() {
            let mut look = Box::pin(self.gate.clone().oneshot(()));
            let Poll::Ready(Err(error)) = poll_once(&mut look) else {
                return None;
            };
            self.not_permitted();
            self.looks += 1;
            self.retry_after = Rejected::find(error.as_ref())
                .expect("a refusal")
                .retry_after;
        }
        self.retry_after
    }

    fn not_permitted(&mut self) -> u64 {
        let counts = self.handle.counts();
        let changes = counts.opened + counts.half_opened + counts.closed;
        if changes != self.since {
            (self.since, self.looks) = (changes, 0);
        }
        counts.refused.saturating_sub(self.looks)
    }

    fn see(&mut self, key: &str) -> Option<Seen> {
        let counts = self.handle.counts();
        let number = |n: u64| Seen::Number(n as f64);
        let percent = |rate: Option<f64>| Seen::About(rate.map_or(-1.0, |rate| rate * 100.0), 1e-4);
        Some(match key {
            "state" => Seen::text(match self.handle.state() {
                CircuitState::Closed => "closed",
                CircuitState::Open => "open",
                CircuitState::HalfOpen => "half_open",
                CircuitState::ForcedOpen => "forced_open",
                CircuitState::ForcedClosed => "forced_closed",
                CircuitState::Disabled => "disabled",
                CircuitState::MetricsOnly => "metrics_only",
                _ => "unknown",
            }),
            "calls" => number(counts.calls),
            "successes" => number(counts.successes()),
            "failures" => number(counts.failures),
            "slow_calls" => number(counts.slow_calls),
            "failure_rate_pct" => percent(counts.failure_rate()),
            "slow_rate_pct" => percent(counts.slow_rate()),
            "consecutive_failures" => number(counts.consecutive_failures),
            "consecutive_successes" => number(counts.consecutive_successes),
            "opened_events" => number(counts.opened),
            "half_open_events" => number(counts.half_opened),
            "closed_events" => number(counts.closed),
            "permitted" => self.permitted.map_or(Seen::Nothing, Seen::Flag),
            "not_permitted" => number(self.not_permitted()),
            "retry_after_ms" => Seen::ms(self.refused_for(), -1.0),
            "half_open_attempt_log" => Seen::Numbers(self.log.clone()),
            _ => return None,
        })
    }
}

/// A call ends, and with it what it knows.
fn end((slot, mut call): Call, outcome: Outcome) -> Result<(), Failure> {
    if outcome == Outcome::Dropped {
        return Ok(());
    }
    *slot.lock().unwrap() = Some(outcome);
    let ended = catch_unwind(AssertUnwindSafe(|| poll_once(&mut call)));
    match ended {
        Ok(Poll::Ready(_)) if outcome != Outcome::Panic => {}
        Err(_) if outcome == Outcome::Panic => {}
        Ok(other) => return Err(format!("{outcome:?} came out as {other:?}")),
        Err(_) => return Err(format!("{outcome:?} panicked")),
    }
    // A future that panicked is dropped as any other.
    drop(catch_unwind(AssertUnwindSafe(|| drop(call))));
    Ok(())
}
