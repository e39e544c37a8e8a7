//! The names that providers give to what was used.

use serde::{Deserialize, Deserializer, de};

use crate::verdict::Usage;

/// A count: anything that isn't one reads as absent.
#[derive(Clone, Copy, Debug, Default)]
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Bounded by the size of the usage, so that a tree is no matter.
        let value = serde_json::Value::deserialize(deserializer).map_err(de::Error::custom)?;
        let count = value.as_u64().or_else(|| {
            let float = value.as_f64()?;
            (float >= 0.0).then_some(float as u64)
        });
        Ok(Self(count))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
}

/// Cohere has its figures one level deeper.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Count,
    output_tokens: Count,
}

/// A usage as it was sent: the names of all providers side by side, since some send two of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<Details>,
    // DeepSeek.
    prompt_cache_hit_tokens: Count,

    input_tokens: Count,
    output_tokens: Count,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    tokens: Option<Tokens>,

    #[serde(rename = "promptTokenCount")]
    prompt_token_count: Count,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_prompt_token_count: Count,
    #[serde(rename = "candidatesTokenCount")]
    candidates_token_count: Count,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts_token_count: Count,
    #[serde(rename = "cachedContentTokenCount")]
    cached_content_token_count: Count,
    #[serde(rename = "totalTokenCount")]
    total_token_count: Count,

    #[serde(rename = "inputTokens")]
    input: Count,
    #[serde(rename = "outputTokens")]
    output: Count,
    #[serde(rename = "totalTokens")]
    total: Count,
    #[serde(rename = "cacheReadInputTokens")]
    cache_read: Count,
    #[serde(rename = "cacheWriteInputTokens")]
    cache_write: Count,
}

impl Raw {
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The same in a stream that began with `begun`: what a prompt holds is told there, and not always again.
    pub(super) fn after(mut self, begun: Option<&Self>) -> Self {
        if let Some(begun) = begun
            && self.usage().is_some()
        {
            let known = |later: &mut Count, begun: Count| {
                if later.0.is_none_or(|count| count == 0) {
                    *later = begun;
                }
            };
            known(&mut self.input_tokens, begun.input_tokens);
            known(
                &mut self.cache_read_input_tokens,
                begun.cache_read_input_tokens,
            );
            known(
                &mut self.cache_creation_input_tokens,
                begun.cache_creation_input_tokens,
            );
        }
        self
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let raw = self;
        let first = |counts: &[Count]| counts.iter().find_map(|count| count.0);
        let sum = |counts: &[Count]| {
            let known = || counts.iter().filter_map(|count| count.0);
            known()
                .next()
                .is_some()
                .then(|| known().fold(0, u64::saturating_add))
        };
        let details = |details: &Option<Details>| {
            Count(details.as_ref().and_then(|details| details.cached_tokens.0))
        };

        let total = first(&[raw.total_tokens, raw.total_token_count, raw.total]);
        let deeper = |count: fn(&Tokens) -> Count| {
            Count(raw.tokens.as_ref().and_then(|tokens| count(tokens).0))
        };
        let output = first(&[
            raw.completion_tokens,
            raw.output_tokens,
            raw.output,
            deeper(|tokens| tokens.output_tokens),
        ])
        .or_else(|| sum(&[raw.candidates_token_count, raw.thoughts_token_count]));
        // Only these two tell the cache's part from the rest.
        let read = first(&[raw.cache_read_input_tokens, raw.cache_read]);
        let written = first(&[raw.cache_creation_input_tokens, raw.cache_write]);
        let input = raw
            .prompt_tokens
            .0
            .or_else(|| sum(&[raw.prompt_token_count, raw.tool_prompt_token_count]))
            .or_else(|| {
                let fresh = Count(first(&[
                    raw.input_tokens,
                    raw.input,
                    deeper(|tokens| tokens.input_tokens),
                ]));
                sum(&[fresh, Count(read), Count(written)])
            });
        if input.is_none() && output.is_none() && total.is_none() {
            return None;
        }
        let output = output.unwrap_or(0);
        let input = input.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(output));
        let mut usage = Usage::new(input, output);
        usage.total_tokens = total.unwrap_or(0).max(usage.total_tokens);
        usage.cached_tokens = first(&[
            details(&raw.prompt_tokens_details),
            details(&raw.input_tokens_details),
            raw.prompt_cache_hit_tokens,
            raw.cached_content_token_count,
            Count(read),
        ])
        .unwrap_or(0);
        Some(usage)
    }
}
