//! What a request asks for, as far as the provider's accounts care.

use std::sync::Arc;

/// What one request asks for. Read from HTTP by the box; made by hand where the accounting is
/// wanted without HTTP.
///
/// ```
/// use tower_quota::testing::Call;
///
/// assert_eq!(Call::chat("gpt-4.1-mini", 100, 256).choices(2).reserves(), 612);
/// assert_eq!(Call::embeddings("text-embedding-3-small", 40).reserves(), 40);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub(super) endpoint: Endpoint,
    pub(super) model: Arc<str>,
    pub(super) prompt: u64,
    pub(super) max_tokens: u64,
    pub(super) choices: u32,
    pub(super) echo: Arc<str>,
}

/// So many tokens count as the most there are, so that no sum of them overflows.
const MOST_TOKENS: u64 = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A chat, in whatever the provider's own API for that is.
    Chat {
        stream: Option<Streamed>,
    },
    /// The same by OpenAI's newer API.
    Responses {
        stream: bool,
    },
    Embeddings {
        inputs: usize,
    },
    /// A list of the models: charged to nothing.
    Models,
    /// Something about files or batches: charged to nothing, too.
    Errand,
}

/// How an answer comes that comes in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streamed {
    /// As server-sent events.
    Events,
    /// As server-sent events, with one that states the usage where that has to be asked for.
    EventsAndUsage,
    /// As the elements of a JSON array.
    Array,
}

impl Endpoint {
    pub(super) fn is_streamed(self) -> bool {
        matches!(
            self,
            Self::Chat { stream: Some(_) } | Self::Responses { stream: true }
        )
    }
}

impl Call {
    /// A chat with so many tokens in its prompt and at most so many in its answer.
    pub fn chat(model: &str, prompt_tokens: u64, max_tokens: u64) -> Self {
        Self {
            endpoint: Endpoint::Chat { stream: None },
            model: model.into(),
            prompt: prompt_tokens.min(MOST_TOKENS),
            max_tokens: max_tokens.min(MOST_TOKENS),
            choices: 1,
            echo: "".into(),
        }
    }

    /// Embeddings of one input with so many tokens.
    pub fn embeddings(model: &str, tokens: u64) -> Self {
        Self {
            endpoint: Endpoint::Embeddings { inputs: 1 },
            ..Self::chat(model, tokens, 0)
        }
    }

    pub(super) fn models() -> Self {
        Self {
            endpoint: Endpoint::Models,
            ..Self::chat("", 0, 0)
        }
    }

    pub(super) fn errand() -> Self {
        Self {
            endpoint: Endpoint::Errand,
            ..Self::models()
        }
    }

    /// So many answers at once, each with at most `max_tokens`. Default: 1.
    #[must_use]
    pub fn choices(mut self, choices: u32) -> Self {
        self.choices = choices;
        self
    }

    /// The tokens of its prompt and the most that its answers may have: what OpenAI reserves on
    /// arrival. At most 2^40.
    pub fn reserves(&self) -> u64 {
        self.prompt.saturating_add(self.most()).min(MOST_TOKENS)
    }

    /// The most tokens that its answers may have together.
    pub(super) fn most(&self) -> u64 {
        let most = self.max_tokens.saturating_mul(u64::from(self.choices));
        most.min(MOST_TOKENS)
    }
}
