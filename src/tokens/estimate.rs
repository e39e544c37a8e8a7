//! Reading a request's body for what it will cost.

use std::{borrow::Cow, fmt};

use http::Request;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    text::TOKEN,
    weigh::{Text, Weigh},
};
use crate::{body::ReplayBody, core::cost::Cost};

/// Tokens of output where a request doesn't say how many it allows.
pub const OUTPUT: u64 = 1_024;
/// Tokens of an image: the most that Anthropic counts for one; OpenAI's high detail is below it.
pub const IMAGE: u64 = 1_600;
/// Tokens of an image with `"detail":"low"`.
pub const IMAGE_LOW: u64 = 85;

/// Tokens with which the answer begins.
const PRIMING: u64 = 3;

/// What a request will cost, by a look at its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate<'a> {
    /// Tokens of the prompt: messages, system prompt, tools, images.
    pub input: u64,
    /// Tokens of the answer at most.
    pub output: u64,
    /// The model that is asked, where the body says so.
    pub model: Option<Cow<'a, str>>,
}

impl Estimate<'_> {
    /// As one request's cost.
    pub const fn cost(&self) -> Cost {
        Cost::input_output(self.input, self.output)
    }
}

/// Estimates a JSON body of a chat, completion, response, message or embedding; see the
/// [module](crate::tokens) for how it counts. `None` where it isn't a JSON object, or nests deeper than
/// 128 levels. It takes about 1 µs for each KiB, and allocates nothing for texts without escapes.
pub fn estimate(body: &[u8]) -> Option<Estimate<'_>> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let embeds = body.embeds();
    let input = body.weight.div_ceil(TOKEN);
    let each = match body.allowed {
        None if embeds => 0,
        allowed => allowed.unwrap_or(OUTPUT),
    };
    let answers = body.answers.unwrap_or(1).max(1);
    Some(Estimate {
        input: input.saturating_add(if embeds { 0 } else { PRIMING }),
        output: each
            .saturating_mul(answers)
            .saturating_mul(body.prompts.max(1)),
        model: body.model,
    })
}

/// The cost of a request with this body: one request and the tokens of [`estimate`].
///
/// Never fails: what isn't JSON counts one token for 4 bytes and [`OUTPUT`] more, nothing at all
/// counts no tokens.
pub fn estimate_cost(body: &[u8]) -> Cost {
    if body.is_empty() {
        return Cost::request();
    }
    estimate(body).map_or_else(
        || Cost::input_output((body.len() as u64).div_ceil(4), OUTPUT),
        |estimate| estimate.cost(),
    )
}

/// The cost of a request, where its body can be read ahead; a path that ends in `/embeddings`
/// has no output.
pub fn estimate_request<B: ReplayBody>(request: &Request<B>) -> Option<Cost> {
    let embeds = request.uri().path().ends_with("/embeddings");
    request.body().look(|body| match estimate(body) {
        Some(estimate) if embeds => Cost::input_output(estimate.input, 0),
        Some(estimate) => estimate.cost(),
        None => estimate_cost(body),
    })
}

/// What is known of a body so far.
#[derive(Default)]
struct Body<'a> {
    model: Option<Cow<'a, str>>,
    /// In sixteenths of a token.
    weight: u64,
    /// Tokens that an answer may have.
    allowed: Option<u64>,
    /// How many answers are asked for, to each prompt.
    answers: Option<u64>,
    /// How many prompts there are, where there may be several.
    prompts: u64,
    /// Has something that only chats, completions and responses have.
    generates: bool,
    /// Has something that only embeddings have.
    embedding: bool,
}

impl Body<'_> {
    fn add(&mut self, weight: u64) {
        self.weight = self.weight.saturating_add(weight);
    }

    fn embeds(&self) -> bool {
        const NAMES: [&str; 9] = [
            "embed",
            "bge-",
            "e5-",
            "gte-",
            "voyage",
            "minilm",
            "rerank",
            "moderation",
            "ada-002",
        ];

        let named = || {
            let model = self.model.as_deref().unwrap_or_default();
            NAMES.iter().any(|name| model.contains(name))
        };
        !self.generates && (self.embedding || named())
    }
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request's JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "model" | "modelId" => body.model = map.next_value::<Lax<'de>>()?.text(),
                "messages" | "contents" => {
                    body.generates = true;
                    body.add(map.next_value_seed(Weigh::items())?.weight);
                }
                "prompt" => {
                    let found = map.next_value_seed(Weigh::plain())?;
                    body.generates = true;
                    body.prompts = found.entries;
                    body.add(found.weight);
                }
                "system" | "instructions" | "system_instruction" | "systemInstruction"
                | "suffix" => {
                    body.generates = true;
                    body.add(map.next_value_seed(Weigh::plain())?.weight);
                }
                "input" | "inputs" | "content" | "texts" | "requests" => {
                    let found = map.next_value_seed(Weigh::items())?;
                    // Responses take a text or a list of objects.
                    body.embedding |= found.flat;
                    body.add(found.weight);
                }
                "tools" | "functions" | "toolConfig" | "response_format" | "text"
                | "output_config" | "prediction" => {
                    body.add(map.next_value_seed(Weigh::items())?.weight);
                }
                "encoding_format" | "dimensions" | "input_type" | "embedding_types" => {
                    body.embedding = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "max_tokens"
                | "max_completion_tokens"
                | "max_output_tokens"
                | "max_tokens_to_sample"
                | "max_new_tokens" => {
                    body.allowed = body.allowed.max(map.next_value::<Lax<'de>>()?.count());
                }
                "n" => body.answers = map.next_value::<Lax<'de>>()?.count(),
                "generationConfig" | "generation_config" | "inferenceConfig" => {
                    let config: Config = map.next_value()?;
                    body.generates = true;
                    body.allowed = body.allowed.max(config.allowed);
                    body.answers = body.answers.max(config.answers);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(body)
    }
}

/// Google's and Bedrock's corner for the output's size.
#[derive(Default)]
struct Config {
    allowed: Option<u64>,
    answers: Option<u64>,
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConfigVisitor;

        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = Config;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a configuration")
            }

            fn visit_unit<E>(self) -> Result<Config, E> {
                Ok(Config::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut config = Config::default();
                while let Some(Text(key)) = map.next_key()? {
                    match &*key {
                        "maxOutputTokens" | "max_output_tokens" | "maxTokens" => {
                            config.allowed = map.next_value::<Lax<'de>>()?.count();
                        }
                        "candidateCount" | "candidate_count" => {
                            config.answers = map.next_value::<Lax<'de>>()?.count();
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(config)
            }
        }

        deserializer.deserialize_any(ConfigVisitor)
    }
}

/// A text, a count, or something else that says nothing.
enum Lax<'a> {
    Text(Cow<'a, str>),
    Count(u64),
    Other,
}

impl<'a> Lax<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn count(self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(count),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Lax<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LaxVisitor)
    }
}

struct LaxVisitor;

impl<'de> Visitor<'de> for LaxVisitor {
    type Value = Lax<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Lax<'de>, E> {
        Ok(Lax::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Lax<'de>, E> {
        Ok(Lax::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Lax<'de>, E> {
        Ok(Lax::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Lax<'de>, E> {
        Ok(Lax::Other)
    }

    fn visit_f64<E>(self, count: f64) -> Result<Lax<'de>, E> {
        // Some writers know no integers. The cast saturates.
        Ok(if count >= 0.0 {
            Lax::Count(count.ceil() as u64)
        } else {
            Lax::Other
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Lax<'de>, E> {
        Ok(Lax::Other)
    }

    fn visit_unit<E>(self) -> Result<Lax<'de>, E> {
        Ok(Lax::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Lax<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lax::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lax<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Lax::Other)
    }
}
