//! What a tenant has left, in the fields that OpenAI's clients know.

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tower_quota::{Allowance, Resource};

/// `x-ratelimit-limit-requests`, `x-ratelimit-remaining-requests`, `x-ratelimit-reset-requests`, and the same of tokens.
pub(crate) fn tell<B>(mut answer: Response<B>) -> Response<B> {
    let Some(allowance) = Allowance::of(&answer).cloned() else {
        return answer;
    };
    for of in allowance.limits() {
        let name = match of.limit.resource {
            Resource::Requests => "requests",
            Resource::Tokens => "tokens",
            _ => continue,
        };
        let headers = answer.headers_mut();
        put(headers, "limit", name, &of.limit.amount.to_string());
        put(headers, "remaining", name, &of.left.to_string());
        // As OpenAI writes it: `1.5s`.
        let reset = of.whole_in.as_millis() as f64 / 1e3;
        put(headers, "reset", name, &format!("{reset}s"));
    }
    answer
}

fn put(headers: &mut HeaderMap, what: &str, name: &str, value: &str) {
    let field = HeaderName::try_from(format!("x-ratelimit-{what}-{name}"));
    if let (Ok(field), Ok(value)) = (field, HeaderValue::from_str(value)) {
        headers.insert(field, value);
    }
}
