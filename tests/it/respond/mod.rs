//! Refusals reach clients as responses.

mod tell;
mod upstream;

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::get};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService,
};
use tower_quota::{
    BufferBodyLayer, Cost, Limit, Quota, Reason, Rejected, RejectedError, RespondLayer, Scope,
    TokenBudgetLayer, respond::RespondBody,
};

fn boxed(rejected: Rejected) -> BoxError {
    RejectedError::from(rejected).into()
}

/// The response to an error: status, Retry-After, problem.
async fn answer(error: impl Into<BoxError>) -> (u16, Option<String>, Value) {
    let mut error = Some(error.into());
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Err::<Response<String>, _>(error.take().unwrap()))
    });
    let service = RespondLayer::new().layer(service);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let kind = &response.headers()[header::CONTENT_TYPE];
    assert_eq!(kind, "application/problem+json");
    let wait = response.headers().get(header::RETRY_AFTER);
    let wait = wait.map(|wait| wait.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, wait, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_status_says_whose_limit_it_was() {
    for (reason, scope, status) in [
        (Reason::LimitReached, Scope::Caller, 429),
        (Reason::WaitTooLong, Scope::Caller, 429),
        (Reason::QueueFull, Scope::Shared, 503),
        (Reason::CircuitOpen, Scope::Caller, 503),
        (Reason::TooLarge, Scope::Caller, 413),
        (Reason::TooLarge, Scope::Shared, 413),
    ] {
        let rejected = Rejected::new(reason).scope(scope);
        let (found, wait, problem) = answer(boxed(rejected.clone())).await;
        assert_eq!((found, wait), (status, None), "{rejected}");
        let kind = match status {
            429 => "https://iana.org/assignments/http-problem-types#quota-exceeded",
            503 => "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            _ => "about:blank",
        };
        assert_eq!(problem["type"], kind);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["detail"], rejected.detail());
        let title = StatusCode::from_u16(status).unwrap();
        assert_eq!(problem["title"], title.canonical_reason().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_told_in_whole_seconds_and_never_as_zero() {
    for (wait, told) in [
        (Duration::from_nanos(1), Some("1")),
        (Duration::from_millis(1_001), Some("2")),
        (Duration::from_secs(7), Some("7")),
        (Duration::ZERO, None),
        (Duration::MAX, Some("18446744073709551615")),
    ] {
        let rejected = Rejected::new(Reason::LimitReached).retry_after(Some(wait));
        let (_, found, _) = answer(boxed(rejected)).await;
        assert_eq!(found.as_deref(), told, "{wait:?}");
    }
}

/// What a layer of ours refuses by `limit`, as a response.
async fn refused_by(limit: Limit, shared: bool) -> Response<RespondBody<String>> {
    let quota = Quota::new(limit).unwrap();
    let inner =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let cost = |_: &Request<()>| Cost::tokens(60);
    let layer = TokenBudgetLayer::new(quota).cost(cost).reject();
    let service: BoxCloneSyncService<_, _, BoxError> = if shared {
        BoxCloneSyncService::new(layer.layer(inner).map_response(plain))
    } else {
        let layer = layer.keyed(|_: &Request<()>| ());
        BoxCloneSyncService::new(layer.layer(inner).map_response(plain))
    };
    let service = RespondLayer::new().layer(service);
    let admitted = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(admitted.status(), StatusCode::OK);
    service.oneshot(Request::new(())).await.unwrap()
}

fn plain<B>(response: Response<B>) -> Response<String> {
    response.map(|_| String::new())
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_its_own_limit_and_nothing_of_what_is_shared() {
    let told = |response: &Response<RespondBody<String>>| {
        let of = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        let names = [
            "ratelimit-policy",
            "ratelimit",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ];
        names.map(of)
    };
    let said = |texts: [&str; 5]| texts.map(|text| Some(text.to_owned()));
    let minute = Duration::from_secs(60);
    for (limit, expected) in [
        (
            Limit::tokens(100, minute).rolling().transit(Duration::ZERO),
            said([
                "\"tokens-per-minute\";q=100;qu=\"tokens\";w=60",
                "\"tokens-per-minute\";r=40;t=60",
                "100",
                "40",
                "60",
            ]),
        ),
        (
            Limit::requests(1, Duration::from_millis(1_500))
                .bucket()
                .transit(Duration::ZERO),
            said([
                "\"requests-per-1.5s\";q=1",
                "\"requests-per-1.5s\";r=0;t=2",
                "1",
                "0",
                "2",
            ]),
        ),
        (
            Limit::requests(1, Duration::from_secs(3_600))
                .bucket()
                .transit(Duration::ZERO),
            said([
                "\"requests-per-3600s\";q=1;w=3600",
                "\"requests-per-3600s\";r=0;t=3600",
                "1",
                "0",
                "3600",
            ]),
        ),
    ] {
        let refused = refused_by(limit.clone(), false).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(told(&refused), expected);
        let name = refused.headers()["ratelimit"]
            .to_str()
            .unwrap()
            .split('"')
            .nth(1)
            .unwrap()
            .to_owned();
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["violated-policies"], serde_json::json!([name]));

        let refused = refused_by(limit, true).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(told(&refused), [const { None }; 5]);
        assert!(refused.headers().contains_key("retry-after"));
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.get("violated-policies"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn other_errors_become_responses_that_tell_nothing() {
    let elapsed = tower::timeout::error::Elapsed::new();
    assert_eq!(answer(elapsed).await.0, 504);
    let shed = tower::load_shed::error::Overloaded::new();
    assert_eq!(answer(shed).await.0, 503);
    // However they are wrapped.
    let elapsed = io::Error::other(tower::timeout::error::Elapsed::new());
    assert_eq!(answer(io::Error::other(elapsed)).await.0, 504);
    let refused = io::Error::other(Rejected::new(Reason::LimitReached));
    assert_eq!(answer(refused).await.0, 429);
    let (status, _, problem) = answer("could not connect to db:5432 as admin").await;
    assert_eq!(status, 502);
    assert_eq!(problem["detail"], "the service failed");

    let large = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(BufferBodyLayer::new().limit(2))
        .service(service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let response = large.oneshot(Request::new("long".to_owned())).await;
    assert_eq!(response.unwrap().status(), 413);
}

#[tokio::test(start_paused = true)]
async fn passed_errors_stay_errors_and_refusals_do_not() {
    let service = |error: fn() -> BoxError| {
        let inner =
            service_fn(
                move |_: Request<()>| async move { Err::<Response<String>, BoxError>(error()) },
            );
        RespondLayer::new()
            .with(|rejected: &Rejected| Response::new(rejected.to_string()))
            .pass_errors()
            .layer(inner)
    };
    let failed = service(|| "broken".into()).oneshot(Request::new(())).await;
    assert_eq!(failed.unwrap_err().to_string(), "broken");
    let refused = service(|| boxed(Rejected::new(Reason::Paused)));
    let response = refused.oneshot(Request::new(())).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "the quota is paused");
}

/// A service that isn't ready ever again.
#[derive(Clone)]
struct Broken;

impl Service<Request<()>> for Broken {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("closed".into()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        panic!("called though it wasn't ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_readied_answers_too() {
    let service = RespondLayer::new().layer(Broken);
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(
        service.oneshot(Request::new(())).await.unwrap().status(),
        502
    );
}

/// Refuses while it is told to; boxes its errors as our layers do.
#[derive(Clone)]
struct Gate<S>(S, Arc<AtomicBool>);

impl<S, R> Service<R> for Gate<S>
where
    S: Service<R, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = futures_util::future::BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, request: R) -> Self::Future {
        if self.1.load(Ordering::Relaxed) {
            let wait = Some(Duration::from_millis(1_500));
            let rejected = Rejected::new(Reason::LimitReached).retry_after(wait);
            return Box::pin(async { Err(boxed(rejected)) });
        }
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map_err(|never| match never {}) })
    }
}

#[tokio::test]
async fn an_axum_router_serves_refusals() {
    let closed = Arc::new(AtomicBool::new(false));
    let gate = closed.clone();
    let app = Router::new().route("/", get(|| async { "hello" })).layer(
        ServiceBuilder::new()
            .layer(RespondLayer::new())
            .layer(tower::layer::layer_fn(move |inner| {
                Gate(inner, gate.clone())
            })),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let response = reqwest::get(&url).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    closed.store(true, Ordering::Relaxed);
    let response = reqwest::get(&url).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "2");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["detail"], "limit reached, come back in 1.5s");
    server.abort();
}
