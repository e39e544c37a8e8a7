//! A body of `text/event-stream`, taken apart into its events.

use memchr::memchr2;

/// Longer names of fields are none that matter.
const FIELD: usize = 6;

/// Takes a stream of events apart, wherever its chunks are cut.
///
/// Lines end in LF, CR or CRLF, and a blank one ends the event; comments, ids and retry times say
/// nothing here. Nothing is kept but where it stands.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Line,
    field: [u8; FIELD],
    field_len: usize,
    // The last byte was a carriage return, to which a line feed may belong.
    cr: bool,
    // Anything but blank lines since the last event's end.
    inside: bool,
    // The event has had a line of data.
    data: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Line {
    /// Before the first one, where a byte order mark may be.
    #[default]
    First,
    /// In the field's name, or before it.
    Field,
    /// Behind the colon, where one space is no part of the value.
    Colon(Value),
    /// In the value.
    Value(Value),
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Data,
    Name,
    Other,
}

/// A piece of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A piece of the event's name.
    Name(&'a [u8]),
    /// A piece of the event's data; the line feeds between its lines are pieces too.
    Data(&'a [u8]),
    /// The event is over.
    End,
}

impl Events {
    /// Of a stream whose begin was seen already.
    pub(super) fn begun() -> Self {
        Self {
            line: Line::Field,
            ..Self::default()
        }
    }

    /// Whether an event has begun and isn't over.
    pub(super) const fn is_inside(&self) -> bool {
        self.inside
    }

    /// Takes the next piece off the chunk; `None` once the chunk is used up.
    pub(super) fn next<'a>(&mut self, chunk: &mut &'a [u8]) -> Option<Part<'a>> {
        while let Some(&byte) = chunk.first() {
            match self.line {
                Line::First if matches!(byte, 0xef | 0xbb | 0xbf) => *chunk = &chunk[1..],
                Line::First => self.line = Line::Field,
                Line::Field => {
                    *chunk = &chunk[1..];
                    let cr = std::mem::take(&mut self.cr);
                    match byte {
                        b'\n' if cr => {}
                        b'\n' | b'\r' => {
                            self.cr = byte == b'\r';
                            let blank = std::mem::take(&mut self.field_len) == 0;
                            if blank && std::mem::take(&mut self.inside) {
                                self.data = false;
                                return Some(Part::End);
                            }
                        }
                        b':' => {
                            self.inside = true;
                            let field = self.field.get(..self.field_len).unwrap_or_default();
                            self.line = Line::Colon(match field {
                                b"data" => Value::Data,
                                b"event" => Value::Name,
                                _ => Value::Other,
                            });
                        }
                        _ => {
                            self.inside = true;
                            if let Some(slot) = self.field.get_mut(self.field_len) {
                                *slot = byte;
                            }
                            self.field_len = (self.field_len + 1).min(FIELD + 1);
                        }
                    }
                }
                Line::Colon(value) => {
                    if byte == b' ' {
                        *chunk = &chunk[1..];
                    }
                    self.line = Line::Value(value);
                    if matches!(value, Value::Data) && std::mem::replace(&mut self.data, true) {
                        return Some(Part::Data(b"\n"));
                    }
                }
                Line::Value(value) => {
                    let text: &'a [u8] = chunk;
                    let end = memchr2(b'\n', b'\r', text);
                    let (part, rest) = text.split_at(end.unwrap_or(text.len()));
                    *chunk = rest;
                    if let Some((newline, rest)) = rest.split_first() {
                        *chunk = rest;
                        self.cr = *newline == b'\r';
                        self.line = Line::Field;
                        self.field_len = 0;
                    }
                    match value {
                        Value::Data if !part.is_empty() => return Some(Part::Data(part)),
                        Value::Name if !part.is_empty() => return Some(Part::Name(part)),
                        _ => {}
                    }
                }
            }
        }
        None
    }
}

/// How much of `text`, which begins with a line, belongs to events that are over: up to the end of
/// its last blank line.
pub(super) fn over(text: &[u8]) -> usize {
    let newline = |at: usize| matches!(text.get(at), Some(b'\n' | b'\r'));
    for at in memchr::memchr2_iter(b'\n', b'\r', text).rev() {
        // Where the line before it ends, if it is blank.
        let crlf = text[at] == b'\n' && at > 0 && text[at - 1] == b'\r';
        let begin = at - usize::from(crlf);
        if begin == 0 || newline(begin - 1) {
            return at + 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names and data of the events that are over.
    fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut events = Events::default();
        let (mut name, mut data, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for mut chunk in chunks {
            while let Some(part) = events.next(&mut chunk) {
                match part {
                    Part::Name(part) => name.extend_from_slice(part),
                    Part::Data(part) => data.extend_from_slice(part),
                    Part::End => all.push((
                        String::from_utf8_lossy(&std::mem::take(&mut name)).into_owned(),
                        String::from_utf8_lossy(&std::mem::take(&mut data)).into_owned(),
                    )),
                }
            }
        }
        all
    }

    const STREAM: &str = "\u{feff}: hi\n\nevent: ping\ndata:  a: b\nid: 7\ndatax: no\ndata\ndata:c\n\n\n\
        retry: 3\n\ndata: {\"é\":1}\ndatum: x\n\ndata: cut";

    #[test]
    fn events_come_apart_whatever_ends_their_lines() {
        let events = [("", ""), ("ping", " a: b\nc"), ("", ""), ("", "{\"é\":1}")];
        let events: Vec<_> = events.map(|(n, d)| (n.to_owned(), d.to_owned())).into();
        for newline in ["\n", "\r", "\r\n"] {
            let stream = STREAM.replace('\n', newline);
            assert_eq!(split([stream.as_bytes()]), events, "{newline:?}");
            for at in 0..stream.len() {
                let (a, b) = stream.as_bytes().split_at(at);
                assert_eq!(split([a, b]), events, "{newline:?} cut at {at}");
            }
            assert_eq!(split(stream.as_bytes().chunks(1)), events, "{newline:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_cuts_give_the_same(
            text in "(data|event|x|: ?|\n|\r|a| ){0,40}",
            size in 1_usize..9,
        ) {
            prop_assert_eq!(split(text.as_bytes().chunks(size)), split([text.as_bytes()]));
        }

        #[test]
        fn what_is_over_holds_all_ends(text in "(data|: ?|\n|\r|a){0,40}") {
            let text = text.as_bytes();
            let (whole, rest) = text.split_at(over(text));
            let mut events = Events::default();
            let mut chunk = whole;
            while events.next(&mut chunk).is_some() {}
            prop_assert!(!events.is_inside());
            prop_assert_eq!(split([whole]).len(), split([text]).len());
            prop_assert!(split([rest]).is_empty());
        }
    }
}
