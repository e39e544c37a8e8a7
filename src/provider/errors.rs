//! What an answer means: status, headers and body together, since a status alone decides nothing
//! (429 is said for limits, for requests that never fit, for money and for the provider's own
//! capacity; 400 for money; 200 in a stream for all of them).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::{
    envelope::Facts,
    exhausted::{empty_or_due, reading},
    grpc,
    headers::rate_status_as,
    limit::{self, DAY, MONTH, Which},
    prose::{has_shape, numbers},
    retry_after::{now, retry_after},
    signs, stated,
    trust::Trust,
};
use crate::{
    core::cost::Resource,
    verdict::{Provider, RateStatus, Verdict},
};

/// What an answer means. `body` is as much of it as is at hand, or empty. Whose answer it is, is
/// told from itself; where it is known, ask [`Provider::classify`].
///
/// A success is a success unless `body` is one of the errors that providers send inside of a
/// stream under status 200, or the headers have a `grpc-status` that says otherwise.
pub fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    classify_as(None, status, headers, body)
}

pub(crate) fn classify_as(
    provider: Option<Provider>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Verdict {
    if let Some(verdict) = grpc::grpc(headers) {
        return verdict;
    }
    let status = status.as_u16();
    if status < 400 && body.is_empty() {
        return Verdict::Success;
    }
    let mut facts = Facts::read(body, Trust::under(status));
    if let Some(kind) = headers.get("x-amzn-errortype") {
        facts.add_word(kind.as_bytes());
    }
    // The status of an error inside of a success is among its words, where it has any.
    let inner = || facts.words.iter().find_map(|word| word.parse().ok());
    let status = match status {
        ..400 if facts.error => inner().filter(|code| (400..600).contains(code)),
        _ => None,
    }
    .unwrap_or(status);
    let answer = Answer {
        provider: provider.unwrap_or_else(|| Provider::told(headers, &facts)),
        status,
        headers,
        facts: &facts,
    };
    answer.wished(answer.judge())
}

/// All that there is to judge by.
pub(super) struct Answer<'a> {
    pub(super) provider: Provider,
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) facts: &'a Facts,
}

impl Answer<'_> {
    /// The server's explicit word on whether to come back outranks its status.
    fn wished(&self, verdict: Verdict) -> Verdict {
        let word = self.headers.get("x-should-retry");
        let word = word.map_or(&[][..], |word| word.as_bytes().trim_ascii());
        match verdict {
            Verdict::RateLimited { .. }
            | Verdict::Overloaded { .. }
            | Verdict::Transient { .. }
                if word.eq_ignore_ascii_case(b"false") =>
            {
                Verdict::Permanent
            }
            Verdict::Permanent if word.eq_ignore_ascii_case(b"true") => {
                Verdict::Transient { sent: true }
            }
            verdict => verdict,
        }
    }

    pub(super) fn judge(&self) -> Verdict {
        let facts = self.facts;
        let says = |shapes| has_shape(&facts.prose, shapes);
        let fine = self.status < 400;
        let limited = facts.hints(signs::LIMITED)
            || facts.has("429")
            || self.status == 403 && says(signs::LIMITED_PROSE);
        // Prose is believed where there is an error; in a success it may be anybody's.
        let told = !fine || facts.error || limited;
        // Figures, only where a limit is what it is about: a bad request may name any.
        let figures = matches!(self.status, 413 | 429) || fine && limited;
        let blamed = told && self.status < 500;
        let which = self.which();
        if self.status == 402
            || facts.hints(signs::MONEY)
            || blamed && (says(signs::MONEY_PROSE) || self.is_openai_money(limited))
            || figures && (self.no_access() || which.window == Some(MONTH))
        {
            return Verdict::QuotaExhausted;
        }
        let hint = self.hint(which);
        let large = blamed && says(signs::LARGE_PROSE);
        let never = figures && self.never_fits(which, hint);
        // Cohere's limit on a request's tokens, in the words of others' limits on rates.
        let many = self.status == 400 && !limited && says(&[&["too many tokens"]]);
        if self.status == 413 || facts.hints(signs::LARGE) || large || never || many {
            return Verdict::TooLarge;
        }
        // Who names a window means a limit, however much is going on.
        let crowded = self.status >= 429 || limited || fine && facts.error;
        let crowded = crowded && which.window.is_none();
        let relayed = self.status == 429 && says(signs::RELAYED_PROSE);
        if facts.hints(signs::BUSY) || crowded && says(signs::BUSY_PROSE) || relayed {
            return Verdict::Overloaded { retry_after: hint };
        }
        match self.status {
            // A token that isn't valid (Cohere); a tier without room (Groq).
            498 if self.provider == Provider::Cohere => Verdict::Permanent,
            498 | 503 | 529 => Verdict::Overloaded { retry_after: hint },
            429 => self.limited(which, hint),
            _ if limited => self.limited(which, hint),
            ..400 if facts.error && facts.has("unavailable") => {
                Verdict::Overloaded { retry_after: hint }
            }
            ..400 if facts.error => self.failed(),
            ..400 => Verdict::Success,
            // Nobody here has hung up.
            408 | 409 | 425 | 499 | 500.. => Verdict::Transient { sent: true },
            424 if facts.hints(signs::FAILED) => Verdict::Transient { sent: true },
            _ => Verdict::Permanent,
        }
    }

    /// An error that came with a success and is none of the others.
    fn failed(&self) -> Verdict {
        let facts = self.facts;
        let silent = facts.words.iter().all(|word| word == "error");
        if silent || facts.hints(signs::FAILED) {
            Verdict::Transient { sent: true }
        } else {
            Verdict::Permanent
        }
    }

    fn limited(&self, which: Which, hint: Option<Duration>) -> Verdict {
        let status = self.status_of_limits();
        let resource = which.resource.or_else(|| empty_or_due(&status, hint));
        let reading = resource.and_then(|resource| reading(&status, resource));
        Verdict::RateLimited {
            resource,
            window: which.window.or_else(|| reading?.window),
            retry_after: hint.or_else(|| {
                // Of a bucket it would be far too long.
                let reading = reading.filter(|_| !self.provider.refills())?;
                let other = reading.window.is_some()
                    && which
                        .window
                        .is_some_and(|window| Some(window) != reading.window);
                let due = reading.remaining == Some(0) && !other;
                reading.reset.filter(|reset| due && !reset.is_zero())
            }),
        }
    }

    /// What the headers say of the limits, or those that the body reports.
    fn status_of_limits(&self) -> RateStatus {
        let status = rate_status_as(Some(self.provider), self.headers);
        if !status.is_empty() || self.facts.headers.is_empty() {
            return status;
        }
        let mut headers = self.facts.headers.clone();
        if let Some(date) = self.headers.get(http::header::DATE) {
            headers.insert(http::header::DATE, date.clone());
        }
        rate_status_as(Some(self.provider), &headers)
    }

    /// Which limit it was, by the body's word first, then by a header that says so.
    fn which(&self) -> Which {
        let facts = self.facts;
        let quotas = facts.quotas.iter().cloned();
        let quotas: Vec<String> = quotas.chain(limit::quotas(&facts.prose)).collect();
        if let Some(which) = limit::violated(&quotas) {
            return which;
        }
        let told = limit::told(&facts.prose);
        let kind = self.headers.get("x-ratelimit-type");
        let kind = kind.map(|kind| kind.as_bytes().to_ascii_lowercase());
        let narrow = matches!(
            told.resource,
            Some(Resource::InputTokens | Resource::OutputTokens)
        );
        let resource = match kind.as_deref() {
            _ if facts.has("tokens") && !narrow => Some(Resource::Tokens),
            _ if facts.has("requests") => Some(Resource::Requests),
            Some(b"tokens") if !narrow => Some(Resource::Tokens),
            Some(b"requests") => Some(Resource::Requests),
            _ => told.resource.or_else(|| self.coded()),
        };
        Which { resource, ..told }
    }

    /// The resource that a code names: `token_quota_exceeded`, `limit_requests`.
    fn coded(&self) -> Option<Resource> {
        let mut words = self.facts.words.iter();
        words.find_map(|word| {
            let about = |part| word.contains(part);
            // `too_many_requests` is the status, the others are about the request itself.
            if !(about("limit") || about("quota")) || about("toomanyrequests") {
                None
            } else if about("token") {
                Some(Resource::Tokens)
            } else {
                about("request").then_some(Resource::Requests)
            }
        })
    }

    /// How long to wait, where what is said of it can be.
    fn hint(&self, which: Which) -> Option<Duration> {
        // Google sends a wait of seconds along with a violated daily quota.
        let google = !self.facts.quotas.is_empty() || self.provider == Provider::Gemini;
        if google && which.window >= Some(DAY) {
            return None;
        }
        let body = || stated::wait(self.facts, || self.now());
        let headers = retry_after(self.headers).filter(|hint| !self.is_lie(*hint));
        headers
            .or_else(|| retry_after(&self.facts.headers))
            .or_else(body)
    }

    fn now(&self) -> SystemTime {
        now(self.headers)
    }

    /// Azure says to come back at once while nothing is left of a window that has just begun.
    fn is_lie(&self, hint: Duration) -> bool {
        let status = self.status_of_limits();
        [Resource::Tokens, Resource::Requests]
            .iter()
            .any(|resource| {
                reading(&status, *resource).is_some_and(|reading| {
                    let renewal = self.headers.contains_key(match resource {
                        Resource::Tokens => "x-ratelimit-renewalperiod-tokens",
                        _ => "x-ratelimit-renewalperiod-requests",
                    });
                    let whole = reading.reset.is_none_or(|reset| reset.is_zero());
                    let soon = reading.window.is_some_and(|window| hint <= window / 10);
                    renewal && reading.remaining == Some(0) && whole && soon
                })
            })
    }

    /// OpenAI's words for money, where there is no code that says which it is.
    fn is_openai_money(&self, limited: bool) -> bool {
        self.provider == Provider::OpenAi
            && !limited
            && has_shape(&self.facts.prose, signs::QUOTA_PROSE)
    }

    /// A limit of zero: a model that isn't on the plan. Or nothing left of a month's.
    fn no_access(&self) -> bool {
        let month = self.headers.get("x-ratelimitbysize-remaining-month");
        self.facts.zero_quota
            || numbers(&self.facts.prose, "limit").any(|limit| limit == 0)
            || month.is_some_and(|left| left.as_bytes() == b"0")
    }

    /// More was asked than there will ever be, even where the answer says when to come back.
    fn never_fits(&self, which: Which, hint: Option<Duration>) -> bool {
        let prose = &self.facts.prose;
        let limit = numbers(prose, "limit").next();
        let requested = numbers(prose, "requested").next();
        let over = |(limit, requested)| requested > limit;
        limit.zip(requested).is_some_and(over)
            // Azure's way to say so: a day, for a limit by the minute.
            || hint == Some(DAY)
                && (which.resource == Some(Resource::Tokens) && which.window.is_none()
                    || which.resource.is_none() && self.provider == Provider::AzureOpenAi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::span::LONGEST;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    const VALUE: &str = "(-?[0-9]{1,35}|[0-9]{1,3}[.][0-9]{1,12}|[0-9]{1,4}(ms|s|m|h)|[1-9][0-9]{3}-[01][0-9]-[0-3][0-9]T1[0-9]:00:00Z|inf|nan|~5|1,000|true|false|[ -~]{0,12})";

    fn names() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "retry-after",
            "retry-after-ms",
            "x-ms-retry-after-ms",
            "x-should-retry",
            "x-ratelimit-type",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
            "x-ratelimit-renewalperiod-tokens",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
            "ratelimitbysize-reset",
            "ratelimitbysize-remaining",
            "x-tokenlimit-remaining",
            "date",
            "grpc-status",
            "grpc-retry-pushback-ms",
            "x-amzn-errortype",
        ])
    }

    fn parts() -> impl Strategy<Value = String> {
        let parts = "(\\{|\\}|\\[|\\]|:|,|\"error\":|\"message\":|\"code\":|\"retryDelay\":|\"quotaId\":|\"X-RateLimit-Reset\":|\"429\"|\"rate_limit_exceeded\"|\"GenerateRequestsPerDay\"|[0-9]{1,36}|\"Limit [0-9]{1,30}, Requested ~?[0-9]{1,30}. try again in [0-9.]{1,40}(s|ms|m|)\"|\"tokens per (min|day|month)\"){0,20}";
        parts.prop_map(String::from)
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_wait_for_nonsense(
            status in 100_u16..600,
            headers in proptest::collection::vec((names(), VALUE), 0..8),
            body in parts(),
        ) {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    map.append(HeaderName::from_static(name), value);
                }
            }
            let status = StatusCode::from_u16(status).unwrap();
            for provider in [None, Some(Provider::AzureOpenAi), Some(Provider::Gemini), Some(Provider::Other)] {
                let verdict = classify_as(provider, status, &map, body.as_bytes());
                if let Some(wait) = verdict.retry_after() {
                    prop_assert!(!wait.is_zero() && wait <= LONGEST, "{wait:?}");
                }
            }
        }
    }
}
