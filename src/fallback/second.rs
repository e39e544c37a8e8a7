//! Where a request goes that the first service couldn't serve.

use std::{fmt, sync::Arc};

use tower_service::Service;

/// The second service of a [`Fallback`](super::Fallback), and what becomes of the request on its
/// way there: [`To`] or [`Rewritten`].
pub trait Second<Req> {
    /// The service.
    type Service: Service<Req>;

    /// The service, to be readied and called.
    fn service(&mut self) -> &mut Self::Service;

    /// The request as it goes there, or `None` where it can't.
    fn rewrite(&self, request: Req) -> Option<Req>;
}

/// Another service gets the request as it is.
#[derive(Clone, Debug)]
pub struct To<T>(pub(super) T);

impl<Req, T: Service<Req>> Second<Req> for To<T> {
    type Service = T;

    fn service(&mut self) -> &mut T {
        &mut self.0
    }

    fn rewrite(&self, request: Req) -> Option<Req> {
        Some(request)
    }
}

/// The same service gets another request. In a layer, the rewriting alone.
pub struct Rewritten<S, F> {
    pub(super) service: S,
    pub(super) rewrite: Arc<F>,
}

impl<Req, S, F, O> Second<Req> for Rewritten<S, F>
where
    S: Service<Req>,
    F: Fn(Req) -> O,
    O: Into<Option<Req>>,
{
    type Service = S;

    fn service(&mut self) -> &mut S {
        &mut self.service
    }

    fn rewrite(&self, request: Req) -> Option<Req> {
        (self.rewrite)(request).into()
    }
}

impl<S: Clone, F> Clone for Rewritten<S, F> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            rewrite: Arc::clone(&self.rewrite),
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Rewritten<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewritten")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
