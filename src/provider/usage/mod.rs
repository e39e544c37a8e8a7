//! What a request really used, read from the answer while it streams by.

mod found;
mod frames;
mod json;
mod near;
mod read;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;

use http::{HeaderMap, header::CONTENT_TYPE};

use self::{frames::Frames, json::Json, stream::Stream};
use crate::verdict::Usage;

/// Finds the usage in an answer's body, chunk by chunk, wherever the chunks are cut.
///
/// It tells by the first byte what it has before it: one JSON document, an array or lines of them,
/// a stream of events (`text/event-stream`), or one in AWS's frames
/// (`application/vnd.amazon.eventstream`). It looks at answers of any size in constant memory (an
/// embeddings answer has 60 MB before its `usage`), and allocates nothing but where a cut goes
/// through the usage, and for streams.
///
/// A stream of events tells at its end what was used, so that it is read there alone: the usage is that of the last event
/// that has one, which must end in the stream's last 4 KiB; what a message began with is in an event that begins in its
/// first 4 KiB. All but those are passed over, and at most 48 KiB are kept of streams of any length. Events themselves
/// may be of any length.
///
/// It knows `usage` of OpenAI (chat, responses, embeddings), Anthropic, Bedrock and Cohere, and
/// Google's `usageMetadata`, at the top of a document or of the elements of a top-level array; in an
/// event also right in `response`, `message`, `metadata`, `delta` or `x_groq`. The last one counts: streams
/// send it again as it grows. What Anthropic's stream begins with is kept where its end doesn't say it
/// again, and is no usage alone. A stream has none whose last one is followed by an error.
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
///
/// let mut scanner = UsageScanner::new();
/// scanner.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n");
/// scanner.push(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_to");
/// scanner.push(b"kens\":1}}\n\ndata: [DONE]\n\n");
/// assert_eq!(scanner.finish(), Some(Usage::new(8, 1)));
/// ```
#[derive(Default)]
pub struct UsageScanner {
    format: Format,
}

#[derive(Debug, Default)]
enum Format {
    /// Nothing but white space so far.
    #[default]
    Unknown,
    /// JSON documents.
    Json(Json),
    /// Events, each of which has a JSON document for its data.
    Stream(Box<Stream>),
    /// The same in frames.
    Frames(Box<Frames>),
    /// Something without a usage.
    Other,
}

// It keeps parts of what the model said.
impl fmt::Debug for UsageScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageScanner").finish_non_exhaustive()
    }
}

impl UsageScanner {
    /// A scanner that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scanner for an answer with these headers; `None` where its type has no usage.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::may_read(headers).then(Self::new)
    }

    /// Whether an answer with these headers may have a usage.
    pub(crate) fn may_read(headers: &HeaderMap) -> bool {
        let content_type = headers.get(CONTENT_TYPE);
        content_type.is_none_or(|value| {
            let says = |word: &[u8]| {
                let mut parts = value.as_bytes().windows(word.len());
                parts.any(|part| part.eq_ignore_ascii_case(word))
            };
            says(b"json") || says(b"event")
        })
    }

    /// Looks at the next bytes of the body.
    #[inline]
    pub fn push(&mut self, chunk: &[u8]) {
        // Most chunks of a stream are kept, and no more.
        if let Format::Stream(stream) = &mut self.format
            && stream.keep(chunk)
        {
            return;
        }
        self.look(chunk);
    }

    fn look(&mut self, mut chunk: &[u8]) {
        if let Format::Unknown = self.format {
            // White space, and the byte order mark that some gateways put first.
            let blank = |b: &u8| b.is_ascii_whitespace() || matches!(b, 0xef | 0xbb | 0xbf);
            let Some(start) = chunk.iter().position(|byte| !blank(byte)) else {
                return;
            };
            chunk = &chunk[start..];
            self.format = match chunk[0] {
                b'{' | b'[' => Format::Json(Json::new()),
                // A page, or something compressed.
                b'<' | 0x1f => Format::Other,
                0 => Format::Frames(Box::new(Frames::new())),
                _ => Format::Stream(Box::new(Stream::new())),
            };
        }
        match &mut self.format {
            Format::Json(json) => json.push(chunk),
            Format::Stream(stream) => stream.push(chunk),
            Format::Frames(frames) => frames.push(chunk),
            Format::Unknown | Format::Other => {}
        }
    }

    /// The usage, if the body had one that ended.
    pub fn finish(self) -> Option<Usage> {
        match self.format {
            Format::Json(json) => json.found.finish(),
            Format::Stream(stream) => stream.finish(),
            Format::Frames(frames) => frames.into_json().found.finish(),
            Format::Unknown | Format::Other => None,
        }
    }
}
