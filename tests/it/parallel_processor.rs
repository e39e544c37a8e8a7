//! The main job, run as its users run it.

mod boxed;
// The program itself, for the tests inside of its modules.
#[allow(dead_code)]
#[path = "../../examples/parallel_processor/main.rs"]
mod inside;
mod program;
mod upstream;
mod watched;

use std::{collections::BTreeMap, fs, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use program::{Folder, end, end_of, program, signal, until};
use upstream::{Reply, Upstream, prompt};

const AT_ONCE: Duration = Duration::ZERO;

fn chat(prompt: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": prompt}], "max_tokens": 10})
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values
        .into_iter()
        .map(|value| format!("{value}\n"))
        .collect()
}

fn chats(n: usize) -> String {
    lines((0..n).map(|i| chat(&format!("p{i}"))))
}

fn prompts(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| prompt(&record[0])).collect()
}

fn counted(prompts: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for prompt in prompts {
        *counts.entry(prompt).or_default() += 1;
    }
    counts
}

fn out_of_quota() -> Reply {
    let error = json!({"message": "You exceeded your current quota", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"});
    Reply::Status(429, json!({ "error": error }))
}

#[tokio::test]
async fn every_line_is_answered_with_its_request_and_metadata() {
    let upstream = Upstream::start(|_, _| (AT_ONCE, Reply::Ok)).await;
    let folder = Folder::new();
    let mut noted = chat("b");
    noted["metadata"] = json!({"row": 7});
    let embed = json!({"model": "e", "input": "c"});
    folder.write("in.jsonl", &lines([chat("a"), noted, embed.clone()]));
    let mut job = folder.job(&format!("{}/", upstream.url));
    job.args(["--api-key", "sk-0123456789"]);
    let (code, table, problems) = end(job).await;
    assert_eq!((code, problems.as_str()), (0, ""), "{table}");
    assert!(table.contains("succeeded  3"), "{table}");

    let records: BTreeMap<_, _> = folder
        .records()
        .into_iter()
        .map(|record| (prompt(&record[0]), record))
        .collect();
    let usage = json!({"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10});
    assert_eq!(
        records["a"],
        json!([chat("a"), {"echo": "a", "usage": usage}])
    );
    assert_eq!(
        records["b"],
        json!([chat("b"), {"echo": "b", "usage": usage}, {"row": 7}])
    );
    assert_eq!(records["c"], json!([embed, {"echo": "c", "usage": usage}]));
    for seen in upstream.seen() {
        let path = if seen.body["model"] == "e" {
            "/v1/embeddings"
        } else {
            "/v1/chat/completions"
        };
        assert_eq!(seen.path, path);
        assert_eq!(seen.authorization.as_deref(), Some("Bearer sk-0123456789"));
        assert!(seen.body.get("metadata").is_none());
    }
    let summary = folder.summary();
    let counts = ["succeeded", "failed", "attempts", "rate_limited", "tokens"]
        .map(|key| summary[key].as_u64());
    assert_eq!(counts, [3, 0, 3, 0, 30].map(Some));
    assert!(summary["elapsed_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(summary["utilisation"], Value::Null);
    assert_eq!(summary.as_object().unwrap().len(), 7);
}

#[tokio::test]
async fn a_malformed_line_is_recorded_and_does_not_stop_the_rest() {
    let upstream = Upstream::start(|_, _| (AT_ONCE, Reply::Ok)).await;
    let folder = Folder::new();
    let text = format!(
        "{}\n\nnonsense\n[1]\n{{\"model\":\"m\"}}\n{}",
        chat("a"),
        chat("z")
    );
    folder.write("in.jsonl", &text);
    let mut job = folder.job(&upstream.url);
    job.arg("--quiet");
    let (code, table, problems) = end(job).await;
    assert_eq!((code, table.as_str()), (1, ""));
    for number in [3, 4, 5] {
        assert!(problems.contains(&format!("line {number}: ")), "{problems}");
    }
    assert_eq!(counted(prompts(&folder.successes())).len(), 2);
    let failed: Vec<_> = folder
        .records()
        .into_iter()
        .filter(|record| record[1].is_array())
        .collect();
    assert_eq!(failed.len(), 3);
    let nonsense = failed
        .iter()
        .find(|record| record[0] == "nonsense")
        .unwrap();
    let message = nonsense[1][0]["message"].as_str().unwrap();
    assert!(message.starts_with("line 3: not JSON: "), "{message}");
    assert_eq!(folder.summary()["failed"], 3);
}

#[tokio::test]
async fn bad_usage_is_told_and_nothing_is_touched() {
    let folder = Folder::new();
    let input = folder.write("in.jsonl", &chats(1));
    let foreign = folder.write("foreign.txt", "precious\n");
    let (input, foreign) = (input.to_str().unwrap(), foreign.to_str().unwrap());
    let link = folder.path("link");
    fs::hard_link(input, &link).unwrap();
    let output = folder.path("out.jsonl");
    let (link, output) = (link.to_str().unwrap(), output.to_str().unwrap());
    let nowhere = folder.path("no/such/folder");
    let nowhere = nowhere.to_str().unwrap();
    let here = folder.path("");
    let here = here.to_str().unwrap();

    let base = [
        "--requests",
        input,
        "--output",
        output,
        "--base-url",
        "http://127.0.0.1:9",
    ];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    let files = |input, output| {
        vec![
            "--requests",
            input,
            "--output",
            output,
            "--base-url",
            "http://127.0.0.1:9",
        ]
    };
    for (args, told) in [
        (
            with(&["--requests-per-minute", "0"]),
            "leave it out for no limit",
        ),
        (with(&["--tokens-per-minute", "0"]), "--tokens-per-minute"),
        (
            with(&["--tokens-per-minute", "many"]),
            "--tokens-per-minute",
        ),
        (with(&["--max-attempts", "0"]), "--max-attempts"),
        (with(&["--max-in-flight", "0"]), "--max-in-flight"),
        (with(&["--minute", "0s"]), "--minute"),
        (with(&["--minute", "60"]), "say the unit"),
        (with(&["--minute", "soon"]), "--minute"),
        (with(&["--fallback-model", ""]), "--fallback-model"),
        (with(&["--api-key", "sk-secret\nkey"]), "--api-key"),
        (with(&["--surprise"]), "--surprise"),
        (files(nowhere, output), "--requests"),
        (files(here, output), "is a directory"),
        (files(input, nowhere), "--output"),
        (files(input, here), "--output"),
        (files(input, input), "same file"),
        (files(input, link), "same file"),
        (files(input, foreign), "line 1"),
        ([&base[..], &["--summary", output]].concat(), "same file"),
        ([&base[..], &["--summary", nowhere]].concat(), "--summary"),
        ([&base[..], &["--plot", output]].concat(), "same file"),
        (
            [&base[..], &["--plot", link, "--log-limits", link]].concat(),
            "same file",
        ),
        ([&base[..], &["--plot", nowhere]].concat(), "--plot"),
        (
            [&base[..], &["--log-limits", nowhere]].concat(),
            "--log-limits",
        ),
        (vec!["--requests", input], "--output"),
        (vec!["--output", output], "--output needs --requests"),
        (vec!["--api-key", "sk-secret"], "--api-key needs --requests"),
        (
            vec!["--fallback-model", "small"],
            "--fallback-model needs --requests",
        ),
        (
            vec!["--requests", input, "--output", output],
            "OPENAI_API_KEY",
        ),
        (
            vec![
                "--requests",
                input,
                "--output",
                output,
                "--base-url",
                "localhost:8080",
            ],
            "--base-url",
        ),
        (
            [&base[..4], &["--base-url", "notaurl"]].concat(),
            "must begin with http:// or https://",
        ),
    ] {
        let mut job = program();
        job.args(&args);
        let (code, table, problems) = end(job).await;
        assert_eq!((code, table.as_str()), (2, ""), "{args:?}: {problems}");
        assert!(problems.contains(told), "{args:?}: {problems}");
        assert!(!problems.contains("secret"), "{problems}");
    }
    assert_eq!(folder.read("in.jsonl"), chats(1));
    assert_eq!(folder.read("foreign.txt"), "precious\n");
    assert!(fs::read_to_string(output).unwrap_or_default().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_goes_on_without_a_repeated_or_lost_line() {
    let upstream = Upstream::start(|n, _| (Duration::from_millis(n as u64 % 40), Reply::Ok)).await;
    let folder = Folder::new();
    // Every third request stands there twice.
    let input = lines((0..600).map(|i| chat(&format!("p{}", i - i % 3 / 2))));
    folder.write("in.jsonl", &input);
    let mut kills = 0;
    loop {
        let mut job = folder.job(&upstream.url);
        job.args(["--max-in-flight", "8"]);
        let mut child = job.spawn().unwrap();
        let killed = tokio::time::timeout(Duration::from_millis(400 + 37 * kills), child.wait());
        if let Ok(status) = killed.await {
            assert!(status.unwrap().success());
            break;
        }
        signal(&child, "-KILL");
        child.wait().await.unwrap();
        kills += 1;
        // A write that was torn.
        let mut torn = folder.read("out.jsonl");
        torn.push_str("[{\"model\":\"m\",\"mess");
        folder.write("out.jsonl", &torn);
    }
    assert!(kills > 0, "it must have been interrupted");
    let wanted = input
        .lines()
        .map(|line| prompt(&serde_json::from_str(line).unwrap()));
    assert_eq!(counted(prompts(&folder.records())), counted(wanted));
    // What was on its way or just being written when it was killed had to be asked again, and nothing else.
    let asked = upstream.seen().len() as u64;
    assert!(
        asked <= 600 + kills * (8 + 32),
        "{asked} requests, {kills} kills"
    );
}

#[tokio::test]
async fn ctrl_c_lets_what_is_on_its_way_come_home() {
    let upstream = Upstream::start(|_, _| (Duration::from_millis(300), Reply::Ok)).await;
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(100));
    let mut job = folder.job(&upstream.url);
    job.args(["--max-in-flight", "5"]);
    let child = job.spawn().unwrap();
    until(|| upstream.seen().len() >= 8).await;
    signal(&child, "-INT");
    let (code, table, problems) = end_of(child).await;
    assert_eq!(code, 130, "{table}{problems}");
    assert!(problems.contains("run it again to go on"), "{problems}");
    let asked = upstream.seen().len();
    assert!(asked < 20, "{asked}");
    assert_eq!(folder.records().len(), asked, "all that was asked is saved");
    assert_eq!(folder.summary()["succeeded"], asked);

    let mut again = folder.job(&upstream.url);
    again.arg("--quiet");
    assert_eq!(end(again).await.0, 0);
    assert_eq!(upstream.seen().len(), 100);
    assert_eq!(counted(prompts(&folder.records())).len(), 100);
}

#[tokio::test]
async fn a_second_ctrl_c_ends_at_once_with_everything_saved() {
    let reply = |n, _: &_| (AT_ONCE, if n < 10 { Reply::Ok } else { Reply::Hang });
    let upstream = Upstream::start(reply).await;
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(100));
    let mut job = folder.job(&upstream.url);
    job.args(["--max-in-flight", "4"]);
    let child = job.spawn().unwrap();
    until(|| upstream.seen().len() >= 14).await;
    let begin = Instant::now();
    signal(&child, "-INT");
    sleep(Duration::from_millis(300)).await;
    signal(&child, "-INT");
    let (code, ..) = end_of(child).await;
    assert_eq!(code, 130);
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(folder.records().len(), 10);
}

#[tokio::test]
async fn no_money_ends_the_run_and_a_later_one_goes_on() {
    let upstream = Upstream::start(|n, _| {
        let reply = if (10..40).contains(&n) {
            out_of_quota()
        } else {
            Reply::Ok
        };
        (Duration::from_millis(5), reply)
    })
    .await;
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(100));
    let mut job = folder.job(&upstream.url);
    job.args(["--max-in-flight", "4"]);
    let (code, table, problems) = end(job).await;
    assert_eq!(code, 1, "{table}{problems}");
    assert!(problems.contains("no quota left"), "{problems}");
    let asked = upstream.seen().len();
    assert!(asked <= 16, "{asked} were asked");
    assert_eq!(folder.successes().len(), 10);
    // What was refused is recorded, what wasn't asked isn't there.
    assert_eq!(folder.records().len(), asked);

    while upstream.seen().len() < 40 {
        let request = reqwest::Client::new().post(format!("{}/x", upstream.url));
        request.json(&json!({})).send().await.unwrap();
    }
    let (code, ..) = end(folder.job(&upstream.url)).await;
    assert_eq!(code, 0);
    assert_eq!(counted(prompts(&folder.successes())).len(), 100);
    assert_eq!(folder.records().len(), 100);
    assert_eq!(upstream.seen().len(), 40 + 90);
}

#[tokio::test]
async fn a_refusal_is_waited_out_and_counted() {
    let begin = Instant::now();
    let upstream = Upstream::start(move |n, _| {
        // The wait that it asks for is at its end 2 s after the begin.
        let error = json!({"message": "Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 2s.", "type": "requests", "param": null, "code": "rate_limit_exceeded"});
        let early = n == 0 || begin.elapsed() < Duration::from_secs(2);
        (AT_ONCE, if early { Reply::Status(429, json!({ "error": error })) } else { Reply::Ok })
    })
    .await;
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(5));
    let mut job = folder.job(&upstream.url);
    job.args(["--max-in-flight", "1"]);
    let (code, table, problems) = end(job).await;
    assert_eq!(code, 0, "{table}{problems}");
    assert_eq!(
        folder.summary()["rate_limited"],
        1,
        "{}",
        folder.read("summary.json")
    );
    assert_eq!(folder.summary()["attempts"], 6);
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn ordered_output_stands_as_the_input_does_also_after_a_resumed_run() {
    let fails = |n: usize| n < 60 && n % 7 == 3;
    let upstream = Upstream::start(move |n, _| {
        let wait = Duration::from_millis((n as u64 * 7919) % 50);
        let error = Reply::Status(400, json!({"error": {"message": "no"}}));
        (wait, if fails(n) { error } else { Reply::Ok })
    })
    .await;
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(60));
    let mut job = folder.job(&upstream.url);
    job.args(["--ordered", "--max-in-flight", "16"]);
    assert_eq!(end(job).await.0, 1);
    let all: Vec<_> = (0..60).map(|i| format!("p{i}")).collect();
    assert_eq!(prompts(&folder.records()), all);
    assert!(folder.successes().len() < 60);

    let mut job = folder.job(&upstream.url);
    job.args(["--ordered", "--max-in-flight", "16"]);
    assert_eq!(end(job).await.0, 0);
    assert_eq!(prompts(&folder.successes()), all);
}

#[tokio::test]
async fn the_key_is_told_to_nobody_but_the_provider() {
    let upstream = Upstream::start(|n, seen| {
        let key = seen.authorization.clone().unwrap();
        let error = json!({"error": {"message": format!("wrong key: {key}"), "key": key}});
        let (status, error) = match n {
            0 => (401, error),
            1 => (400, json!(format!("wrong key: {key}"))),
            _ => (200, json!([key])),
        };
        (AT_ONCE, Reply::Status(status, error))
    })
    .await;
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(3));
    let mut job = folder.job(&upstream.url);
    job.env("OPENAI_API_KEY", "sk-0123456789");
    let (code, table, problems) = end(job).await;
    assert_eq!(code, 1);
    assert_eq!(folder.records().len(), 3);
    for text in [
        table,
        problems,
        folder.read("out.jsonl"),
        folder.read("summary.json"),
    ] {
        assert!(!text.contains("0123456789"), "{text}");
    }
    let mut help = program();
    help.arg("--help").env("OPENAI_API_KEY", "sk-0123456789");
    let (code, help, _) = end(help).await;
    assert_eq!(code, 0);
    assert!(!help.contains("0123456789"), "{help}");
}
