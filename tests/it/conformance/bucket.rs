//! Buckets: `token_bucket`, `offered_load`, `gcra`, `leaky_queue`.

use std::time::Duration;

use tower_quota::{Limit, Reason, Usage};

use super::{
    case::{Case, Failure, Seen, Step, ms},
    limiter::{Asked, Limiter, reason},
};

/// Long, so that rates of any size are whole numbers in it.
const WINDOW: Duration = Duration::from_secs(10_000_000);

fn per_second(rate: f64) -> Limit {
    // A rate of nothing is the least that there is.
    let amount = (rate * WINDOW.as_secs_f64()).round() as u64;
    Limit::tokens(amount.max(1), WINDOW)
}

struct Last {
    asked: Option<Asked>,
    before: Seen,
    granted: u64,
    reset_after: Option<Duration>,
    retry_after: Option<Duration>,
    cancelled: bool,
    queues: bool,
}

/// A bucket of a rate and a burst.
pub async fn token_bucket(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let burst = config.count("burst")?.ok_or("no `burst`")?;
    let limit = match config.text("rate_per_s") {
        Ok(Some("inf")) => None,
        _ => {
            let rate = config.number("rate_per_s")?.ok_or("no `rate_per_s`")?;
            Some((per_second(rate).bucket().burst(burst), burst))
        }
    };
    let start = config.span("start_ms")?.unwrap_or_default();
    config.all_read("config")?;
    tokio::time::advance(start).await;
    run(case, start, Limiter::new(limit, max_wait(case)?)?).await
}

/// The longest wait, where it is the same for all.
fn max_wait(case: &Case) -> Result<Option<Duration>, Failure> {
    let mut all = Vec::new();
    for step in &case.steps {
        if matches!(&*step.event, "reserve" | "wait") {
            all.push(longest(step)?);
        }
    }
    all.dedup();
    Ok(if let [one] = *all { one } else { None })
}

fn longest(step: &Step) -> Result<Option<Duration>, Failure> {
    let mut longest = None;
    for name in ["max_wait_ms", "deadline_ms", "timeout_ms"] {
        longest = longest.or(step.fields.span(name)?);
    }
    Ok(longest)
}

/// The same, told by its virtual schedule.
pub async fn gcra(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let burst = config.count("burst")?.ok_or("no `burst`")?;
    let every = config.span("emission_ms")?.ok_or("no `emission_ms`")?;
    config.all_read("config")?;
    let limit = Limit::tokens(1, every).bucket().burst(burst);
    run(
        case,
        Duration::ZERO,
        Limiter::new(Some((limit, burst)), None)?,
    )
    .await
}

/// So many in a period, the rest in line.
pub async fn leaky_queue(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let rate = config.count("max_rate")?.ok_or("no `max_rate`")?;
    let period = config.span("period_ms")?.ok_or("no `period_ms`")?;
    config.all_read("config")?;
    let limit = Limit::tokens(rate, period).bucket();
    run(
        case,
        Duration::ZERO,
        Limiter::new(Some((limit, rate)), None)?,
    )
    .await
}

async fn run(case: &Case, start: Duration, mut limiter: Limiter) -> Result<(), Failure> {
    for (number, step) in case.steps.iter().enumerate() {
        let done = async {
            let at = step.at.checked_sub(start).ok_or("before the beginning")?;
            limiter.advance_to(at).await?;
            let slack = step.fields.number("tol")?.unwrap_or_default();
            let last = act(&case.model, step, start, &mut limiter, number).await?;
            step.fields.all_read("step")?;
            step.check(|key| see(key, &limiter, &last, start, slack))
        };
        done.await
            .map_err(|why: Failure| step.failed(number, &why))?;
    }
    limiter
        .finish()
        .await
        .map_err(|why| format!("afterwards: {why}"))
}

async fn act(
    model: &str,
    step: &Step,
    start: Duration,
    limiter: &mut Limiter,
    number: usize,
) -> Result<Last, Failure> {
    let mut last = Last {
        asked: None,
        before: limiter.tokens(),
        granted: 0,
        reset_after: None,
        retry_after: None,
        cancelled: false,
        queues: model == "leaky_queue",
    };
    let fields = &step.fields;
    let n = fields.count("n")?.unwrap_or(1);
    let id = match fields.text("id")? {
        // Nobody's name: they are told apart by their step.
        None | Some("_") => format!("step {number}"),
        Some(id) => id.to_owned(),
    };
    match &*step.event {
        // In a queue nobody is refused for coming early.
        "acquire" if model != "leaky_queue" => {
            for turn in 0..step.repeat {
                let taken = limiter.take(&format!("{id}.{turn}"), n);
                last.retry_after = taken
                    .as_ref()
                    .err()
                    .and_then(|rejected| rejected.retry_after);
                last.granted += u64::from(taken.is_ok());
                last.asked = Some(match taken {
                    Ok(()) => Asked::At(limiter.now()),
                    Err(rejected) => Asked::Refused(rejected.reason),
                });
            }
        }
        "acquire" | "reserve" | "wait" => {
            let longest = longest(step)?;
            if fields.flag("cancelled")? {
                // Dropped before it was ever polled.
                drop(limiter.quota().acquire(tower_quota::Cost::tokens(n)));
                last.cancelled = true;
            }
            for _ in 0..step.repeat {
                if !last.cancelled {
                    last.asked = Some(limiter.ask(&id, n, longest));
                }
            }
        }
        "cancel" => limiter.cancel(&id),
        "set_rate" => {
            let rate = fields.number("rate_per_s")?.ok_or("no `rate_per_s`")?;
            limiter.resize(per_second(rate).bucket())?;
        }
        // Used beyond what was charged: settled upwards.
        "charge" => {
            let permit = limiter.quota().try_acquire(tower_quota::Cost::tokens(0));
            let permit = permit.map_err(|rejected| rejected.to_string())?;
            permit.settle(Usage::new(0, n));
        }
        // Used less than was charged: settled downwards.
        "refund" | "settle" => {
            let used = fields.count("used")?;
            let name = fields.text("id")?.map(str::to_owned);
            let permit = limiter
                .permit(name.as_deref())
                .ok_or("nothing was granted")?;
            let charged = permit.cost().of(tower_quota::Resource::Tokens);
            let less = charged.saturating_sub(if used.is_none() { n } else { 0 });
            permit.settle(Usage::new(0, used.unwrap_or(less)));
        }
        // The provider says that nothing is left.
        "drain" => limiter.drain(),
        "offer" => {
            let until = fields.span("until_ms")?.ok_or("no `until_ms`")?;
            let every = fields.span("every_ms")?.ok_or("no `every_ms`")?;
            let mut at = step.at;
            while at < until {
                limiter.advance_to(at - start).await?;
                last.granted += u64::from(limiter.take(&id, n).is_ok());
                at += every;
            }
        }
        "read" | "peek" => {}
        _ => return step.unknown(),
    }
    last.reset_after = limiter.capacity.and_then(|all| limiter.wait_for(all));
    Ok(last)
}

fn see(key: &str, limiter: &Limiter, last: &Last, start: Duration, slack: f64) -> Option<Seen> {
    let granted = matches!(last.asked, Some(Asked::At(_)));
    let refused = matches!(last.asked, Some(Asked::Refused(_)));
    Some(match (key, last.asked) {
        ("ok", _) => Seen::Flag(granted),
        ("limited", _) => Seen::Flag(refused),
        ("tokens_before", _) => last.before.clone(),
        ("tokens" | "available", _) => limiter.tokens(),
        ("remaining", _) => limiter.left(),
        ("granted", _) if last.queues => Seen::Texts(limiter.granted.clone()),
        ("granted", _) => Seen::About(last.granted as f64, slack * last.granted as f64),
        ("waiting", _) => Seen::Texts(limiter.waiting()),
        ("pending", _) => Seen::Number(limiter.waiting().len() as f64),
        ("act_at_ms", Some(Asked::At(at))) => Seen::Number(ms(at + start)),
        ("wait_ms", Some(Asked::At(at))) => Seen::Number(ms(at - limiter.now())),
        ("wait_ms", Some(Asked::Refused(_))) => Seen::ms(last.retry_after, -1.0),
        ("wait_ms", None) if last.cancelled => Seen::Number(0.0),
        ("reason", Some(Asked::Refused(why))) => reason(why),
        ("reason", None) if last.cancelled => Seen::text("cancelled"),
        ("act_at_ms" | "wait_ms" | "reason", _) => Seen::Nothing,
        // Told in whole milliseconds, so that whoever obeys it succeeds.
        ("next_token_ms", _) => Seen::ms(limiter.wait_for(1).map(rounded_up), -1.0),
        ("retry_after_ms", Some(Asked::Refused(Reason::TooLarge))) => Seen::Number(-1.0),
        ("retry_after_ms", _) => Seen::ms(last.retry_after, -1.0),
        ("reset_after_ms", _) => Seen::ms(last.reset_after, -1.0),
        _ => return None,
    })
}

fn rounded_up(wait: Duration) -> Duration {
    Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64)
}
