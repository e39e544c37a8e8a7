//! Windows: `cycle`, `bursty`, `fixed_window`, `sliding_log`.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use tower_quota::{Anchor, Limit, Reason};

use super::{
    case::{Case, Failure, Seen, Step, ms},
    limiter::{Asked, Limiter, reason},
};

/// Windows without gaps from the moment when the quota was made on.
fn aligned(window: Duration) -> Anchor {
    let made = OnceLock::new();
    Anchor::calendar(move |t: SystemTime| {
        let made = *made.get_or_init(|| t);
        let since = t.duration_since(made).unwrap_or_default().as_nanos();
        let next = (since / window.as_nanos() + 1) * window.as_nanos();
        made + Duration::from_nanos(next as u64)
    })
}

#[derive(Clone)]
struct Setup {
    amount: u64,
    window: Duration,
    max_wait: Option<Duration>,
    // When the first window begins.
    start: Duration,
    // Whether whoever comes early waits, instead of being refused.
    queues: bool,
    // Of a window that slides in steps: how much later than exactly it may say.
    step: Duration,
}

/// Windows of a clock.
pub async fn cycle(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let setup = Setup {
        amount: config.count("limit")?.ok_or("no `limit`")?,
        window: config.span("cycle_ms")?.ok_or("no `cycle_ms`")?,
        max_wait: config.span("timeout_ms")?,
        start: Duration::ZERO,
        queues: true,
        step: Duration::ZERO,
    };
    fixed(case, setup).await
}

/// Windows of a clock whose later permits are promised.
pub async fn bursty(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let setup = Setup {
        amount: config.count("permits")?.ok_or("no `permits`")?,
        window: config.span("period_ms")?.ok_or("no `period_ms`")?,
        max_wait: config.span("max_wait_ms")?,
        start: Duration::ZERO,
        queues: true,
        step: Duration::ZERO,
    };
    fixed(case, setup).await
}

/// One at each tick of a clock.
pub async fn smooth(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let every = config.span("interval_ms")?.or(config.span("period_ms")?);
    let setup = Setup {
        amount: 1,
        window: every.ok_or("no `interval_ms`")?,
        max_wait: config.span("max_wait_ms")?,
        start: Duration::ZERO,
        queues: true,
        step: Duration::ZERO,
    };
    fixed(case, setup).await
}

/// Windows from the first request on.
pub async fn fixed_window(case: &Case) -> Result<(), Failure> {
    let setup = windowed(case)?;
    fixed(case, setup).await
}

async fn fixed(case: &Case, setup: Setup) -> Result<(), Failure> {
    let anchor = aligned(setup.window);
    let limit = Limit::tokens(setup.amount, setup.window).fixed(anchor);
    run(case, limit, setup).await
}

/// Never more in any window.
pub async fn sliding_log(case: &Case) -> Result<(), Failure> {
    let mut setup = windowed(case)?;
    setup.step = setup.window / 1024;
    let limit = Limit::tokens(setup.amount, setup.window).rolling();
    run(case, limit, setup).await
}

fn windowed(case: &Case) -> Result<Setup, Failure> {
    let config = &case.config;
    Ok(Setup {
        amount: config.count("limit")?.ok_or("no `limit`")?,
        window: config.span("window_ms")?.ok_or("no `window_ms`")?,
        max_wait: None,
        start: case.steps.first().map_or(Duration::ZERO, |step| step.at),
        queues: false,
        step: Duration::ZERO,
    })
}

async fn run(case: &Case, limit: Limit, mut setup: Setup) -> Result<(), Failure> {
    case.config.all_read("config")?;
    tokio::time::advance(setup.start).await;
    let mut limiter = Limiter::new(Some((limit, setup.amount)), setup.max_wait)?;
    for (number, step) in case.steps.iter().enumerate() {
        let done = async {
            let at = step
                .at
                .checked_sub(setup.start)
                .ok_or("before the beginning")?;
            limiter.advance_to(at).await?;
            if matches!(&*step.event, "peek" | "read") {
                limiter.advance_to(at + setup.step).await?;
            }
            let mut last = act(step, &mut setup, &mut limiter, number)?;
            if let Some(wait) = last.retry_after.filter(|wait| *wait <= setup.step) {
                // As early as a window can say that slides in steps.
                limiter.advance_to(limiter.now() + wait).await?;
                last = act(step, &mut setup, &mut limiter, number)?;
            }
            step.fields.all_read("step")?;
            step.check(|key| see(key, &setup, &limiter, last))
        };
        done.await
            .map_err(|why: Failure| step.failed(number, &why))?;
    }
    limiter
        .finish()
        .await
        .map_err(|why| format!("afterwards: {why}"))
}

#[derive(Clone, Copy, Default)]
struct Last {
    asked: Option<Asked>,
    granted: u64,
    retry_after: Option<Duration>,
}

fn act(
    step: &Step,
    setup: &mut Setup,
    limiter: &mut Limiter,
    number: usize,
) -> Result<Last, Failure> {
    let mut last = Last::default();
    let n = step.fields.count("n")?.unwrap_or(1);
    let id = match step.fields.text("id")? {
        Some(id) => id.to_owned(),
        None => format!("step {number}"),
    };
    match &*step.event {
        "reserve" | "acquire" => {
            for turn in 0..step.repeat {
                let id = if step.repeat > 1 {
                    format!("{id}.{turn}")
                } else {
                    id.clone()
                };
                let asked = if setup.queues {
                    limiter.ask(&id, n, None)
                } else {
                    match limiter.take(&id, n) {
                        Ok(()) => Asked::At(limiter.now()),
                        Err(rejected) => {
                            last.retry_after = rejected.retry_after;
                            Asked::Refused(rejected.reason)
                        }
                    }
                };
                last.granted += u64::from(matches!(asked, Asked::At(_)));
                last.asked = Some(asked);
            }
        }
        "cancel" => limiter.cancel(&id),
        "set_limit" => {
            setup.amount = step.fields.count("limit")?.ok_or("no `limit`")?;
            limiter.capacity = Some(setup.amount);
            limiter.resize(Limit::tokens(setup.amount, setup.window))?;
        }
        "drain" => limiter.drain(),
        "peek" | "read" => {}
        _ => return step.unknown(),
    }
    Ok(last)
}

fn see(key: &str, setup: &Setup, limiter: &Limiter, last: Last) -> Option<Seen> {
    Some(match (key, last.asked) {
        ("ok", asked) => Seen::Flag(matches!(asked, Some(Asked::At(_)))),
        ("wait_ms", Some(Asked::At(at))) => Seen::Number(ms(at - limiter.now())),
        ("wait_ms", Some(Asked::Refused(_))) => Seen::Number(-1.0),
        ("reason", Some(Asked::Refused(why))) => reason(why),
        ("wait_ms" | "reason", None) => Seen::Nothing,
        ("available", _) => limiter.tokens(),
        ("remaining", _) => limiter.left(),
        ("granted", _) => Seen::Number(last.granted as f64),
        ("wait_for_one_ms", _) => Seen::ms(limiter.wait_for(1), -1.0),
        ("retry_after_ms", Some(Asked::Refused(Reason::TooLarge))) => Seen::Number(-1.0),
        ("retry_after_ms", _) => Seen::About(last.retry_after.map_or(-1.0, ms), ms(setup.step)),
        ("period", _) => {
            let period = limiter.now().as_nanos() / setup.window.as_nanos();
            Seen::Number(period as f64)
        }
        _ => return None,
    })
}
