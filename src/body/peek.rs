//! Reading the head of an error's body.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Response, response::Parts};
use http_body::Body;
use tokio::{runtime::Handle, time::Sleep};

use super::{MOST, MeteredBody, metered::Ahead};
use crate::{
    provider,
    verdict::{Provider, Verdict},
};

/// As long is waited for it, all in all.
const LONGEST: Duration = Duration::from_secs(1);

/// Resolves to the response once its verdict is known: at once for a success and where a layer
/// further in has told it already, after a bounded look at the body for an error.
///
/// Of an error's body at most 64 KiB are read (one frame may exceed them), and at most one second
/// is waited for them. The [`Verdict`] goes into the response's extensions; the body is handed on
/// whole, in order, with its trailers and its errors.
///
/// # Cancel safety
///
/// Dropping it drops the response.
#[must_use = "futures do nothing unless polled"]
pub struct Peek<B: Body> {
    state: State<B>,
    // Whose answer it is, where that is known beforehand.
    provider: Option<Provider>,
}

enum State<B: Body> {
    /// Nothing known yet. Boxing is left until something must be read.
    Fresh(Response<B>),
    /// An error: reading its body.
    Reading(Box<Reading<B>>),
    /// Resolved.
    Done,
}

struct Reading<B: Body> {
    parts: Parts,
    ahead: Pin<Box<Ahead<B>>>,
    read: usize,
    // Armed when there is something to wait for.
    patience: Option<Pin<Box<Sleep>>>,
}

// The body is pinned nowhere but in its own box.
impl<B: Body> Unpin for Peek<B> {}

impl<B: Body> Peek<B> {
    pub(crate) const fn new(response: Response<B>, provider: Option<Provider>) -> Self {
        Self {
            state: State::Fresh(response),
            provider,
        }
    }
}

impl<B: Body> Future for Peek<B> {
    type Output = Response<MeteredBody<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut reading = match std::mem::replace(&mut self.state, State::Done) {
            State::Fresh(response) => match begin(response, self.provider) {
                Ok(response) => return Poll::Ready(response),
                Err(reading) => reading,
            },
            State::Reading(reading) => reading,
            State::Done => panic!("polled after it was ready"),
        };
        if reading.poll(cx).is_ready() {
            return Poll::Ready(reading.finish(self.provider));
        }
        self.state = State::Reading(reading);
        Poll::Pending
    }
}

/// The response, where there is nothing to read.
fn begin<B: Body>(
    mut response: Response<B>,
    provider: Option<Provider>,
) -> Result<Response<MeteredBody<B>>, Box<Reading<B>>> {
    let told = Verdict::of(&response).is_some();
    if !told && response.status().as_u16() >= 400 {
        if !response.body().is_end_stream() {
            let (parts, body) = response.into_parts();
            return Err(Box::new(Reading {
                parts,
                ahead: Box::pin(Ahead::new(body)),
                read: 0,
                patience: None,
            }));
        }
        let verdict = provider::classify_as(provider, response.status(), response.headers(), &[]);
        response.extensions_mut().insert(verdict);
    }
    Ok(response.map(MeteredBody::new))
}

impl<B: Body> Reading<B> {
    /// Ready once enough is known.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.read < MOST {
            match self.ahead.as_mut().poll_read(cx) {
                // Frames without data count too: there may be no end of them.
                Poll::Ready(Some(len)) => self.read += len.max(1),
                Poll::Ready(None) => return Poll::Ready(()),
                // Without a runtime there is no clock to wait by.
                Poll::Pending if Handle::try_current().is_err() => return Poll::Ready(()),
                Poll::Pending => {
                    let patience = self
                        .patience
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST)));
                    return patience.as_mut().poll(cx);
                }
            }
        }
        Poll::Ready(())
    }

    fn finish(mut self, provider: Option<Provider>) -> Response<MeteredBody<B>> {
        let verdict = {
            let mut data = self.ahead.data();
            let body = match (data.next(), data.next()) {
                (None, _) => Cow::Borrowed(&[][..]),
                (Some(only), None) => Cow::Borrowed(&only[..]),
                _ => Cow::Owned(self.ahead.data().flatten().copied().collect()),
            };
            let body = &body[..body.len().min(MOST)];
            provider::classify_as(provider, self.parts.status, &self.parts.headers, body)
        };
        self.parts.extensions.insert(verdict);
        Response::from_parts(self.parts, MeteredBody::ahead(self.ahead))
    }
}

impl<B: Body> fmt::Debug for Peek<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peek").finish_non_exhaustive()
    }
}
