//! Answers that were seen in the wild, one of a kind.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::answers::{put, text};

/// An odd answer, for [`then_answer`](super::Provider::then_answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Odd {
    /// A proxy's 502 as a page.
    Html502,
    /// A proxy's time-out: 524 and a line of text.
    Proxy524,
    /// 429 and nothing else.
    Empty429,
    /// 429 by RFC 9457: `title`, `detail`, `status`.
    ProblemJson,
    /// 429 whose `error` is a string, as xAI's.
    StringError,
    /// 429 with a message at the top and no `error`, as Cohere's, by the month.
    TopLevelMessage,
    /// 429 whose JSON stands in a string inside of another one, as Google's libraries nest it.
    JsonInAString,
    /// 429 in an array, as Gemini's streams have it.
    JsonArray,
    /// 429 whose JSON ends in the middle of a word.
    Truncated,
    /// 429 with a `retry-after` of 0 and one of 0 ms.
    RetryAtOnce,
    /// 429 with a `retry-after` that is a date.
    RetryAtADate,
    /// 429 with a `retry-after` of 35 digits.
    RetryNever,
    /// 429 with `x-should-retry: false`.
    ShouldNotRetry,
    /// OpenAI's 429 for what never fits: "Request too large".
    TooLarge,
    /// OpenAI's 429 `insufficient_quota` without a code.
    NoCredit,
    /// 402, as OpenRouter has it.
    PaymentRequired,
    /// Anthropic's 413, by a proxy before it.
    Anthropic413,
    /// Anthropic's 429 of its spend limit: no `retry-after`.
    AnthropicSpendLimit,
    /// Anthropic's 529.
    Anthropic529,
    /// Azure's 429 under peak load: capacity, not a quota.
    AzurePeakLoad,
    /// Azure's 429 for a request above the whole deployment: come back in 86,400 s.
    AzureTooLarge,
    /// Gemini's 429 by the day with a delay of 18 s.
    GeminiPerDay,
    /// Gemini's 429 for want of capacity.
    GeminiCapacity,
    /// Groq's 498: the flex tier is full.
    GroqFlex,
    /// Groq's 429 with a wait for what can never pass.
    GroqNeverFits,
    /// Mistral's 429 3505: the tier's capacity.
    MistralCapacity,
    /// Bedrock's 400 `ThrottlingException`.
    BedrockThrottling,
}

impl Odd {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Html502,
        Self::Proxy524,
        Self::Empty429,
        Self::ProblemJson,
        Self::StringError,
        Self::TopLevelMessage,
        Self::JsonInAString,
        Self::JsonArray,
        Self::Truncated,
        Self::RetryAtOnce,
        Self::RetryAtADate,
        Self::RetryNever,
        Self::ShouldNotRetry,
        Self::TooLarge,
        Self::NoCredit,
        Self::PaymentRequired,
        Self::Anthropic413,
        Self::AnthropicSpendLimit,
        Self::Anthropic529,
        Self::AzurePeakLoad,
        Self::AzureTooLarge,
        Self::GeminiPerDay,
        Self::GeminiCapacity,
        Self::GroqFlex,
        Self::GroqNeverFits,
        Self::MistralCapacity,
        Self::BedrockThrottling,
    ];

    /// The answer, word for word.
    pub fn answer(self) -> Response<Bytes> {
        let (status, headers, body) = self.parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let kind = match self {
            Self::Html502 | Self::Anthropic413 => "text/html",
            Self::Proxy524 | Self::Empty429 => "text/plain",
            Self::ProblemJson => "application/problem+json",
            _ => "application/json",
        };
        let mut answer = text(status, kind, body);
        for (name, value) in headers {
            put(answer.headers_mut(), name, value);
        }
        answer
    }

    fn parts(self) -> (u16, &'static [(&'static str, &'static str)], &'static str) {
        match self {
            Self::Html502 => (
                502,
                &[("server", "cloudflare")],
                "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>",
            ),
            Self::Proxy524 => (524, &[("server", "cloudflare")], "error code: 524"),
            Self::Empty429 => (429, &[], ""),
            Self::ProblemJson => (
                429,
                &[],
                r#"{"title":"Too Many Requests","detail":"You have exceeded the maximum number of tokens allowed within a given time frame. Wait a bit and try again.","status":429}"#,
            ),
            Self::StringError => (
                429,
                &[],
                r#"{"error":"Too many tokens for team box and model grok-4. Your team's rate limit is — Tokens per Minute (actual/limit): 65605/16000."}"#,
            ),
            Self::TopLevelMessage => (
                429,
                &[],
                r#"{"id":"box","message":"You are using a Trial key, which is limited to 1000 API calls / month."}"#,
            ),
            Self::JsonInAString => (
                429,
                &[],
                r#"{"error":{"code":429,"message":"{\"error\":{\"code\":429,\"message\":\"Resource has been exhausted (e.g. check quota).\",\"status\":\"RESOURCE_EXHAUSTED\"}}","status":"Too Many Requests"}}"#,
            ),
            Self::JsonArray => (
                429,
                &[],
                r#"[{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}]"#,
            ),
            Self::Truncated => (
                429,
                &[],
                r#"{"error":{"message":"Rate limit reached for gpt-4o in org"#,
            ),
            Self::RetryAtOnce => (
                429,
                &[("retry-after", "0"), ("retry-after-ms", "0")],
                r#"{"error":{"code":"429","message":"Rate limit exceeded."}}"#,
            ),
            Self::RetryAtADate => (
                429,
                &[
                    ("date", "Fri, 29 Sep 2023 16:26:27 GMT"),
                    ("retry-after", "Fri, 29 Sep 2023 16:26:57 GMT"),
                ],
                "{}",
            ),
            Self::RetryNever => (
                429,
                &[("retry-after", "99999999999999999999999999999999999")],
                "{}",
            ),
            Self::ShouldNotRetry => (
                429,
                &[("x-should-retry", "false"), ("retry-after", "1")],
                "{}",
            ),
            Self::TooLarge => (
                429,
                &[],
                r#"{"error":{"message":"Request too large for gpt-4o in organization org-box on tokens per min (TPM): Limit 30000, Requested 35000. The input or output tokens must be reduced in order to run successfully.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
            ),
            Self::NoCredit => (
                429,
                &[],
                r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":null}}"#,
            ),
            Self::PaymentRequired => (
                402,
                &[],
                r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 2666.","code":402,"metadata":{"provider_name":null}}}"#,
            ),
            Self::Anthropic413 => (
                413,
                &[("server", "cloudflare")],
                "<html><head><title>413 Request Entity Too Large</title></head><body></body></html>",
            ),
            Self::AnthropicSpendLimit => (
                429,
                &[],
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set based on your organization's API tier. You will regain access on 2026-09-01 at 00:00 UTC.","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_box"}"#,
            ),
            Self::Anthropic529 => (
                529,
                &[],
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_box"}"#,
            ),
            Self::AzurePeakLoad => (
                429,
                &[("retry-after", "20")],
                r#"{"error":{"message":"The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. Please retry after 20 seconds. For improved latency reliability, consider switching to Provisioned Throughput."}}"#,
            ),
            Self::AzureTooLarge => (
                429,
                &[("retry-after", "86400"), ("x-ratelimit-type", "Tokens")],
                r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2023-05-15 have exceeded token rate limit of your current AIServices S0 pricing tier. Please retry after 86400 seconds."}}"#,
            ),
            Self::GeminiPerDay => (
                429,
                &[],
                r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"18s"}]}}"#,
            ),
            Self::GeminiCapacity => (
                429,
                &[],
                r#"{"error":{"code":429,"message":"No capacity available for model gemini-3-flash-preview on the server","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"MODEL_CAPACITY_EXHAUSTED"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}]}}"#,
            ),
            Self::GroqFlex => (
                498,
                &[],
                r#"{"error":{"message":"Flex tier capacity exceeded","type":"capacity_exceeded"}}"#,
            ),
            Self::GroqNeverFits => (
                429,
                &[("retry-after", "50.6")],
                r#"{"error":{"message":"Rate limit reached for model `llama3-70b-8192` in organization `org-box` on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.597142857s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            ),
            Self::MistralCapacity => (
                429,
                &[("retry-after", "1")],
                r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}"#,
            ),
            Self::BedrockThrottling => (
                400,
                &[(
                    "x-amzn-errortype",
                    "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/",
                )],
                r#"{"message":"Too many tokens, please wait before trying again."}"#,
            ),
        }
    }
}
