//! What admitted callers are told of their own limits, and nobody of those that are shared.

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_quota::{
    Allowance, Cost, Limit, Quota, RateLimitLayer, RespondLayer, TokenBudgetLayer, respond::Fields,
};

const MINUTE: Duration = Duration::from_secs(60);
const NAMES: [&str; 5] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

type Asked = Request<u64>;
type Answer = Response<String>;
type Inner = BoxCloneSyncService<Asked, Answer, Infallible>;

/// Answers at once; with one field of its own that looks like ours.
fn inner() -> Inner {
    Inner::new(service_fn(|_: Asked| async {
        let mut answer = Response::new(String::new());
        let theirs = "1000".parse().unwrap();
        answer.headers_mut().insert("x-ratelimit-limit", theirs);
        Ok(answer)
    }))
}

fn quota(limits: impl IntoIterator<Item = Limit>) -> Quota {
    let builder = limits.into_iter().fold(Quota::builder(), |builder, limit| {
        builder.limit(limit.transit(Duration::ZERO))
    });
    builder.build().unwrap()
}

fn fields(headers: &HeaderMap) -> [Option<&str>; 5] {
    NAMES.map(|name| headers.get(name).map(|value| value.to_str().unwrap()))
}

async fn headers_of<S, B>(service: &S, tokens: u64) -> (StatusCode, HeaderMap)
where
    S: Service<Asked, Response = Response<B>, Error = Infallible> + Clone,
{
    let answer = service.clone().oneshot(Request::new(tokens)).await;
    let answer = answer.unwrap();
    (answer.status(), answer.headers().clone())
}

#[tokio::test(start_paused = true)]
async fn an_admitted_caller_is_told_what_is_left_and_when_all_of_it_is_there_again() {
    let limits = [
        Limit::requests_per_minute(6).bucket(),
        Limit::tokens(1_000, 10 * MINUTE).rolling(),
    ];
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(
            TokenBudgetLayer::new(quota(limits))
                .cost(|request: &Asked| Cost::tokens(*request.body()))
                .keyed(|_: &Asked| "a caller")
                .reject()
                .tell(),
        )
        .service(inner());
    let (status, told) = headers_of(&service, 100).await;
    assert_eq!(status, StatusCode::OK);
    // Of six requests five are left, the sixth comes back in ten seconds: the scarcest, and what the classic fields tell.
    let expected = [
        "\"requests-per-minute\";q=6;w=60, \"tokens-per-600s\";q=1000;qu=\"tokens\";w=600",
        "\"requests-per-minute\";r=5;t=10, \"tokens-per-600s\";r=900;t=600",
        "6",
        "5",
        "10",
    ];
    assert_eq!(fields(&told), expected.map(Some));
    // Of tokens there are fewer left now, by their share.
    let (_, told) = headers_of(&service, 500).await;
    let standing = "\"requests-per-minute\";r=4;t=20, \"tokens-per-600s\";r=400;t=600";
    assert_eq!(told["ratelimit"], standing);
    assert_eq!(told["x-ratelimit-limit"], "1000");
    assert_eq!(told["x-ratelimit-remaining"], "400");
    // Who is refused is told when to come back, of the limit that has refused.
    let (status, told) = headers_of(&service, 700).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let standing = "\"tokens-per-600s\";r=400;t=600";
    assert_eq!(told["ratelimit"], standing);
    // An hour later all of it is there.
    tokio::time::advance(60 * MINUTE).await;
    let (_, told) = headers_of(&service, 0).await;
    let standing = "\"requests-per-minute\";r=5;t=10, \"tokens-per-600s\";r=1000;t=0";
    assert_eq!(told["ratelimit"], standing);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_where_nobody_asked_for_it_or_where_callers_share_the_limit() {
    let limit = || quota([Limit::requests_per_minute(6)]);
    let theirs = [None, None, Some("1000"), None, None];
    let silent = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(RateLimitLayer::new(limit()).keyed(|_: &Asked| ()))
        .service(inner());
    assert_eq!(fields(&headers_of(&silent, 1).await.1), theirs);
    let shared = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(
            TokenBudgetLayer::new(limit())
                .cost(|_: &Asked| Cost::tokens(1))
                .tell(),
        )
        .service(inner());
    assert_eq!(fields(&headers_of(&shared, 1).await.1), theirs);
}

#[tokio::test(start_paused = true)]
async fn all_layers_that_tell_are_heard_and_the_operator_chooses_the_fields() {
    let stack = |fields| {
        ServiceBuilder::new()
            .layer(RespondLayer::new().fields(fields))
            .layer(RateLimitLayer::new(quota([Limit::requests_per_minute(6)])).tell())
            .layer(RateLimitLayer::new(quota([Limit::requests_per_day(9)])).tell())
            .service(inner())
    };
    let (_, told) = headers_of(&stack(Fields::Both), 1).await;
    let policy = "\"requests-per-day\";q=9;w=86400, \"requests-per-minute\";q=6;w=60";
    assert_eq!(told["ratelimit-policy"], policy);
    assert_eq!(told["x-ratelimit-limit"], "6", "the scarcest");
    let (_, told) = headers_of(&stack(Fields::Draft), 1).await;
    assert_eq!(
        fields(&told).map(|field| field.is_some()),
        [true, true, true, false, false],
        "the third is the inner service's own"
    );
    let (_, told) = headers_of(&stack(Fields::Classic), 1).await;
    assert_eq!(
        fields(&told),
        [None, None, Some("6"), Some("5"), Some("60")]
    );
    let (_, told) = headers_of(&stack(Fields::None), 1).await;
    assert_eq!(fields(&told), [None, None, Some("1000"), None, None]);

    // For fields of one's own.
    let layer = RateLimitLayer::new(quota([Limit::requests_per_minute(6)])).tell();
    let answer = layer.layer(inner()).oneshot(Request::new(1)).await.unwrap();
    let allowance = Allowance::of(&answer).unwrap();
    let left = allowance.limits()[0];
    assert_eq!((left.limit.amount, left.left), (6, 5));
    assert!(left.whole_in >= MINUTE && left.whole_in < MINUTE + Duration::from_secs(1));
}

/// Neither its amount nor what is left of it, whatever the reason.
#[tokio::test(start_paused = true)]
async fn a_refusal_by_what_callers_share_names_no_figure() {
    let shared = quota([Limit::tokens_per_minute(4_711)]);
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(
            TokenBudgetLayer::new(shared)
                .cost(|request: &Asked| Cost::tokens(*request.body()))
                .reject(),
        )
        .service(inner());
    assert_eq!(headers_of(&service, 1_174).await.0, StatusCode::OK);
    for (tokens, status, detail) in [
        (4_000, 503, "the service is busy, come back in 60s"),
        (5_000, 413, "the request is larger than the service takes"),
    ] {
        let answer = service.clone().oneshot(Request::new(tokens)).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(fields(answer.headers()), [None; 5]);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["detail"], detail);
        let text = String::from_utf8(body.to_vec()).unwrap();
        for figure in ["4711", "3537", "token"] {
            assert!(!text.contains(figure), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_pass_whole_behind_it() {
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new().hide_upstream())
        .layer(RateLimitLayer::per_minute(6).tell())
        .service(service_fn(|_: Asked| async {
            Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from("whole"))))
        }));
    let answer = service.oneshot(Request::new(1)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "whole");
}

/// RFC 9651, 3.3.3: a string is of printable ASCII, with neither quotes nor backslashes of its own.
#[tokio::test(start_paused = true)]
async fn a_unit_of_ones_own_is_told_by_its_name_whatever_that_is() {
    for (unit, token) in [
        ("images", "images"),
        ("audio seconds", "audio-seconds"),
        ("a\"b\\c\n\u{e9}", "a_b_c__"),
    ] {
        let limit = TokenBudgetLayer::new(quota([Limit::units(unit, 1, MINUTE)]))
            .cost(move |_: &Asked| Cost::request().unit(unit, 1))
            .keyed(|_: &Asked| 1);
        let service = ServiceBuilder::new()
            .layer(RespondLayer::new())
            .layer(limit.reject())
            .service(inner());
        headers_of(&service, 0).await;
        let (status, headers) = headers_of(&service, 0).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        let policy = format!("\"{token}-per-minute\";q=1;qu=\"{token}\";w=60");
        assert_eq!(fields(&headers)[0], Some(&*policy));
    }
}
