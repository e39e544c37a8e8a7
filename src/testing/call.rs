//! What a request asks for, as far as the provider's accounts care.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::{builder::Settings, complaint::Complaint};

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
    pub(super) echo: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat {
        /// As server-sent events, with or without a last one that states the usage.
        stream: Option<StreamUsage>,
    },
    Embeddings {
        inputs: usize,
    },
    /// A list of the models: charged to nothing.
    Models,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamUsage {
    Stated,
    Unstated,
}

impl Call {
    /// A chat completion with so many tokens in its prompt and at most so many in its answer.
    pub fn chat(model: &str, prompt_tokens: u64, max_tokens: u64) -> Self {
        Self {
            endpoint: Endpoint::Chat { stream: None },
            model: model.into(),
            prompt: prompt_tokens,
            max_tokens,
            choices: 1,
            echo: String::new(),
        }
    }

    /// Embeddings of one input with so many tokens.
    pub fn embeddings(model: &str, tokens: u64) -> Self {
        Self {
            endpoint: Endpoint::Embeddings { inputs: 1 },
            model: model.into(),
            prompt: tokens,
            max_tokens: 0,
            choices: 1,
            echo: String::new(),
        }
    }

    /// So many answers at once, each with at most `max_tokens`. Default: 1.
    #[must_use]
    pub fn choices(mut self, choices: u32) -> Self {
        self.choices = choices;
        self
    }

    /// The tokens that are reserved on arrival: the prompt's and `max_tokens` for every choice.
    pub fn reserves(&self) -> u64 {
        let completion = self.max_tokens.saturating_mul(u64::from(self.choices));
        self.prompt.saturating_add(completion)
    }

    /// Reads a request, or says what is wrong with it.
    pub(super) fn read(
        method: &Method,
        path: &str,
        body: &[u8],
        settings: &Settings,
    ) -> Result<Self, Complaint> {
        let wanted = match path {
            "/v1/chat/completions" | "/v1/embeddings" => Method::POST,
            "/v1/models" => Method::GET,
            _ => return Err(Complaint::unknown_path(method, path)),
        };
        if *method != wanted {
            return Err(Complaint::wrong_method(method, path));
        }
        if wanted == Method::GET {
            return Ok(Self::models());
        }
        let body: Value = serde_json::from_slice(body).map_err(|_| Complaint::not_json())?;
        if path == "/v1/embeddings" {
            Self::read_embeddings(&body, settings)
        } else {
            Self::read_chat(&body, settings)
        }
    }

    fn models() -> Self {
        Self {
            endpoint: Endpoint::Models,
            ..Self::embeddings("", 0)
        }
    }

    fn read_chat(body: &Value, settings: &Settings) -> Result<Self, Complaint> {
        let model = model(body)?;
        let messages = match body.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages,
            None | Some(Value::Null) => return Err(Complaint::missing("messages")),
            Some(_) => return Err(Complaint::wrong("messages", "a list of messages")),
        };
        let texts: Vec<String> = messages.iter().map(text).collect();
        let max_tokens = match number(body, "max_completion_tokens")? {
            Some(max) => max,
            None => number(body, "max_tokens")?.unwrap_or(settings.default_max_tokens),
        };
        let choices = match number(body, "n")? {
            None => 1,
            Some(n @ 1..=128) => n as u32,
            Some(_) => return Err(Complaint::wrong("n", "an integer from 1 to 128")),
        };
        let stream = body.get("stream") == Some(&Value::Bool(true));
        let usage = match body.pointer("/stream_options/include_usage") {
            Some(Value::Bool(true)) => StreamUsage::Stated,
            _ => StreamUsage::Unstated,
        };
        Ok(Self {
            endpoint: Endpoint::Chat {
                stream: stream.then_some(usage),
            },
            model,
            prompt: (settings.estimate)(&texts.concat()),
            max_tokens,
            choices,
            echo: texts.into_iter().next_back().unwrap_or_default(),
        })
    }

    fn read_embeddings(body: &Value, settings: &Settings) -> Result<Self, Complaint> {
        let model = model(body)?;
        let estimate = |text: &str| (settings.estimate)(text);
        let wrong = || Complaint::wrong("input", "a string, a list of strings, or tokens");
        let (inputs, tokens) = match body.get("input") {
            None | Some(Value::Null) => return Err(Complaint::missing("input")),
            Some(Value::String(text)) => (1, estimate(text)),
            Some(Value::Array(list)) if list.is_empty() => return Err(wrong()),
            Some(Value::Array(list)) if list.iter().all(Value::is_u64) => (1, list.len() as u64),
            Some(Value::Array(list)) => {
                let mut tokens: u64 = 0;
                for input in list {
                    tokens = tokens.saturating_add(match input {
                        Value::String(text) => estimate(text),
                        Value::Array(ids) if ids.iter().all(Value::is_u64) => ids.len() as u64,
                        _ => return Err(wrong()),
                    });
                }
                (list.len(), tokens)
            }
            Some(_) => return Err(wrong()),
        };
        Ok(Self {
            endpoint: Endpoint::Embeddings { inputs },
            model,
            prompt: tokens,
            max_tokens: 0,
            choices: 1,
            echo: String::new(),
        })
    }
}

fn model(body: &Value) -> Result<Arc<str>, Complaint> {
    match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => Ok(model.as_str().into()),
        _ => Err(Complaint::no_model()),
    }
}

fn number(body: &Value, name: &'static str) -> Result<Option<u64>, Complaint> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(Complaint::wrong(name, "an integer of at least 0")),
        },
    }
}

/// The text of a message, whose content is a string or a list of parts.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => String::new(),
    }
}
