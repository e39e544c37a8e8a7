//! Where the layers leave marks for the caller to find.

use http::Extensions;

/// A response that may carry marks of the layers, such as [`GaveUp`](crate::backoff_retry::GaveUp) or
/// [`ServedBy`](crate::fallback::ServedBy), each read by its own `of`: `http::Response<_>`, and with the feature `reqwest`
/// `reqwest::Response`.
pub trait Marked: sealed::Sealed {
    #[doc(hidden)]
    fn marks(&self) -> &Extensions;
}

mod sealed {
    pub trait Sealed {}
}

impl<B> sealed::Sealed for http::Response<B> {}

impl<B> Marked for http::Response<B> {
    fn marks(&self) -> &Extensions {
        self.extensions()
    }
}

#[cfg(feature = "reqwest")]
impl sealed::Sealed for reqwest::Response {}

#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
impl Marked for reqwest::Response {
    fn marks(&self) -> &Extensions {
        self.extensions()
    }
}
