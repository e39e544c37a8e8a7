//! Request bodies that can be sent again.

use bytes::Bytes;

/// A request body that may be sent again and read ahead.
///
/// A body that can't be replayed means one try, not an error. [`BufferBodyLayer`](crate::BufferBodyLayer) makes any body replayable.
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
}

impl ReplayBody for () {
    fn replay(&self) -> Option<Self> {
        Some(())
    }

    fn peek(&self) -> Option<&[u8]> {
        Some(&[])
    }
}

impl ReplayBody for Bytes {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn peek(&self) -> Option<&[u8]> {
        Some(self)
    }
}
