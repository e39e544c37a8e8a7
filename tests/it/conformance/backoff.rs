//! Schedules of waits, and calls that follow them: `backoff`.

use std::time::Duration;

use tower_quota::{Backoff, Jitter};

use super::{
    case::{Case, Failure, Fields, Seen, Step, ms, span},
    retrying::Retrying,
};

/// The schedule that a configuration describes; without a `cap_ms` it has none.
pub fn schedule(config: &Fields) -> Result<Backoff, Failure> {
    let cap = config.span("cap_ms")?.or(config.span("max_ms")?);
    let kind = config.text("type")?.unwrap_or("exponential");
    let list = list(config)?;
    let base = config.span("base_ms")?.or(list.first().copied());
    let base = base
        .or(cap.filter(|_| matches!(kind, "uniform" | "random")))
        .ok_or("no `base_ms`")?;
    let mut backoff = match kind {
        // The last one for ever.
        "custom" | "list" | "sequence" | "chain" if !list.is_empty() => {
            Backoff::custom(move |retry| list[list.len().min(retry as usize) - 1])
        }
        "fibonacci" => Backoff::custom(move |retry| {
            let next = |(one, two): (u32, u32), _| (two, one.saturating_add(two));
            base.saturating_mul((0..retry).fold((0, 1), next).1)
        }),
        "uniform" | "random" => Backoff::constant(base),
        "constant" => Backoff::constant(base),
        "linear" => Backoff::linear(base, config.span("increment_ms")?.unwrap_or(base)),
        "exponential" => Backoff::exponential(base, Duration::MAX).factor(
            (config.number("multiplier")?)
                .or(config.number("factor")?)
                .unwrap_or(2.0),
        ),
        // Its waits come from its jitter alone.
        "decorrelated" => Backoff::exponential(base, Duration::MAX),
        other => return Err(format!("unknown schedule {other:?}")),
    };
    let share = |usual: f64| -> Result<u32, Failure> {
        Ok((config.number("jitter_fraction")?.unwrap_or(usual) * 100.0).round() as u32)
    };
    let usual = match kind {
        "decorrelated" => "decorrelated",
        "uniform" | "random" => "full",
        _ => "none",
    };
    backoff = backoff.jitter(match config.text("jitter")?.unwrap_or(usual) {
        "none" => Jitter::None,
        "full" => Jitter::Full,
        "equal" => Jitter::Equal,
        "decorrelated" => Jitter::Decorrelated,
        "plus_minus" | "proportional" => Jitter::Proportional(share(0.25)?),
        "lower_bound" => Jitter::Above(share(0.5)?),
        "additive" => Jitter::Additive(config.span("jitter_ms")?.ok_or("no `jitter_ms`")?),
        other => return Err(format!("unknown jitter {other:?}")),
    });
    if let Some(min) = config.span("min_ms")? {
        backoff = backoff.min(min);
    }
    if let Some(cap) = cap {
        backoff = backoff.max(cap);
    }
    Ok(backoff)
}

/// Waits that are told one by one.
fn list(config: &Fields) -> Result<Vec<Duration>, Failure> {
    for name in ["delays_ms", "waits_ms", "intervals_ms", "sequence_ms"] {
        if let Some(all) = config.get(name) {
            let all = all.as_array().ok_or(format!("`{name}` is {all}"))?;
            let one = |value: &serde_json::Value| span(value.as_f64().ok_or("not a number")?);
            return all.iter().map(one).collect();
        }
    }
    Ok(Vec::new())
}

/// What the schedule says of one retry.
struct Wait<'a> {
    backoff: &'a Backoff,
    retry: u32,
    before: Option<Duration>,
    // Others can't represent more.
    representable: Duration,
    hint: Duration,
}

impl Wait<'_> {
    fn roll(&self, roll: u64) -> f64 {
        let wait = self.backoff.wait(self.retry, self.before, roll);
        ms(wait.max(self.hint).min(self.representable))
    }

    fn rand(&self, rand: f64) -> f64 {
        self.roll((rand * u64::MAX as f64) as u64)
    }
}

pub async fn replay(case: &Case) -> Result<(), Failure> {
    let backoff = schedule(&case.config)?;
    let attempts = case.config.count("max_attempts")?;
    let representable = case
        .config
        .span("representable_ms")?
        .unwrap_or(Duration::MAX);
    let server = case.config.inner("server_delay")?;
    match server.text("mode")? {
        None | Some("floor" | "at_least" | "lower_bound" | "max") => {}
        Some(other) => return Err(format!("unknown mode {other:?} of `server_delay`")),
    }
    let longest = server.span("max_ms")?;
    if let Some(other) = server.text("above_max")?.filter(|it| *it != "fail") {
        return Err(format!("unknown `above_max` {other:?}"));
    }
    server.all_read("server_delay")?;
    let mut deadline = None;
    for name in ["deadline_ms", "max_elapsed_ms", "total_timeout_ms"] {
        // Of nothing means of none, to those who have it.
        deadline = (case.config.span(name)?.filter(|it| !it.is_zero())).or(deadline);
    }
    case.config.all_read("config")?;
    // Who counts tries or goes away has a real call under way, if it is one call that is told of.
    let failures = (case.steps.iter()).filter(|step| step.event == "failure");
    let mut numbers = failures.enumerate().map(|(made, step)| {
        let retry = step.fields.count("retry").ok().flatten();
        retry.is_none_or(|retry| retry == made as u64 + 1)
    });
    let cancels = case.steps.iter().any(|step| step.event == "cancel");
    let lives = attempts.is_some() || cancels || deadline.is_some();
    let lives = (numbers.all(|next| next) && lives)
        .then(|| Retrying::new(&backoff, attempts.unwrap_or(u64::MAX), deadline));
    let mut state = State {
        backoff,
        attempts: attempts.unwrap_or(u64::MAX),
        representable,
        longest,
        failures: 0,
        before: None,
        over: None,
        live: lives,
        by_the_clock: cancels || deadline.is_some(),
        deadline,
    };
    for (number, step) in case.steps.iter().enumerate() {
        let done = state.step(step).await;
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

struct State {
    backoff: Backoff,
    attempts: u64,
    representable: Duration,
    longest: Option<Duration>,
    failures: u64,
    before: Option<Duration>,
    // Why nothing is tried any more.
    over: Option<&'static [&'static str]>,
    live: Option<Retrying>,
    // Whether steps happen when they say, or each when the try before it is over.
    by_the_clock: bool,
    deadline: Option<Duration>,
}

const CANCELLED: &[&str] = &["cancelled"];
const FINISHED: &[&str] = &["finished"];
const STOPPED: &[&str] = &["server_said_stop"];
/// That there are no more tries, by all the names that it has.
pub const NO_ATTEMPTS: &[&str] = &[
    "attempts",
    "max_attempts",
    "exhausted",
    "attempts_exhausted",
];
const TOO_LATE: &[&str] = &["deadline", "max_elapsed", "past_deadline", "total_timeout"];
const TOO_LONG: &[&str] = &["too_long", "server_delay", "server_delay_too_long"];

impl State {
    /// Whether the server says not to come back: to gRPC, by a wait that is negative.
    fn stopped(&self, step: &Step) -> Result<bool, Failure> {
        let pushback = match step.fields.text("pushback")? {
            None => return Ok(false),
            Some("stop") => "-1",
            Some(other) => other,
        };
        let mut headers = http::HeaderMap::new();
        headers.insert("grpc-status", http::HeaderValue::from_static("14"));
        let pushback = http::HeaderValue::from_str(pushback).map_err(|error| error.to_string())?;
        headers.insert("grpc-retry-pushback-ms", pushback);
        Ok(tower_quota::provider::grpc(&headers) == Some(tower_quota::Verdict::Permanent))
    }

    /// How long the next wait is at least.
    fn least(&self, retry: u64, hint: Option<Duration>) -> Duration {
        let retry = u32::try_from(retry).unwrap_or(u32::MAX);
        let wait = self.backoff.wait(retry, self.before, u64::MAX / 2);
        wait.max(hint.unwrap_or_default())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let fields = &step.fields;
        if let Some(live) = &mut self.live {
            let next = live.due.filter(|_| !self.by_the_clock);
            live.advance_to(next.unwrap_or(step.at)).await?;
        }
        let (why, retry) = match &*step.event {
            "failure" => {
                self.failures += step.repeat;
                let retry = fields.count("retry")?.unwrap_or(self.failures);
                let hint = fields.span("server_delay_ms")?;
                let why = match self.over {
                    Some(_) => Some(FINISHED),
                    None if self.stopped(step)? => Some(STOPPED),
                    None if retry >= self.attempts => Some(NO_ATTEMPTS),
                    None if self.longest.is_some() && hint > self.longest => Some(TOO_LONG),
                    None if self
                        .deadline
                        .is_some_and(|end| step.at + self.least(retry, hint) >= end) =>
                    {
                        Some(TOO_LATE)
                    }
                    None => None,
                };
                (why, retry)
            }
            "success" => (Some(FINISHED), self.failures),
            "cancel" => {
                if let Some(live) = &mut self.live {
                    live.cancel();
                }
                (Some(CANCELLED), self.failures)
            }
            _ => return step.unknown(),
        };
        // Without a call under way, each step is about a call of its own, until they end for all.
        if self.live.is_some() || matches!(why, Some(CANCELLED | STOPPED)) {
            self.over = self.over.or(why);
        }
        let mut before = self.before;
        for name in [
            "previous_ms",
            "prev_ms",
            "previous_delay_ms",
            "prev_delay_ms",
        ] {
            before = fields.span(name)?.or(before);
        }
        let wait = Wait {
            backoff: &self.backoff,
            retry: u32::try_from(retry).unwrap_or(u32::MAX),
            before,
            representable: self.representable,
            hint: fields.span("server_delay_ms")?.unwrap_or_default(),
        };
        let rand = fields.number("rand")?;
        if let Some(live) = &mut self.live {
            let roll = rand.map_or(u64::MAX / 2, |rand| (rand * u64::MAX as f64) as u64);
            let expected = self
                .over
                .is_none()
                .then(|| wait.backoff.wait(wait.retry, before, roll));
            if step.event == "success" {
                live.success()?;
            }
            if step.event == "failure" {
                if why == Some(STOPPED) {
                    live.stop();
                }
                live.failure(expected, wait.hint, roll)?;
                if live.goes_on() != why.is_none() {
                    return Err(format!("another try: {}, but {why:?}", live.goes_on()));
                }
            }
        }
        fields.all_read("step")?;
        step.check(|key| {
            let delay = why.is_none();
            Some(match key {
                "retry" => Seen::Flag(delay),
                "reason" => why.map_or(Seen::Nothing, Seen::AnyOf),
                "delay_ms" | "delay_min_ms" | "delay_max_ms" | "delay_between_ms" if !delay => {
                    Seen::Nothing
                }
                // To the microsecond, where it is drawn.
                "delay_ms" => match rand {
                    Some(rand) => Seen::About(wait.rand(rand), 1e-3),
                    None => Seen::Number(wait.roll(u64::MAX / 2)),
                },
                "delay_min_ms" => Seen::Number(wait.roll(0)),
                "delay_max_ms" => Seen::Number(wait.roll(u64::MAX)),
                "delay_between_ms" => Seen::Inside(wait.rand(rand.unwrap_or(0.5))),
                _ => return None,
            })
        })?;
        let roll = rand.map_or(u64::MAX / 2, |rand| (rand * u64::MAX as f64) as u64);
        let drawn = self.backoff.wait(wait.retry, before, roll);
        self.before = Some(drawn);
        Ok(())
    }
}
