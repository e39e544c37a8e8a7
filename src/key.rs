//! Whose request it is: keys for [`keyed`](crate::RateLimitLayer::keyed) quotas and circuits, and for those who take
//! [turns](crate::RateLimitLayer::in_turn).
//!
//! ```
//! use http::Request;
//! use tower_quota::{RateLimitLayer, key};
//!
//! let by_api_key = RateLimitLayer::per_minute(60).keyed(key::api_key::<String>());
//! let by_tenant = RateLimitLayer::per_minute(60).keyed(key::header::<String>("x-tenant"));
//! let by_path = RateLimitLayer::per_minute(60).keyed(key::path::<String>());
//! // Anything else that can be told from a request, by a closure:
//! let by_method = RateLimitLayer::per_minute(60).keyed(|request: &Request<String>| request.method().clone());
//! # let _ = (by_api_key, by_tenant, by_path, by_method);
//! ```
//!
//! A [`Key`] is a hash of what was told apart, by a secret that is drawn anew in every process: it can be compared, and looked
//! up, but nobody reads an API key from it, in no log and in no dump of memory.
//!
//! # By the client's address
//!
//! Where it stands depends on the server and on who is trusted in front of it, so it is left to a closure. With axum, served with
//! its connection info and no proxy in front:
//!
//! ```
//! use std::net::SocketAddr;
//! use axum::{Router, extract::{ConnectInfo, Request}, routing::get};
//! use tower::ServiceBuilder;
//! use tower_quota::{RateLimitLayer, RespondLayer};
//!
//! let address = |request: &Request| {
//!     let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
//!     info.map(|ConnectInfo(address)| address.ip())
//! };
//! let limit = RateLimitLayer::per_second(5).keyed(address).reject().on_arrival();
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(ServiceBuilder::new().layer(RespondLayer::new()).layer(limit));
//! // Without this the extension isn't there, and all callers are one:
//! let service = app.into_make_service_with_connect_info::<SocketAddr>();
//! # let _ = service;
//! ```
//!
//! One who has a whole block of IPv6 addresses is many callers so; take the first 64 bits of them. Behind a proxy the address is
//! the proxy's, and a header that anybody may send (`x-forwarded-for`) is nobody's address: take what your own proxy wrote.

use std::{
    fmt,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, header::AUTHORIZATION};

/// What tells requests apart: a hash by a secret of this process, which neither `Debug` nor anything else turns back.
///
/// The same in all of this process, so that what is known of a caller can be looked up by it:
///
/// ```
/// use std::collections::HashMap;
/// use tower_quota::key::Key;
///
/// let plans = HashMap::from([(Key::of("sk-alice"), "pro"), (Key::of("sk-bob"), "free")]);
/// assert_eq!(plans.get(&Key::of("sk-bob")), Some(&"free"));
/// assert_eq!(format!("{:?}", Key::of("sk-bob")), "Key(..)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64, u64);

impl Key {
    /// The key of a text, or of bytes.
    pub fn of(text: impl AsRef<[u8]>) -> Self {
        let (first, second) = fingerprint(text.as_ref());
        Self(first, second)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The value of a header; `None` where it isn't there.
///
/// # Panics
///
/// If it is no name that a header can have.
#[track_caller]
pub fn header<B>(name: &str) -> impl Fn(&Request<B>) -> Option<Key> + Clone + use<B> {
    let Ok(name) = name.parse::<HeaderName>() else {
        panic!("header: {name:?} is no header's name");
    };
    move |request| request.headers().get(&name).map(Key::of)
}

/// The API key that comes with a request: what `authorization` says behind its scheme, or else `x-api-key`, `api-key` or
/// `x-goog-api-key`. `None` where there is none of them, or nothing in it.
///
/// That a key is a known one isn't looked at: whoever makes keys up is a new caller with each. See
/// [`KeyedQuotas`](crate::quota::KeyedQuotas) for what becomes of those.
pub fn api_key<B>() -> impl Fn(&Request<B>) -> Option<Key> + Clone + use<B> {
    |request| secret(request.headers()).map(Key::of)
}

/// The path of a request's address, without its query.
pub fn path<B>() -> impl Fn(&Request<B>) -> Key + Clone + use<B> {
    |request| Key::of(request.uri().path())
}

fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let some = |value: &HeaderValue| !value.as_bytes().trim_ascii().is_empty();
    if let Some(value) = headers.get(AUTHORIZATION).filter(|value| some(value)) {
        let value = value.as_bytes().trim_ascii();
        let scheme = value.iter().position(u8::is_ascii_whitespace);
        return Some(value[scheme.unwrap_or_default()..].trim_ascii_start());
    }
    let named = ["x-api-key", "api-key", "x-goog-api-key"];
    let value = named
        .iter()
        .find_map(|name| headers.get(*name).filter(|value| some(value)));
    value.map(HeaderValue::as_bytes)
}

/// 128 bits that stand for `key`. Whoever doesn't know this process's secrets brings about no two of which the first half is
/// alike; the second tells those apart that are alike in the first by accident.
pub(crate) fn fingerprint(key: &(impl Hash + ?Sized)) -> (u64, u64) {
    static SECRETS: LazyLock<(RandomState, u64, u64)> = LazyLock::new(|| {
        let hash = RandomState::new();
        let (state, factor) = (hash.hash_one(1), hash.hash_one(2) | 1);
        (hash, state, factor)
    });
    let (hash, state, factor) = &*SECRETS;
    let mut both = Both {
        hash: hash.build_hasher(),
        state: *state,
        factor: *factor,
    };
    key.hash(&mut both);
    (both.hash.finish(), both.state)
}

/// A hash that nobody can foresee, and a quick one beside it: so what is hashed is walked once.
struct Both {
    hash: DefaultHasher,
    state: u64,
    factor: u64,
}

impl Both {
    #[inline]
    fn mix(&mut self, n: u64) {
        let product = u128::from(self.state ^ n) * u128::from(self.factor);
        self.state = (product as u64) ^ ((product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for Both {
    fn finish(&self) -> u64 {
        self.hash.finish()
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        words.for_each(|word| self.mix(word));
        self.mix(bytes.len() as u64);
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.hash.write_u64(n);
        self.mix(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/v1/chat?key=1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn an_api_key_is_the_same_one_wherever_it_stands() {
        let key = Some(Key::of("sk-1"));
        for (header, value) in [
            ("authorization", "Bearer sk-1"),
            ("authorization", " bearer   sk-1 "),
            ("authorization", "sk-1"),
            ("x-api-key", "sk-1"),
            ("api-key", "sk-1"),
            ("x-goog-api-key", "sk-1"),
        ] {
            assert_eq!(
                api_key()(&with(&[(header, value)])),
                key,
                "{header}: {value}"
            );
        }
        assert_eq!(api_key()(&with(&[])), None);
        let two = with(&[("x-api-key", "sk-2"), ("authorization", "Bearer sk-1")]);
        assert_eq!(api_key()(&two), key);
        let empty = with(&[
            ("authorization", ""),
            ("x-api-key", " "),
            ("api-key", "sk-1"),
        ]);
        assert_eq!(api_key()(&empty), key, "what is empty is no key");
        assert_eq!(
            api_key()(&with(&[("authorization", " "), ("api-key", "")])),
            None
        );
    }

    #[test]
    fn headers_and_paths_are_told_apart() {
        let tenant = header("X-Tenant");
        assert_eq!(tenant(&with(&[("x-tenant", "a")])), Some(Key::of("a")));
        assert_ne!(tenant(&with(&[("x-tenant", "b")])), Some(Key::of("a")));
        assert_eq!(tenant(&with(&[])), None);
        assert_eq!(path()(&with(&[])), Key::of("/v1/chat"));
    }

    #[test]
    #[should_panic(expected = "header: \"no name\" is no header's name")]
    fn a_name_that_no_header_has_is_refused() {
        let _ = header::<()>("no name");
    }

    #[test]
    fn fingerprints_differ_in_both_halves() {
        let (a, b) = (fingerprint("a"), fingerprint("b"));
        assert!(a.0 != b.0 && a.1 != b.1 && a.0 != a.1);
        assert_eq!(a, fingerprint("a"));
        assert_eq!(fingerprint(&7u64), fingerprint(&7u64));
        assert_ne!(fingerprint(&("ab", "c")), fingerprint(&("a", "bc")));
    }
}
