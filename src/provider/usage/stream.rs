//! Streams of events.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::json::Json;
use crate::provider::events::{Events, Part, end, over};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage"));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error"));

/// So many places where a usage seems to be are kept: nearly always the last is one.
const PLACES: usize = 8;

/// So much is kept until there is enough to look at.
const HELD: usize = 8 * 1024;

/// The events of `text/event-stream`, each with a document for its data.
///
/// An event is looked at only where it has the name of something that matters, which is found at
/// the speed of memory. For that it must be there whole: the begin of one that was cut is kept
/// until the rest comes, and small chunks until there are some. An event that is too long to be kept is
/// walked over as it comes.
#[derive(Debug)]
pub(super) struct Stream {
    events: Events,
    json: Json,
    // What wasn't looked at yet, from an event's begin on. Empty inside of one that is walked over.
    held: Vec<u8>,
    most: usize,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self::holding(HELD)
    }

    /// Which keeps at most so much to look at.
    pub(super) fn holding(most: usize) -> Self {
        let mut json = Json::new();
        json.begin();
        Self {
            events: Events::begun(),
            json,
            held: Vec::new(),
            most,
        }
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        if self.events.is_inside() {
            self.walk(&mut chunk);
        }
        if self.held.len() + chunk.len() <= self.most {
            self.held.extend_from_slice(chunk);
            return;
        }
        if !self.held.is_empty() {
            self.look();
            self.complete(&mut chunk);
        }
        if self.events.is_inside() {
            self.walk(&mut chunk);
        }
        let (whole, mut rest) = chunk.split_at(over(chunk));
        self.skim(whole);
        if rest.len() <= self.most && !self.events.is_inside() {
            self.held.extend_from_slice(rest);
        } else {
            self.walk(&mut rest);
        }
    }

    /// Looks at what is held of whole events, and holds the rest.
    fn look(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        let whole = over(&held);
        self.skim(&held[..whole]);
        held.drain(..whole);
        self.held = held;
    }

    /// Looks at the event whose begin is held, or walks over it where it is too long.
    fn complete(&mut self, chunk: &mut &[u8]) {
        let mut held = std::mem::take(&mut self.held);
        match end(&held, chunk) {
            _ if held.is_empty() => {}
            Some(end) if held.len() + end <= self.most => {
                let (part, rest) = chunk.split_at(end);
                *chunk = rest;
                held.extend_from_slice(part);
                self.skim(&held);
            }
            _ => self.walk(&mut held.as_slice()),
        }
        held.clear();
        self.held = held;
    }

    pub(super) fn into_json(mut self) -> Json {
        self.look();
        let held = std::mem::take(&mut self.held);
        self.walk(&mut held.as_slice());
        self.json
    }

    /// How much is allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity() + self.json.capacity()
    }

    /// Walks to the event's end, or the chunk's.
    fn walk(&mut self, chunk: &mut &[u8]) {
        while let Some(part) = self.events.next(chunk) {
            match part {
                Part::Name(_) => {}
                Part::Data(data) => self.json.push(data),
                Part::End => {
                    self.json.begin();
                    return;
                }
            }
        }
    }

    /// Looks at events that are all there, and of those only at the ones that may matter: the first
    /// with a usage, the last, and those with an error behind that.
    fn skim(&mut self, events: &[u8]) {
        let (mut from, mut places, mut count) = (0, [0; PLACES], 0);
        let mut last = 0;
        while let Some(at) = find(&USAGE, b"{", &events[from..]) {
            from += at;
            if self.json.found.count() > 0 {
                places[count % PLACES] = from;
                count += 1;
                from += 1;
            } else {
                from = self.visit(events, from, &mut last);
            }
        }
        let heard = self.json.found.count();
        for nth in (count.saturating_sub(PLACES)..count).rev() {
            self.visit(events, places[nth % PLACES], &mut last);
            if self.json.found.count() > heard {
                break;
            }
        }
        // None of so many was one, so that an earlier one may be.
        if count > PLACES && self.json.found.count() == heard {
            from = 0;
            while let Some(at) = find(&USAGE, b"{", &events[from..]) {
                from = self.visit(events, from + at, &mut last);
            }
        }
        if self.json.found.has_last() {
            from = last;
            while let Some(at) = find(&ERROR, b"{\"", &events[from..]) {
                from = self.visit(events, from + at, &mut last);
            }
        }
    }

    /// Walks over the event in which this place is, and returns where it ends. `last` becomes where it
    /// begins, if it has a usage.
    fn visit(&mut self, events: &[u8], place: usize, last: &mut usize) -> usize {
        let heard = self.json.found.count();
        let start = over(&events[..place]);
        let mut rest = &events[start..];
        self.walk(&mut rest);
        if self.json.found.count() > heard {
            *last = start;
        }
        events.len() - rest.len()
    }
}

/// Where the next member is whose name begins so and whose value begins with one of `values`, as
/// far as its line says.
fn find(name: &Finder<'static>, values: &[u8], text: &[u8]) -> Option<usize> {
    name.find_iter(text).find(|at| {
        let rest = &text[at + name.needle().len()..];
        let rest = rest.strip_prefix(b"Metadata").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(b"\"") else {
            return false;
        };
        let mut value = rest
            .iter()
            .filter(|byte| !matches!(byte, b':' | b' ' | b'\t'));
        value
            .next()
            .is_none_or(|byte| values.contains(byte) || matches!(byte, b'\r' | b'\n'))
    })
}
