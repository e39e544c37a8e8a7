//! What headers ask to wait, and what a retry makes of it: `retry_after`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Empty;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{Backoff, BackoffRetryLayer, BoxError, Jitter, provider};

use super::case::{Case, Failure, Fields, Seen, Step, ms};

struct Setup {
    now: SystemTime,
    names: Vec<String>,
    max: Option<Duration>,
    backoff: Duration,
}

pub async fn replay(case: &Case) -> Result<(), Failure> {
    let config = &case.config;
    let now = config.span("now_unix_ms")?.ok_or("no `now_unix_ms`")?;
    let mut names = Vec::new();
    for header in config.inners("headers")? {
        let name = header.text("name")?.ok_or("a header without a name")?;
        // Read by what they are called; how they are written, ours tells from themselves.
        header.text("format")?;
        header.all_read("header")?;
        names.push(name.to_owned());
    }
    for (key, ours) in [
        ("above_max", "fail"),
        ("zero", "discard"),
        ("negative", "discard"),
    ] {
        let said = config.text(key)?;
        if said.is_some_and(|said| said != ours) {
            return Err(format!("`{key}` is {said:?}, and ours is {ours:?}"));
        }
    }
    let setup = Setup {
        now: SystemTime::UNIX_EPOCH + now,
        names,
        max: config.span("max_ms")?,
        backoff: config
            .span("backoff_ms")?
            .unwrap_or(Duration::from_millis(500)),
    };
    config.all_read("config")?;
    for (number, step) in case.steps.iter().enumerate() {
        let done = respond(&setup, step).await;
        done.map_err(|why| step.failed(number, &why))?;
    }
    Ok(())
}

async fn respond(setup: &Setup, step: &Step) -> Result<(), Failure> {
    if step.event != "response" {
        return step.unknown();
    }
    let given = step.fields.inner("headers")?;
    let headers = headers(setup, &given)?;
    step.fields.all_read("step")?;
    let hint = provider::retry_after(&headers);
    let status = provider::rate_status(&headers);
    let readings = [
        status.requests,
        status.tokens,
        status.input_tokens,
        status.output_tokens,
    ];
    let reset = readings.into_iter().find_map(|reading| reading.reset);
    let (source, hint) = match (hint, reset) {
        (Some(hint), _) => (source(&headers, hint), Some(hint)),
        (None, reset) => (
            given
                .keys()
                .find(|name| name.contains("reset"))
                .unwrap_or("unknown"),
            reset,
        ),
    };
    let waited = waited(setup, headers).await;
    let action = match (waited, hint) {
        (None, _) => "fail",
        (Some(_), Some(_)) => "wait",
        (Some(_), None) => "backoff",
    };
    // Never earlier than asked, nor than the schedule says.
    let expected = hint.unwrap_or_default().max(setup.backoff);
    if waited.is_some_and(|waited| waited != expected) {
        return Err(format!("sent after {waited:?}, not {expected:?}"));
    }
    step.check(|key| {
        Some(match key {
            "action" => Seen::text(action),
            "delay_ms" if waited.is_none() => Seen::Nothing,
            "delay_ms" => Seen::Number(ms(hint.unwrap_or(setup.backoff))),
            "source" if hint.is_some() => Seen::text(source),
            "source" => Seen::Nothing,
            _ => return None,
        })
    })
}

/// The headers of an answer that was made then.
fn headers(setup: &Setup, given: &Fields) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let date = httpdate::fmt_http_date(setup.now);
    headers.insert("date", HeaderValue::from_str(&date).expect("a date"));
    for name in given.keys() {
        if !setup.names.iter().any(|known| known == name) {
            return Err(format!("`{name}` isn't among the headers of the case"));
        }
        let value = given.text(name)?.ok_or("a header without a value")?;
        // A limit that is reset is one that was reached.
        let named =
            |name: &str| HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string());
        if name.contains("reset") {
            let left = named(&name.replace("reset", "remaining"))?;
            headers.insert(left, HeaderValue::from_static("0"));
        }
        let name = named(name)?;
        let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Which header it was that says so.
fn source(headers: &HeaderMap, hint: Duration) -> &'static str {
    let names = ["retry-after-ms", "x-ms-retry-after-ms", "retry-after"];
    let alone = |name: &&str| {
        let mut one: HeaderMap = headers.clone();
        for other in names.iter().filter(|other| *other != name) {
            one.remove(*other);
        }
        provider::retry_after(&one) == Some(hint)
    };
    names.into_iter().find(alone).unwrap_or("unknown")
}

/// How long a retry waits after such an answer; `None` where it gives up.
async fn waited(setup: &Setup, headers: HeaderMap) -> Option<Duration> {
    let start = Instant::now();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let inner = service_fn(move |_: http::Request<bytes::Bytes>| {
        let mut answer = Response::new(Empty::<bytes::Bytes>::new());
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        *answer.headers_mut() = headers.clone();
        tell.send(start.elapsed()).expect("the test listens");
        async { Ok::<_, BoxError>(answer) }
    });
    let mut retry = BackoffRetryLayer::new()
        .attempts(2)
        .backoff(Backoff::constant(setup.backoff).jitter(Jitter::None))
        .no_budget()
        // A hint is a floor under a wait that is drawn: seen where the least is drawn.
        .random(|| 0);
    if let Some(max) = setup.max {
        retry = retry.max_hint(max);
    }
    let call = retry.layer(inner).oneshot(crate::support::mock::request());
    drop(call.await);
    told.recv().await;
    told.recv().await
}
