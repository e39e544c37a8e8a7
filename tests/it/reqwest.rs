//! reqwest at both ends of a stack, over real connections on loopback.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_openai::{
    Client, config::OpenAIConfig, error::OpenAIError, middleware::HttpRequestFactory,
    types::embeddings::CreateEmbeddingRequestArgs,
};
use axum::{
    Router,
    body::Bytes,
    response::Redirect,
    routing::{get, post},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BufferBodyLayer, BufferedBody, FallbackLayer, Verdict,
    answers::{Answers, Depth, Http},
    backoff_retry::GaveUp,
    edge::{ReqwestLayer, ReqwestService, UnsendableRequest},
    fallback::{Causes, ServedBy},
    provider,
};

/// Serves on loopback until it is dropped.
struct Server {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(app: Router) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Server { url, task }
}

fn echo() -> Router {
    Router::new()
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/old", get(|| async { Redirect::temporary("/new?page=2") }))
        .route("/new", get(|| async { "here" }))
}

#[tokio::test]
async fn http_types_go_out_and_come_back() {
    let server = serve(echo()).await;
    let request = Request::post(format!("{}/echo", server.url))
        .body(BufferedBody::from("hello"))
        .unwrap();
    let response = ReqwestService::default().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn a_response_keeps_the_url_that_redirects_led_to() {
    let server = serve(echo()).await;
    let client = reqwest::Client::new();
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .service(ReqwestService::new(client.clone()));
    let request = client.get(format!("{}/old", server.url)).build().unwrap();
    let response = stack.oneshot(request).await.unwrap();
    assert_eq!(response.url().path(), "/new");
    assert_eq!(response.url().query(), Some("page=2"));
    assert_eq!(response.text().await.unwrap(), "here");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_a_layer_made_has_the_requests_url() {
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .service(service_fn(|_: Request<reqwest::Body>| async {
            Ok::<_, BoxError>(Response::new(BufferedBody::from("made up")))
        }));
    let request = reqwest::Client::new().get("http://example.test/a?b=c");
    let response = stack.oneshot(request.build().unwrap()).await.unwrap();
    assert_eq!(response.url().as_str(), "http://example.test/a?b=c");
    assert_eq!(response.text().await.unwrap(), "made up");
}

#[tokio::test(start_paused = true)]
async fn the_marks_of_layers_are_read_from_reqwests_responses_as_from_https() {
    let statuses = |status: u16| {
        service_fn(move |_: Request<BufferedBody>| async move {
            let answer = Response::builder().status(status);
            Ok::<_, BoxError>(answer.body(BufferedBody::default()).unwrap())
        })
    };
    let layers = ServiceBuilder::new()
        .layer(BufferBodyLayer::new())
        .layer(FallbackLayer::to(statuses(200)).name("backup"))
        .layer(BackoffRetryLayer::new().attempts(1));
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(layers.clone())
        .service(statuses(502));
    let request = reqwest::Client::new().get("http://example.test/");
    let answer = stack.oneshot(request.build().unwrap()).await.unwrap();
    assert_eq!(ServedBy::of(&answer).map(ServedBy::name), Some("backup"));
    assert_eq!(Causes::of(&answer).map(Causes::len), Some(1));
    assert_eq!((GaveUp::of(&answer), Verdict::of(&answer)), (None, None));
    // The same by http's types.
    let stack = layers.service(statuses(502));
    let answer = stack.oneshot(Request::new(BufferedBody::default()));
    let answer = answer.await.unwrap();
    assert_eq!(ServedBy::of(&answer).map(ServedBy::name), Some("backup"));
    // Where nobody served, nobody is said to have.
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(FallbackLayer::to(statuses(503)))
        .layer(BackoffRetryLayer::new().deadline(Duration::from_millis(1)))
        .service(statuses(502));
    let request = reqwest::Client::new().get("http://example.test/");
    let answer = stack.oneshot(request.build().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(ServedBy::of(&answer), None);
    assert_eq!(
        Causes::of(&answer).unwrap().last().status(),
        Some(http::StatusCode::BAD_GATEWAY)
    );
}

#[tokio::test(start_paused = true)]
async fn a_relative_uri_is_a_clear_and_final_error() {
    let request = Request::get("/v1/models").body("").unwrap();
    let error = ReqwestService::default()
        .oneshot(request)
        .await
        .unwrap_err();
    assert!(error.is::<UnsendableRequest>());
    assert!(error.to_string().contains("absolute URL"));
    assert_eq!(provider::classify_error(error.as_ref()), Verdict::Permanent);
}

#[test]
fn a_stack_shows_no_key_that_its_client_sends_by_default() {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-api-key", http::HeaderValue::from_static("SECRET"));
    let client = reqwest::Client::builder().default_headers(headers);
    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .service(ReqwestService::new(client.build().unwrap()));
    assert!(!format!("{stack:?}").contains("SECRET"), "{stack:?}");
}

#[tokio::test]
async fn a_refused_connection_was_not_sent_and_keeps_the_key_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x?key=SECRET", listener.local_addr().unwrap());
    drop(listener);
    let request = Request::get(url).body("").unwrap();
    let error = ReqwestService::default()
        .oneshot(request)
        .await
        .unwrap_err();
    assert!(error.is::<reqwest::Error>());
    assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
    let verdict = provider::classify_error(error.as_ref());
    assert_eq!(verdict, Verdict::Transient { sent: false });
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn hypers_refused_connection_was_not_sent_either() {
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::builder(TokioExecutor::new()).build_http::<BufferedBody>();
    let request = Request::get(url).body(BufferedBody::default()).unwrap();
    let error = client.request(request).await.unwrap_err();
    let verdict = provider::classify_error(&error);
    assert_eq!(verdict, Verdict::Transient { sent: false });
}

#[tokio::test]
async fn an_error_is_read_over_a_real_connection_and_passes_whole() {
    const BODY: &str = r#"{"error":{"message":"Rate limit reached for requests. Please try again in 20ms.","type":"requests","code":"rate_limit_exceeded"}}"#;
    let limited = || async { (http::StatusCode::TOO_MANY_REQUESTS, BODY) };
    let server = serve(Router::new().route("/", get(limited))).await;
    let request = Request::get(&server.url).body("").unwrap();
    let response = ReqwestService::default().oneshot(request).await.unwrap();
    let response = Http.read(response, Depth::Streams).answer().await;
    let wait = Verdict::of(&response).unwrap().retry_after();
    assert_eq!(wait, Some(Duration::from_millis(20)));
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), BODY);
}

#[tokio::test]
async fn async_openai_calls_through_a_boxed_stack() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let embed = move |body: Bytes| async move {
        counted.fetch_add(1, Ordering::Relaxed);
        assert!(body.starts_with(b"{"));
        r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,
            "embedding":[0.5]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#
    };
    let server = serve(Router::new().route("/embeddings", post(embed))).await;

    let stack = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .service(ReqwestService::default());
    let stack = BoxCloneSyncService::new(stack);
    let service = service_fn(move |factory: HttpRequestFactory| {
        let stack = stack.clone();
        async move {
            let request = factory.build().await?;
            stack.oneshot(request).await.map_err(OpenAIError::Boxed)
        }
    });
    let config = OpenAIConfig::new()
        .with_api_base(&server.url)
        .with_api_key("none");
    let client = Client::with_config(config).with_http_service(service);
    let request = CreateEmbeddingRequestArgs::default()
        .model("m")
        .input("hello")
        .build()
        .unwrap();
    let answer = client.embeddings().create(request).await.unwrap();
    assert_eq!(answer.data[0].embedding, [0.5]);
    assert_eq!(answer.usage.total_tokens, 3);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}
