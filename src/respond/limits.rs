//! What a caller is told of its limits.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    core::{cost::Resource, limit::LimitId},
    error::Rejected,
    quota::{Allowance, Left},
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
const CLASSIC_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const CLASSIC_LEFT: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const CLASSIC_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest number that a structured field can hold (RFC 9651, 3.3.1).
const MOST: u64 = 999_999_999_999_999;

/// Which header fields tell callers of their limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fields {
    /// Those of the draft and the classic ones.
    #[default]
    Both,
    /// `RateLimit-Policy` and `RateLimit`, of all limits.
    Draft,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, of one limit.
    Classic,
    /// None.
    None,
}

/// A limit as the fields name it. There is none for what callers share, whose figures are nobody's business, and none for what
/// has no window.
pub(super) struct Policy {
    limit: LimitId,
    left: u64,
    // Until whoever was refused may come back, or until all of the limit is there again.
    reset: Option<u64>,
}

impl Policy {
    /// The limit that has refused.
    pub(super) fn of(rejected: &Rejected) -> Option<Self> {
        let limit = rejected.limit.filter(|limit| !limit.window.is_zero())?;
        rejected.is_callers().then(|| Self {
            limit,
            left: rejected.left,
            reset: rejected.retry_after.and_then(whole_seconds),
        })
    }

    fn admitted(left: &Left) -> Self {
        let seconds = whole_seconds(left.whole_in);
        Self {
            limit: left.limit,
            left: left.left,
            reset: Some(seconds.unwrap_or_default()),
        }
    }

    pub(super) const fn name(&self) -> Name<'_> {
        Name(&self.limit)
    }

    // A fraction of a second can't be told.
    fn seconds(&self) -> Option<u64> {
        let window = self.limit.window;
        (window.subsec_nanos() == 0).then_some(window.as_secs())
    }

    // What is left, in millionths; of equal ones that of the shortest window.
    fn share(&self) -> (u128, Duration) {
        let left = u128::from(self.left) * 1_000_000 / u128::from(self.limit.amount.max(1));
        (left, self.limit.window)
    }
}

/// `requests-per-minute`, `input-tokens-per-10s`.
pub(super) struct Name<'a>(&'a LimitId);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Tokens { f, said: false }, "{}", self.0)
    }
}

/// Makes a token of what a limit displays as, without the amount in front of it.
struct Tokens<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    said: bool,
}

impl Write for Tokens<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            ' ' if !std::mem::replace(&mut self.said, true) => Ok(()),
            _ if !self.said => Ok(()),
            c => self.f.write_char(token(c)),
        })
    }
}

impl Fields {
    /// What is left to a caller that was admitted.
    pub(super) fn of_allowance(self, allowance: &Allowance, headers: &mut HeaderMap) {
        if self != Self::None {
            let policies: Vec<_> = allowance.limits().iter().map(Policy::admitted).collect();
            self.tell(&policies, headers);
        }
    }

    /// What is left, and when to come back.
    pub(super) fn tell(self, policies: &[Policy], headers: &mut HeaderMap) {
        let scarcest = policies.iter().min_by_key(|policy| policy.share());
        let Some(scarcest) = scarcest else { return };
        if matches!(self, Self::Both | Self::Draft) {
            let (policy, standing) = drafted(policies);
            for (field, value) in [(POLICY, policy), (STANDING, standing)] {
                // Made of digits and of names of ours.
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(field, value);
                }
            }
        }
        if matches!(self, Self::Both | Self::Classic) {
            headers.insert(CLASSIC_LIMIT, scarcest.limit.amount.into());
            headers.insert(CLASSIC_LEFT, scarcest.left.into());
            if let Some(reset) = scarcest.reset {
                headers.insert(CLASSIC_RESET, reset.into());
            }
        }
    }
}

/// `RateLimit-Policy` and `RateLimit`.
fn drafted(policies: &[Policy]) -> (String, String) {
    let length = 64 * policies.len();
    let (mut all, mut standing) = (String::with_capacity(length), String::with_capacity(length));
    for policy in policies {
        let (limit, name) = (&policy.limit, policy.name());
        for text in [&mut all, &mut standing] {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}\"{name}\"");
        }
        let _ = write!(all, ";q={}", limit.amount.min(MOST));
        if let Some(unit) = unit(limit.resource) {
            // Not registered: whoever doesn't know it leaves the policy alone.
            let _ = write!(all, ";qu=\"{unit}\"");
        }
        if let Some(seconds) = policy.seconds() {
            let _ = write!(all, ";w={seconds}");
        }
        let _ = write!(standing, ";r={}", policy.left.min(MOST));
        if let Some(reset) = policy.reset {
            let _ = write!(standing, ";t={}", reset.min(MOST));
        }
    }
    (all, standing)
}

/// What a limit counts, where that isn't requests.
fn unit(resource: Resource) -> Option<String> {
    match resource {
        Resource::Requests => None,
        Resource::Tokens | Resource::InputTokens | Resource::OutputTokens => Some("tokens".into()),
        Resource::Unit(name) => Some(name.chars().map(token).collect()),
    }
}

/// What stands for a character in a name of ours: a unit may be called anything.
const fn token(c: char) -> char {
    match c {
        ' ' => '-',
        '\u{b5}' => 'u',
        '"' | '\\' => '_',
        ' '..='~' => c,
        _ => '_',
    }
}

/// Never 0 for a real wait, which would bring the client back at once.
pub(super) fn whole_seconds(wait: Duration) -> Option<u64> {
    let more = u64::from(wait.subsec_nanos() > 0);
    let seconds = wait.as_secs().saturating_add(more);
    (seconds > 0).then_some(seconds)
}
