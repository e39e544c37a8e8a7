//! What isn't offered, and why. Each rule is as narrow as its reason.

use super::case::{Case, Fields};

/// Why ours has no such mode; `None` where it has, and the case must pass.
pub fn refusal(case: &Case) -> Option<&'static str> {
    if case.concern == "adaptive" {
        return Some("a rate that a client adapts by itself is none of the five layers");
    }
    // Whatever is expected of everybody is offered.
    if case.stance != "profile" {
        return None;
    }
    let events = |name: &str| case.steps.iter().any(|step| step.event == name);
    let number = |at: usize, key: &str| case.steps[at].expect.get(key).and_then(|v| v.as_f64());
    let config = &case.config;
    let text = |key: &str| {
        config
            .text(key)
            .ok()
            .flatten()
            .unwrap_or_default()
            .to_owned()
    };
    match &*case.model {
        "token_bucket" if text("clock") == "naive" => Some("its clock goes back; ours never does"),
        "token_bucket" if events("cancel") => {
            Some("what a cancelled reservation held is lost; ours moves the others up")
        }
        "cycle" if events("set_limit") => {
            Some("a new limit holds from the next cycle on; ours at once, for those in line, too")
        }
        "cycle" | "bursty" | "smooth" if costs_more_than_a_window(case) => {
            Some("a cost above the limit borrows from windows to come; ours is refused at once")
        }
        "sliding_counter" => Some("an estimate from two windows; ours counts exactly"),
        "aws_bucket" => Some("part of an adaptive rate: it begins empty"),
        "backoff"
            if matches!(
                &*server_delay(case),
                "exact" | "cap" | "clamp_above_backoff"
            ) =>
        {
            Some(
                "the server's wait is cut off or replaces the schedule; ours is a floor, whole or not at all",
            )
        }
        "backoff"
            if config.has("jitter")
                && (0..case.steps.len()).any(|at| {
                    let least = number(at, "delay_min_ms");
                    least.is_some() && least == number(at, "delay_max_ms")
                }) =>
        {
            Some("no jitter is left at the cap; ours stays as wide")
        }
        "retry_after" if !matches!(&*text("negative"), "" | "discard") => {
            Some("an instant in the past means at once; to ours it is no hint")
        }
        "retry_after" if !matches!(&*text("zero"), "" | "discard") => {
            Some("a wait of zero means at once; to ours it is no hint")
        }
        "retry_after" if !matches!(&*text("above_max"), "" | "fail") => {
            Some("too long a wait is cut short; ours gives up instead of coming early")
        }
        "breaker"
            if ["auto_half_open", "auto_transition", "automatic_half_open"]
                .iter()
                .any(|key| config.has(key)) =>
        {
            Some("it becomes half-open by itself; ours with the next caller")
        }
        "breaker" if judges_others_than_probes(config) => {
            Some("fewer or more calls are judged than are admitted; ours judges its probes")
        }
        _ => None,
    }
}

fn judges_others_than_probes(config: &Fields) -> bool {
    let half_open = config.inner("half_open").unwrap_or_default();
    let count = |key: &str| half_open.count(key).ok().flatten();
    count("eval_calls").is_some_and(|judged| Some(judged) != count("permits"))
}

/// What becomes of a wait that the server asks for.
fn server_delay(case: &Case) -> String {
    let mode = case
        .config
        .inner("server_delay")
        .map(|it| it.text("mode").map(|it| it.map(str::to_owned)));
    mode.ok().and_then(Result::ok).flatten().unwrap_or_default()
}

fn costs_more_than_a_window(case: &Case) -> bool {
    if case.model == "smooth" {
        return case
            .steps
            .iter()
            .any(|step| step.fields.count("n").ok().flatten() > Some(1));
    }
    let most = ["limit", "permits"]
        .into_iter()
        .find_map(|key| case.config.count(key).ok()?);
    let n = |step: &super::case::Step| step.fields.count("n").ok().flatten();
    case.steps.iter().filter_map(n).max() > most
}
