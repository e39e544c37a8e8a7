//! The names of rate headers.

use std::time::Duration;

use super::limit::{DAY, HOUR, MINUTE, MONTH, SECOND};

pub(super) const REQUESTS: usize = 0;
pub(super) const TOKENS: usize = 1;
pub(super) const INPUT: usize = 2;
pub(super) const OUTPUT: usize = 3;

#[derive(Clone, Copy)]
pub(super) enum Field {
    Limit,
    Remaining,
    Reset,
    Renewal,
}

/// Where what a header says belongs.
pub(super) struct Place {
    pub(super) resource: usize,
    pub(super) row: usize,
    pub(super) window: Option<Duration>,
    pub(super) field: Field,
}

/// Where a rate header's value belongs; `None` for other headers.
pub(super) fn place(name: &str) -> Option<Place> {
    let at = |resource, row, window, name| {
        field(name).map(|field| Place {
            resource,
            row,
            window,
            field,
        })
    };
    let halves = |rest| str::split_once(rest, '-').unwrap_or((rest, ""));
    if let Some(rest) = name.strip_prefix("x-ratelimit-") {
        let (field, what) = halves(rest);
        let (what, row, window) = timed(what);
        match what {
            "requests" | "req" | "" => at(REQUESTS, row, window, field),
            "tokens" => at(TOKENS, row, window, field),
            "project-requests" => at(REQUESTS, 1, window, field),
            "project-tokens" => at(TOKENS, 1, window, field),
            "input-tokens" | "tokens-prompt" => at(INPUT, row, window, field),
            "output-tokens" | "tokens-generated" => at(OUTPUT, row, window, field),
            _ => None,
        }
    } else if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
        let (what, field) = rest.rsplit_once('-')?;
        let resource = match what {
            "requests" => REQUESTS,
            "tokens" => TOKENS,
            "input-tokens" => INPUT,
            "output-tokens" => OUTPUT,
            _ => return None,
        };
        at(resource, 0, Some(MINUTE), field)
    } else if let Some(rest) = name.strip_prefix("x-ratelimitbysize-") {
        let (field, what) = halves(rest);
        let (_, row, window) = timed(what);
        at(TOKENS, row, window, field)
    } else if let Some(field) = name.strip_prefix("ratelimitbysize-") {
        at(TOKENS, 0, Some(MINUTE), field)
    } else if let Some(rest) = name.strip_prefix("x-tokenlimit-") {
        match halves(rest) {
            (field, "") => at(TOKENS, 0, Some(SECOND), field),
            (field, "dynamic") => at(TOKENS, 1, Some(SECOND), field),
            _ => None,
        }
    } else if let Some(field) = name.strip_prefix("x-trial-endpoint-call-") {
        at(REQUESTS, 0, Some(MINUTE), field)
    } else {
        at(REQUESTS, 0, None, name.strip_prefix("ratelimit-")?)
    }
}

/// Whether a header of this name is read as telling of a limit.
pub(crate) fn tells_limit(name: &str) -> bool {
    place(name).is_some()
}

/// A resource's name without its window, the row for it, and the window: `tokens-minute`.
fn timed(what: &str) -> (&str, usize, Option<Duration>) {
    let (rest, unit) = what.rsplit_once('-').unwrap_or(("", what));
    match unit {
        "second" => (rest, 1, Some(SECOND)),
        "minute" => (rest, 1, Some(MINUTE)),
        "hour" => (rest, 1, Some(HOUR)),
        "day" => (rest, 2, Some(DAY)),
        "month" => (rest, 2, Some(MONTH)),
        _ => (what, 0, None),
    }
}

fn field(name: &str) -> Option<Field> {
    match name {
        "limit" => Some(Field::Limit),
        "remaining" => Some(Field::Remaining),
        "reset" => Some(Field::Reset),
        "renewalperiod" => Some(Field::Renewal),
        _ => None,
    }
}
