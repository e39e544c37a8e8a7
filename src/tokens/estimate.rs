//! Reading a request's body for what it will cost.

use std::{borrow::Cow, fmt};

use http::Request;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use super::{
    address::{self, Address},
    lax::{Config, Lax, Text},
    tally::{Scale, Sum, Tally},
    text::{TOKEN, Traits},
    weigh::Weigh,
};
use crate::{body::ReplayBody, core::cost::Cost};

/// Tokens of output where a request doesn't say how many it allows.
pub const OUTPUT: u64 = 1_024;
/// Tokens of an image: the most that Anthropic counts for one; OpenAI's high detail is below it.
pub const IMAGE: u64 = 1_600;
/// Tokens of an image with `"detail":"low"`.
pub const IMAGE_LOW: u64 = 85;

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
/// 128 levels. It takes 0.5 to 1.2 µs for each KiB, and allocates nothing for texts without escapes.
pub fn estimate(body: &[u8]) -> Option<Estimate<'_>> {
    let read = read(body, Scale::BYTES, &Address::default())?;
    Some(read.estimate(read.sum.first_tokens()))
}

/// Tokens of a text by itself, to pack several into one request.
///
/// As [`estimate`] counts it; a [`Calibration`](super::Calibration) counts better what its model has answered before.
pub fn count_text(text: &str) -> u64 {
    let mut traits = Traits::default();
    traits.text(text.as_bytes());
    traits.weight().div_ceil(TOKEN)
}

/// The cost of a request with this body: one request and the tokens of [`estimate`].
///
/// Never fails: what isn't JSON counts one token for 4 bytes and [`OUTPUT`] more, nothing at all
/// counts no tokens.
pub fn estimate_cost(body: &[u8]) -> Cost {
    estimate(body).map_or_else(|| unread(body), |estimate| estimate.cost())
}

/// The cost of a request, where its body can be read ahead; a path that ends in `/embeddings` or in another of its
/// kind has no output.
pub fn estimate_request<B: ReplayBody>(request: &Request<B>) -> Option<Cost> {
    address::of(request.uri(), |address| {
        request.body().look(|body| {
            let read = read(body, Scale::BYTES, address);
            read.map_or_else(
                || unread(body),
                |read| read.estimate(read.sum.first_tokens()).cost(),
            )
        })
    })
}

/// The cost of a request that isn't JSON.
pub(super) fn unread(body: &[u8]) -> Cost {
    if body.is_empty() {
        return Cost::request();
    }
    Cost::input_output((body.len() as u64).div_ceil(4), OUTPUT)
}

/// A request that was read.
pub(super) struct Read<'a> {
    /// What its prompt is made of.
    pub(super) sum: Sum,
    output: u64,
    model: Option<Cow<'a, str>>,
}

impl<'a> Read<'a> {
    /// With as many tokens in its prompt.
    pub(super) fn estimate(&self, input: u64) -> Estimate<'a> {
        Estimate {
            input,
            output: self.output,
            model: self.model.clone(),
        }
    }

    pub(super) fn cost(&self, input: u64) -> Cost {
        Cost::input_output(input, self.output)
    }

    /// The model that the body names.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref().map(address::bare)
    }
}

/// Reads a body that was sent to `address`.
pub(super) fn read<'a>(
    body: &'a [u8],
    scale: Scale<'_>,
    address: &Address<'_>,
) -> Option<Read<'a>> {
    let mut tally = Tally::new(scale);
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = ReadBody(&mut tally).deserialize(&mut json).ok()?;
    json.end().ok()?;
    let embeds = address.embeds || found.embeds(address.model);
    let each = match found.allowed {
        _ if address.embeds => 0,
        None if embeds => 0,
        allowed => allowed.unwrap_or(OUTPUT),
    };
    if !embeds {
        tally.priming();
    }
    let answers = found.answers.unwrap_or(1).max(1);
    Some(Read {
        sum: tally.sum(),
        output: each
            .saturating_mul(answers)
            .saturating_mul(found.prompts.max(1)),
        model: found.model,
    })
}

/// What is known of a body so far, beside what its prompt is made of.
#[derive(Default)]
struct Body<'a> {
    model: Option<Cow<'a, str>>,
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
    fn embeds(&self, model: Option<&str>) -> bool {
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
            let model = model.or(self.model.as_deref()).unwrap_or_default();
            NAMES.iter().any(|name| model.contains(name))
        };
        !self.generates && (self.embedding || named())
    }
}

/// Reads a body, and counts its prompt as it passes.
struct ReadBody<'t, 'e>(&'t mut Tally<'e>);

impl<'de> DeserializeSeed<'de> for ReadBody<'_, '_> {
    type Value = Body<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadBody<'_, '_> {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request's JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let Self(tally) = self;
        let mut body = Body::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "model" | "modelId" => body.model = map.next_value::<Lax<'de>>()?.text(),
                "messages" | "contents" => {
                    body.generates = true;
                    map.next_value_seed(Weigh::items(tally))?;
                }
                "prompt" => {
                    let found = map.next_value_seed(Weigh::plain(tally))?;
                    body.generates = true;
                    body.prompts = found.entries;
                    if found.object {
                        // A template that the provider keeps.
                        tally.blur();
                    }
                }
                "system" | "instructions" | "system_instruction" | "systemInstruction"
                | "suffix" => {
                    body.generates = true;
                    map.next_value_seed(Weigh::plain(tally))?;
                }
                "input" | "inputs" | "content" | "texts" | "requests" => {
                    let found = map.next_value_seed(Weigh::items(tally))?;
                    // Responses take a text or a list of objects.
                    body.embedding |= found.flat;
                }
                "tools" | "functions" | "toolConfig" | "response_format" | "text"
                | "output_config" | "prediction" => {
                    let before = tally.mark();
                    map.next_value_seed(Weigh::items(tally))?;
                    tally.lump(before);
                }
                // More of the prompt, which isn't here.
                "previous_response_id"
                | "conversation"
                | "cachedContent"
                | "cached_content"
                | "documents"
                | "web_search_options"
                | "search_parameters"
                | "mcp_servers" => {
                    if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                        tally.blur();
                    }
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
