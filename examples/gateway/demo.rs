//! Two providers in a box.

use std::time::Duration;

use http::StatusCode;
use tower_quota::testing::ProviderBox;

use super::{
    args::{Args, Settings},
    endpoint::Limits,
};

const LIMITS: Limits = Limits {
    requests: 600,
    tokens: 200_000,
};

/// Starts them, and says how to run in front of them.
pub(crate) async fn prepare(args: Args) -> Result<(Settings, [ProviderBox; 2]), String> {
    // The first fails now and then, so that there is something to fall back from.
    let (first, second) = (start(0.05).await?, start(0.0).await?);
    let settings = args.check_demo(&first.base_url(), &second.base_url(), LIMITS)?;
    println!(
        "No --upstream, so this is a demonstration: two providers in a box, one that fails once in twenty times."
    );
    for (key, tenant) in &settings.tenants {
        println!("OPENAI_API_KEY={key}  {tenant}");
    }
    Ok((settings, [first, second]))
}

async fn start(failing: f64) -> Result<ProviderBox, String> {
    ProviderBox::openai()
        .requests_per_minute(LIMITS.requests)
        .tokens_per_minute(LIMITS.tokens)
        .latency(Duration::from_millis(20)..Duration::from_millis(80))
        .faults(|faults| faults.errors(failing, StatusCode::INTERNAL_SERVER_ERROR))
        .start()
        .await
        .map_err(|error| format!("the provider in a box: {error}"))
}
