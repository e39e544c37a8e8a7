//! Real answers of real providers mean what they mean.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use tower_quota::{Resource, Verdict, provider};

const SAMPLES: &str = include_str!("../data/provider_samples.jsonl");

struct Sample {
    id: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    class: String,
    resource: Option<Resource>,
    wait_ms: Option<u64>,
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
        }
    };
    SAMPLES.lines().map(read).collect()
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
        if found == expected {
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
