//! What a stream says, one event after the other; made as it is asked for, so that no stream is
//! too large.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{Stream, dice::Dice};

/// A piece of an answer's text.
pub(super) struct Piece<'a> {
    pub(super) index: u64,
    /// Of which choice.
    pub(super) choice: u32,
    pub(super) text: &'a str,
    /// How many tokens there are with this one, of all choices together.
    pub(super) produced: u64,
}

/// A stream in some API: what comes before the text, its pieces, and what comes after.
pub(super) struct Tale {
    pub(super) kind: &'static str,
    pub(super) opening: Vec<String>,
    pub(super) piece: Box<dyn Fn(&Piece<'_>) -> String + Send + Sync>,
    pub(super) closing: Vec<String>,
}

/// What is to be told how.
pub(super) struct Telling {
    pub(super) stream: Stream,
    pub(super) echo: Arc<str>,
    pub(super) choices: u32,
    /// The tokens of the answer.
    pub(super) completion: u64,
    /// It ends after so many pieces.
    pub(super) breaks: Option<Break>,
    pub(super) dice: Dice,
}

/// Where a stream ends too early.
pub(super) struct Break {
    pub(super) pieces: u64,
    pub(super) last: Vec<String>,
    /// The connection is closed.
    pub(super) cut: bool,
}

/// What is said next.
pub(super) struct Event {
    /// How long after the one before.
    pub(super) after: Duration,
    pub(super) text: String,
    /// How many tokens were produced for it.
    pub(super) produced: u64,
}

pub(super) struct Script {
    tale: Tale,
    telling: Telling,
    opening: VecDeque<String>,
    closing: VecDeque<String>,
    next: u64,
    produced: u64,
}

impl Script {
    pub(super) fn new(mut tale: Tale, mut telling: Telling) -> Self {
        let closing = match &mut telling.breaks {
            Some(broken) => std::mem::take(&mut broken.last),
            None => std::mem::take(&mut tale.closing),
        };
        Self {
            opening: std::mem::take(&mut tale.opening).into(),
            closing: closing.into(),
            tale,
            telling,
            next: 0,
            produced: 0,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.tale.kind
    }

    /// A comment, where the stream may have any: a JSON array mayn't.
    pub(super) fn comment(&self) -> Option<&'static str> {
        self.kind()
            .starts_with("text/event-stream")
            .then_some(": keep-alive\n\n")
    }

    pub(super) fn stream(&self) -> Stream {
        self.telling.stream
    }

    /// Whether the connection is closed once all is said.
    pub(super) fn is_cut(&self) -> bool {
        self.telling
            .breaks
            .as_ref()
            .is_some_and(|broken| broken.cut)
    }

    fn piece(&mut self) -> Option<Event> {
        let Telling {
            stream,
            choices,
            completion,
            ..
        } = self.telling;
        let all = stream.pieces.saturating_mul(u64::from(choices));
        let until = match &self.telling.breaks {
            Some(broken) => broken.pieces.min(all),
            None => all,
        };
        let index = self.next;
        if index >= until {
            return None;
        }
        self.next += 1;
        let choice = index % u64::from(choices);
        let produced = share(completion, self.next, all);
        let text = match stream.piece_bytes {
            Some(bytes) => repeated(&self.telling.echo, bytes),
            None => divided(
                &self.telling.echo,
                index / u64::from(choices),
                stream.pieces,
            )
            .to_owned(),
        };
        let mut text = (self.tale.piece)(&Piece {
            index,
            choice: choice as u32,
            text: &text,
            produced,
        });
        if stream.comments
            && let Some(comment) = self.comment()
        {
            text.insert_str(0, comment);
        }
        let new = produced - self.produced;
        self.produced = produced;
        let delay = if index == 0 {
            stream.first
        } else {
            stream.pace
        };
        Some(Event {
            after: self.telling.dice.delay(delay),
            text,
            produced: new,
        })
    }
}

impl Iterator for Script {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let said = |text| Event {
            after: Duration::ZERO,
            text,
            produced: 0,
        };
        if let Some(text) = self.opening.pop_front() {
            return Some(said(text));
        }
        self.piece().or_else(|| self.closing.pop_front().map(said))
    }
}

/// How much of it is there after so many of all pieces.
pub(super) fn share(of: u64, pieces: u64, all: u64) -> u64 {
    if pieces >= all {
        return of;
    }
    let share = u128::from(of) * u128::from(pieces) / u128::from(all);
    u64::try_from(share).unwrap_or(of)
}

/// The n-th of so many parts of a text, cut between characters.
fn divided(text: &str, n: u64, parts: u64) -> &str {
    let at = |n: u64| {
        let at = share(text.len() as u64, n, parts) as usize;
        (0..=at).rev().find(|at| text.is_char_boundary(*at))
    };
    text.get(at(n).unwrap_or(0)..at(n + 1).unwrap_or(0))
        .unwrap_or_default()
}

/// A text of about so many bytes: this one over and over.
fn repeated(text: &str, bytes: usize) -> String {
    let text = if text.is_empty() { "token " } else { text };
    let mut all = text.repeat(bytes.div_ceil(text.len()));
    let end = (0..=bytes).rev().find(|at| all.is_char_boundary(*at));
    all.truncate(end.unwrap_or(0));
    all
}
