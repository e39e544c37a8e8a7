//! What a request really used, read from the answer while it streams by.

mod json;
mod read;
#[cfg(test)]
mod tests;

use self::json::{Json, Level};
use crate::verdict::Usage;

/// Finds the usage in an answer's body, chunk by chunk, wherever the chunks are cut.
///
/// It looks at JSON of any size in constant memory (an embeddings answer has 60 MB before its
/// `usage`), and allocates nothing but where a cut goes through the usage: at most 8 KiB then. It knows `usage` of
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
            Format::Json(json) => json.found(),
            Format::Unknown | Format::Other => None,
        }
    }
}
