//! Streams of events.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{found, json::Json};
use crate::provider::events::{Events, Part, end, over};

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage"));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error"));

/// What an event with a usage has in it. Each sign is in all of them, so that looking for either finds
/// them: the one that other events have more rarely is the faster.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// Its name. Some send it with every event, empty.
    Name,
    /// The name of a count of tokens. Answers may be about tokens.
    Count,
}

impl Sign {
    /// Where in the text it is next.
    fn find(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Name => member(&USAGE, b"{", text),
            Self::Count => found::count(text),
        }
    }

    /// The one to look for in events like these.
    fn of(events: &[u8]) -> Self {
        if found::TOKENS.find_iter(events).count() < USAGE.find_iter(events).count() {
            Self::Count
        } else {
            Self::Name
        }
    }
}

/// So many places where a usage seems to be are kept: nearly always the last is one.
const PLACES: usize = 8;

/// So much is kept until there is enough to look at.
const HELD: usize = 16 * 1024;

/// A chunk of at most this part of it is small.
const SMALL: usize = 4;

/// This part of what is held tells what is rare in a stream's events.
const FEW: usize = 8;

/// This part of it is looked at first for the last usage.
const FEWEST: usize = 64;

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
    // Chosen by the first events that are looked at together.
    sign: Option<Sign>,
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
            sign: None,
        }
    }

    #[cfg(test)]
    pub(super) fn by_counts(most: usize) -> Self {
        Self {
            sign: Some(Sign::Count),
            ..Self::holding(most)
        }
    }

    /// Whether the chunk could be kept as it is.
    #[inline]
    pub(super) fn keep(&mut self, chunk: &[u8]) -> bool {
        let keeps = !self.events.is_inside()
            && chunk.len() <= self.most / SMALL
            && self.held.len() + chunk.len() <= self.most;
        if keeps {
            self.held.extend_from_slice(chunk);
        }
        keeps
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        if self.events.is_inside() {
            self.walk(&mut chunk);
        }
        if self.keep(chunk) {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.complete(&mut held, &mut chunk);
        }
        if self.events.is_inside() {
            self.walk(&mut chunk);
        }
        let whole = if chunk.len() > self.most / SMALL {
            over(chunk)
        } else {
            0
        };
        let (whole, mut rest) = chunk.split_at(whole);
        self.skim(&held, whole);
        held.clear();
        self.held = held;
        if rest.len() <= self.most && !self.events.is_inside() {
            self.held.extend_from_slice(rest);
        } else {
            self.walk(&mut rest);
        }
    }

    /// Adds the rest of its last event to what was held. Looks at it all where that one is too long, and
    /// walks over it.
    fn complete(&mut self, held: &mut Vec<u8>, chunk: &mut &[u8]) {
        let cut = over(held);
        let begin = held.len() - cut;
        let end = match begin {
            0 => Some(0),
            _ => end(&held[cut..], chunk).filter(|end| begin + end <= self.most),
        };
        if let Some(end) = end {
            let (part, rest) = chunk.split_at(end);
            *chunk = rest;
            held.extend_from_slice(part);
        } else {
            self.skim(&held[..cut], &[]);
            self.walk(&mut &held[cut..]);
            held.clear();
        }
    }

    pub(super) fn into_json(mut self) -> Json {
        let held = std::mem::take(&mut self.held);
        let cut = over(&held);
        self.skim(&held[..cut], &[]);
        self.walk(&mut &held[cut..]);
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

    /// Looks at events that are all there and at what is behind them, and of those only at the ones that may
    /// matter: a stream's first one with a usage, the last, and those with an error behind that.
    fn skim(&mut self, events: &[u8], behind: &[u8]) {
        if self.sign.is_none() {
            let more = std::cmp::max_by_key(events, behind, |events| events.len());
            self.sign = (more.len() >= self.most / FEW).then(|| Sign::of(more));
        }
        let sign = self.sign.unwrap_or(Sign::Name);
        if self.json.found.count() == 0 {
            self.first(sign, events);
            self.first(sign, behind);
        } else if let Some(last) = self.last(sign, behind, 0) {
            // Nothing that came before it counts.
            self.fail(&behind[last..]);
        } else {
            let last = self.last(sign, events, 0);
            self.fail(&events[last.unwrap_or(0)..]);
            self.fail(behind);
        }
    }

    /// Looks for the first usage, and from there on for the last.
    fn first(&mut self, sign: Sign, events: &[u8]) {
        let (mut from, mut last) = (0, None);
        while self.json.found.count() == 0 {
            let Some(at) = sign.find(&events[from..]) else {
                break;
            };
            let (end, has_one) = self.visit(events, from + at);
            (from, last) = (end, has_one.then_some(end));
        }
        if self.json.found.count() > 0 {
            last = self.last(sign, events, from).or(last);
        }
        self.fail(&events[last.unwrap_or(0)..]);
    }

    /// Looks for errors, where there is a usage that they would make void.
    fn fail(&mut self, events: &[u8]) {
        let mut from = 0;
        while self.json.found.has_last()
            && let Some(at) = member(&ERROR, b"{\"", &events[from..])
        {
            (from, _) = self.visit(events, from + at);
        }
    }

    /// Where the last event with a usage ends, of those that begin at `from` or behind it. Where all
    /// have one, the last few are enough; else there are more and more to look at.
    fn last(&mut self, sign: Sign, events: &[u8], from: usize) -> Option<usize> {
        let (mut end, mut few) = (events.len(), self.most / FEWEST);
        while end > from {
            let begin = match few {
                0 => from,
                _ => from + over(&events[from..end.saturating_sub(few).max(from)]),
            };
            let last = self.last_of(sign, &events[..end], begin);
            if last.is_some() {
                return last;
            }
            (end, few) = (begin, few * FEW);
        }
        None
    }

    /// Where the last event with a usage ends, of those that begin at `from` or behind it.
    fn last_of(&mut self, sign: Sign, events: &[u8], from: usize) -> Option<usize> {
        let (mut at, mut places, mut count) = (from, [0; PLACES], 0);
        while let Some(place) = sign.find(&events[at..]) {
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
        let (mut at, mut last) = (from, None);
        while count > PLACES
            && let Some(place) = sign.find(&events[at..])
        {
            let (end, has_one) = self.visit(events, at + place);
            (at, last) = (end, has_one.then_some(end).or(last));
        }
        last
    }

    /// Walks over the event in which this place is: where it ends, and whether it has a usage.
    fn visit(&mut self, events: &[u8], place: usize) -> (usize, bool) {
        let heard = self.json.found.count();
        let begin = over(&events[..place]);
        let mut rest = &events[begin..];
        self.walk(&mut rest);
        let has_one = self.json.found.count() > heard;
        (events.len() - rest.len(), has_one)
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
