//! What a caller is told of the limit that refused it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    core::{cost::Resource, limit::LimitId},
    error::{Rejected, Scope},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
const CLASSIC_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const CLASSIC_LEFT: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const CLASSIC_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest number that a structured field can hold (RFC 9651, 3.3.1).
const MOST: u64 = 999_999_999_999_999;

/// A limit as the draft's fields name it. There is none for what callers share, whose figures are nobody's business, and
/// none for what has no window.
pub(super) struct Policy {
    limit: LimitId,
    name: String,
}

impl Policy {
    pub(super) fn of(rejected: &Rejected) -> Option<Self> {
        let limit = rejected.limit.filter(|limit| !limit.window.is_zero())?;
        (rejected.scope == Scope::Caller).then(|| Self {
            limit,
            name: name(&limit),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Puts in what is left, and when to come back.
    pub(super) fn tell(&self, rejected: &Rejected, headers: &mut HeaderMap) {
        let Self { limit, name } = self;
        let mut put = |field, value: String| {
            // Made of digits and of names of ours.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(field, value);
            }
        };
        let (amount, left) = (limit.amount.min(MOST), rejected.left.min(MOST));
        let unit = match limit.resource {
            Resource::Requests => "",
            // Not registered: whoever doesn't know it leaves the policy alone.
            _ => ";qu=\"tokens\"",
        };
        // A fraction of a second can't be told.
        let window = match (limit.window.as_secs(), limit.window.subsec_nanos()) {
            (seconds, 0) => format!(";w={seconds}"),
            _ => String::new(),
        };
        put(POLICY, format!("\"{name}\";q={amount}{unit}{window}"));
        let wait = rejected.retry_after.and_then(whole_seconds);
        let reset = wait.map(|wait| format!(";t={}", wait.min(MOST)));
        let reset = reset.unwrap_or_default();
        put(STANDING, format!("\"{name}\";r={left}{reset}"));
        put(CLASSIC_LIMIT, amount.to_string());
        put(CLASSIC_LEFT, left.to_string());
        if let Some(wait) = wait {
            put(CLASSIC_RESET, wait.to_string());
        }
    }
}

/// `requests-per-minute`, `input-tokens-per-10s`.
fn name(limit: &LimitId) -> String {
    let said = limit.to_string();
    let without_amount = said.split_once(' ').map_or("", |(_, rest)| rest);
    let name = without_amount.chars().map(|c| match c {
        ' ' => '-',
        'µ' => 'u',
        c => c,
    });
    name.collect()
}

/// Never 0 for a real wait, which would bring the client back at once.
pub(super) fn whole_seconds(wait: Duration) -> Option<u64> {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    (seconds > 0).then_some(seconds)
}
