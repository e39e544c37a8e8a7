//! Streams of events.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::json::Json;
use crate::{
    provider::events::{Events, Part, over},
    verdict::Usage,
};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage"));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error"));

/// So many places where a usage seems to be are kept: nearly always the last is one.
const PLACES: usize = 8;

/// What a stream used is in an event that ends in so many of its last bytes; what its message began with, in one that
/// begins in so many of its first.
pub(super) const EDGE: usize = 4 * 1024;

/// So much is kept before what can't matter any more is let go of.
const KEPT: usize = 2 * EDGE;

/// The events of `text/event-stream`, each with a document for its data.
///
/// What was used is told at a stream's end, so that nothing is looked at before, but its first events: the last ones are
/// kept, and the others never read. An event that is too long to be kept is walked over as it comes.
#[derive(Debug)]
pub(super) struct Stream {
    events: Events,
    json: Json,
    // From an event's begin on. Empty inside of one that is walked over.
    kept: Vec<u8>,
    // The events before those.
    before: Vec<u8>,
    // How many bytes of the stream came before what is kept.
    offset: u64,
    // Whether the first events were looked at.
    begun: bool,
    // How many usages were found in events that have ended, and where the last of those events has.
    told: u64,
    end: u64,
    // At least so many bytes of each edge are looked at, and so many are kept.
    edge: usize,
    most: usize,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self::keeping(EDGE, KEPT)
    }

    /// Which looks at edges of this size, and keeps so much before it lets go: at least both.
    pub(super) fn keeping(edge: usize, most: usize) -> Self {
        let mut json = Json::new();
        json.begin();
        Self {
            events: Events::begun(),
            json,
            kept: Vec::new(),
            before: Vec::new(),
            offset: 0,
            begun: false,
            told: 0,
            end: 0,
            edge,
            most,
        }
    }

    /// Whether the chunk could be kept, and there is nothing else to do.
    #[inline]
    pub(super) fn keep(&mut self, chunk: &[u8]) -> bool {
        let keeps = self.kept.len() + chunk.len() < self.most && !self.events.is_inside();
        if keeps {
            self.kept.extend_from_slice(chunk);
        }
        keeps
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if self.events.is_inside() {
                self.walk(&mut chunk);
            } else if self.begun && chunk.len() > self.most {
                self.skip(&mut chunk);
            } else {
                let mut part = chunk.len();
                if !self.begun {
                    part = part.min(self.most - self.kept.len());
                }
                let (part, rest) = chunk.split_at(part);
                self.kept.extend_from_slice(part);
                chunk = rest;
                if self.kept.len() >= self.most {
                    self.turn();
                }
            }
        }
    }

    /// The usage, if the stream had one.
    pub(super) fn finish(mut self) -> Option<Usage> {
        if !self.begun {
            self.begin();
        }
        let kept = std::mem::take(&mut self.kept);
        let total = self.offset + kept.len() as u64;
        let mut last = std::mem::take(&mut self.before);
        self.offset -= last.len() as u64;
        if last.is_empty() {
            last = kept;
        } else {
            last.extend_from_slice(&kept);
        }
        let far = over(&last[..last.len().saturating_sub(self.edge)]);
        let (events, mut cut) = last[far..].split_at(over(&last[far..]));
        self.offset += far as u64;
        let end = self.last(events);
        self.fail(&events[end.unwrap_or(0)..]);
        self.offset += events.len() as u64;
        self.walk(&mut cut);
        if self.json.found.count() > self.told {
            // Of an event without an end.
            self.end = total;
        }
        if total - self.end >= self.edge as u64 {
            self.json.found.forget();
        }
        self.json.found.finish()
    }

    /// How much is allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.kept.capacity() + self.before.capacity() + self.json.capacity()
    }

    /// Enough is kept: what came before it can't matter any more.
    fn turn(&mut self) {
        if !self.begun {
            self.begin();
        }
        let whole = over(&self.kept);
        if self.kept.len() - whole > self.most - self.edge {
            self.let_go();
        } else {
            self.before.clear();
            self.before.extend_from_slice(&self.kept[whole..]);
            self.kept.truncate(whole);
            self.offset += whole as u64;
            std::mem::swap(&mut self.before, &mut self.kept);
        }
    }

    /// Goes on with the last event as it comes: it is too long to be kept, and so long that nothing before it can matter.
    fn let_go(&mut self) {
        self.before.clear();
        let mut kept = std::mem::take(&mut self.kept);
        let whole = over(&kept);
        self.offset += whole as u64;
        self.walk(&mut &kept[whole..]);
        kept.clear();
        self.kept = kept;
    }

    /// Passes over what can't matter of a chunk that is larger than what is kept.
    fn skip(&mut self, chunk: &mut &[u8]) {
        let far = over(&chunk[..chunk.len() - self.edge]);
        // A chunk may begin in the middle of a line, or of its end.
        if far <= 2 {
            self.let_go();
            self.walk(chunk);
            return;
        }
        self.offset += (self.kept.len() + far) as u64;
        self.before.clear();
        self.kept.clear();
        *chunk = &chunk[far..];
        if chunk.len() > self.most {
            self.walk(chunk);
        }
    }

    /// Looks at a stream's first events: what its message began with isn't always told again.
    fn begin(&mut self) {
        self.begun = true;
        let kept = std::mem::take(&mut self.kept);
        let whole = over(&kept);
        let mut from = 0;
        while self.json.found.count() == 0
            && let Some(at) = member(&USAGE, b"{", &kept[from..whole])
            && over(&kept[..from + at]) < self.edge
        {
            from = self.visit(&kept[..whole], from + at).0;
        }
        if whole >= self.edge {
            self.json.found.is_past_begin();
        }
        self.kept = kept;
    }

    /// Walks to the event's end, or the chunk's.
    fn walk(&mut self, chunk: &mut &[u8]) {
        let len = chunk.len();
        let ended = self.step(chunk);
        self.offset += (len - chunk.len()) as u64;
        if ended {
            self.tell(self.offset);
            self.json.found.is_past_begin();
        }
    }

    /// The same, wherever the chunk is: whether the event has ended.
    fn step(&mut self, chunk: &mut &[u8]) -> bool {
        while let Some(part) = self.events.next(chunk) {
            match part {
                Part::Name(_) => {}
                Part::Data(data) => self.json.push(data),
                Part::End => {
                    self.json.begin();
                    return true;
                }
            }
        }
        false
    }

    /// An event has ended there: whether it had a usage.
    fn tell(&mut self, end: u64) -> bool {
        let count = self.json.found.count();
        let has_one = count > self.told;
        if has_one {
            (self.told, self.end) = (count, end);
        }
        has_one
    }

    /// Looks for errors, where there is a usage that they would make void.
    fn fail(&mut self, events: &[u8]) {
        let mut from = 0;
        while self.json.found.has_last()
            && let Some(at) = member(&ERROR, b"{\"", &events[from..])
        {
            from = self.visit(events, from + at).0;
        }
    }

    /// Where the last event with a usage ends.
    fn last(&mut self, events: &[u8]) -> Option<usize> {
        let (mut at, mut places, mut count) = (0, [0; PLACES], 0);
        while let Some(place) = member(&USAGE, b"{", &events[at..]) {
            places[count % PLACES] = at + place;
            count += 1;
            at += place + 1;
        }
        for nth in (count.saturating_sub(PLACES)..count).rev() {
            if let (end, true) = self.visit(events, places[nth % PLACES]) {
                return Some(end);
            }
        }
        // None of so many was one, so that an earlier one may be.
        let (mut at, mut last) = (0, None);
        while count > PLACES
            && let Some(place) = member(&USAGE, b"{", &events[at..])
        {
            let (end, has_one) = self.visit(events, at + place);
            (at, last) = (end, has_one.then_some(end).or(last));
        }
        last
    }

    /// Walks over the event in which this place is: where it ends, and whether it has a usage.
    fn visit(&mut self, events: &[u8], place: usize) -> (usize, bool) {
        let begin = over(&events[..place]);
        let mut rest = &events[begin..];
        self.step(&mut rest);
        let end = events.len() - rest.len();
        (end, self.tell(self.offset + end as u64))
    }
}

/// Where the next member is whose name begins so and whose value begins with one of `values`, as
/// far as its line says.
fn member(name: &Finder<'static>, values: &[u8], text: &[u8]) -> Option<usize> {
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
