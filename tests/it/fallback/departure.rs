//! Limits around a chain and inside of it: nothing goes over.

use tokio::time::Instant;
use tower::{ServiceBuilder, retry};
use tower_quota::{
    Limit, Quota, RateLimitLayer,
    fallback::{FallbackError, Unserved},
};

use super::*;

fn quota(n: u64) -> Quota {
    Quota::new(Limit::requests_per_minute(n)).unwrap()
}

fn used(quota: &Quota) -> (u64, u64) {
    let limit = quota.snapshot().limits[0];
    (limit.used, limit.held)
}

#[tokio::test(start_paused = true)]
async fn each_link_is_a_departure_and_a_limit_that_refuses_one_leaves_the_last_real_outcome() {
    let (first, b, c) = (
        Mock::new([DOWN]),
        Mock::new([Step::Status(502)]),
        Mock::new([OK]),
    );
    for (limit, status) in [(1, 500), (2, 502), (3, 200)] {
        let before = [&first, &b, &c].map(Mock::calls).iter().sum::<usize>();
        let outer = quota(limit);
        let service = ServiceBuilder::new()
            .layer(RateLimitLayer::new(outer.clone()).reject())
            .layer(FallbackLayer::chain([b.clone(), c.clone()]))
            .service(first.clone());
        let answer = service.oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), status);
        drop(answer);
        assert_eq!(used(&outer), (limit, 0));
        let calls = [&first, &b, &c].map(Mock::calls).iter().sum::<usize>();
        assert_eq!((calls - before) as u64, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_with_room_later_holds_the_next_link_until_then() {
    let (b, outer) = (Mock::new([OK]), quota(1));
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(FallbackLayer::to(b.clone()))
        .service(Mock::new([DOWN]));
    let start = Instant::now();
    service.oneshot(request()).await.unwrap();
    assert!(b.times(start)[0] >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn limits_inside_of_links_are_their_own_and_a_link_that_waits_is_held_further_out() {
    let (outer, own) = (quota(10), quota(1));
    let c = Mock::new([OK]);
    let link = RateLimitLayer::new(own.clone()).layer(c.clone());
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(FallbackLayer::to(link))
        .service(Mock::new([DOWN]));
    service.clone().oneshot(request()).await.unwrap();
    assert_eq!((used(&outer), used(&own)), ((2, 0), (1, 0)));
    // The link's line is full for a minute: the further charge is held there, not dated.
    let mut waiting = Box::pin(service.oneshot(request()));
    for _ in 0..3 {
        assert!(poll(waiting.as_mut()).is_pending());
    }
    assert_eq!((used(&outer), used(&own)), ((3, 1), (1, 0)));
    drop(waiting);
    assert_eq!((used(&outer), used(&own), c.calls()), ((3, 0), (1, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_passed_over_is_charged_to_nobody() {
    let (outer, inner) = (quota(10), quota(10));
    let first = Mock::new([rate_limited(Some(Duration::from_secs(30)))]);
    let (b, start) = (Mock::new([OK]), Instant::now());
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(FallbackLayer::to(b.clone()))
        .layer(RateLimitLayer::new(inner.clone()))
        .service(first.clone());
    for n in 1..=4 {
        service.clone().oneshot(request()).await.unwrap();
        assert_eq!((used(&outer), used(&inner)), ((n + 1, 0), (1, 0)));
    }
    // Held as long as the link isn't ready, given back where it is dropped then.
    b.becomes(Readiness::Stuck);
    let mut stuck = Box::pin(service.oneshot(request()));
    assert!(poll(stuck.as_mut()).is_pending());
    assert_eq!(used(&outer), (5, 1));
    drop(stuck);
    assert_eq!(used(&outer), (5, 0));
    assert_eq!((b.calls(), first.times(start).len()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_readied_was_not_sent() {
    let (outer, first) = (quota(1), Mock::new([OK]));
    first.becomes(Readiness::Broken);
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()).reject())
        .layer(FallbackLayer::to(Mock::new([OK])))
        .service(first);
    assert_eq!(service.oneshot(request()).await.unwrap().status(), 200);
    assert_eq!(used(&outer), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_computing_an_answer_fails_with_gives_nothing_back_that_has_left() {
    // Its cache refuses connections: that isn't the provider's refusal.
    let cache = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    for (first, expected) in [(DOWN, 1), (Step::Refuse, 0)] {
        let outer = quota(10);
        let computed =
            FallbackLayer::respond_async(move |_: Unserved<Request<Bytes>>| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err::<Response<Full<Bytes>>, _>(cache())
            });
        let service = ServiceBuilder::new()
            .layer(RateLimitLayer::new(outer.clone()))
            .layer(computed)
            .service(Mock::new([first]));
        let error = service.oneshot(request()).await.unwrap_err();
        let last = error.downcast::<FallbackError>().unwrap().into_last();
        assert!(last.is::<std::io::Error>());
        assert_eq!(used(&outer), (expected, 0), "{first:?}");
    }
}

/// A retry that isn't ours: three tries.
#[derive(Clone)]
struct Thrice(u32);

impl<B> retry::Policy<Request<Bytes>, Response<B>, tower_quota::BoxError> for Thrice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Bytes>,
        _: &mut Result<Response<B>, tower_quota::BoxError>,
    ) -> Option<Self::Future> {
        self.0 -= 1;
        (self.0 > 0).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_that_left_before_stays_charged_where_the_first_is_passed_over_or_not_ready() {
    for broken in [false, true] {
        let (outer, b) = (quota(10), Mock::new([Step::Slow(Duration::from_secs(1))]));
        let first = Mock::new([rate_limited(Some(Duration::from_secs(30)))]);
        let layer = FallbackLayer::to(b.clone());
        let service = ServiceBuilder::new()
            .layer(RateLimitLayer::new(outer.clone()))
            .layer(retry::RetryLayer::new(Thrice(3)))
            .layer(if broken { layer.no_memory() } else { layer })
            .service(first.clone());
        let b = b.clone();
        let mut call = Box::pin(service.oneshot(request()));
        if broken {
            // Its first try is on its way; further ones find the first service broken.
            b.becomes(Readiness::Stuck);
            assert!(poll(call.as_mut()).is_pending());
            first.becomes(Readiness::Broken);
            b.becomes(Readiness::Ready);
        }
        call.await.unwrap();
        assert_eq!((first.calls(), b.calls()), (1, 3));
        assert_eq!(used(&outer), (4, 0), "{broken}");
    }
}
