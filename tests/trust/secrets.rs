//! Neither a key nor a prompt, nor what a model said, stands in anything that is printed: not in `Debug`, not in an error, not in an event.

use std::{
    collections::VecDeque,
    convert::Infallible,
    error::Error,
    fmt::{Debug, Write},
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
#[cfg(feature = "reqwest")]
use tower::ServiceExt;
use tower::{Layer, Service};
use tower_quota::{
    Alerts, BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer,
    FallbackLayer, Limit, Provider, Quota, RateLimitLayer, Rejected, RespondLayer, Settle, Split,
    TokenBudgetLayer, Usage, Verdict,
    fallback::{Causes, ServedBy, swap_model},
    key::{self, Key},
    provider::{UsageScanner, classify, rate_status},
    quota::{KeyedQuotas, Tier},
    token_budget::Pools,
    tokens::{Calibration, estimate},
};
use tracing::{
    Dispatch, Event, Subscriber,
    field::{Field, Visit},
    subscriber::NoSubscriber,
};
use tracing_subscriber::{Layer as Listens, Registry, layer::Context, layer::SubscriberExt};

const KEY: &str = "sk-Qz7hunter2";
const PROMPT: &str = "my uncle Qz8 owns a bank";
const SAID: &str = "Qz9 and so do I";

/// All that was printed.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<String>>);

impl Paper {
    fn debug(&self, what: &dyn Debug) {
        let mut text = self.0.lock().unwrap();
        writeln!(text, "{what:?}\n{what:#?}").unwrap();
    }

    fn error(&self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        let mut depth = 0;
        while let Some(error) = next {
            self.debug(&error);
            writeln!(self.0.lock().unwrap(), "{error}\n{error:#}").unwrap();
            next = error.source();
            depth += 1;
            assert!(depth < 100, "its own source");
        }
    }

    /// Text as it is, escaped, or byte by byte.
    fn says(&self, secret: &str) -> Option<String> {
        let text = self.0.lock().unwrap();
        // The first word will do, wherever it is cut off.
        let word = &secret[..secret.find("Qz").unwrap() + 3];
        let bytes = format!("{:?}", word.as_bytes());
        let hex = format!("{:x?}", word.as_bytes());
        let ways = [
            word,
            bytes.trim_matches(['[', ']']),
            hex.trim_matches(['[', ']']),
        ];
        let found = ways.iter().find_map(|way| text.find(way));
        found.map(|at| {
            let start = (0..=at.saturating_sub(300))
                .rev()
                .find(|i| text.is_char_boundary(*i));
            text[start.unwrap_or_default()..]
                .chars()
                .take(600)
                .collect()
        })
    }

    fn is_clean(&self, which: &str) {
        for secret in [KEY, PROMPT, SAID] {
            let found = self.says(secret);
            assert!(found.is_none(), "{which}: {secret:?} in {}", found.unwrap());
        }
    }
}

impl<S: Subscriber> Listens<S> for Paper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Fields<'a>(&'a Paper);
        impl Visit for Fields<'_> {
            fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
                self.0.debug(value);
            }

            fn record_str(&mut self, _: &Field, value: &str) {
                self.0.debug(&value);
            }

            fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
                self.0.error(value);
            }
        }
        writeln!(
            self.0.lock().unwrap(),
            "event {}",
            event.metadata().target()
        )
        .unwrap();
        event.record(&mut Fields(self));
    }
}

/// A body in pieces, which itself says nothing of them.
struct Pieces(VecDeque<Bytes>);

impl Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pieces(..)")
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
    }
}

/// What a provider answers, who repeats all that it was told.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answer,
    Stream,
    BadKey,
    RateLimited,
    Down,
    Dead,
}

const FATES: [Fate; 6] = [
    Fate::Answer,
    Fate::Stream,
    Fate::BadKey,
    Fate::RateLimited,
    Fate::Down,
    Fate::Dead,
];

fn answer(fate: Fate) -> Result<Response<Pieces>, BoxError> {
    let error = |code: &str| {
        format!(
            r#"{{"error": {{"code": "{code}", "type": "{code}", "message": "{KEY} asked {PROMPT}. Please try again in 2s."}}}}"#
        )
    };
    let (status, kind, body) = match fate {
        Fate::Answer => (
            200,
            "application/json",
            format!(
                r#"{{"id": "{KEY}", "choices": [{{"message": {{"content": "{PROMPT}? {SAID}"}}}}], "usage": {{"prompt_tokens": 5, "completion_tokens": 7}}}}"#
            ),
        ),
        Fate::Stream => (
            200,
            "text/event-stream",
            format!(
                "data: {{\"choices\": [{{\"delta\": {{\"content\": \"{PROMPT}? {SAID}\"}}}}]}}\n\ndata: {{\"choices\": [], \"usage\": {{\"prompt_tokens\": 5"
            ),
        ),
        Fate::BadKey => (401, "application/json", error("invalid_api_key")),
        Fate::RateLimited => (429, "application/json", error("rate_limit_exceeded")),
        Fate::Down => (503, "text/html", error("server_error")),
        Fate::Dead => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
    };
    let bytes = Bytes::from(body);
    let cut = bytes.len() / 3;
    let pieces = [
        bytes.slice(..cut),
        bytes.slice(cut..2 * cut),
        bytes.slice(2 * cut..),
    ];
    let answer = Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("x-request-id", KEY)
        .header("set-cookie", KEY)
        .body(Pieces(pieces.into()));
    Ok(answer.unwrap())
}

fn request() -> Request<BufferedBody> {
    let body = format!(
        r#"{{"model": "gpt-4.1", "user": "{KEY}", "messages": [{{"role": "user", "content": "{PROMPT}"}}]}}"#
    );
    Request::post(format!("https://api.example.com/v1/chat?key={KEY}"))
        .header("authorization", format!("Bearer {KEY}"))
        .header("x-api-key", KEY)
        .body(BufferedBody::from(Bytes::from(body)))
        .unwrap()
}

/// Its future, its answer and its body at every stage; or its error.
async fn look<S, B>(paper: &Paper, mut service: S)
where
    S: Service<Request<BufferedBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Debug,
    B: Body + Debug,
{
    paper.debug(&"called");
    poll_fn(|cx| service.poll_ready(cx))
        .await
        .map_err(Into::into)
        .unwrap();
    let mut future = pin!(service.call(request()));
    paper.debug(&future);
    let outcome = poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            paper.debug(&future);
        }
        polled
    });
    let answer = match outcome.await {
        Ok(answer) => answer,
        Err(error) => {
            let error: BoxError = error.into();
            paper.error(error.as_ref());
            return paper.debug(&(Causes::find(error.as_ref()), Rejected::find(error.as_ref())));
        }
    };
    paper.debug(&(
        Verdict::of(&answer),
        ServedBy::of(&answer),
        Causes::of(&answer),
    ));
    let mut body = pin!(answer.into_body());
    while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        paper.debug(&body);
    }
}

fn listening(paper: &Paper) -> (tracing::subscriber::DefaultGuard, Dispatch) {
    let second = Dispatch::new(NoSubscriber::new());
    let listener = Dispatch::new(Registry::default().with(paper.clone()));
    (tracing::dispatcher::set_default(&listener), second)
}

fn quota() -> Quota {
    let told = Alerts::new(|_| {})
        .rate_limited_above(0.001)
        .retries_above(0.001);
    Quota::builder()
        .limit(Limit::requests_per_minute(1_000))
        .limit(Limit::tokens_per_minute(100_000))
        .alerts(told)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_layer_tells_a_key_a_prompt_or_an_answer() {
    let paper = Paper::default();
    let _listening = listening(&paper);
    for fate in FATES {
        let client = tower::service_fn(move |_: Request<BufferedBody>| async move {
            tokio::task::yield_now().await;
            answer(fate)
        });
        let quota = quota();
        let breaker = CircuitBreakerLayer::new().consecutive_failures(2);
        let circuits = CircuitBreakerLayer::new().keyed(key::api_key::<BufferedBody>());
        let tenants = KeyedQuotas::new(|_: &Option<Key>| {
            let builder = Quota::builder().limit(Limit::requests_per_minute(5));
            Tier::new(builder).unwrap()
        });
        let tokens = TokenBudgetLayer::new(quota.clone()).settle(Settle::TrueUp);
        let requests = RateLimitLayer::new(quota.clone());
        let per_key =
            RateLimitLayer::unlimited().for_keys(key::api_key::<BufferedBody>(), tenants.clone());
        let retry = BackoffRetryLayer::new();
        let rewrite = FallbackLayer::rewrite(swap_model::<BufferedBody>("other"));
        let to = FallbackLayer::to(client);
        let pools = Pools::new().pool("gpt-4.1", quota.clone());
        paper.debug(&(&quota, &breaker, &circuits, &tenants, &tokens, &requests));
        paper.debug(&(&per_key, &retry, &rewrite, &pools, BufferBodyLayer::new()));
        look(&paper, requests.layer(client)).await;
        look(&paper, per_key.layer(client)).await;
        look(&paper, tokens.layer(client)).await;
        look(&paper, breaker.layer(client)).await;
        look(&paper, circuits.layer(client)).await;
        look(&paper, retry.layer(client)).await;
        look(&paper, to.layer(client)).await;
        look(&paper, Split::new([(1, client)])).await;
        look(&paper, BufferBodyLayer::new().layer(client)).await;
        look(&paper, BufferBodyLayer::new().limit(5).layer(client)).await;
        look(&paper, RespondLayer::new().layer(client)).await;
        let stack = tokens.clone().layer(breaker.clone().layer(client));
        let stack = retry.layer(breaker.gate().layer(per_key.layer(requests.layer(stack))));
        let stack = RespondLayer::new()
            .pass_errors()
            .layer(rewrite.layer(stack));
        for _ in 0..4 {
            look(&paper, stack.clone()).await;
        }
        paper.debug(&(
            quota.snapshot(),
            quota.save(),
            breaker.handle(),
            breaker.handle().counts(),
        ));
        paper.debug(&(tokens, circuits.handle(), tenants));
        paper.is_clean(&format!("{fate:?}"));
    }
    let text = paper.0.lock().unwrap();
    // So that it isn't clean for want of words.
    assert!(text.len() > 50_000 && text.matches("event tower_quota").count() > 20);
    println!(
        "{} bytes, {} events",
        text.len(),
        text.matches("event ").count()
    );
}

#[test]
fn no_reader_keeps_for_show_what_it_reads() {
    let paper = Paper::default();
    let request = request();
    let calibration = Calibration::new();
    let bytes = request.body().clone().into_bytes();
    paper.debug(&estimate(&bytes).map(|found| found.cost()));
    let (_, lesson) = calibration.weigh(&request).unwrap();
    lesson.as_ref().unwrap().learn(&Usage::new(50, 10));
    paper.debug(&(lesson, &calibration, calibration.models(), request.body()));
    paper.debug(&(key::api_key::<BufferedBody>()(&request), Key::of(KEY)));
    for fate in FATES {
        let Ok(answer) = answer(fate) else { continue };
        let (parts, body) = answer.into_parts();
        let mut scanner = UsageScanner::of(&parts.headers).unwrap_or_default();
        let all: Vec<u8> = body.0.iter().flatten().copied().collect();
        for piece in &body.0 {
            scanner.push(piece);
            paper.debug(&scanner);
        }
        paper.debug(&scanner.finish());
        let provider = Provider::detect(&parts.headers, &all);
        paper.debug(&(provider, classify(parts.status, &parts.headers, &all)));
        paper.debug(&rate_status(&parts.headers));
    }
    paper.is_clean("readers");
}

#[test]
fn no_setting_that_is_refused_repeats_a_password() {
    let paper = Paper::default();
    #[cfg(feature = "redis")]
    {
        use tower_quota::quota::shared::RedisStore;

        for url in [
            format!("redis://:{KEY}@host:99999"),
            format!("redis://user:{KEY}@"),
            format!("http://user:{KEY}@host"),
            KEY.to_owned(),
            format!("redis://user:{KEY}@host/notanumber"),
        ] {
            match RedisStore::connect(&url) {
                Ok(store) => paper.debug(&store),
                Err(error) => paper.error(&error),
            }
            if let Err(error) = RedisStore::sentinel("a", ["redis://b"], &url) {
                paper.error(&error);
            }
        }
        let store = RedisStore::connect(&format!("redis://user:{KEY}@localhost")).unwrap();
        paper.debug(&store);
    }
    paper.is_clean("settings");
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn no_error_of_a_client_tells_the_key_in_its_address() {
    use std::time::Duration;

    use tower_quota::{
        Cost,
        edge::{ReqwestLayer, ReqwestService},
    };

    let paper = Paper::default();
    let _listening = listening(&paper);
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("x-api-key", KEY.parse().unwrap());
    let client = reqwest::Client::builder()
        .default_headers(headers)
        .no_proxy()
        .build()
        .unwrap();
    let inner = ReqwestService::new(client.clone());
    paper.debug(&inner);
    let stack = || {
        let tokens = TokenBudgetLayer::new(quota()).cost(|_: &_| Cost::tokens(1));
        let retry = BackoffRetryLayer::new().attempts(1);
        let stack = tokens.layer(CircuitBreakerLayer::new().layer(inner.clone()));
        let stack = RespondLayer::new().pass_errors().layer(retry.layer(stack));
        BufferBodyLayer::new().layer(stack)
    };
    // Nobody listens on port 9 of this machine, and such a host there is nowhere.
    for url in [
        format!("http://127.0.0.1:9/v1?key={KEY}"),
        format!("http://user:{KEY}@127.0.0.1:9/v1?a=b&key={KEY}#{KEY}"),
        format!("ftp://user:{KEY}@127.0.0.1/{PROMPT}"),
        format!("http://127.0.0.1:9/v1/chat#{KEY}"),
    ] {
        let Ok(request) = client.post(&url).bearer_auth(KEY).body(PROMPT).build() else {
            continue;
        };
        let door = ReqwestLayer::new().layer(stack());
        let error = tokio::time::timeout(Duration::from_secs(20), door.oneshot(request)).await;
        let error = error.expect("refused at once").unwrap_err();
        paper.error(error.as_ref());
    }
    for url in ["/relative", "http://[::", "mailto:a@b"] {
        let Ok(uri) = url.parse::<http::Uri>() else {
            continue;
        };
        let mut request = request();
        *request.uri_mut() = uri;
        if let Err(error) = stack().oneshot(request).await {
            paper.error(error.as_ref());
        }
    }
    let text = paper.0.lock().unwrap().len();
    assert!(text > 500, "nothing failed");
    paper.is_clean("reqwest");
}
