//! The main job against the provider in a box, over real HTTP.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower_quota::testing::{ProviderBox, ProviderBuilder, Settlement, Shape, When};

use super::{
    chat, chats, counted, lines,
    program::{Folder, end, end_of, program, signal, until},
    prompts,
};

const MINUTE: Duration = Duration::from_secs(10);
const TOKENS: u64 = 60_000;

// A provider that counts as the estimate has it after a few answers: what is measured here is the limiter.
fn provider() -> ProviderBuilder {
    ProviderBox::openai()
        .tokens_per_minute(TOKENS)
        .minute(MINUTE)
        .estimate(|text| text.len().div_ceil(4) as u64 + 7)
        .transit(Duration::ZERO..MINUTE / 128)
        .latency(Duration::from_millis(20)..Duration::from_millis(200))
}

/// Requests of mixed sizes for so many minutes and a half, the largest 5 % of a minute's tokens.
fn mixed(minutes: u64) -> String {
    let (mut seed, mut left) = (0x9e37_79b9_7f4a_7c15_u64, TOKENS * (2 * minutes + 1) / 2);
    let mut requests = Vec::new();
    while left > 0 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // Spread evenly over the sizes' logarithms, so that there are many small ones.
        let size = 60.0 * (TOKENS as f64 / 20.0 / 60.0).powf((seed >> 11) as f64 / 2_f64.powi(53));
        let size = size as u64;
        let prompt = "a".repeat(4 * (size / 4 - 7) as usize);
        let number = requests.len();
        requests.push(json!({
            "model": "gpt-4.1-mini", "max_tokens": size - size / 4, "metadata": number,
            "messages": [{"role": "user", "content": prompt}],
        }));
        left = left.saturating_sub(size);
    }
    lines(requests)
}

/// A provider of this shape is used as far as it goes, and never refuses. Returns how far.
async fn saturates(shape: Shape, minutes: u64) -> f64 {
    let provider = provider()
        .requests_per_minute(1_000)
        .shape(shape)
        .start()
        .await
        .unwrap();
    let folder = Folder::new();
    let input = mixed(minutes);
    folder.write("in.jsonl", &input);
    let mut job = folder.job(&provider.base_url());
    job.args([
        "--minute",
        "10s",
        "--requests-per-minute",
        "1000",
        "--tokens-per-minute",
        "60000",
        "--quiet",
    ]);
    let (code, _, problems) = end(job).await;
    let report = provider.report();
    assert_eq!((code, problems.as_str()), (0, ""), "{shape:?}: {report}");
    assert_eq!(report.status(429), 0, "{shape:?}: {report}");
    assert_eq!(folder.successes().len(), input.lines().count());
    let summary = folder.summary();
    assert_eq!(summary["rate_limited"], 0);
    assert_eq!(summary["tokens"], report.tokens_actual);
    assert_eq!(report.windows, minutes, "{report}");
    // What the program says of itself is what the provider saw.
    let said = summary["utilisation"].as_f64().unwrap();
    assert!(
        (said - report.utilisation()).abs() < 0.03,
        "said {said}, {report}"
    );
    #[expect(clippy::print_stdout, reason = "it is a measurement")]
    {
        println!("{shape:?}: {said:.4} of the limit by the program's count; {report}");
    }
    report.utilisation()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_three_ways_of_counting_are_used_up_without_a_refusal() {
    let (rolling, bucket, fixed) = tokio::join!(
        saturates(Shape::Rolling, 2),
        saturates(Shape::Bucket, 2),
        saturates(Shape::FixedAt(MINUTE / 3), 2)
    );
    for part in [rolling, bucket, fixed] {
        // The machine may have other things to do; the figures are measured by the next one.
        assert!(part >= 0.9, "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes more than a minute, and a quiet machine"]
async fn all_three_ways_of_counting_are_used_up_to_97_per_cent() {
    let (rolling, bucket, fixed) = tokio::join!(
        saturates(Shape::Rolling, 6),
        saturates(Shape::Bucket, 6),
        saturates(Shape::FixedAt(MINUTE / 3), 6)
    );
    for part in [rolling, bucket, fixed] {
        assert!(part >= 0.97, "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_gives_back_doesn_t_refuse_either() {
    let provider = provider()
        .settlement(Settlement::TrueUp)
        .completion(0.3..=0.7)
        .start()
        .await
        .unwrap();
    let folder = Folder::new();
    folder.write("in.jsonl", &mixed(2));
    let mut job = folder.job(&provider.base_url());
    job.args(["--minute", "10s", "--tokens-per-minute", "60000", "--quiet"]);
    let (code, _, problems) = end(job).await;
    let report = provider.report();
    assert_eq!((code, problems.as_str()), (0, ""), "{report}");
    assert_eq!(report.status(429), 0, "{report}");
    assert_eq!(folder.summary()["tokens"], report.tokens_actual);
}

#[tokio::test]
async fn ctrl_c_doesn_t_wait_for_those_who_wait_for_the_limit() {
    let provider = provider().start().await.unwrap();
    let folder = Folder::new();
    folder.write("in.jsonl", &mixed(4));
    let mut job = folder.job(&provider.base_url());
    job.args(["--tokens-per-minute", "60000"]);
    let child = job.spawn().unwrap();
    until(|| provider.report().tokens_admitted > TOKENS * 3 / 4).await;
    sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    signal(&child, "-TERM");
    let (code, table, problems) = end_of(child).await;
    assert_eq!(code, 130, "{table}{problems}");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(folder.records().len() as u64, provider.report().admitted);
}

#[tokio::test]
async fn what_fails_for_a_while_is_tried_again() {
    let provider = ProviderBox::openai()
        .faults(|faults| {
            let faults = faults.errors(0.1, StatusCode::INTERNAL_SERVER_ERROR);
            faults.drops(0.05, When::AfterCounting)
        })
        .start()
        .await
        .unwrap();
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(100));
    let (code, table, problems) = end(folder.job(&provider.base_url())).await;
    let report = provider.report();
    assert_eq!(code, 0, "{table}{problems}{report}");
    assert_eq!(counted(prompts(&folder.successes())).len(), 100);
    assert!(report.requests > 100, "{report}");
    assert_eq!(folder.summary()["attempts"], report.requests);
    assert_eq!(folder.summary()["succeeded"], 100);
}

#[tokio::test]
async fn a_line_is_sent_as_often_as_it_may_be_and_tells_of_every_attempt() {
    let provider = ProviderBox::openai()
        .faults(|faults| faults.errors(1.0, StatusCode::BAD_GATEWAY))
        .start()
        .await
        .unwrap();
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(1));
    let mut job = folder.job(&provider.base_url());
    job.args(["--max-attempts", "3"]);
    assert_eq!(end(job).await.0, 1);
    assert_eq!(provider.report().requests, 3);
    let records = folder.records();
    let errors = records[0][1].as_array().unwrap();
    let told: Vec<_> = errors
        .iter()
        .map(|error| (&error["attempt"], &error["status"]))
        .collect();
    assert_eq!(
        told,
        [1, 2, 3]
            .map(|n| (json!(n), json!(502)))
            .each_ref()
            .map(|(n, s)| (n, s))
    );
    assert_eq!(folder.summary()["attempts"], 3);
}

#[tokio::test]
async fn what_can_never_fit_fails_at_once() {
    let provider = provider().start().await.unwrap();
    let folder = Folder::new();
    let mut large = chat("large");
    large["max_tokens"] = json!(TOKENS + 1);
    folder.write("in.jsonl", &lines([large, chat("small")]));
    let mut job = folder.job(&provider.base_url());
    job.args(["--tokens-per-minute", "60000"]);
    let (code, table, _) = end(job).await;
    assert_eq!(code, 1, "{table}");
    let records = folder.records();
    let large = records.iter().find(|record| record[1].is_array()).unwrap();
    let message = large[1][0]["message"].as_str().unwrap();
    assert!(message.contains("can never fit"), "{message}");
    assert_eq!(provider.report().requests, 1, "it was never sent");
    assert!(folder.summary()["elapsed_seconds"].as_f64().unwrap() < 5.0);
}

#[tokio::test]
async fn the_other_model_answers_for_a_dead_one() {
    for status in [StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE] {
        let provider = ProviderBox::openai()
            .faults(|faults| faults.dead_model_as("m", status))
            .start()
            .await
            .unwrap();
        let folder = Folder::new();
        folder.write("in.jsonl", &chats(40));
        let mut job = folder.job(&provider.base_url());
        job.args(["--fallback-model", "other", "--max-attempts", "2"]);
        let (code, table, problems) = end(job).await;
        let report = provider.report();
        assert_eq!(code, 0, "{status}: {table}{problems}{report}");
        assert_eq!(folder.successes().len(), 40);
        for record in folder.records() {
            // The output has the request as it stands in the input.
            assert_eq!(
                (&record[0]["model"], &record[1]["model"]),
                (&json!("m"), &json!("other"))
            );
        }
        let other = provider
            .arrivals()
            .iter()
            .filter(|a| &*a.model == "other")
            .count();
        assert_eq!(other, 40, "{report}");
    }
}

#[tokio::test]
async fn an_outage_is_waited_for_and_costs_no_line() {
    let provider = ProviderBox::openai().start().await.unwrap();
    provider.faults(|faults| {
        faults.outage_during(
            Duration::ZERO..Duration::from_secs(3),
            tower_quota::testing::Outage::Closed,
        )
    });
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(300));
    let (code, table, problems) = end(folder.job(&provider.base_url())).await;
    assert_eq!(code, 0, "{table}{problems}{}", provider.report());
    assert_eq!(folder.successes().len(), 300);
    assert!(problems.contains("waiting for it to recover"), "{problems}");
}

#[tokio::test]
async fn with_no_flags_it_shows_what_it_does() {
    let folder = Folder::new();
    let mut job = program();
    // Its files go where temporary ones go; a key of the environment doesn't disturb it.
    job.env("TMPDIR", folder.path(""));
    job.env("OPENAI_API_KEY", "sk-0123456789");
    job.arg("--summary").arg(folder.path("summary.json"));
    let (code, table, problems) = end(job).await;
    assert_eq!((code, problems.as_str()), (0, ""), "{table}");
    let summary = folder.summary();
    let counts: [&Value; 3] = ["succeeded", "failed", "rate_limited"].map(|key| &summary[key]);
    assert_eq!(counts, [&json!(400), &json!(0), &json!(0)]);
    assert!(
        summary["elapsed_seconds"].as_f64().unwrap() < 30.0,
        "{summary}"
    );
    let made = std::fs::read_dir(folder.path("")).unwrap();
    let output = made
        .map(|entry| entry.unwrap().path().join("answers.jsonl"))
        .find(|path| path.exists())
        .expect("the demonstration's output");
    assert_eq!(
        std::fs::read_to_string(output).unwrap().lines().count(),
        400
    );
    assert!(
        table.contains("demonstration") && table.contains("use of the limit"),
        "{table}"
    );
}
