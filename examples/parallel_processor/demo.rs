//! The bundled file against a provider in a box.

use std::{fs, io, path::PathBuf, time::Duration};

use http::StatusCode;
use tower_quota::testing::{ProviderBox, Shape};

use super::args::{Args, Limits, Settings};

const REQUESTS: &str = include_str!("../data/requests.jsonl");

// A minute of five seconds, so that there is something to see.
const LIMITS: Limits = Limits {
    requests: Some(150),
    tokens: Some(40_000),
    minute: Duration::from_secs(5),
};

/// Starts a provider and says how to run the bundled file against it.
pub(crate) async fn prepare(args: Args) -> Result<(ProviderBox, Settings), String> {
    let provider = start()
        .await
        .map_err(|error| format!("the provider in a box: {error}"))?;
    let folder = folder().map_err(|error| format!("the folder for temporary files: {error}"))?;
    let requests = folder.join("requests.jsonl");
    fs::write(&requests, REQUESTS).map_err(|error| format!("{}: {error}", requests.display()))?;
    let output = folder.join("answers.jsonl");
    let settings = args.check_demo(requests, output, &provider.base_url(), LIMITS)?;
    if !settings.quiet {
        println!(
            "No --requests, so this is a demonstration: 400 requests, and a provider in a box that takes {} requests and {} \
             tokens in {} seconds and fails once in a hundred times.",
            LIMITS.requests.unwrap_or_default(),
            LIMITS.tokens.unwrap_or_default(),
            LIMITS.minute.as_secs(),
        );
    }
    Ok((provider, settings))
}

async fn start() -> io::Result<ProviderBox> {
    ProviderBox::openai()
        .requests_per_minute(LIMITS.requests.unwrap_or(u64::MAX))
        .tokens_per_minute(LIMITS.tokens.unwrap_or(u64::MAX))
        .minute(LIMITS.minute)
        .shape(Shape::Rolling)
        .latency(Duration::from_millis(80)..Duration::from_millis(400))
        .faults(|faults| faults.errors(0.01, StatusCode::INTERNAL_SERVER_ERROR))
        .start()
        .await
}

fn folder() -> io::Result<PathBuf> {
    let name = format!("tower-quota-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
