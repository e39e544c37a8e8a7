//! Bodies of error answers, of whichever provider.

#![no_main]

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower_quota::Provider;

const PROVIDERS: [Provider; 14] = [
    Provider::OpenAi,
    Provider::AzureOpenAi,
    Provider::Anthropic,
    Provider::Gemini,
    Provider::Groq,
    Provider::Mistral,
    Provider::Cohere,
    Provider::Together,
    Provider::Fireworks,
    Provider::OpenRouter,
    Provider::Bedrock,
    Provider::XAi,
    Provider::DeepSeek,
    Provider::Other,
];
const STATUS: [u16; 8] = [200, 400, 401, 404, 413, 429, 500, 503];

fuzz_target!(|data: &[u8]| {
    let headers = HeaderMap::new();
    let told = Provider::detect(&headers, data);
    for status in STATUS {
        let status = StatusCode::from_u16(status).expect("a status");
        for provider in PROVIDERS {
            let verdict = provider.classify(status, &headers, data);
            if let Some(wait) = verdict.retry_after() {
                assert!(!wait.is_zero(), "{provider:?} {verdict:?}");
            }
        }
        let _ = told.classify(status, &headers, data);
    }
});
