//! The response body of every layer.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Sees a response body pass. Dropped where the body is dropped before its end, or fails.
pub trait Watch {
    /// A chunk of data passed.
    fn chunk(&mut self, _data: &[u8]) {}

    /// The body ended, whole.
    fn finish(self)
    where
        Self: Sized,
    {
    }
}

impl Watch for () {}

pin_project! {
    /// A response body that passes unchanged, while what the request holds is kept until its end.
    ///
    /// Frames, trailers and errors come as the inner body gives them, in their order. What the
    /// request holds is settled when the last frame has passed and given up when the body is
    /// dropped or fails before that.
    pub struct MeteredBody<B: Body, W = ()> {
        #[pin]
        inner: Inner<B>,
        watch: Option<W>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B: Body> {
        // Nobody has looked at it.
        Untouched { #[pin] body: B },
        // Its head was read before the caller asked.
        Ahead { ahead: Pin<Box<Ahead<B>>> },
    }
}

pin_project! {
    /// A body of which the head was read. In a box of its own, because a body that was polled may
    /// not move again.
    pub(super) struct Ahead<B: Body> {
        // None once it was let go of.
        #[pin]
        body: Option<B>,
        // Read and not handed on yet.
        frames: VecDeque<Frame<Bytes>>,
        // How the body ended, where it did while its head was read.
        end: Option<Result<(), B::Error>>,
    }
}

impl<B: Body> Ahead<B> {
    pub(super) const fn new(body: B) -> Self {
        Self {
            body: Some(body),
            frames: VecDeque::new(),
            end: None,
        }
    }

    /// Reads one frame into the head: ready with whether it was data, and how long; `None` where
    /// the body has ended.
    pub(super) fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        let len = match frame {
            Some(Ok(frame)) => {
                let frame = whole(frame);
                let len = frame.data_ref().map_or(0, Bytes::len);
                this.frames.push_back(frame);
                if !body.is_end_stream() {
                    return Poll::Ready(Some(len));
                }
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        *this.end = Some(len);
        Poll::Ready(None)
    }

    /// The frames that were read.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Frame<Bytes>> {
        self.frames.iter()
    }

    /// Whether the body failed while its head was read.
    pub(super) const fn has_failed(&self) -> bool {
        matches!(self.end, Some(Err(_)))
    }

    /// The data that was read.
    pub(super) fn data(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter().filter_map(Frame::data_ref)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && match &self.end {
                Some(end) => end.is_ok(),
                None => self.body.as_ref().is_none_or(Body::is_end_stream),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.data().map(|data| data.len() as u64).sum();
        let rest = match &self.end {
            Some(Ok(())) => SizeHint::with_exact(0),
            Some(Err(_)) => SizeHint::new(),
            None => match &self.body {
                Some(body) => body.size_hint(),
                None => SizeHint::with_exact(0),
            },
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }

    /// The body itself, once what was read of it was handed on.
    #[inline]
    fn rest(self: Pin<&mut Self>) -> Option<Pin<&mut B>> {
        let this = self.project();
        let rest = this.body.as_pin_mut();
        rest.filter(|_| this.frames.is_empty() && this.end.is_none())
    }

    /// What was read of the body, in its turn.
    fn hand_on(self: Pin<&mut Self>) -> Option<Result<Frame<Bytes>, B::Error>> {
        let this = self.project();
        if let Some(frame) = this.frames.pop_front() {
            return Some(Ok(frame));
        }
        let end = this.end.as_mut()?;
        std::mem::replace(end, Ok(())).err().map(Err)
    }
}

/// The same frame with its data in one piece.
fn whole<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(in_one_piece)
}

/// The same data in one piece; free where it is `Bytes` already.
#[inline]
fn in_one_piece<D: Buf>(mut data: D) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

impl<B: Body> MeteredBody<B> {
    pub(crate) const fn new(body: B) -> Self {
        Self {
            inner: Inner::Untouched { body },
            watch: None,
        }
    }

    /// One of which nothing was read, with somebody who watches it.
    #[inline]
    pub(crate) const fn watched<W>(body: B, watch: W) -> MeteredBody<B, W> {
        MeteredBody {
            inner: Inner::Untouched { body },
            watch: Some(watch),
        }
    }

    pub(super) const fn ahead(ahead: Pin<Box<Ahead<B>>>) -> Self {
        Self {
            inner: Inner::Ahead { ahead },
            watch: None,
        }
    }

    /// Keeps what was read, here or by a layer further in, and drops the rest with whatever it holds.
    pub(crate) fn let_go(self) -> Self {
        let mut ahead = match self.inner {
            Inner::Ahead { ahead } => ahead,
            // What a layer further in has read is there at once; nobody waits for the rest.
            Inner::Untouched { body } => {
                let mut ahead = Box::pin(Ahead::new(body));
                let mut cx = Context::from_waker(Waker::noop());
                let mut read = 0;
                while read < super::MOST_OF_A_STREAM
                    && let Poll::Ready(Some(len)) = ahead.as_mut().poll_read(&mut cx)
                {
                    read += len.max(super::LEAST);
                }
                ahead
            }
        };
        ahead.as_mut().project().body.set(None);
        Self {
            inner: Inner::Ahead { ahead },
            watch: self.watch,
        }
    }

    /// The same body with somebody who watches it.
    pub(crate) fn watch<W>(self, watch: W) -> MeteredBody<B, W> {
        MeteredBody {
            inner: self.inner,
            watch: Some(watch),
        }
    }
}

impl<B: Body, W: Watch> Body for MeteredBody<B, W> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let (mut inner, watch) = (this.inner, this.watch);
        let frame = if let Some(body) = inner.as_mut().rest() {
            match ready!(body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    // Nearly all are data, of which as little as possible moves: a frame has room for trailers.
                    Ok(data) => {
                        let data = in_one_piece(data);
                        if let Some(watch) = watch {
                            watch.chunk(&data);
                        }
                        // Many consumers stop here, without asking for the end.
                        if inner.is_end_stream() {
                            finish(watch);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Err(frame) => Some(Ok(whole(frame))),
                },
                end => end.map(|frame| frame.map(whole)),
            }
        } else {
            inner.as_mut().hand_on()
        };
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(watch), Some(data)) = (watch.as_mut(), frame.data_ref()) {
                    watch.chunk(data);
                }
                if inner.is_end_stream() {
                    finish(watch);
                }
            }
            Some(Err(_)) => *watch = None,
            None => finish(watch),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Untouched { body } => body.size_hint(),
            Inner::Ahead { ahead } => ahead.size_hint(),
        }
    }
}

#[cold]
fn finish<W: Watch>(watch: &mut Option<W>) {
    if let Some(watch) = watch.take() {
        watch.finish();
    }
}

impl<B: Body> Inner<B> {
    /// The body itself, once there is nothing of it to hand on before.
    #[inline]
    fn rest(self: Pin<&mut Self>) -> Option<Pin<&mut B>> {
        match self.project() {
            InnerProj::Untouched { body } => Some(body),
            InnerProj::Ahead { ahead } => ahead.as_mut().rest(),
        }
    }

    fn hand_on(self: Pin<&mut Self>) -> Option<Result<Frame<Bytes>, B::Error>> {
        match self.project() {
            InnerProj::Untouched { .. } => None,
            InnerProj::Ahead { ahead } => ahead.as_mut().hand_on(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Untouched { body } => body.is_end_stream(),
            Self::Ahead { ahead } => ahead.is_end_stream(),
        }
    }
}

impl<B: Body, W> fmt::Debug for MeteredBody<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may be anything and say anything.
        f.debug_struct("MeteredBody")
            .field("watched", &self.watch.is_some())
            .finish_non_exhaustive()
    }
}
