//! What a run tells of the limits that it met.

use std::time::Duration;

use serde_json::Value;
use tower_quota::testing::ProviderBox;

use super::{
    chats,
    program::{Folder, end},
};

const MINUTE: Duration = Duration::from_secs(1);

/// Runs so many lines of a limit of ten in a second of a provider that takes so many.
async fn run(lines: usize, takes: u64) -> (Folder, Vec<Value>) {
    let provider = ProviderBox::openai()
        .requests_per_minute(takes)
        .minute(MINUTE)
        .latency(Duration::from_millis(5)..Duration::from_millis(10))
        .start()
        .await
        .unwrap();
    let folder = Folder::new();
    folder.write("in.jsonl", &chats(lines));
    let mut job = folder.job(&provider.base_url());
    job.args(["--requests-per-minute", "10", "--minute", "1s"]);
    job.arg("--log-limits").arg(folder.path("hits.jsonl"));
    job.arg("--plot").arg(folder.path("use.svg"));
    let (code, _, problems) = end(job).await;
    assert_eq!(code, 0, "{problems}");
    let hits = folder.read("hits.jsonl");
    let hits = hits
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (folder, hits)
}

fn of<'a>(hits: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    hits.iter().filter(move |hit| hit["hit"] == kind)
}

#[tokio::test]
async fn every_wait_is_logged_and_the_use_is_drawn() {
    let (folder, hits) = run(25, 10).await;
    assert_eq!(of(&hits, "429").count() + of(&hits, "refused").count(), 0);
    // Ten go at once in a second, as far as the provider's limit goes; two in a tenth of it, by the pace.
    let by = |limit: &str| {
        of(&hits, "waited")
            .filter(|hit| hit["limit"] == limit)
            .count()
    };
    // Where the machine is busy the limits may have room again before those in front have gone.
    let behind = hits.iter().filter(|hit| hit["cause"] == "queue").count();
    assert!(by("10 requests per second") + behind >= 15, "{hits:?}");
    assert!(by("2 requests per 100ms") > 0, "{hits:?}");
    let mut before = 0.0;
    for hit in &hits {
        let at = hit["seconds"].as_f64().unwrap();
        assert!(at >= before && at < 10.0, "{hit}");
        before = at;
        assert!(hit["time"].as_str().unwrap().ends_with('Z'), "{hit}");
        let (cause, asked) = (&hit["cause"], &hit["asked"]);
        assert!(
            cause == "queue" || (cause == "limit" && asked == 1),
            "{hit}"
        );
        assert!(hit["waited_seconds"].as_f64().unwrap() <= 3.0, "{hit}");
        assert!(hit["wait_seconds"].as_f64().is_some(), "{hit}");
    }
    let picture = folder.read("use.svg");
    for part in [
        "<svg ",
        "requests in any 1 s",
        "limit 10  ·  at most 10 used, 100.0 %",
        "requests in flight",
        "0 × 429",
        "</svg>\n",
    ] {
        assert!(picture.contains(part), "{part}: {picture}");
    }
    assert!(!picture.contains("NaN") && !picture.contains("class=\"refused\" d"));
}

#[tokio::test]
async fn a_429_is_logged_once_and_marked() {
    // Of ten that may go, six are taken.
    let (folder, hits) = run(9, 6).await;
    let refused: Vec<_> = of(&hits, "429").collect();
    let told = folder.summary()["rate_limited"].as_u64().unwrap();
    assert!(told > 0);
    assert_eq!(refused.len() as u64, told, "{refused:?}");
    assert!(
        refused.iter().all(|hit| hit["limit"] == "requests"),
        "{refused:?}"
    );
    assert!(folder.read("use.svg").contains("class=\"refused\" d"));
}
