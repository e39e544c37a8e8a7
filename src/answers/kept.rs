//! What is kept of a request while it is under way.

use std::{cell::RefCell, fmt, mem, thread::LocalKey};

use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

use crate::{
    body::ReplayBody,
    recycled::{Recycle, Recycled, Spares},
};

/// What is kept of an `http` request until it is perhaps sent again: a body to replay, and one pointer to all the rest.
pub struct KeptRequest<B> {
    head: Recycled<Head>,
    body: B,
}

impl<B> KeptRequest<B> {
    #[inline]
    pub(super) fn of(request: &Request<B>) -> Option<Self>
    where
        B: ReplayBody,
    {
        let body = request.body().replay()?;
        let head = Head::copy(
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            request.extensions(),
        );
        Some(Self { head, body })
    }

    pub(super) fn into_request(self) -> Request<B> {
        let Self { mut head, body } = self;
        let mut request = Request::new(body);
        *request.method_mut() = mem::take(&mut head.method);
        *request.uri_mut() = head.uri.take().unwrap_or_default();
        *request.version_mut() = head.version;
        *request.headers_mut() = mem::take(&mut head.headers);
        *request.extensions_mut() = mem::take(&mut head.extensions);
        request
    }
}

impl<B> fmt::Debug for KeptRequest<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and bodies hold secrets.
        f.debug_struct("KeptRequest").finish_non_exhaustive()
    }
}

thread_local! {
    static SPARES: Spares<Head> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Head {
    method: Method,
    // None for `/`, without a host.
    uri: Option<Uri>,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
}

impl Head {
    // Not generic, and so not compiled where it is called: what belongs to a thread is at hand only in this crate.
    fn copy(
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Recycled<Self> {
        let mut head = Recycled::<Self>::blank();
        // What a new request has, a blank one has as well.
        if *method != Method::GET {
            head.method = method.clone();
        }
        if uri.authority().is_some() || uri.path_and_query().is_none_or(|path| path != "/") {
            head.uri = Some(uri.clone());
        }
        head.version = version;
        if !headers.is_empty() {
            head.headers = headers.clone();
        }
        if !extensions.is_empty() {
            head.extensions = extensions.clone();
        }
        head
    }
}

impl Recycle for Head {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARES
    }

    #[inline]
    fn clear(&mut self) {
        if self.method != Method::GET {
            self.method = Method::GET;
        }
        if self.uri.is_some() {
            self.uri = None;
        }
        // Neither what they hold nor the room for it is kept.
        if self.headers.capacity() > 0 {
            self.headers = HeaderMap::new();
        }
        if !self.extensions.is_empty() {
            self.extensions = Extensions::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderValue, header::AUTHORIZATION};

    use super::*;

    fn request(told: &Arc<()>) -> Request<&'static str> {
        let mut request = Request::post("https://example.com/v1/chat?n=1")
            .version(Version::HTTP_2)
            .header(AUTHORIZATION, "Bearer secret")
            .header("x-many", "1")
            .header("x-many", "2")
            .body("prompt")
            .unwrap();
        request.extensions_mut().insert(Arc::clone(told));
        request
    }

    fn spare(see: impl FnOnce(&Head)) {
        SPARES.with_borrow(|spares| see(spares.last().expect("one that was used")));
    }

    #[test]
    fn what_is_kept_is_the_request() {
        let told = Arc::new(());
        let sent = request(&told);
        let again = KeptRequest::of(&sent).unwrap().into_request();
        assert_eq!(again.method(), sent.method());
        assert_eq!(again.uri(), sent.uri());
        assert_eq!(again.version(), sent.version());
        assert_eq!(again.headers(), sent.headers());
        let mark = again.extensions().get::<Arc<()>>().unwrap();
        assert!(Arc::ptr_eq(mark, &told));
        assert_eq!(again.body(), sent.body());
    }

    #[test]
    fn a_box_that_waits_for_its_next_request_holds_nothing_of_the_last() {
        let told = Arc::new(());
        let sent = request(&told);
        let dropped: fn(KeptRequest<_>) = |kept| drop(kept);
        let restored: fn(KeptRequest<_>) = |kept| drop(kept.into_request());
        for ends in [dropped, restored] {
            ends(KeptRequest::of(&sent).unwrap());
            assert_eq!(Arc::strong_count(&told), 2, "the request's own and ours");
            spare(|head| {
                assert_eq!(head.method, Method::GET);
                assert!(head.uri.is_none());
                assert_eq!((head.headers.len(), head.headers.capacity()), (0, 0));
                assert!(head.extensions.is_empty());
            });
        }
        let plain = KeptRequest::of(&Request::new("prompt")).unwrap();
        let plain = plain.into_request();
        assert!(plain.headers().is_empty() && plain.extensions().is_empty());
        assert_eq!((plain.method(), plain.uri().path()), (&Method::GET, "/"));
        assert_eq!(plain.version(), Version::HTTP_11);
    }

    #[test]
    fn what_is_kept_takes_a_pointer_and_shows_nothing() {
        let pointer = size_of::<usize>();
        assert_eq!(size_of::<KeptRequest<()>>(), pointer);
        let mut sent = Request::new(());
        let secret = HeaderValue::from_static("secret");
        sent.headers_mut().insert(AUTHORIZATION, secret);
        let shown = format!("{:?}", KeptRequest::of(&sent).unwrap());
        assert_eq!(shown, "KeptRequest { .. }");
    }
}
