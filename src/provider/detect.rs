//! Whose answer it is, by the names of its headers and the shape of its errors.

use http::{HeaderMap, StatusCode};

use super::{envelope::Facts, errors, headers, prose, trust::Trust};
use crate::verdict::{Provider, RateStatus, Verdict};

/// How the names of headers begin that one provider alone sends. The first that fits counts:
/// gateways keep headers of those behind them.
const HEADERS: &[(&str, Provider)] = &[
    ("x-ratelimit-renewalperiod-", Provider::AzureOpenAi),
    ("apim-request-id", Provider::AzureOpenAi),
    ("x-ms-", Provider::AzureOpenAi),
    ("azureml-", Provider::AzureOpenAi),
    ("anthropic-", Provider::Anthropic),
    ("x-groq-", Provider::Groq),
    ("x-goog-", Provider::Gemini),
    ("x-amzn-", Provider::Bedrock),
    ("x-amz-", Provider::Bedrock),
    ("ratelimitbysize-", Provider::Mistral),
    ("x-ratelimitbysize-", Provider::Mistral),
    ("mistral-", Provider::Mistral),
    ("x-tokenlimit-", Provider::Together),
    ("x-together-", Provider::Together),
    ("fireworks-", Provider::Fireworks),
    ("x-ratelimit-limit-tokens-prompt", Provider::Fireworks),
    ("x-ratelimit-limit-tokens-generated", Provider::Fireworks),
    ("x-trial-endpoint-call-", Provider::Cohere),
    ("x-endpoint-monthly-call-", Provider::Cohere),
    ("x-openrouter-", Provider::OpenRouter),
    ("x-ds-", Provider::DeepSeek),
    ("openai-", Provider::OpenAi),
];

/// What one provider's messages alone say, most of them their own addresses.
const PROSE: &[(&[&[&str]], Provider)] = &[
    (
        &[&["openrouter.ai"], &["free-models-per-"]],
        Provider::OpenRouter,
    ),
    (
        &[
            &["azure openai"],
            &["aka.ms/"],
            &["pricing tier", "retry after"],
        ],
        Provider::AzureOpenAi,
    ),
    (&[&["console.groq.com"]], Provider::Groq),
    (
        &[
            &["ai.google.dev"],
            &["googleapis.com"],
            &["cloud.google.com"],
        ],
        Provider::Gemini,
    ),
    (&[&["anthropic.com"], &["claude.com"]], Provider::Anthropic),
    (
        &[&["dashboard.cohere.com"], &["trial key"]],
        Provider::Cohere,
    ),
    (&[&["console.x.ai"]], Provider::XAi),
    (&[&["together.ai"], &["together.xyz"]], Provider::Together),
    (&[&["fireworks.ai"]], Provider::Fireworks),
    (&[&["deepseek.com"]], Provider::DeepSeek),
    (&[&["mistral.ai"]], Provider::Mistral),
    (&[&["openai.com"]], Provider::OpenAi),
];

impl Provider {
    /// Whose answer it is: by headers that only one provider sends, else by what its error says.
    /// [`Other`](Self::Other) where nothing tells.
    pub fn detect(headers: &HeaderMap, body: &[u8]) -> Self {
        Self::told(headers, &Facts::read(body, Trust::All))
    }

    /// What an answer of this provider means. `body` is as much of it as is at hand, or empty.
    /// See [`classify`](super::classify()), which detects the provider.
    pub fn classify(self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
        errors::classify_as(Some(self), status, headers, body)
    }

    /// Reads this provider's rate headers. See [`rate_status`](super::rate_status()), which
    /// detects the provider.
    pub fn rate_status(self, headers: &HeaderMap) -> RateStatus {
        headers::rate_status_as(Some(self), headers)
    }

    pub(super) fn told(headers: &HeaderMap, facts: &Facts) -> Self {
        Self::by_headers(headers)
            .or_else(|| {
                let says = |shapes: &&(&[&[&str]], Self)| prose::has_shape(&facts.prose, shapes.0);
                PROSE.iter().find(says).map(|(_, provider)| *provider)
            })
            .or_else(|| by_shape(facts))
            .unwrap_or(Self::Other)
    }

    /// In one pass: this is asked of every answer with rate headers.
    pub(super) fn by_headers(headers: &HeaderMap) -> Option<Self> {
        let mut first = HEADERS.len();
        for name in headers.keys() {
            let name = name.as_str();
            // Most names begin otherwise.
            if name.starts_with(['x', 'a', 'o', 'r', 'm', 'f']) {
                let known = &HEADERS[..first];
                let fits = known.iter().position(|(start, _)| name.starts_with(start));
                first = fits.unwrap_or(first);
            }
        }
        HEADERS.get(first).map(|(_, provider)| *provider)
    }

    /// Whether its limits refill continuously: their `reset` is when they are whole again, long
    /// after there is room.
    pub(super) const fn refills(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic | Self::Groq)
    }
}

fn by_shape(facts: &Facts) -> Option<Provider> {
    if !facts.quotas.is_empty() || facts.has("resourceexhausted") {
        Some(Provider::Gemini)
    } else if facts.hints(&["throttlingexception"]) {
        Some(Provider::Bedrock)
    } else if !facts.headers.is_empty() {
        Some(Provider::OpenRouter)
    } else if facts.has("error") && facts.hints(&["ratelimiterror", "overloadederror"]) {
        Some(Provider::Anthropic)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn headers_tell_whose_answer_it_is() {
        for (name, provider) in [
            ("openai-processing-ms", Provider::OpenAi),
            ("apim-request-id", Provider::AzureOpenAi),
            ("x-ratelimit-renewalperiod-tokens", Provider::AzureOpenAi),
            ("anthropic-ratelimit-requests-limit", Provider::Anthropic),
            ("x-groq-region", Provider::Groq),
            ("x-amzn-requestid", Provider::Bedrock),
            ("ratelimitbysize-limit", Provider::Mistral),
            ("x-tokenlimit-limit", Provider::Together),
            ("x-ratelimit-limit-tokens-generated", Provider::Fireworks),
            ("x-ratelimit-limit-tokens", Provider::Other),
            ("content-type", Provider::Other),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
            assert_eq!(Provider::detect(&headers, b""), provider, "{name}");
        }
    }

    #[test]
    fn every_known_header_is_looked_at_and_the_first_rules() {
        for (start, provider) in HEADERS {
            let mut headers = HeaderMap::new();
            let name = format!("{start}1");
            headers.insert(
                HeaderName::try_from(name).unwrap(),
                HeaderValue::from_static("1"),
            );
            assert_eq!(Provider::detect(&headers, b""), *provider, "{start}");
            headers.insert("openai-version", HeaderValue::from_static("1"));
            assert_eq!(
                Provider::detect(&headers, b""),
                *provider,
                "{start} and OpenAI's"
            );
        }
    }

    #[test]
    fn errors_tell_whose_they_are() {
        for (body, provider) in [
            (
                r#"{"error":{"message":"… https://console.groq.com/settings"}}"#,
                Provider::Groq,
            ),
            (
                r#"{"error":{"message":"… https://platform.openai.com/account"}}"#,
                Provider::OpenAi,
            ),
            (
                r#"{"error":{"code":"429","message":"… under Azure OpenAI API …"}}"#,
                Provider::AzureOpenAi,
            ),
            (
                r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#,
                Provider::Gemini,
            ),
            (
                r#"{"message":"You are using a Trial key, …"}"#,
                Provider::Cohere,
            ),
            (r#"{"error":"… https://console.x.ai."}"#, Provider::XAi),
            (
                r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
                Provider::Anthropic,
            ),
            (
                r#"{"error":{"metadata":{"headers":{"X-RateLimit-Limit":"5"}}}}"#,
                Provider::OpenRouter,
            ),
            (r#"{"error":{"message":"no"}}"#, Provider::Other),
            ("", Provider::Other),
        ] {
            let found = Provider::detect(&HeaderMap::new(), body.as_bytes());
            assert_eq!(found, provider, "{body}");
        }
    }
}
