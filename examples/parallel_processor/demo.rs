//! The bundled file against a provider in a box.

use std::{fs, io, path::PathBuf, time::Duration};

use http::StatusCode;
use serde_json::Value;
use tower_quota::testing::{ProviderBox, Shape};

use super::args::{Api, Args, Limits, Settings};

const REQUESTS: &str = include_str!("../data/requests.jsonl");

// A minute of five seconds, so that there is something to see.
const MINUTE: Duration = Duration::from_secs(5);

const fn limits(api: Api) -> Limits {
    let (tokens, input, output) = match api {
        Api::Openai => (Some(40_000), None, None),
        Api::Anthropic => (None, Some(30_000), Some(50_000)),
    };
    Limits {
        requests: Some(150),
        tokens,
        input,
        output,
        minute: MINUTE,
    }
}

/// Starts a provider and says how to run the bundled file against it.
pub(crate) async fn prepare(args: Args) -> Result<(ProviderBox, Settings), String> {
    let api = args.api();
    let limits = limits(api);
    let provider = start(api, &limits)
        .await
        .map_err(|error| format!("the provider in a box: {error}"))?;
    let folder = folder().map_err(|error| format!("the folder for temporary files: {error}"))?;
    let requests = folder.join("requests.jsonl");
    let lines = lines(api);
    let count = lines.lines().count();
    fs::write(&requests, lines).map_err(|error| format!("{}: {error}", requests.display()))?;
    let output = folder.join("answers.jsonl");
    let settings = args.check_demo(requests, output, &provider.base_url(), limits)?;
    if !settings.quiet {
        let kinds = [
            (limits.requests, "requests"),
            (limits.tokens, "tokens"),
            (limits.input, "tokens of prompts"),
            (limits.output, "tokens of answers"),
        ];
        let kinds = kinds.iter().filter_map(|(limit, kind)| {
            let limit = limit.as_ref()?;
            Some(format!("{limit} {kind}"))
        });
        println!(
            "No --requests, so this is a demonstration: {count} requests, and a provider in a box that takes {} in {} \
             seconds and fails once in a hundred times.",
            kinds.collect::<Vec<_>>().join(" and "),
            limits.minute.as_secs(),
        );
    }
    Ok((provider, settings))
}

/// The bundled file: for Anthropic its chats alone, each with the maximum that Anthropic wants.
fn lines(api: Api) -> String {
    if api == Api::Openai {
        return REQUESTS.to_owned();
    }
    let chats = REQUESTS.lines().filter_map(|line| {
        let mut body: Value = serde_json::from_str(line).ok()?;
        body.get("messages")?;
        let other = body.as_object_mut()?.remove("max_completion_tokens");
        if body.get("max_tokens").is_none() {
            body["max_tokens"] = other.unwrap_or_else(|| 100.into());
        }
        body["model"] = "claude-haiku-4-5".into();
        Some(format!("{body}\n"))
    });
    chats.collect()
}

async fn start(api: Api, limits: &Limits) -> io::Result<ProviderBox> {
    let mut provider = match api {
        Api::Openai => ProviderBox::openai(),
        Api::Anthropic => ProviderBox::anthropic(),
    };
    if let Some(requests) = limits.requests {
        provider = provider.requests_per_minute(requests);
    }
    if let Some(tokens) = limits.tokens {
        provider = provider.tokens_per_minute(tokens);
    }
    if let Some(tokens) = limits.input {
        provider = provider.input_tokens_per_minute(tokens);
    }
    if let Some(tokens) = limits.output {
        provider = provider.output_tokens_per_minute(tokens);
    }
    provider
        .minute(limits.minute)
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
