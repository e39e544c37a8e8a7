//! Streams of events in AWS's frames.

use super::json::Json;

/// The events of `application/vnd.amazon.eventstream`: in each frame the lengths of the whole and of its
/// headers, the headers, a document, and checksums that the transport's own make needless.
#[derive(Debug)]
pub(super) struct Frames {
    // Lengths, and their checksum.
    prelude: [u8; PRELUDE],
    state: Frame,
    json: Json,
}

const PRELUDE: usize = 12;
/// The checksum behind the document.
const CHECKSUM: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Frame {
    Prelude {
        read: usize,
    },
    /// In the headers; behind them is so much of a document.
    Headers {
        left: usize,
        document: usize,
    },
    Document {
        left: usize,
    },
    Checksum {
        left: usize,
    },
    /// Not framed like that.
    Broken,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            prelude: [0; PRELUDE],
            state: Frame::Prelude { read: 0 },
            json: Json::new(),
        }
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let mut take = |n: usize| {
                let (part, rest) = chunk.split_at(n.min(chunk.len()));
                chunk = rest;
                part
            };
            self.state = match self.state {
                Frame::Prelude { read } => {
                    let part = take(PRELUDE - read);
                    let end = read + part.len();
                    self.prelude[read..end].copy_from_slice(part);
                    if end == PRELUDE {
                        self.head()
                    } else {
                        Frame::Prelude { read: end }
                    }
                }
                Frame::Headers { left, document } => match left - take(left).len() {
                    0 => {
                        self.json.begin();
                        Frame::Document { left: document }
                    }
                    left => Frame::Headers { left, document },
                },
                Frame::Document { left } => {
                    let part = take(left);
                    self.json.push(part);
                    match left - part.len() {
                        0 => Frame::Checksum { left: CHECKSUM },
                        left => Frame::Document { left },
                    }
                }
                Frame::Checksum { left } => match left - take(left).len() {
                    0 => Frame::Prelude { read: 0 },
                    left => Frame::Checksum { left },
                },
                Frame::Broken => return,
            };
        }
    }

    /// What the prelude says is behind it.
    fn head(&self) -> Frame {
        let [a, b, c, d, e, f, g, h, ..] = self.prelude;
        let (all, headers) = (
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        );
        let (all, left) = (all as usize, headers as usize);
        let document = all
            .checked_sub(PRELUDE + CHECKSUM)
            .and_then(|rest| rest.checked_sub(left));
        match document {
            Some(document) => Frame::Headers { left, document },
            None => Frame::Broken,
        }
    }

    pub(super) fn into_json(self) -> Json {
        self.json
    }
}
