//! How answers stream.

use std::time::Duration;

use super::Delay;

/// How an answer streams: in how many pieces, how large, and when.
///
/// ```
/// use std::time::Duration;
/// use tower_quota::testing::Stream;
///
/// let slow = Stream::at_once()
///     .pieces(50)
///     .first(Duration::from_millis(400)..Duration::from_millis(900))
///     .pace(Duration::from_millis(20))
///     .keep_alive(Duration::from_millis(100));
/// # let _ = slow;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Stream {
    pub(super) pieces: u64,
    pub(super) piece_bytes: Option<usize>,
    pub(super) chunk_bytes: Option<usize>,
    pub(super) created_bytes: usize,
    pub(super) first: Delay,
    pub(super) pace: Delay,
    pub(super) comments: bool,
    pub(super) keep_alive: Option<Duration>,
}

impl Stream {
    /// All of it at once, in one piece.
    pub fn at_once() -> Self {
        Self {
            pieces: 1,
            piece_bytes: None,
            chunk_bytes: None,
            created_bytes: 0,
            first: Delay::default(),
            pace: Delay::default(),
            comments: false,
            keep_alive: None,
        }
    }

    /// In how many pieces the text of every choice comes, each an event of its own; at least 1.
    /// Default: 1.
    pub fn pieces(mut self, pieces: u64) -> Self {
        self.pieces = pieces.max(1);
        self
    }

    /// Every piece has about so many bytes of text, which is the answer's over and over: for
    /// streams of any size. Default: the answer's text is divided.
    pub fn piece_bytes(mut self, bytes: usize) -> Self {
        self.piece_bytes = Some(bytes.max(1));
        self
    }

    /// Bytes leave in chunks of so many, wherever that cuts an event. Default: an event is a chunk.
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes.max(1));
        self
    }

    /// `response.created` has so many bytes of instructions. Real ones exceed 16 KB. Default: 0.
    pub fn created_bytes(mut self, bytes: usize) -> Self {
        self.created_bytes = bytes;
        self
    }

    /// How long after the stream began the first piece comes. Default: no time.
    pub fn first(mut self, delay: impl Into<Delay>) -> Self {
        self.first = delay.into();
        self
    }

    /// How long after a piece the next one comes. Default: no time.
    pub fn pace(mut self, delay: impl Into<Delay>) -> Self {
        self.pace = delay.into();
        self
    }

    /// A comment before every event, where the stream is of events. Default: off.
    pub fn comments(mut self, on: bool) -> Self {
        self.comments = on;
        self
    }

    /// A comment whenever nothing was said for so long, where the stream is of events.
    /// Default: never.
    pub fn keep_alive(mut self, every: Duration) -> Self {
        self.keep_alive = (!every.is_zero()).then_some(every);
        self
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::at_once()
    }
}

/// How a stream fails that began with a 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamFault {
    /// The connection is closed in the middle.
    BreakOff,
    /// An error event for want of capacity, and the end: OpenAI's `error`, the `error` and
    /// `response.failed` of responses, Anthropic's `overloaded_error`, Gemini's
    /// `MODEL_CAPACITY_EXHAUSTED`.
    Overloaded,
    /// The same for a rate limit, with this wait where the provider states one. Before the first
    /// content a stream of responses has it as `retry-after` beside the 200.
    RateLimited(Duration),
    /// A gateway's 429 as a chunk, as OpenRouter passes on its upstream's.
    Upstream,
}
