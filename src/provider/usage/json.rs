//! Walking over JSON documents.

use memchr::{memchr, memchr2, memchr3};

use super::{found::Found, near::near};

/// A `usage` object larger than this isn't one.
const MAX_USAGE: usize = 8 * 1024;
/// The longest key that is looked for is `usageMetadata`.
const KEY: usize = 16;

/// Where in a document whatever stands between the values belongs to.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// An array at the top.
    Elements,
    /// The object at the top, or one right in the array at the top.
    Members,
    /// An object in an event's, in which the usage may be.
    Wrapped { message: bool },
}

#[derive(Clone, Copy, Debug)]
enum Member {
    Usage,
    Error,
    Wrapper { message: bool },
    Other,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the document.
    Start,
    /// Between values.
    Between,
    /// In a member's name.
    Key,
    /// Behind a member's name.
    Value(Member),
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
    /// Behind the end; the flag says that a line has ended since.
    Done { line: bool },
}

/// Several documents belong together where they are the events, the lines or the elements of one
/// stream. Their usage adds up to nothing: the last one counts. What an error ends has none.
#[derive(Debug)]
pub(super) struct Json {
    state: State,
    level: Level,
    // Whether the documents are parts of a stream.
    stream: bool,
    // Whether the document is an array, so that an object's end isn't the document's.
    array: bool,
    // Whether the last byte of the string that is being read was a backslash that escapes.
    escaped: bool,
    key: [u8; KEY],
    // Bytes of the key; above `KEY` it is longer than any that matters.
    key_len: usize,
    // The usage so far, where it came in more than one chunk.
    capture: Vec<u8>,
    pub(super) found: Found,
}

impl Json {
    /// Before the first document.
    pub(super) const fn new() -> Self {
        Self {
            state: State::Start,
            level: Level::Members,
            stream: false,
            array: false,
            escaped: false,
            key: [0; KEY],
            key_len: 0,
            capture: Vec::new(),
            found: Found::new(),
        }
    }

    /// The next document of a stream begins.
    pub(super) fn begin(&mut self) {
        self.state = State::Start;
        self.level = Level::Members;
        self.stream = true;
        self.array = false;
        self.escaped = false;
        self.capture.clear();
        self.found.begin();
    }

    /// How much is allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.capture.capacity() + self.found.capacity()
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let used = match self.state {
                State::Start => self.start(chunk),
                State::Between => self.between(chunk),
                State::Key => self.key(chunk),
                State::Value(member) => self.value(chunk, member),
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
                State::Done { line } => self.done(chunk, line),
            };
            chunk = &chunk[used..];
        }
    }

    fn start(&mut self, chunk: &[u8]) -> usize {
        // White space, and the byte order mark that some gateways put first.
        let blank = |b: &u8| b.is_ascii_whitespace() || matches!(b, 0xef | 0xbb | 0xbf);
        let Some(start) = chunk.iter().position(|byte| !blank(byte)) else {
            return chunk.len();
        };
        self.state = match chunk[start] {
            b'{' => State::Between,
            b'[' => {
                self.level = Level::Elements;
                self.array = true;
                self.stream = true;
                State::Between
            }
            // `[DONE]` is a document too; this is none.
            _ => State::Done { line: false },
        };
        start + 1
    }

    /// Another document may follow on a line of its own.
    fn done(&mut self, chunk: &[u8], mut line: bool) -> usize {
        let mut at = 0;
        while let Some(byte) = chunk.get(at) {
            at += 1;
            match byte {
                b'\n' => line = true,
                b' ' | b'\t' | b'\r' => {}
                b'{' if line => {
                    self.begin();
                    return at - 1;
                }
                // Whatever that is, its line says nothing.
                _ => {
                    line = false;
                    at += memchr(b'\n', &chunk[at..]).unwrap_or(chunk.len() - at);
                }
            }
        }
        self.state = State::Done { line };
        at
    }

    fn between(&mut self, chunk: &[u8]) -> usize {
        for (at, byte) in chunk.iter().enumerate() {
            match (self.level, byte) {
                (Level::Members | Level::Wrapped { .. }, b'"') => {
                    self.key_len = 0;
                    self.state = State::Key;
                }
                (Level::Wrapped { .. }, b'}') => self.level = Level::Members,
                (Level::Members, b'}') if self.array => self.level = Level::Elements,
                (Level::Members, b'}') | (Level::Elements, b']') => {
                    self.state = State::Done { line: false };
                }
                (Level::Elements, b'{') => {
                    self.level = Level::Members;
                    self.found.begin();
                }
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
                self.state = State::Value(self.member());
                return at + 1;
            }
            if let Some(slot) = self.key.get_mut(self.key_len) {
                *slot = *byte;
            }
            self.key_len = (self.key_len + 1).min(KEY + 1);
        }
        chunk.len()
    }

    /// The member whose name was just read.
    fn member(&self) -> Member {
        let key = self.key.get(..self.key_len).unwrap_or_default();
        let top = self.stream && matches!(self.level, Level::Members);
        match key {
            b"usage" | b"usageMetadata" => Member::Usage,
            b"error" if top => Member::Error,
            // OpenAI's responses, Bedrock, Groq, Cohere.
            b"response" | b"metadata" | b"x_groq" | b"delta" if top => {
                Member::Wrapper { message: false }
            }
            // Anthropic.
            b"message" if top => Member::Wrapper { message: true },
            _ => Member::Other,
        }
    }

    fn value(&mut self, chunk: &[u8], member: Member) -> usize {
        for (at, byte) in chunk.iter().enumerate() {
            if matches!((member, byte), (Member::Error, b'{' | b'"')) {
                self.found.fail();
            }
            self.state = match (byte, member) {
                (b':' | b' ' | b'\t' | b'\r' | b'\n', _) => continue,
                (b'"', _) => State::Text,
                (b'{', Member::Usage) => {
                    self.capture.clear();
                    self.state = State::Capture {
                        depth: 0,
                        text: false,
                    };
                    return at;
                }
                (b'{', Member::Wrapper { message }) => {
                    self.level = Level::Wrapped { message };
                    State::Between
                }
                (b'{', _) => skip(b'{', b'}'),
                (b'[', _) => skip(b'[', b']'),
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
        while let Some(found) = near(
            &chunk[at..],
            |byte| matches!(byte, b'"' | b'\\'),
            |rest| memchr2(b'"', b'\\', rest),
        ) {
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
            let Some(found) = near(
                &chunk[at..],
                |byte| byte == open || byte == close || byte == b'"',
                |rest| memchr3(open, close, b'"', rest),
            ) else {
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
        let (mut at, mut ended) = (0, false);
        while at < chunk.len() && !ended {
            if text {
                let (used, over) = self.text(&chunk[at..]);
                at += used;
                text = !over;
                continue;
            }
            match chunk[at] {
                b'"' => text = true,
                b'{' => depth = depth.saturating_add(1),
                b'}' => {
                    depth -= 1;
                    ended = depth == 0;
                }
                _ => {}
            }
            at += 1;
        }
        let part = &chunk[..at];
        let fits = self.capture.len() + at <= MAX_USAGE;
        self.state = match (ended, fits) {
            (true, true) => {
                let usage = if self.capture.is_empty() {
                    part
                } else {
                    self.capture.extend_from_slice(part);
                    &self.capture
                };
                let message = matches!(self.level, Level::Wrapped { message: true });
                match self.stream {
                    false => self.found.alone(usage),
                    true if message => self.found.begun(usage),
                    true => self.found.later(usage),
                }
                State::Between
            }
            (true, false) => State::Between,
            (false, true) => {
                self.capture.extend_from_slice(part);
                State::Capture { depth, text }
            }
            (false, false) => State::Skip {
                open: b'{',
                close: b'}',
                depth,
                text,
            },
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
