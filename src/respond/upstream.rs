//! What a provider further in says of its own limits.

use http::{HeaderMap, HeaderName, Response};

use crate::{
    error::{Reason, Rejected, Scope},
    provider,
    verdict::Verdict,
};

/// The refusal that a provider's answer is for callers, who share its limit.
pub(super) fn refusal<B>(answer: &Response<B>) -> Option<Rejected> {
    let read = || provider::classify(answer.status(), answer.headers(), &[]);
    let verdict = Verdict::of(answer).unwrap_or_else(read);
    let wait = match verdict {
        Verdict::RateLimited { retry_after, .. } => {
            retry_after.or_else(|| provider::retry_after(answer.headers()))
        }
        Verdict::QuotaExhausted => None,
        _ => return None,
    };
    let refused = Rejected::new(Reason::LimitReached);
    Some(refused.scope(Scope::Shared).retry_after(wait))
}

/// The ends of names like `anthropic-priority-input-tokens-limit`.
const TELLING: [&str; 3] = ["-tokens-limit", "-tokens-remaining", "-tokens-reset"];

/// Takes out the fields that tell of its limits.
pub(super) fn hide(headers: &mut HeaderMap) {
    let tells = |name: &&HeaderName| {
        let name = name.as_str();
        name.contains("ratelimit")
            || name.contains("rate-limit")
            || TELLING.iter().any(|end| name.ends_with(end))
            || provider::tells_limit(name)
    };
    let told: Vec<HeaderName> = headers.keys().filter(tells).cloned().collect();
    for name in told {
        headers.remove(name);
    }
}
