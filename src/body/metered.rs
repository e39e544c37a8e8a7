//! The response body of every layer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Sees a response body pass. Dropped where the body is dropped before its end.
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
    #[derive(Debug)]
    pub struct MeteredBody<B, W = ()> {
        #[pin]
        inner: B,
        // What was read ahead of the caller and hasn't been handed on yet.
        prefix: Option<Bytes>,
        watch: Option<W>,
    }
}

impl<B> MeteredBody<B> {
    pub(crate) const fn new(inner: B) -> Self {
        Self {
            inner,
            prefix: None,
            watch: None,
        }
    }

    /// The same body with somebody who watches it.
    pub(crate) fn watch<W>(self, watch: W) -> MeteredBody<B, W> {
        MeteredBody {
            inner: self.inner,
            prefix: self.prefix,
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
        let frame = ready!(this.inner.poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                if let (Some(watch), Some(data)) = (this.watch.as_mut(), frame.data_ref()) {
                    watch.chunk(data);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                *this.watch = None;
                Some(Err(error))
            }
            None => {
                if let Some(watch) = this.watch.take() {
                    watch.finish();
                }
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
