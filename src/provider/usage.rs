//! What a request really used, read from the answer while it streams by.

use memchr::{memchr2, memchr3};
use serde::{Deserialize, Deserializer, de};

use crate::verdict::Usage;

/// A `usage` object larger than this isn't one.
const MAX_USAGE: usize = 8 * 1024;
/// The longest key that is looked for is `usageMetadata`.
const KEY: usize = 16;

/// Finds the usage in an answer's body, chunk by chunk, wherever the chunks are cut.
///
/// It looks at JSON of any size in constant memory (an embeddings answer has 60 MB before its
/// `usage`), allocates nothing before it meets one, and at most 8 KiB then. It knows `usage` of
/// OpenAI (chat, responses, embeddings), Anthropic and Bedrock, and Google's `usageMetadata`, at
/// the top of the document or of the elements of a top-level array; the last one counts.
///
/// The input is the whole prompt, tokens from the cache included, whatever the provider's own
/// counting: Anthropic and Bedrock tell them apart, and they are added here. Thoughts are output.
///
/// ```
/// use tower_quota::{Usage, provider::UsageScanner};
///
/// let mut scanner = UsageScanner::new();
/// scanner.push(br#"{"data":[[0.1,0.2]],"usa"#);
/// scanner.push(br#"ge":{"prompt_tokens":8,"total_tokens":8}}"#);
/// assert_eq!(scanner.finish(), Some(Usage::new(8, 0)));
/// ```
#[derive(Debug, Default)]
pub struct UsageScanner {
    format: Format,
}

#[derive(Debug, Default)]
enum Format {
    /// Nothing but white space so far.
    #[default]
    Unknown,
    /// One JSON document.
    Json(Json),
    // Events (`text/event-stream`) come here: their first byte is none that begins JSON, and
    // each event's data is a JSON document of its own.
    /// Something without a usage.
    Other,
}

impl UsageScanner {
    /// A scanner that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next bytes of the body.
    pub fn push(&mut self, mut chunk: &[u8]) {
        if let Format::Unknown = self.format {
            // White space, and the byte order mark that some gateways put first.
            let blank = |b: &u8| b.is_ascii_whitespace() || matches!(b, 0xef | 0xbb | 0xbf);
            let Some(start) = chunk.iter().position(|byte| !blank(byte)) else {
                return;
            };
            self.format = match chunk[start] {
                b'{' => Format::Json(Json::new(Level::Members)),
                b'[' => Format::Json(Json::new(Level::Elements)),
                _ => Format::Other,
            };
            chunk = &chunk[start + 1..];
        }
        if let Format::Json(json) = &mut self.format {
            json.push(chunk);
        }
    }

    /// The usage, if the body had one that ended.
    pub fn finish(self) -> Option<Usage> {
        match self.format {
            Format::Json(json) => parse(&json.found),
            Format::Unknown | Format::Other => None,
        }
    }
}

/// Where in a document whatever stands between the values belongs to.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// An array at the top.
    Elements,
    /// The object at the top, or one right in the array at the top.
    Members,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between values.
    Between,
    /// In a member's name.
    Key,
    /// Behind a member's name; the flag says that it is the usage's.
    Value { usage: bool },
    /// In a string.
    Text,
    /// In an object or array that doesn't matter. Only brackets of its own kind are counted:
    /// those of the other kind are balanced inside.
    Skip {
        open: u8,
        close: u8,
        depth: u32,
        text: bool,
    },
    /// In the usage.
    Capture { depth: u32, text: bool },
    /// Behind the end.
    Done,
}

#[derive(Debug)]
struct Json {
    state: State,
    level: Level,
    // Whether the document is an array, so that an object's end isn't the document's.
    array: bool,
    // Whether the last byte of the string that is being read was a backslash that escapes.
    escaped: bool,
    key: [u8; KEY],
    // Bytes of the key; above `KEY` it is longer than any that matters.
    key_len: usize,
    capture: Vec<u8>,
    found: Vec<u8>,
}

impl Json {
    const fn new(level: Level) -> Self {
        Self {
            state: State::Between,
            level,
            array: matches!(level, Level::Elements),
            escaped: false,
            key: [0; KEY],
            key_len: 0,
            capture: Vec::new(),
            found: Vec::new(),
        }
    }

    fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let used = match self.state {
                State::Between => self.between(chunk),
                State::Key => self.key(chunk),
                State::Value { usage } => self.value(chunk, usage),
                State::Text => {
                    let (used, ended) = self.text(chunk);
                    if ended {
                        self.state = State::Between;
                    }
                    used
                }
                State::Skip {
                    open,
                    close,
                    depth,
                    text,
                } => self.skip(chunk, open, close, depth, text),
                State::Capture { depth, text } => self.capture(chunk, depth, text),
                State::Done => return,
            };
            chunk = &chunk[used..];
        }
    }

    fn between(&mut self, chunk: &[u8]) -> usize {
        for (at, byte) in chunk.iter().enumerate() {
            match (self.level, byte) {
                (Level::Members, b'"') => {
                    self.key_len = 0;
                    self.state = State::Key;
                }
                (Level::Members, b'}') if self.array => self.level = Level::Elements,
                (Level::Members, b'}') | (Level::Elements, b']') => self.state = State::Done,
                (Level::Elements, b'{') => self.level = Level::Members,
                (Level::Elements, b'[') => self.state = skip(b'[', b']'),
                (Level::Elements, b'"') => self.state = State::Text,
                _ => continue,
            }
            return at + 1;
        }
        chunk.len()
    }

    fn key(&mut self, chunk: &[u8]) -> usize {
        for (at, byte) in chunk.iter().enumerate() {
            if self.escaped {
                self.escaped = false;
            } else if *byte == b'\\' {
                // No key that matters has one.
                self.escaped = true;
                self.key_len = KEY;
            } else if *byte == b'"' {
                let key = self.key.get(..self.key_len).unwrap_or_default();
                let usage = matches!(key, b"usage" | b"usageMetadata");
                self.state = State::Value { usage };
                return at + 1;
            }
            if let Some(slot) = self.key.get_mut(self.key_len) {
                *slot = *byte;
            }
            self.key_len = (self.key_len + 1).min(KEY + 1);
        }
        chunk.len()
    }

    fn value(&mut self, chunk: &[u8], usage: bool) -> usize {
        for (at, byte) in chunk.iter().enumerate() {
            self.state = match byte {
                b':' | b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'"' => State::Text,
                b'{' if usage => {
                    self.capture.clear();
                    self.capture.push(b'{');
                    State::Capture {
                        depth: 1,
                        text: false,
                    }
                }
                b'{' => skip(b'{', b'}'),
                b'[' => skip(b'[', b']'),
                // A number or a word: nothing in it looks like anything else.
                _ => {
                    self.state = State::Between;
                    return at;
                }
            };
            return at + 1;
        }
        chunk.len()
    }

    /// Goes on in a string: how much of the chunk it takes, and whether it ends there.
    fn text(&mut self, chunk: &[u8]) -> (usize, bool) {
        let mut at = 0;
        if self.escaped {
            self.escaped = false;
            at = 1;
        }
        while let Some(found) = memchr2(b'"', b'\\', &chunk[at..]) {
            at += found + 1;
            if chunk[at - 1] == b'"' {
                return (at, true);
            }
            if at == chunk.len() {
                self.escaped = true;
                return (at, false);
            }
            at += 1;
        }
        (chunk.len(), false)
    }

    fn skip(&mut self, chunk: &[u8], open: u8, close: u8, mut depth: u32, mut text: bool) -> usize {
        let mut at = 0;
        while at < chunk.len() {
            if text {
                let (used, ended) = self.text(&chunk[at..]);
                at += used;
                text = !ended;
                continue;
            }
            let Some(found) = memchr3(open, close, b'"', &chunk[at..]) else {
                break;
            };
            at += found + 1;
            match chunk[at - 1] {
                b'"' => text = true,
                byte if byte == open => depth = depth.saturating_add(1),
                _ => depth -= 1,
            }
            if depth == 0 {
                self.state = State::Between;
                return at;
            }
        }
        self.state = State::Skip {
            open,
            close,
            depth,
            text,
        };
        chunk.len()
    }

    fn capture(&mut self, chunk: &[u8], mut depth: u32, mut text: bool) -> usize {
        let mut at = 0;
        while at < chunk.len() && depth > 0 {
            if text {
                let (used, ended) = self.text(&chunk[at..]);
                at += used;
                text = !ended;
                continue;
            }
            match chunk[at] {
                b'"' => text = true,
                b'{' => depth = depth.saturating_add(1),
                b'}' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        let fits = self.capture.len() + at <= MAX_USAGE;
        if fits {
            self.capture.extend_from_slice(&chunk[..at]);
        }
        self.state = if depth == 0 {
            if fits {
                std::mem::swap(&mut self.capture, &mut self.found);
            }
            State::Between
        } else if fits {
            State::Capture { depth, text }
        } else {
            State::Skip {
                open: b'{',
                close: b'}',
                depth,
                text,
            }
        };
        at
    }
}

const fn skip(open: u8, close: u8) -> State {
    State::Skip {
        open,
        close,
        depth: 1,
        text: false,
    }
}

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

/// The names of all providers side by side: some send two of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<Details>,

    input_tokens: Count,
    output_tokens: Count,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,

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

fn parse(json: &[u8]) -> Option<Usage> {
    let raw: Raw = serde_json::from_slice(json).ok()?;
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
    let output = first(&[raw.completion_tokens, raw.output_tokens, raw.output])
        .or_else(|| sum(&[raw.candidates_token_count, raw.thoughts_token_count]));
    // Only these two tell the cache's part from the rest.
    let read = first(&[raw.cache_read_input_tokens, raw.cache_read]);
    let written = first(&[raw.cache_creation_input_tokens, raw.cache_write]);
    let input = raw
        .prompt_tokens
        .0
        .or_else(|| sum(&[raw.prompt_token_count, raw.tool_prompt_token_count]))
        .or_else(|| {
            let fresh = Count(first(&[raw.input_tokens, raw.input]));
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
        raw.cached_content_token_count,
        Count(read),
    ])
    .unwrap_or(0);
    Some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(parts: &[&[u8]]) -> Option<Usage> {
        let mut scanner = UsageScanner::new();
        for part in parts {
            scanner.push(part);
        }
        scanner.finish()
    }

    fn whole(body: &str) -> Option<Usage> {
        scan(&[body.as_bytes()])
    }

    fn usage(input: u64, output: u64, total: u64, cached: u64) -> Option<Usage> {
        let mut usage = Usage::new(input, output);
        usage.total_tokens = total;
        usage.cached_tokens = cached;
        Some(usage)
    }

    const CHAT: &str = r#" {"id":"x","choices":[{"message":{"content":"a \"usage\": {\"prompt_tokens\":1} ]}\\",
        "usage":{"prompt_tokens":77}},"finish_reason":"stop"}],"us\u0061ge":{"prompt_tokens":5},
        "flag":true,"n":-1.5e3,"usage" : {"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,
        "note":"} \"{","prompt_tokens_details":{"cached_tokens":20,"audio_tokens":null}},"after":["]"]}"#;

    #[test]
    fn every_providers_usage_reads() {
        assert_eq!(whole(CHAT), usage(30, 12, 42, 20));
        for (body, expected) in [
            // OpenAI's responses and embeddings.
            (
                r#"{"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},
                    "output_tokens":87,"output_tokens_details":{"reasoning_tokens":9},"total_tokens":123}}"#,
                usage(36, 87, 123, 4),
            ),
            (
                r#"{"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
                usage(8, 0, 8, 0),
            ),
            // Anthropic: the input excludes the cache.
            (
                r#"{"usage":{"input_tokens":10,"cache_creation_input_tokens":100,
                    "cache_read_input_tokens":1000,"output_tokens":5}}"#,
                usage(1_110, 5, 1_115, 1_000),
            ),
            // Google: thoughts are in the total and not in the candidates.
            (
                r#"{"usageMetadata":{"promptTokenCount":174,"candidatesTokenCount":573,
                    "thoughtsTokenCount":956,"cachedContentTokenCount":100,"totalTokenCount":1703}}"#,
                usage(174, 1_529, 1_703, 100),
            ),
            (
                r#"[{"usageMetadata":{"promptTokenCount":1}},
                    {"x":[{}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}]"#,
                usage(3, 4, 7, 0),
            ),
            // Bedrock.
            (
                r#"{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":1015,
                    "cacheReadInputTokens":1000}}"#,
                usage(1_010, 5, 1_015, 1_000),
            ),
            // Two vocabularies at once, floats and nulls.
            (
                r#"{"usage":{"prompt_tokens":7.0,"input_tokens":7,"completion_tokens":null,
                    "output_tokens":2,"total_tokens":"9"}}"#,
                usage(7, 2, 9, 0),
            ),
        ] {
            assert_eq!(whole(body), expected, "{body}");
        }
    }

    #[test]
    fn whatever_else_has_no_usage() {
        for body in [
            "",
            "  ",
            "null",
            "<html>",
            "data: {}",
            "{",
            "{}",
            "[",
            "[[1],2,\"]\"]",
            r#"{"usage":null}"#,
            r#"{"usage":{}}"#,
            r#"{"usage":{"prompt_tokens":-1}}"#,
            r#"{"usage":{"prompt_tokens":1"#,
            r#"{"data":{"usage":{"prompt_tokens":1}}}"#,
            r#"{"usage":"{\"prompt_tokens\":1}"}"#,
            r#"{}{"usage":{"prompt_tokens":1}}"#,
        ] {
            assert_eq!(whole(body), None, "{body}");
        }
        let long = "x".repeat(9_000);
        let large = format!(r#"{{"usage":{{"prompt_tokens":1,"x":"{long}"}}}}"#);
        assert_eq!(whole(&large), None);
        let later = format!(r#"{{"usage":{{"x":"{long}"}},"usage":{{"prompt_tokens":1}}}}"#);
        assert_eq!(whole(&later), usage(1, 0, 1, 0));
    }

    #[test]
    fn bytes_before_the_usage_allocate_nothing() {
        let mut json = Json::new(Level::Members);
        let vectors = "[0.125,-0.5],".repeat(10_000);
        json.push(format!(r#""data":[{vectors}],"text":"{vectors}","#).as_bytes());
        assert_eq!((json.capture.capacity(), json.found.capacity()), (0, 0));
    }

    #[test]
    fn every_single_cut_gives_the_same() {
        let body = CHAT.as_bytes();
        for at in 0..body.len() {
            let (a, b) = body.split_at(at);
            assert_eq!(scan(&[a, b]), usage(30, 12, 42, 20), "cut at {at}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(scan(&bytes), usage(30, 12, 42, 20));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_cuts_give_the_same(
            body in r#"[\[\]{}":,\\u0-9 ]{0,20}("usage":\{"input_tokens":[0-9]{1,4}\})?[\[\]{}":,\\u0-9 ]{0,20}"#,
            size in 1_usize..9,
        ) {
            let body = format!("{{{body}");
            let parts: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            prop_assert_eq!(scan(&parts), whole(&body));
        }

        #[test]
        fn arbitrary_cuts_of_an_answer_give_the_same(sizes in proptest::collection::vec(1_usize..40, 1..40)) {
            let mut rest = CHAT.as_bytes();
            let mut parts: Vec<&[u8]> = Vec::new();
            for size in sizes {
                let (part, other) = rest.split_at(size.min(rest.len()));
                parts.push(part);
                rest = other;
            }
            parts.push(rest);
            prop_assert_eq!(scan(&parts), usage(30, 12, 42, 20));
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = scan(&[b"{", &body]);
        }
    }
}
