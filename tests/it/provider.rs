//! Real answers of real providers mean what they mean.

use std::fmt::Write;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_quota::{
    BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Limit, Provider, Quota, RateLimitLayer,
    Resource, TokenBudgetLayer, Verdict, provider,
};

/// Answers as they were reported.
const SAMPLES: &str = include_str!("../data/provider_samples.jsonl");
/// More of the same kinds, put together from what providers document and what is known of them.
const VARIANTS: &str = include_str!("../data/provider_variants.jsonl");

struct Sample {
    id: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    class: String,
    resource: Option<Resource>,
    wait_ms: Option<u64>,
    /// Where the sample says it.
    window: Option<Duration>,
}

fn samples() -> Vec<Sample> {
    let read = |line: &str| {
        let sample: Value = serde_json::from_str(line).unwrap();
        let expected = &sample["classification"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        for (name, value) in sample["headers"].as_object().unwrap() {
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value.as_str().unwrap()).unwrap(),
            );
        }
        Sample {
            id: text(&sample["id"]),
            status: StatusCode::from_u16(sample["status"].as_u64().unwrap() as u16).unwrap(),
            headers,
            body: match &sample["body"] {
                Value::Null => Vec::new(),
                Value::String(body) => body.clone().into_bytes(),
                body => serde_json::to_vec(body).unwrap(),
            },
            class: text(&expected["cls"]),
            resource: match expected["dimension"].as_str() {
                None | Some("unknown" | "rp_month") => None,
                Some("rpm" | "rpd") => Some(Resource::Requests),
                Some("tpm" | "tpd") => Some(Resource::Tokens),
                Some("itpm") => Some(Resource::InputTokens),
                Some("otpm") => Some(Resource::OutputTokens),
                Some(other) => panic!("unknown dimension {other}"),
            },
            wait_ms: expected["wait_ms"].as_u64(),
            window: expected["window_s"].as_u64().map(Duration::from_secs),
        }
    };
    SAMPLES.lines().chain(VARIANTS.lines()).map(read).collect()
}

/// Class, resource and wait; only where a verdict has them.
fn told(verdict: Verdict) -> (&'static str, Option<Resource>, Option<u64>) {
    let class = match verdict {
        Verdict::Success => "none",
        Verdict::RateLimited { .. } => "rate_limited",
        Verdict::Overloaded { .. } => "overloaded",
        Verdict::Transient { .. } => "transient",
        Verdict::QuotaExhausted => "quota_exhausted",
        Verdict::TooLarge => "too_large",
        _ => "fatal",
    };
    let resource = match verdict {
        Verdict::RateLimited { resource, .. } => resource,
        _ => None,
    };
    let wait = verdict.retry_after();
    let wait = wait.map(|wait| wait.as_nanos().div_ceil(1_000_000) as u64);
    (class, resource, wait)
}

#[test]
fn every_sample_means_what_it_means() {
    let samples = samples();
    let mut table = String::new();
    let mut matched = 0;
    for sample in &samples {
        let found = told(provider::classify(
            sample.status,
            &sample.headers,
            &sample.body,
        ));
        let expected = match sample.class.as_str() {
            "rate_limited" => ("rate_limited", sample.resource, sample.wait_ms),
            "overloaded" => ("overloaded", None, sample.wait_ms),
            other => (other, None, None),
        };
        let window = match provider::classify(sample.status, &sample.headers, &sample.body) {
            Verdict::RateLimited { window, .. } => window,
            _ => None,
        };
        if sample.window.is_some() && window != sample.window {
            let id = &sample.id;
            writeln!(table, "{id}: {window:?}, expected {:?}", sample.window).unwrap();
        } else if found == expected {
            matched += 1;
        } else {
            writeln!(table, "{}: {found:?}, expected {expected:?}", sample.id).unwrap();
        }
    }
    assert!(
        matched == samples.len(),
        "{matched} of {}:\n{table}",
        samples.len()
    );
}

#[test]
fn a_sample_cut_off_anywhere_is_no_success_and_no_panic() {
    for sample in samples() {
        for end in 0..sample.body.len() {
            let _ = provider::classify(sample.status, &sample.headers, &sample.body[..end]);
        }
        if sample.status.as_u16() < 400 {
            continue;
        }
        for end in 0..sample.body.len() {
            let body = &sample.body[..end];
            let verdict = provider::classify(sample.status, &sample.headers, body);
            assert_ne!(verdict, Verdict::Success, "{} cut at {end}", sample.id);
        }
    }
}

#[test]
fn a_sample_in_any_wrapping_means_the_same() {
    for sample in samples() {
        if sample.class == "none" {
            continue;
        }
        let Ok(Value::Object(body)) = serde_json::from_slice(&sample.body) else {
            continue;
        };
        let judge = |body: &Value| {
            let body = serde_json::to_vec(body).unwrap();
            provider::classify(sample.status, &sample.headers, &body)
        };
        let body = Value::Object(body);
        let plain = judge(&body);
        let array = Value::from(vec![body.clone()]);
        assert_eq!(judge(&array), plain, "{} in an array", sample.id);
        let text = Value::from(body.to_string());
        assert_eq!(judge(&text), plain, "{} in a string", sample.id);
        let nested = serde_json::json!({"error": {"message": body.to_string()}});
        assert_eq!(judge(&nested), plain, "{} in a message", sample.id);
    }
}

#[test]
fn an_ordinary_answer_is_a_success_whatever_it_talks_about() {
    let body = br#"{"id":"x","status":"completed","error":null,"choices":[{"message":{"role":"assistant",
        "content":"{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"prompt is too long\"}}"}}]}"#;
    let verdict = provider::classify(StatusCode::OK, &HeaderMap::new(), body);
    assert_eq!(verdict, Verdict::Success);
}

#[test]
fn headers_of_every_sample_read_without_panic() {
    for sample in samples() {
        let _ = provider::retry_after(&sample.headers);
        let status = provider::rate_status(&sample.headers);
        if sample.id == "azure-hdr-200" {
            assert_eq!(status.tokens.remaining, Some(745_399));
            assert_eq!(status.tokens.reset.unwrap().as_secs(), 30);
        }
    }
}

#[test]
fn a_bad_request_may_name_any_figure() {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    for message in ["limit: 0 is not allowed", "Limit 10, Requested 20"] {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        let verdict = provider::classify(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!(verdict, Verdict::Permanent, "{message}");
    }
}

/// OpenAI says this of money, Google of every limit; there is no code beside it.
const QUOTA: &str =
    r#"{"error":{"message":"You exceeded your current quota, please check your plan."}}"#;

#[test]
fn the_same_answer_means_other_things_from_other_providers() {
    let judge = |provider: Provider, status, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        provider.classify(status, &HeaderMap::new(), body.as_bytes())
    };
    assert_eq!(judge(Provider::OpenAi, 429, QUOTA), Verdict::QuotaExhausted);
    for other in [Provider::Gemini, Provider::Other] {
        let verdict = judge(other, 429, QUOTA);
        assert!(
            matches!(verdict, Verdict::RateLimited { .. }),
            "{verdict:?}"
        );
    }
    let crowded = Verdict::Overloaded { retry_after: None };
    assert_eq!(judge(Provider::Groq, 498, ""), crowded);
    assert_eq!(judge(Provider::Cohere, 498, ""), Verdict::Permanent);
    let day = r#"{"message":"Requests per day exceeded. Retry in 18s"}"#;
    assert_eq!(judge(Provider::Gemini, 429, day).retry_after(), None);
    let wait = Some(Duration::from_secs(18));
    assert_eq!(judge(Provider::Groq, 429, day).retry_after(), wait);
}

#[tokio::test(start_paused = true)]
async fn every_layer_can_be_told_whose_answers_it_reads() {
    let calls = std::cell::Cell::new(0);
    let client = service_fn(|_: Request<Full<Bytes>>| {
        calls.set(calls.get() + 1);
        let mut answer = Response::new(Full::new(Bytes::from_static(QUOTA.as_bytes())));
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        async { Ok::<_, std::io::Error>(answer) }
    });
    let quota = Quota::new(Limit::requests_per_minute(100)).unwrap();
    let ask = || Request::new(Full::<Bytes>::default());
    let unknown = BackoffRetryLayer::new().layer(client);
    let answer = unknown.oneshot(ask()).await.unwrap();
    let verdict = Verdict::of(&answer).unwrap();
    assert!(
        matches!(verdict, Verdict::RateLimited { .. }),
        "{verdict:?}"
    );
    assert_eq!(calls.replace(0), 3);

    let openai = Provider::OpenAi;
    let stack = FallbackLayer::rewrite(|request: Request<Full<Bytes>>| Some(request))
        .provider(openai)
        .on(|_| false)
        .layer(
            BackoffRetryLayer::new().provider(openai).layer(
                RateLimitLayer::new(quota.clone()).provider(openai).layer(
                    TokenBudgetLayer::new(quota)
                        .cost(|_: &Request<_>| tower_quota::Cost::request())
                        .provider(openai)
                        .layer(CircuitBreakerLayer::new().provider(openai).layer(client)),
                ),
            ),
        );
    let answer = stack.oneshot(ask()).await.unwrap();
    assert_eq!(Verdict::of(&answer), Some(Verdict::QuotaExhausted));
    assert_eq!(calls.get(), 1, "money isn't waited for");
}

#[test]
fn hostile_bodies_are_read_to_their_end() {
    let most = 64 * 1024;
    let repeat = |part: &str| part.repeat(most / part.len());
    let nested = |open: &str| open.repeat(100_000);
    for body in [
        nested("["),
        nested("{\"error\":"),
        nested("[{\"error\":{\"message\":["),
        repeat("limit 0 requested "),
        repeat("try again in "),
        repeat("\"{\\\""),
        repeat("a{\""),
        repeat("per minute "),
        repeat("metric: x"),
        repeat("\"message\":\"per per per\","),
        repeat("\\u0000"),
        format!("{{\"message\":\"{}", repeat("too many ")),
        format!("{{\"message\":\"{}", repeat("'a ")),
        repeat("\"            "),
    ] {
        for status in [200, 400, 429, 500] {
            let status = StatusCode::from_u16(status).unwrap();
            let _ = provider::classify(status, &HeaderMap::new(), body.as_bytes());
        }
    }
}

#[test]
fn a_limit_is_told_with_its_window() {
    let read = |provider: Provider, pairs: &[(&'static str, &'static str)]| {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        provider.rate_status(&headers)
    };
    let same = [
        ("x-ratelimit-remaining-requests", "14370"),
        ("x-ratelimit-remaining-tokens", "17997"),
    ];
    let groq = read(Provider::Groq, &same);
    assert_eq!(groq.requests.window, Some(Duration::from_secs(86_400)));
    assert_eq!(groq.tokens.window, Some(Duration::from_secs(60)));
    assert_eq!(read(Provider::Other, &same).requests.window, None);
}
