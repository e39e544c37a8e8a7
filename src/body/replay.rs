//! Request bodies that can be sent again.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::{
    Empty, Full,
    combinators::{BoxBody, UnsyncBoxBody},
};

/// A request body that may be sent again and read ahead.
///
/// A body that can't be replayed means one try, not an error. [`BufferBodyLayer`](crate::BufferBodyLayer) makes any body replayable.
///
/// | body | sent again | read ahead |
/// |---|---|---|
/// | [`BufferedBody`](crate::BufferedBody), `Bytes`, `()` | yes, shared | yes |
/// | `&'static str`, `&'static [u8]` | yes | yes |
/// | `String`, `Vec<u8>` | yes, copied | yes |
/// | http-body-util's `Full`, `Empty` | yes, as its data is cloned | by [`look`](Self::look) |
/// | `reqwest::Body` | unless it streams, copied | unless it streams |
/// | hyper's `Incoming`, axum's `Body`, boxed bodies | no | no |
#[diagnostic::on_unimplemented(
    message = "the request body `{Self}` can't be sent again or read ahead",
    note = "put `BufferBodyLayer::new()` outside of this layer, or implement `ReplayBody` for `{Self}`"
)]
pub trait ReplayBody: Sized {
    /// A copy that yields the same bytes, or `None` where there can't be one.
    fn replay(&self) -> Option<Self>;

    /// All bytes of the body, where they are at hand.
    fn peek(&self) -> Option<&[u8]> {
        None
    }

    /// Shows all bytes of the body to `see`, also where they can be had but not lent.
    fn look<T>(&self, see: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.peek().map(see)
    }
}

impl ReplayBody for () {
    fn replay(&self) -> Option<Self> {
        Some(())
    }

    fn peek(&self) -> Option<&[u8]> {
        Some(&[])
    }
}

macro_rules! replay_by_clone {
    ($($body:ty),*) => {$(
        impl ReplayBody for $body {
            fn replay(&self) -> Option<Self> {
                Some(self.clone())
            }

            fn peek(&self) -> Option<&[u8]> {
                Some(self.as_ref())
            }
        }
    )*};
}

replay_by_clone!(Bytes, String, Vec<u8>, &'static str, &'static [u8]);

impl<D> ReplayBody for Empty<D> {
    fn replay(&self) -> Option<Self> {
        Some(Self::new())
    }

    fn peek(&self) -> Option<&[u8]> {
        Some(&[])
    }
}

impl<D: Buf + Clone> ReplayBody for Full<D> {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn look<T>(&self, see: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut copy = self.clone();
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut copy).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let mut data = frame.into_data().ok()?;
                if data.chunk().len() == data.remaining() {
                    Some(see(data.chunk()))
                } else {
                    Some(see(&data.copy_to_bytes(data.remaining())))
                }
            }
            _ => Some(see(&[])),
        }
    }
}

impl<B: ReplayBody> ReplayBody for Option<B> {
    fn replay(&self) -> Option<Self> {
        match self {
            Some(body) => body.replay().map(Some),
            None => Some(None),
        }
    }

    fn peek(&self) -> Option<&[u8]> {
        self.as_ref().map_or(Some(&[]), B::peek)
    }

    fn look<T>(&self, see: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match self {
            Some(body) => body.look(see),
            None => Some(see(&[])),
        }
    }
}

impl<D, E> ReplayBody for BoxBody<D, E> {
    fn replay(&self) -> Option<Self> {
        None
    }
}

impl<D, E> ReplayBody for UnsyncBoxBody<D, E> {
    fn replay(&self) -> Option<Self> {
        None
    }
}

#[cfg(feature = "hyper")]
impl ReplayBody for hyper::body::Incoming {
    fn replay(&self) -> Option<Self> {
        None
    }
}

#[cfg(feature = "axum")]
impl ReplayBody for axum_core::body::Body {
    fn replay(&self) -> Option<Self> {
        None
    }
}

#[cfg(feature = "reqwest")]
impl ReplayBody for reqwest::Body {
    fn replay(&self) -> Option<Self> {
        self.as_bytes()
            .map(|bytes| Self::from(Bytes::copy_from_slice(bytes)))
    }

    fn peek(&self) -> Option<&[u8]> {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both<B: ReplayBody>(body: &B) -> Option<Vec<u8>> {
        let copy = body.replay()?;
        let read = copy.look(<[u8]>::to_vec)?;
        assert_eq!(body.look(<[u8]>::to_vec).as_ref(), Some(&read));
        Some(read)
    }

    #[test]
    fn a_replay_yields_the_same_bytes() {
        let expected = Some(b"hello".to_vec());
        assert_eq!(both(&Bytes::from_static(b"hello")), expected);
        assert_eq!(both(&String::from("hello")), expected);
        assert_eq!(both(&b"hello".to_vec()), expected);
        assert_eq!(both(&"hello"), expected);
        assert_eq!(both(&&b"hello"[..]), expected);
        assert_eq!(both(&Full::new(Bytes::from_static(b"hello"))), expected);
        let mut pieces = std::collections::VecDeque::from(b"llo".to_vec());
        pieces.push_front(b'e');
        pieces.push_front(b'h');
        assert_eq!(both(&Full::new(pieces)), expected);
        assert_eq!(both(&Some(String::from("hello"))), expected);
        assert_eq!(both(&None::<String>), Some(Vec::new()));
        assert_eq!(both(&Empty::<Bytes>::new()), Some(Vec::new()));
        assert_eq!(both(&Full::new(Bytes::new())), Some(Vec::new()));
        assert_eq!(both(&()), Some(Vec::new()));
    }

    #[test]
    fn a_streaming_body_means_one_try() {
        assert!(BoxBody::<Bytes, ()>::default().replay().is_none());
        assert!(UnsyncBoxBody::<Bytes, ()>::default().replay().is_none());
        assert!(BoxBody::<Bytes, ()>::default().peek().is_none());
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn a_reqwest_body_replays_unless_it_streams() {
        assert_eq!(both(&reqwest::Body::from("hello")), Some(b"hello".to_vec()));
        assert_eq!(both(&reqwest::Body::default()), Some(Vec::new()));
        assert!(
            reqwest::Body::wrap(Full::new(Bytes::new()))
                .replay()
                .is_none()
        );
    }
}
