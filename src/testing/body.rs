//! The body of an answer: whole, or spread over time.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Reply,
    script::{Event, Script},
};

/// The body of a provider's answer. A stream's frames come when the provider sends them, by tokio's
/// clock; a stream that breaks off ends with an [`io::Error`] of kind
/// [`ConnectionReset`](io::ErrorKind::ConnectionReset). Its request is in flight until it ends or
/// is dropped.
pub struct ProviderBody {
    said: Said,
}

enum Said {
    Whole(Option<Bytes>),
    Stream(Box<Play>),
    /// The connection closes with the next poll: one later, so that all before has left.
    Cut,
    Over,
}

/// A script as it is played.
struct Play {
    script: Script,
    /// The event that comes next, and when.
    next: Option<(Instant, Event)>,
    /// What was said but hasn't left yet, where chunks have a size of their own.
    left: BytesMut,
    /// When anything was said last.
    last: Instant,
    /// Made when it is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Keeps the request in flight, and settles it at the end.
    reply: Reply,
}

impl ProviderBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        let said = if bytes.is_empty() {
            Said::Over
        } else {
            Said::Whole(Some(bytes))
        };
        Self { said }
    }

    pub(super) fn stream(script: Script, now: Instant, reply: Reply) -> Self {
        let play = Play {
            script,
            next: None,
            left: BytesMut::new(),
            last: now,
            timer: None,
            reply,
        };
        Self {
            said: Said::Stream(Box::new(play)),
        }
    }
}

impl Play {
    /// The next chunk, or `None` once all is said.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let most = self.script.stream().chunk_bytes;
        loop {
            if let Some(most) = most
                && self.left.len() >= most
            {
                return Poll::Ready(Some(self.left.split_to(most).freeze()));
            }
            if self.next.is_none() {
                let last = self.last;
                let due = |event: Event| (last.checked_add(event.after).unwrap_or(last), event);
                self.next = self.script.next().map(due);
            }
            let Some((due, _)) = self.next else {
                let rest = self.left.split().freeze();
                return Poll::Ready((!rest.is_empty()).then_some(rest));
            };
            let now = Instant::now();
            if due > now {
                let Some(text) = std::task::ready!(self.poll_wait(cx, now, due)) else {
                    continue;
                };
                return Poll::Ready(Some(text));
            }
            let Some((due, event)) = self.next.take() else {
                continue;
            };
            // A late poll doesn't make the rest late as well.
            self.last = due;
            self.reply.produce(now, event.produced);
            if event.text.is_empty() {
                continue;
            }
            if most.is_none() {
                return Poll::Ready(Some(event.text.into()));
            }
            self.left.extend_from_slice(event.text.as_bytes());
        }
    }

    /// Waits until then; ready before it with a comment or with what is left of a chunk.
    fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        due: Instant,
    ) -> Poll<Option<Bytes>> {
        if !self.left.is_empty() {
            return Poll::Ready(Some(self.left.split().freeze()));
        }
        let comment = self.script.comment();
        let every = self
            .script
            .stream()
            .keep_alive
            .filter(|_| comment.is_some());
        let alive = every.and_then(|every| self.last.checked_add(every));
        let until = alive.map_or(due, |alive| alive.min(due));
        if until > now {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(until)));
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
        if until == due {
            return Poll::Ready(None);
        }
        // The next event stays due when it was.
        self.last = until;
        Poll::Ready(comment.map(|text| Bytes::from_static(text.as_bytes())))
    }
}

impl Body for ProviderBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let play = match &mut self.said {
            Said::Over => return Poll::Ready(None),
            Said::Cut => {
                self.said = Said::Over;
                return Poll::Ready(Some(Err(broken_off())));
            }
            Said::Whole(bytes) => {
                let bytes = bytes.take();
                self.said = Said::Over;
                return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
            }
            Said::Stream(play) => play,
        };
        if let Some(chunk) = std::task::ready!(play.poll_chunk(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let cut = play.script.is_cut();
        play.reply.end(Instant::now());
        self.said = if cut { Said::Cut } else { Said::Over };
        if cut {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.said, Said::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.said {
            Said::Over => SizeHint::with_exact(0),
            Said::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(length as u64)
            }
            Said::Stream(_) | Said::Cut => SizeHint::default(),
        }
    }
}

fn broken_off() -> io::Error {
    let problem = "connection closed in the middle of the answer";
    io::Error::new(io::ErrorKind::ConnectionReset, problem)
}

impl fmt::Debug for ProviderBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match &self.said {
            Said::Whole(_) => "whole",
            Said::Stream(_) => "a stream",
            Said::Cut | Said::Over => "over",
        };
        f.debug_struct("ProviderBody").field("said", &said).finish()
    }
}
