//! What reading JSON costs: estimating a chat's tokens and finding the usage of a stream, beside serde_json going over the same
//! bytes: `cargo run --release --bin json`. Rounds are interleaved, each figure is their median.

use std::hint::black_box;

use cpu_time::ThreadTime;
use peers::median;
use serde::{Deserialize, de::IgnoredAny};
use tower_quota::{
    provider::UsageScanner,
    tokens::{self, Calibration},
};

const ROUNDS: usize = 101;
/// Read in each round.
const BYTES: usize = 4 << 20;
const CHAT: usize = 32 << 10;
const STREAM: usize = 1 << 20;

/// Texts of 32 KiB as chats hold them.
const TEXTS: [(&str, &str); 4] = [
    (
        "English",
        "The harbour was quiet that morning, and nobody had yet come down to the boats. \
         A single lamp burned in the office; its keeper, who had been up since four, counted what was left of the coal. ",
    ),
    (
        "code, escaped",
        r#"    pub fn poll(&mut self, now: Instant) -> Option<u64> {\n        let left = self.left.checked_sub(1)?;\n        if self.at <= now { self.at = now + self.each; }\n        println!(\"left: {left}\");\n        Some(left)\n    }\n\n"#,
    ),
    (
        "Chinese",
        "港口那天早晨很安静，还没有人下到船上去。办公室里只点着一盏灯，看守人四点就起来了，正在数剩下的煤。",
    ),
    (
        "JSON, escaped",
        r#"{\"id\": 18273, \"name\": \"harbour\", \"open\": true, \"berths\": [12, 7, 31], \"fee\": 12.75}, "#,
    ),
];

fn chat(text: &str) -> Vec<u8> {
    let text = text.repeat(CHAT / text.len());
    let head = r#"{"model":"gpt-4.1-mini","temperature":0.2,"max_tokens":512,"messages":[{"role":"system","content":"You answer briefly."},{"role":"user","content":""#;
    format!(r#"{head}{text}"}}]}}"#).into_bytes()
}

const EVENTS: [(&str, &str); 3] = [
    (
        "OpenAI's chats",
        "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\
         \"created\":1741569952,\"model\":\"gpt-4.1-2025-04-14\",\"service_tier\":\"default\",\
         \"choices\":[{\"index\":0,\"delta\":{\"content\":\" harbour\"},\"logprobs\":null,\"finish_reason\":null}],\
         \"usage\":null}\n\n",
    ),
    (
        "Anthropic's messages",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
         \"delta\":{\"type\":\"text_delta\",\"text\":\" some words more\"}}\n\n",
    ),
    (
        "Gemini",
        "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"of several words, together\"}],\
         \"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 30,\
         \"candidatesTokenCount\": 20,\"totalTokenCount\": 50},\"modelVersion\": \"gemini-2.5-flash\"}\r\n\r\n",
    ),
];

/// What a client has to read of each event to find the usage by hand.
#[derive(Deserialize)]
struct Event {
    #[serde(alias = "usageMetadata")]
    usage: Option<IgnoredAny>,
}

struct Case {
    what: String,
    whose: &'static str,
    bytes: usize,
    read: Box<dyn FnMut()>,
    micros: Vec<f64>,
}

fn case(what: &str, whose: &'static str, bytes: usize, read: impl FnMut() + 'static) -> Case {
    Case {
        what: what.to_owned(),
        whose,
        bytes,
        read: Box::new(read),
        micros: Vec::new(),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, text) in TEXTS {
        let what = format!("a chat's tokens: {name}");
        let body = chat(text);
        let (bytes, calibration) = (body.len(), Calibration::new());
        let (learnt, plain, parsed) = (body.clone(), body.clone(), body);
        cases.push(case(&what, "**tower-quota**", bytes, move || {
            assert!(calibration.estimate(black_box(&learnt)).is_some());
        }));
        cases.push(case(
            &what,
            "**tower-quota**, fixed weights",
            bytes,
            move || {
                assert!(tokens::estimate(black_box(&plain)).is_some());
            },
        ));
        cases.push(case(
            &what,
            "serde_json, to a value, nothing counted",
            bytes,
            move || {
                let value: Result<serde_json::Value, _> =
                    serde_json::from_slice(black_box(&parsed));
                assert!(value.is_ok());
            },
        ));
    }
    for (name, event) in EVENTS {
        let what = format!("a stream's usage: {name}");
        let stream = event.repeat(STREAM / event.len());
        let bytes = stream.len();
        let (scanned, parsed) = (stream.clone(), stream);
        cases.push(case(&what, "**tower-quota**", bytes, move || {
            let mut scanner = UsageScanner::new();
            for chunk in black_box(scanned.as_bytes()).chunks(16_384) {
                scanner.push(chunk);
            }
            black_box(scanner.finish());
        }));
        cases.push(case(&what, "serde_json, each event", bytes, move || {
            for line in black_box(&parsed).lines() {
                if let Some(data) = line.strip_prefix("data: ") {
                    let event: Event = serde_json::from_str(data).expect("JSON");
                    black_box(event.usage.is_some());
                }
            }
        }));
    }
    cases
}

fn main() {
    let mut cases = cases();
    for _ in 0..ROUNDS {
        for case in &mut cases {
            let times = (BYTES / case.bytes).max(1);
            let start = ThreadTime::now();
            (0..times).for_each(|_| (case.read)());
            let micros = start.elapsed().as_secs_f64() * 1e6 / times as f64;
            case.micros.push(micros);
        }
    }
    println!("| what | whose | KiB | µs | GB/s |\n|---|---|---|---|---|");
    for case in &mut cases {
        let micros = median(&mut case.micros);
        println!(
            "| {} | {} | {} | {micros:.1} | {:.2} |",
            case.what,
            case.whose,
            case.bytes / 1_024,
            case.bytes as f64 / micros / 1e3
        );
    }
}
