//! Reading the head of an answer's body.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{
    HeaderMap, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    response::Parts,
};
use http_body::{Body, Frame};
use tokio::{runtime::Handle, time::Sleep};

use super::{LEAST, MOST, MOST_OF_A_STREAM, MeteredBody, metered::Ahead};
use crate::{
    provider::{self, StreamHead},
    verdict::{Provider, Verdict},
};

/// As long is waited for an error's body, all in all.
const LONGEST: Duration = Duration::from_secs(1);
/// As long is waited for the first content of a stream.
const LONGEST_FOR_CONTENT: Duration = Duration::from_secs(10);

/// How far an answer is read before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Into errors: a success isn't held back.
    Errors,
    /// Into streams too, up to their first content.
    Streams,
}

/// An answer whose verdict can be told, or what has to be read before.
#[derive(Debug)]
pub enum Read<T, R> {
    /// There is nothing to read.
    Now(T),
    /// Resolves to the answer.
    Later(R),
}

impl<T, R: Future<Output = T>> Read<T, R> {
    /// The answer, once its verdict can be told.
    pub async fn answer(self) -> T {
        match self {
            Self::Now(answer) => answer,
            Self::Later(reading) => reading.await,
        }
    }
}

/// Resolves to the response once its verdict is known, after a bounded look at its body. Where a layer further in has told it
/// already, and for a success that is no stream, there is nothing to look at, and no such future.
///
/// Of an error's body at most 64 KiB are read, and at most one second is waited for them.
///
/// Under a success's status a stream of events (`text/event-stream`) may turn out to be an error. It is
/// read up to the first event with content, an error, or its end: at most 256 KiB (some providers send
/// the whole prompt back first) and for at most ten seconds. Until then its head is held back;
/// a stream that has had no content by then, comments that keep it alive or not, is a success. So is one that
/// fails later, and one that is compressed (`Content-Encoding`), of which nothing can be read. A gRPC answer is read to its first frame, whose trailers may say that it failed.
///
/// A frame counts as 64 bytes at least, and one may exceed the bounds. The [`Verdict`] goes into the response's extensions; the body is
/// handed on whole, in order, with its trailers and its errors.
///
/// # Cancel safety
///
/// Dropping it drops the response.
#[must_use = "futures do nothing unless polled"]
pub struct Peek<B: Body> {
    // None once it has resolved.
    reading: Option<Box<Reading<B>>>,
    // Whose answer it is, where that is known beforehand.
    provider: Option<Provider>,
}

struct Reading<B: Body> {
    parts: Parts,
    ahead: Pin<Box<Ahead<B>>>,
    subject: Subject,
    read: usize,
    // How many frames were looked at.
    seen: usize,
    // Armed when there is something to wait for.
    patience: Option<Pin<Box<Sleep>>>,
}

/// What is read.
enum Subject {
    /// An error's body.
    Error,
    /// A stream of events under a success's status.
    Stream(Box<StreamHead>),
    /// The first frame of a gRPC answer.
    Grpc,
}

// The body is pinned nowhere but in its own box.
impl<B: Body> Unpin for Peek<B> {}

impl<B: Body> Peek<B> {
    /// The verdict of a response of which nothing has to be read; `None` where that can't be told by a glance at its head.
    #[inline]
    pub(crate) fn at_sight(response: &Response<B>, depth: Depth) -> Option<Verdict> {
        let headers = response.headers();
        let plain = response.status().as_u16() < 400
            && Verdict::of(response).is_none()
            && (headers.is_empty() || is_plain(headers, depth));
        plain.then_some(Verdict::Success)
    }
}

/// Whether a success with these headers is one, whatever its body says.
fn is_plain(headers: &HeaderMap, depth: Depth) -> bool {
    !provider::is_grpc(headers) && (depth == Depth::Errors || !Subject::is_one(headers))
}

impl<B: Body> Future for Peek<B> {
    type Output = Response<MeteredBody<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let provider = self.provider;
        let reading = self.reading.as_mut().expect("polled after it was ready");
        let verdict = ready!(reading.poll(cx, provider));
        let reading = *self.reading.take().expect("looked at above");
        let mut parts = reading.parts;
        parts.extensions.insert(verdict);
        let body = MeteredBody::ahead(reading.ahead);
        Poll::Ready(Response::from_parts(parts, body))
    }
}

impl<B: Body> Peek<B> {
    /// The response, where there is nothing to read.
    pub(crate) fn begin(
        mut response: Response<B>,
        depth: Depth,
        provider: Option<Provider>,
    ) -> Read<Response<MeteredBody<B>>, Self> {
        let failed = response.status().as_u16() >= 400;
        let mut told = Verdict::of(&response).is_some();
        // A gRPC answer that has nothing but its status.
        if !told && let Some(verdict) = provider::grpc(response.headers()) {
            response.extensions_mut().insert(verdict);
            told = true;
        }
        let subject = match depth {
            _ if told => None,
            _ if failed => Some(Subject::Error),
            Depth::Streams => Subject::of(response.headers(), provider),
            Depth::Errors => None,
        };
        if let Some(subject) = subject
            && !response.body().is_end_stream()
        {
            let (parts, body) = response.into_parts();
            let reading = Reading {
                parts,
                ahead: Box::pin(Ahead::new(body)),
                subject,
                read: 0,
                seen: 0,
                patience: None,
            };
            return Read::Later(Self {
                reading: Some(Box::new(reading)),
                provider,
            });
        }
        if failed && !told {
            let verdict =
                provider::classify_as(provider, response.status(), response.headers(), &[]);
            response.extensions_mut().insert(verdict);
        }
        Read::Now(response.map(MeteredBody::new))
    }
}

fn is_of_type(content_type: &[u8], name: &str) -> bool {
    let start = content_type.get(..name.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
}

impl Subject {
    /// What there is to read of a success.
    fn of(headers: &HeaderMap, provider: Option<Provider>) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.as_bytes();
        // What is compressed shows no events, and would be held back for nothing.
        let is_plain = (headers.get(CONTENT_ENCODING)).is_none_or(|coding| coding == "identity");
        if is_plain && is_of_type(content_type, "text/event-stream") {
            Some(Self::Stream(Box::new(StreamHead::new(provider))))
        } else if is_of_type(content_type, "application/grpc") {
            Some(Self::Grpc)
        } else {
            None
        }
    }

    /// Whether there is anything to read of a success.
    fn is_one(headers: &HeaderMap) -> bool {
        headers.get(CONTENT_TYPE).is_some_and(|content_type| {
            ["text/event-stream", "application/grpc"]
                .iter()
                .any(|name| is_of_type(content_type.as_bytes(), name))
        })
    }

    const fn bounds(&self) -> (usize, Duration) {
        match self {
            Self::Error => (MOST, LONGEST),
            Self::Stream(_) | Self::Grpc => (MOST_OF_A_STREAM, LONGEST_FOR_CONTENT),
        }
    }

    /// The verdict, where this frame decides it.
    fn look(&mut self, headers: &HeaderMap, frame: &Frame<bytes::Bytes>) -> Option<Verdict> {
        match self {
            Self::Error => None,
            Self::Stream(head) => head.push(headers, frame.data_ref()?),
            Self::Grpc => Some(match frame.trailers_ref() {
                Some(trailers) => provider::grpc(trailers).unwrap_or(Verdict::Success),
                None => Verdict::Success,
            }),
        }
    }
}

impl<B: Body> Reading<B> {
    /// Ready once enough is known.
    fn poll(&mut self, cx: &mut Context<'_>, provider: Option<Provider>) -> Poll<Verdict> {
        let (most, longest) = self.subject.bounds();
        while self.read < most {
            let poll = self.ahead.as_mut().poll_read(cx);
            for frame in self.ahead.frames().skip(self.seen) {
                self.seen += 1;
                if let Some(verdict) = self.subject.look(&self.parts.headers, frame) {
                    return Poll::Ready(verdict);
                }
            }
            match poll {
                Poll::Ready(Some(len)) => self.read += len.max(LEAST),
                Poll::Ready(None) => break,
                // Without a runtime there is no clock to wait by.
                Poll::Pending if Handle::try_current().is_err() => break,
                Poll::Pending => {
                    let patience = self
                        .patience
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
                    if patience.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    break;
                }
            }
        }
        Poll::Ready(self.verdict(provider))
    }

    /// The verdict by all that was read.
    fn verdict(&self, provider: Option<Provider>) -> Verdict {
        let Parts {
            status, headers, ..
        } = &self.parts;
        match &self.subject {
            Subject::Error => {
                let mut data = self.ahead.data();
                let body = match (data.next(), data.next()) {
                    (None, _) => Cow::Borrowed(&[][..]),
                    (Some(only), None) => Cow::Borrowed(&only[..]),
                    _ => Cow::Owned(self.ahead.data().flatten().copied().collect()),
                };
                let body = &body[..body.len().min(MOST)];
                provider::classify_as(provider, *status, headers, body)
            }
            // Nothing of it has come but its head.
            _ if self.ahead.has_failed() => Verdict::Transient { sent: true },
            Subject::Stream(head) => head.finish(headers),
            Subject::Grpc => Verdict::Success,
        }
    }
}

impl<B: Body> fmt::Debug for Peek<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peek").finish_non_exhaustive()
    }
}
