//! Answers and requests without end: what is kept of them is bounded, and so is the time that they take.
//!
//! What is streamed is made as it goes, of the same few bytes, so that all that is measured is what we keep.

use std::{
    future::{Ready, poll_fn, ready},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use tower::{Layer, Service, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, Cost,
    FallbackLayer, Limit, Provider, Quota, RateLimitLayer, RetryBudget, TokenBudgetLayer, Usage,
    fallback::swap_model,
    provider::{UsageScanner, classify, rate_status, retry_after},
    tokens::{Calibration, estimate, model_of},
};

use super::{request, run};
use crate::support::stack;

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;

/// What is made of one piece again and again, then of an end.
#[derive(Clone)]
struct Endless {
    piece: Bytes,
    times: u64,
    start: &'static str,
    end: &'static str,
}

impl Endless {
    fn new(piece: impl Into<Bytes>, bytes: u64, end: &'static str) -> Self {
        let piece = piece.into();
        let times = bytes / piece.len() as u64;
        Self {
            piece,
            times,
            start: "",
            end,
        }
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let start = std::mem::take(&mut self.start);
        if !start.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(start.as_bytes())))));
        }
        if self.times > 0 {
            self.times -= 1;
            return Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))));
        }
        let end = std::mem::take(&mut self.end);
        let frame = Frame::data(Bytes::from_static(end.as_bytes()));
        Poll::Ready((!end.is_empty()).then_some(Ok(frame)))
    }
}

/// Always answers so.
#[derive(Clone)]
struct Client {
    status: u16,
    content_type: &'static str,
    body: Endless,
}

impl Service<Request<BufferedBody>> for Client {
    type Response = Response<Endless>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Endless>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<BufferedBody>) -> Self::Future {
        let answer = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .body(self.body.clone());
        ready(Ok(answer.unwrap()))
    }
}

/// What was kept at the most, what came through and what it was settled by.
struct Measured {
    peak: u64,
    passed: u64,
    used: u64,
    took: Duration,
}

/// The whole stack around it, its answer read to the end.
fn through(client: Client) -> Measured {
    let quota = Quota::builder()
        .limit(Limit::tokens(1 << 40, Duration::from_secs(3_600)))
        .build()
        .unwrap();
    let start = Instant::now();
    let mut passed = 0;
    let info = measure(|| {
        run(async {
            let breaker = CircuitBreakerLayer::new();
            let limited = stack(
                TokenBudgetLayer::new(quota.clone()).cost(|_: &_| Cost::tokens(10)),
                breaker.layer(client.clone()),
            );
            let retry = BackoffRetryLayer::new().budget(RetryBudget::percent(100));
            let retried = stack(retry, RateLimitLayer::per_second(100).layer(limited));
            let service = FallbackLayer::to(client.clone()).layer(retried);
            let service = BufferBodyLayer::new().layer(service);
            let answer = service.oneshot(request("{}")).await.unwrap();
            let mut body = pin!(answer.into_body());
            while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                let data = frame.unwrap().into_data();
                passed += data.map_or(0, |data| data.len() as u64);
            }
        });
    });
    Measured {
        peak: info.bytes_max,
        passed,
        used: quota.snapshot().limits[0].used,
        took: start.elapsed(),
    }
}

fn check(name: &str, client: Client, used: Option<u64>) {
    let all = client.body.times * client.body.piece.len() as u64
        + (client.body.start.len() + client.body.end.len()) as u64;
    let measured = through(client);
    let (peak, took) = (measured.peak / KB, measured.took);
    println!("{name}: {peak} KiB kept at the most, {took:?}");
    assert_eq!(measured.passed, all, "{name}");
    assert!(measured.peak < 2 * MB, "{name}: {peak} KiB");
    assert!(took < Duration::from_secs(60), "{name}: {took:?}");
    if let Some(used) = used {
        assert_eq!(measured.used, used, "{name}");
    }
}

fn piece(text: &str) -> Bytes {
    Bytes::from(text.repeat(64 * 1024 / text.len()))
}

const USAGE: &str =
    r#"0], "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60}}"#;

#[test]
fn a_gigabyte_of_an_answer_is_passed_on_and_not_kept() {
    let client = |bytes, status, content_type, piece: Bytes, end| Client {
        status,
        content_type,
        body: Endless::new(piece, bytes, end),
    };
    let (json, events) = ("application/json", "text/event-stream");
    check("an error", client(GB, 500, json, piece("no "), ""), None);
    check(
        "a refusal",
        client(GB, 400, json, piece("{\"error\": "), ""),
        None,
    );
    let mut answer = client(GB, 200, json, piece("[1, 2], "), USAGE);
    answer.body.start = "{\"data\": [";
    check("an answer", answer, Some(60));
    check(
        "a line of events",
        client(GB, 200, events, piece("data: no end"), ""),
        None,
    );
    check(
        "a line of comments",
        client(GB, 200, events, piece(":no end"), ""),
        None,
    );
    check(
        "a data field",
        client(64 * MB, 200, events, piece("data: x\n"), ""),
        None,
    );
    check(
        "one string",
        client(128 * MB, 200, json, piece("\\\"\\u0000"), ""),
        None,
    );
    check(
        "usage again and again",
        client(GB, 200, json, piece("\"usage\": {\"prompt_tokens\": "), ""),
        None,
    );
}

#[test]
fn a_byte_at_a_time_takes_no_more_than_a_few_megabytes() {
    for (status, content_type) in [(500, "application/json"), (200, "text/event-stream")] {
        let client = Client {
            status,
            content_type,
            body: Endless::new(&b":"[..], 4 * MB, ""),
        };
        check("a byte at a time", client, None);
    }
}

/// Does it, and says what it kept at the most.
fn bounded(name: &str, most: u64, act: impl FnOnce()) {
    let start = Instant::now();
    let info = measure(act);
    let (peak, took) = (info.bytes_max / KB, start.elapsed());
    println!("{name}: {peak} KiB, {took:?}");
    assert!(info.bytes_max <= most, "{name}: {peak} KiB");
    // Where nothing is optimised.
    assert!(took < Duration::from_secs(10), "{name}: {took:?}");
}

#[test]
fn a_million_durations_in_a_header_are_read_in_no_time_and_no_space() {
    for unit in [
        "1s", "9h", "1m1s", "0.1ms", "1", "1 ", "1,", "s", ".", "1s,1s;", "-1s", "µs",
    ] {
        let value = HeaderValue::from_bytes(unit.repeat(1_000_000).as_bytes()).unwrap();
        for name in [
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-reset-tokens",
            "x-ratelimit-reset-requests",
            "x-ratelimit-limit-tokens",
            "anthropic-ratelimit-tokens-reset",
            "ratelimit",
            "ratelimit-policy",
            "x-ratelimit-limit",
            "grpc-status",
            "grpc-message",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.clone());
            bounded(&format!("{name}: {unit}"), MB, || {
                let _ = (rate_status(&headers), retry_after(&headers));
                let provider = Provider::detect(&headers, b"");
                let _ = provider.rate_status(&headers);
                let _ = classify(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
            });
        }
    }
}

/// As an error, an answer, a request.
fn nested(open: &str, close: &str) {
    let mut text = open.repeat(100_000);
    text.push_str(&close.repeat(100_000));
    let most = 16 * text.len() as u64 + MB;
    let bytes = text.as_bytes();
    bounded(&format!("{open} as an error"), most, || {
        for status in [400, 429, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            let _ = classify(status, &HeaderMap::new(), bytes);
            let _ = Provider::detect(&HeaderMap::new(), bytes);
        }
    });
    bounded(&format!("{open} as an answer"), MB, || {
        let mut scanner = UsageScanner::new();
        bytes.chunks(1_000).for_each(|chunk| scanner.push(chunk));
        let _ = scanner.finish();
    });
    bounded(&format!("{open} as a request"), most, || {
        let _ = estimate(bytes);
        let request = request(Bytes::copy_from_slice(bytes));
        let _ = model_of(&request);
        let _ = Calibration::new().weigh(&request);
        let _ = swap_model::<BufferedBody>("other")(request);
    });
}

#[test]
fn json_nested_a_hundred_thousand_deep_overflows_no_stack() {
    for (open, close) in [
        ("[", "]"),
        ("{\"a\":", "}"),
        ("{\"error\":", "}"),
        ("{\"usage\":", "}"),
        ("{\"messages\":[", "]}"),
        ("{\"content\":[{\"text\":", "}]}"),
        ("[{\"error\":{\"details\":[", "]}}]"),
        ("{", "}"),
        ("\"\\", "\""),
    ] {
        nested(open, close);
        nested(open, "");
    }
}

#[test]
fn frames_that_claim_to_have_four_gigabytes_reserve_nothing() {
    let headers = |content_type: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        headers
    };
    for content_type in [
        "application/vnd.amazon.eventstream",
        "application/grpc",
        "text/event-stream",
    ] {
        let Some(mut scanner) = UsageScanner::of(&headers(content_type)) else {
            continue;
        };
        bounded(content_type, MB, || {
            for _ in 0..1_000 {
                scanner.push(&[0xFF; 1_024]);
            }
            let _ = scanner.finish();
        });
    }
}

#[test]
fn a_hundred_thousand_models_are_no_more_than_64() {
    let calibration = Calibration::new();
    bounded("models", 8 * MB, || {
        for model in 0..100_000 {
            let body =
                format!(r#"{{"model": "model-{model}", "messages": [{{"content": "Hello"}}]}}"#);
            if let Some((_, Some(lesson))) = calibration.weigh(&request(body)) {
                lesson.learn(&Usage::new(50, 10));
            }
        }
    });
    assert!(
        calibration.models().len() <= 64,
        "{}",
        calibration.models().len()
    );
}

#[test]
fn circuits_of_made_up_keys_are_no_more_than_there_is_room_for() {
    let layer = CircuitBreakerLayer::new()
        .keyed(|request: &Request<BufferedBody>| request.uri().path().to_owned())
        .max_keys(1_000);
    let handle = layer.handle();
    let client = Client {
        status: 500,
        content_type: "application/json",
        body: Endless::new(&b"{}"[..], 2, ""),
    };
    let service = layer.layer(client);
    bounded("circuits", 16 * MB, || {
        run(async {
            for key in 0..20_000 {
                let mut request = request("{}");
                *request.uri_mut() = format!("/{key}").parse().unwrap();
                let _ = service.clone().oneshot(request).await;
            }
        });
    });
    assert!(handle.keys() <= 1_000, "{}", handle.keys());
}
