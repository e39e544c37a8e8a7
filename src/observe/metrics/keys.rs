//! How metrics are called, and their labels.

use std::{sync::Arc, time::Duration};

use metrics::{Key, Label, Unit, with_recorder};

use crate::core::cost::Resource;

pub(super) const GRANTED: &str = "tower_quota_granted_total";
pub(super) const REFUSED: &str = "tower_quota_refused_total";
pub(super) const ANSWERS: &str = "tower_quota_answers_total";
pub(super) const RATE_LIMITED: &str = "tower_quota_rate_limited_total";
pub(super) const TRIES: &str = "tower_quota_tries_total";
pub(super) const WAIT: &str = "tower_quota_wait_seconds";
pub(super) const TOKENS: &str = "tower_quota_tokens";
pub(super) const LIMIT: &str = "tower_quota_limit";
pub(super) const LEFT: &str = "tower_quota_left";
pub(super) const IN_FLIGHT: &str = "tower_quota_in_flight";
pub(super) const WAITING: &str = "tower_quota_waiting";
pub(super) const CIRCUITS: &str = "tower_quota_circuits";
pub(super) const CIRCUIT_CHANGES: &str = "tower_quota_circuit_changes_total";
pub(super) const CIRCUIT_REFUSED: &str = "tower_quota_circuit_refused_total";
pub(super) const STORE_UP: &str = "tower_quota_store_up";
pub(super) const STORE_FAILURES: &str = "tower_quota_store_failures_total";

/// Tells the installed recorder what each metric means and its unit. Once, after it was installed.
pub fn describe_metrics() {
    let counters = [
        (GRANTED, "Requests whose turn has come"),
        (
            REFUSED,
            "Requests that were refused here, before they were sent",
        ),
        (ANSWERS, "Answers by what they mean"),
        (RATE_LIMITED, "Answers of 429, by the limit that they name"),
        (TRIES, "Tries of calls, first ones and retries"),
        (CIRCUIT_CHANGES, "Changes of circuits' states"),
        (CIRCUIT_REFUSED, "Calls that circuits have refused"),
        (STORE_FAILURES, "How often the shared store went away"),
    ];
    let gauges = [
        (LIMIT, "What a limit allows in a window"),
        (LEFT, "What is left of a limit"),
        (
            IN_FLIGHT,
            "Requests between grant and the end of the answer",
        ),
        (WAITING, "Requests in line"),
        (CIRCUITS, "Circuits in a state"),
        (STORE_UP, "Whether the shared store answers"),
    ];
    with_recorder(|recorder| {
        for (name, text) in counters {
            recorder.describe_counter(name.into(), Some(Unit::Count), text.into());
        }
        for (name, text) in gauges {
            recorder.describe_gauge(name.into(), Some(Unit::Count), text.into());
        }
        let text = "How long a request waited for its turn";
        recorder.describe_histogram(WAIT.into(), Some(Unit::Seconds), text.into());
        let text = "Tokens that the provider counted for a request";
        recorder.describe_histogram(TOKENS.into(), Some(Unit::Count), text.into());
    });
}

/// Which metric, and its labels but for the quota's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Granted(u8),
    Wait(u8),
    Refused(Option<(Resource, Duration)>, &'static str),
    Answers(&'static str),
    RateLimited(Option<Resource>, Option<Duration>),
    Tries(&'static str),
    Tokens(&'static str),
    Limit(Resource, Duration),
    Left(Resource, Duration),
    InFlight,
    Waiting,
    Circuits(&'static str),
    CircuitChanges(&'static str, &'static str),
    CircuitRefused,
    StoreUp,
    StoreFailures,
}

impl Which {
    pub(super) fn key(self, pool: Option<&Arc<str>>, model: Option<&Arc<str>>) -> Key {
        let name = |name: Option<&Arc<str>>| name.map_or_else(String::new, |name| name.to_string());
        let mut labels = vec![
            Label::new("pool", name(pool)),
            Label::new("model", name(model)),
        ];
        let mut label = |name: &'static str, value: String| labels.push(Label::new(name, value));
        let metric = match self {
            Self::Granted(class) | Self::Wait(class) => {
                label("priority", priority(class));
                if matches!(self, Self::Wait(_)) {
                    WAIT
                } else {
                    GRANTED
                }
            }
            Self::Refused(of, reason) => {
                let limit = of.map(|(resource, window)| limit(resource, Some(window)));
                label("limit", limit.unwrap_or_default());
                label("reason", reason.into());
                REFUSED
            }
            Self::Answers(verdict) => {
                label("verdict", verdict.into());
                ANSWERS
            }
            Self::RateLimited(resource, window) => {
                let limit = resource.map(|resource| limit(resource, window));
                label("limit", limit.unwrap_or_else(|| "unknown".into()));
                RATE_LIMITED
            }
            Self::Tries(kind) => {
                label("kind", kind.into());
                TRIES
            }
            Self::Tokens(kind) => {
                label("kind", kind.into());
                TOKENS
            }
            Self::Limit(resource, window) => {
                label("limit", limit(resource, Some(window)));
                LIMIT
            }
            Self::Left(resource, window) => {
                label("limit", limit(resource, Some(window)));
                LEFT
            }
            Self::InFlight => IN_FLIGHT,
            Self::Waiting => WAITING,
            Self::Circuits(state) => {
                label("state", state.into());
                CIRCUITS
            }
            Self::CircuitChanges(from, to) => {
                label("from", from.into());
                label("to", to.into());
                CIRCUIT_CHANGES
            }
            Self::CircuitRefused => CIRCUIT_REFUSED,
            Self::StoreUp => STORE_UP,
            Self::StoreFailures => STORE_FAILURES,
        };
        Key::from_parts(metric, labels)
    }
}

fn priority(class: u8) -> String {
    match class {
        0 => "interactive".into(),
        2 => "standard".into(),
        6 => "background".into(),
        level => level.to_string(),
    }
}

/// Without its amount, which may change.
fn limit(resource: Resource, window: Option<Duration>) -> String {
    match window.map(|window| (window, window.as_secs())) {
        None => resource.to_string(),
        Some((_, 1)) => format!("{resource} per second"),
        Some((_, 60)) => format!("{resource} per minute"),
        Some((_, 3_600)) => format!("{resource} per hour"),
        Some((_, 86_400)) => format!("{resource} per day"),
        Some((window, _)) if window.is_zero() => format!("{resource} per request"),
        Some((window, _)) => format!("{resource} per {window:?}"),
    }
}

/// An answer may state any window: only the usual ones become a label.
pub(super) fn usual(window: Option<Duration>) -> Option<Duration> {
    window.filter(|window| {
        window.subsec_nanos() == 0 && matches!(window.as_secs(), 1 | 60 | 3_600 | 86_400)
    })
}
