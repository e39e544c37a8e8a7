//! Walking over one JSON document.

use memchr::{memchr2, memchr3};

use super::read;
use crate::verdict::Usage;

/// A `usage` object larger than this isn't one.
const MAX_USAGE: usize = 8 * 1024;
/// The longest key that is looked for is `usageMetadata`.
const KEY: usize = 16;

/// Where in a document whatever stands between the values belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
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
pub(super) struct Json {
    state: State,
    level: Level,
    // Whether the document is an array, so that an object's end isn't the document's.
    array: bool,
    // Whether the last byte of the string that is being read was a backslash that escapes.
    escaped: bool,
    key: [u8; KEY],
    // Bytes of the key; above `KEY` it is longer than any that matters.
    key_len: usize,
    // The usage so far, where it came in more than one chunk.
    capture: Vec<u8>,
    found: Option<Usage>,
}

impl Json {
    pub(super) const fn new(level: Level) -> Self {
        Self {
            state: State::Between,
            level,
            array: matches!(level, Level::Elements),
            escaped: false,
            key: [0; KEY],
            key_len: 0,
            capture: Vec::new(),
            found: None,
        }
    }

    /// The last usage that ended.
    pub(super) const fn found(&self) -> Option<Usage> {
        self.found
    }

    /// How much was ever allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.capture.capacity()
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
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
                    self.state = State::Capture {
                        depth: 0,
                        text: false,
                    };
                    return at;
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
                self.found = if self.capture.is_empty() {
                    read::usage(part)
                } else {
                    self.capture.extend_from_slice(part);
                    read::usage(&self.capture)
                };
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
