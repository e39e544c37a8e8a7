//! What a request is told of its attempts.

use http::{HeaderMap, HeaderName, HeaderValue, header::MaxSizeReached};

use crate::core::dice::Dice;

/// The header in which [`idempotency_key`](super::BackoffRetryLayer::idempotency_key) writes.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Which try of its call a request is; in the extensions of each retry where
/// [`attempt_extension`](super::BackoffRetryLayer::attempt_extension) asks for it, never of a first
/// try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub(super) u32);

impl Attempt {
    /// The first try is 1, its first retry 2.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Which try this request is: 1 where nothing is said.
    pub fn of<B>(request: &http::Request<B>) -> Self {
        request.extensions().get().copied().unwrap_or(Self(1))
    }
}

/// Puts a new key there, unless there is one.
pub(super) fn put_key(headers: &mut HeaderMap, name: &HeaderName) -> Result<(), MaxSizeReached> {
    if !headers.contains_key(name) {
        headers.try_insert(name, new_key())?;
    }
    Ok(())
}

/// 122 random bits in the form of a UUID of version 4 (RFC 9562, section 5.4), which is what
/// servers expect. Never from the source given for jitter: a test's constant would make two calls one.
fn new_key() -> HeaderValue {
    let dice = Dice::default();
    let version = 4 << 12;
    let high = dice.roll() & !0xf000 | version;
    let low = dice.roll() >> 2 | 1 << 63;
    let key = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff,
    );
    HeaderValue::try_from(key).expect("hexadecimal")
}
