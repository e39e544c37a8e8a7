//! A circuit as a case configures it.

use std::time::Duration;

use tower_quota::{Backoff, CircuitBreakerLayer, Jitter};

use super::{
    case::{Failure, Fields},
    limiter::FOR_EVER,
};

/// A layer that is what the case says, and nothing that it doesn't say.
pub fn circuit(config: &Fields) -> Result<CircuitBreakerLayer, Failure> {
    let mut layer = CircuitBreakerLayer::new();
    layer = window(layer, &config.inner("window")?)?;
    layer = trip(layer, &config.inner("trip")?)?;
    layer = half_open(layer, &config.inner("half_open")?)?;
    let schedule = open(config)?;
    config.all_read("config")?;
    Ok(layer.open_backoff(schedule))
}

fn window(layer: CircuitBreakerLayer, window: &Fields) -> Result<CircuitBreakerLayer, Failure> {
    let layer = match window.text("type")?.unwrap_or("consecutive") {
        "time" => {
            let size = window.span("size_ms")?.ok_or("no `size_ms`")?;
            let steps = window.span("bucket_ms")?.map(|bucket| {
                let steps = size.as_nanos().div_ceil(bucket.as_nanos().max(1));
                u32::try_from(steps).unwrap_or(u32::MAX)
            });
            match (steps, window.text("align")?) {
                (None, None) => layer.window(size),
                (steps, None | Some("clock" | "eager")) => {
                    layer.window_in_steps(size, steps.unwrap_or(30))
                }
                // Its steps begin with calls.
                (steps, Some("lazy")) => layer.window_in_steps_by_calls(size, steps.unwrap_or(30)),
                (_, Some(other)) => return Err(format!("unknown `align` {other:?}")),
            }
        }
        "count" => layer.last_calls(window.count("size")?.ok_or("no `size`")? as u32),
        "fixed" => layer.fixed_window(window.span("interval_ms")?.ok_or("no `interval_ms`")?),
        // Failures in a row are no matter of a window.
        "consecutive" => layer,
        other => return Err(format!("unknown window {other:?}")),
    };
    window.all_read("window")?;
    Ok(layer)
}

fn trip(layer: CircuitBreakerLayer, trip: &Fields) -> Result<CircuitBreakerLayer, Failure> {
    let mut layer = match trip.number("failure_rate")? {
        None => layer.no_failure_rate(),
        Some(rate) => layer.failure_rate(rate),
    };
    // None at all is what one is: a rate needs a call.
    layer = layer.min_calls(trip.count("min_calls")?.unwrap_or(1).max(1) as u32);
    let slow = (trip.number("slow_rate")?, trip.span("slow_ms")?);
    layer = match slow {
        (None, None) => layer,
        (rate, than) => {
            let than = than.ok_or("no `slow_ms`")?.max(Duration::from_nanos(1));
            layer.slow_calls(rate.unwrap_or(1.0), than)
        }
    };
    if let Some(failures) = trip.count("failures")? {
        layer = layer.failures(failures as u32);
    }
    if let Some(consecutive) = trip.count("consecutive")? {
        layer = layer.consecutive_failures(consecutive as u32);
    }
    trip.all_read("trip")?;
    Ok(layer)
}

fn half_open(
    layer: CircuitBreakerLayer,
    half_open: &Fields,
) -> Result<CircuitBreakerLayer, Failure> {
    let permits = half_open.count("permits")?.unwrap_or(1) as u32;
    let judged = half_open.count("eval_calls")?.unwrap_or(u64::from(permits)) as u32;
    if judged != permits {
        return Err(format!("{permits} probes, of which {judged} are judged"));
    }
    let layer = match half_open.text("decide")?.unwrap_or("all_success") {
        "rate" => layer.probes_by_rate(permits),
        "all_success" => layer.probes(permits),
        other => return Err(format!("unknown `decide` {other:?}")),
    };
    // Where nothing is said of an end, there is none.
    let mut most = FOR_EVER;
    for name in [
        "max_ms",
        "max_wait_ms",
        "max_half_open_ms",
        "max_duration_ms",
        "timeout_ms",
    ] {
        most = half_open.span(name)?.unwrap_or(most);
    }
    let layer = match half_open.span("extra_trial_every_ms")? {
        None => layer,
        Some(interval) => layer.extra_probe_every(interval),
    };
    half_open.all_read("half_open")?;
    Ok(layer.max_half_open(most))
}

fn open(config: &Fields) -> Result<Backoff, Failure> {
    let growing = config.inner("open_backoff")?;
    let constant = config.span("open_ms")?.unwrap_or(Duration::from_secs(60));
    let schedule = match growing.span("initial_ms")? {
        None => Backoff::constant(constant),
        Some(first) => {
            let max = growing.span("max_ms")?.or(growing.span("cap_ms")?);
            Backoff::exponential(first, max.unwrap_or(Duration::MAX))
                .factor(growing.number("multiplier")?.unwrap_or(2.0))
        }
    };
    growing.all_read("open_backoff")?;
    Ok(schedule.jitter(Jitter::None))
}
