//! Which requests may be sent more than once.

use http::Request;

use super::attempt::IDEMPOTENCY_KEY;

/// Which requests may be sent more than once. Any `Fn(&Req) -> bool` is one.
pub trait MayRetry<Req> {
    /// Whether this request may.
    fn may_retry(&self, request: &Req) -> bool;
}

/// All requests may be sent more than once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Always;

impl<Req> MayRetry<Req> for Always {
    fn may_retry(&self, _: &Req) -> bool {
        true
    }
}

/// Requests whose method says that sending them twice is as good as once (RFC 9110, section 9.2.2:
/// GET, HEAD, OPTIONS, TRACE, PUT, DELETE), and those with an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idempotent;

impl<B> MayRetry<Request<B>> for Idempotent {
    fn may_retry(&self, request: &Request<B>) -> bool {
        request.method().is_idempotent() || request.headers().contains_key(IDEMPOTENCY_KEY)
    }
}

impl<Req, F: Fn(&Req) -> bool> MayRetry<Req> for F {
    fn may_retry(&self, request: &Req) -> bool {
        self(request)
    }
}
