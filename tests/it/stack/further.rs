//! A charge stands for one departure: who tries again further in pays further out, too.

use std::{future::Ready, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, retry, service_fn, util::BoxCloneService,
};
use tower_quota::{
    Backoff, BackoffRetryLayer, FallbackLayer, Jitter, Limit, Quota, RateLimitLayer,
    TokenBudgetLayer,
    testing::{Provider, Shape},
};

use super::{MINUTE, books, chat, cost, departure::ticking, patient, patient_with};

const DOWN: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

fn down() -> Provider {
    let provider = Provider::openai().build().unwrap();
    provider.faults(|f| f.errors(1.0, DOWN));
    provider
}

fn requests(n: u64) -> Quota {
    patient([Limit::requests_per_minute(n)])
}

/// Three tries, a second apart.
fn thrice() -> BackoffRetryLayer {
    let schedule = Backoff::constant(Duration::from_secs(1)).jitter(Jitter::None);
    BackoffRetryLayer::new().no_budget().backoff(schedule)
}

/// Tower's own retry, three tries.
#[derive(Clone)]
struct Thrice(u32);

impl<B> retry::Policy<Request<Full<Bytes>>, Response<B>, BoxError> for Thrice {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        outcome: &mut Result<Response<B>, BoxError>,
    ) -> Option<Ready<()>> {
        self.0 -= 1;
        let failed = (outcome.as_ref()).is_ok_and(|answer| !answer.status().is_success());
        (failed && self.0 > 0).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn each_try_is_charged_by_limiters_inside_and_outside_of_the_retry() {
    let (outermost, outer, inner) = (requests(100), requests(100), requests(100));
    let provider = down();
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outermost.clone()))
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(thrice())
        .layer(RateLimitLayer::new(inner.clone()))
        .service(provider.service());
    assert_eq!(service.oneshot(chat(5)).await.unwrap().status(), DOWN);
    assert_eq!(provider.report().requests, 3);
    for quota in [outermost, outer, inner] {
        assert_eq!(books(&quota), (vec![(3, 0)], 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn each_try_is_charged_where_the_retry_is_next_to_the_client() {
    let outer = patient([Limit::tokens_per_minute(1_000)]);
    let service = ServiceBuilder::new()
        .layer(TokenBudgetLayer::new(outer.clone()).cost(cost))
        .layer(thrice())
        .service(down().service());
    service.oneshot(chat(10)).await.unwrap();
    assert_eq!(books(&outer), (vec![(30, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_try_of_towers_retry_between_two_limits_is_charged_by_both() {
    let (outer, inner) = (requests(100), requests(100));
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(retry::RetryLayer::new(Thrice(3)))
        .layer(RateLimitLayer::new(inner.clone()))
        .service(down().service());
    assert_eq!(service.oneshot(chat(5)).await.unwrap().status(), DOWN);
    assert_eq!(books(&outer), (vec![(3, 0)], 0, 0));
    assert_eq!(books(&inner), (vec![(3, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_a_further_departure() {
    let outer = requests(100);
    let spare = Provider::openai().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(FallbackLayer::to(spare.service()))
        .service(down().service());
    assert_eq!(
        service.oneshot(chat(5)).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(books(&outer).0, [(2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_never_left_is_not_charged() {
    let (outer, inner) = (requests(100), requests(100));
    let refuse = service_fn(|_: Request<Full<Bytes>>| async {
        sleep(Duration::from_millis(100)).await;
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Err::<Response<Full<Bytes>>, _>(BoxError::from(refused))
    });
    let spare = Provider::openai().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(FallbackLayer::to(spare.service()))
        .layer(thrice())
        .layer(RateLimitLayer::new(inner.clone()))
        .service(refuse);
    service.oneshot(chat(5)).await.unwrap();
    assert_eq!(spare.report().requests, 1);
    assert_eq!(books(&inner).0, [(0, 0)]);
    assert_eq!(books(&outer).0, [(1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_further_try_waits_until_the_outer_limit_has_room_and_goes_before_newcomers() {
    let (outer, inner) = (requests(2), requests(100));
    let provider = down();
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(thrice())
        .layer(RateLimitLayer::new(inner.clone()))
        .service(provider.service());
    let start = Instant::now();
    let first = tokio::spawn(service.clone().oneshot(chat(5)));
    sleep(Duration::from_millis(1_500)).await;
    let second = tokio::spawn(service.oneshot(chat(5)));
    sleep(Duration::from_secs(10)).await;
    // Two of the first have left; its third waits in front of the second.
    assert_eq!(provider.report().requests, 2);
    assert_eq!(books(&outer), (vec![(2, 0)], 1, 2));
    assert_eq!(books(&inner), (vec![(2, 0)], 0, 0));
    first.await.unwrap().unwrap();
    let elapsed = start.elapsed();
    assert!((MINUTE..MINUTE + Duration::from_secs(2)).contains(&elapsed));
    second.await.unwrap().unwrap();
    assert_eq!(provider.report().most_requests_in_a_minute, 2);
    assert_eq!((books(&outer).1, books(&outer).2), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_further_charge_and_is_dropped_leaves_nothing_behind() {
    let (outer, inner) = (requests(1), requests(100));
    let provider = down();
    for behind in [0, 3] {
        let service = ServiceBuilder::new()
            .layer(RateLimitLayer::new(outer.clone()))
            .layer(thrice())
            .layer(RateLimitLayer::new(inner.clone()))
            .service(provider.service());
        let mut tasks = JoinSet::new();
        for _ in 0..=behind {
            tasks.spawn(service.clone().oneshot(chat(5)));
        }
        sleep(Duration::from_secs(30)).await;
        assert_eq!(books(&outer), (vec![(1, 0)], 1, behind + 1));
        tasks.shutdown().await;
        assert_eq!(books(&outer), (vec![(1, 0)], 0, 0));
        sleep(MINUTE).await;
        assert_eq!(books(&outer).0, [(0, 0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_refuses_a_further_try_leaves_the_last_real_outcome() {
    let outer = requests(1);
    let refusing = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()).reject())
        .layer(FallbackLayer::to(down().service()))
        .layer(thrice())
        .service(down().service());
    let start = Instant::now();
    assert_eq!(refusing.oneshot(chat(5)).await.unwrap().status(), DOWN);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(books(&outer), (vec![(1, 0)], 0, 0));
    // The same for a wait that would be too long.
    let outer = Quota::builder()
        .limit(Limit::requests_per_minute(1))
        .max_wait(Duration::from_secs(30))
        .build()
        .unwrap();
    let waiting = RateLimitLayer::new(outer.clone()).layer(thrice().layer(down().service()));
    assert_eq!(waiting.oneshot(chat(5)).await.unwrap().status(), DOWN);
    assert_eq!(books(&outer), (vec![(1, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_further_try_needs_no_further_place_in_flight() {
    let outer = patient_with([Limit::requests_per_minute(100)], 1);
    let service = RateLimitLayer::new(outer.clone()).layer(thrice().layer(down().service()));
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(books(&outer), (vec![(15, 0)], 0, 0));
    assert_eq!(outer.snapshot().peak_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_polled_only_when_woken_gets_its_further_charge() {
    let (outer, inner) = (requests(1), requests(100));
    let provider = down();
    let tries = ServiceBuilder::new()
        .map_response(|r: Response<_>| r.map(|_| Full::default()))
        .layer(thrice())
        .layer(RateLimitLayer::new(inner))
        .service(provider.service());
    let between = ticking(BoxCloneService::new(tries));
    let service = RateLimitLayer::new(outer.clone()).layer(between);
    let call = service.oneshot(chat(5));
    timeout(MINUTE * 3, call).await.unwrap().unwrap();
    let report = provider.report();
    assert_eq!((report.requests, report.most_requests_in_a_minute), (3, 1));
    assert_eq!(books(&outer), (vec![(1, 0)], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_charge_stays_held_while_the_next_try_waits_for_a_busy_service() {
    let outer = requests(10);
    let provider = down();
    let busy = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(provider.service());
    let mut hog = BoxCloneService::new(busy.clone());
    let service = RateLimitLayer::new(outer.clone()).layer(thrice().layer(busy));
    let call = tokio::spawn(service.oneshot(chat(5)));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(books(&outer).0, [(1, 0)]);
    let taken = hog.ready().await.unwrap().call(chat(5));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(books(&outer).0, [(1, 1)]);
    drop(taken);
    drop(hog);
    call.await.unwrap().unwrap();
    assert_eq!(books(&outer).0, [(3, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_the_deadline_cuts_before_it_leaves_is_not_charged() {
    let (outermost, outer) = (requests(10), requests(10));
    let busy = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(down().service());
    let mut hog = BoxCloneService::new(busy.clone());
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outermost.clone()))
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(thrice().deadline(Duration::from_secs(5)))
        .service(busy);
    let call = tokio::spawn(service.oneshot(chat(5)));
    sleep(Duration::from_millis(500)).await;
    let taken = hog.ready().await.unwrap().call(chat(5));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(books(&outer).0, [(1, 1)]);
    assert_eq!(call.await.unwrap().unwrap().status(), DOWN);
    for quota in [outermost, outer] {
        assert_eq!(books(&quota), (vec![(1, 0)], 0, 0));
    }
    drop(taken);
}

#[tokio::test(start_paused = true)]
async fn tries_without_a_wait_between_them_are_charged_each() {
    let outer = requests(100);
    let at_once = service_fn(|_: Request<Full<Bytes>>| async {
        let mut answer = Response::new(Full::<Bytes>::default());
        *answer.status_mut() = DOWN;
        Ok::<_, BoxError>(answer)
    });
    let schedule = Backoff::constant(Duration::ZERO).jitter(Jitter::None);
    let tries = BackoffRetryLayer::new().no_budget().backoff(schedule);
    let service = RateLimitLayer::new(outer.clone()).layer(tries.layer(at_once));
    service.oneshot(chat(5)).await.unwrap();
    assert_eq!(books(&outer).0, [(3, 0)]);
}

#[tokio::test(start_paused = true)]
async fn on_arrival_a_request_counts_once_and_at_once() {
    let (tenant, shared) = (requests(100), requests(1));
    let provider = down();
    let outbound = ServiceBuilder::new()
        .layer(thrice())
        .layer(RateLimitLayer::new(shared.clone()))
        .service(provider.service());
    let service = RateLimitLayer::new(tenant.clone())
        .on_arrival()
        .layer(outbound);
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(books(&tenant), (vec![(2, 0)], 2, 0));
    while let Some(answer) = tasks.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(provider.report().requests, 6);
    assert_eq!(books(&tenant).1, 0);
}

/// Callers that try again ask two quotas for further charges, while others pass both for the first time.
#[tokio::test(start_paused = true)]
async fn further_charges_of_two_quotas_never_wait_for_each_other() {
    let (outer, middle) = (requests(10), requests(7));
    let provider = Provider::openai()
        .requests_per_minute(7)
        .shape(Shape::Rolling)
        .latency(Duration::from_millis(100)..Duration::from_secs(2))
        .build()
        .unwrap();
    provider.faults(|f| f.errors(0.5, DOWN));
    let layers = ServiceBuilder::new()
        .layer(RateLimitLayer::new(outer.clone()))
        .layer(RateLimitLayer::new(middle.clone()))
        .layer(thrice());
    let service = BoxCloneService::new(layers.service(provider.service()));
    let mut tasks = JoinSet::new();
    for _ in 0..60 {
        tasks.spawn(service.clone().oneshot(chat(5)));
    }
    let all = async {
        while let Some(answer) = tasks.join_next().await {
            answer.unwrap().unwrap();
        }
    };
    timeout(MINUTE * 30, all)
        .await
        .expect("nobody waits for ever");
    let report = provider.report();
    assert_eq!(report.rate_limited, 0);
    assert!(report.requests > 70);
    for quota in [outer, middle] {
        assert_eq!((books(&quota).1, books(&quota).2), (0, 0));
    }
}
