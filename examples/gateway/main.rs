//! An OpenAI-compatible gateway: tenants with quotas of their own in front, two provider endpoints behind.
//!
//! ```sh
//! # Against two providers in a box; see it work with any OpenAI client at the address that it prints.
//! cargo run --example gateway --all-features
//!
//! # The real thing.
//! UPSTREAM_API_KEY=... cargo run --release --example gateway --all-features -- \
//!     --listen 127.0.0.1:8080 --upstream https://api.openai.com/v1 \
//!     --second https://openrouter.ai/api/v1 --second-model openai/gpt-4.1-mini \
//!     --tenant alice:sk-alice:pro --tenant bob:sk-bob:free
//! ```
//!
//! From the outside in:
//!
//! ```text
//! who is it ▷ refusals as OpenAI's errors ▷ body buffer ▷ the tenant's budget ▷ fallback ▷ endpoint
//! endpoint:  retry ▷ gate ▷ the endpoint's budget ▷ breaker ▷ time-out ▷ reqwest
//! ```
//!
//! Streams pass as they come. A tenant's key never reaches a provider, nor the provider's a tenant; each is told its own limits in
//! the fields that OpenAI's clients know, and nothing of the provider's.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for the terminal"
)]

mod args;
mod demo;
mod endpoint;
mod errors;
mod limits;
mod tenants;

use std::process::ExitCode;

use axum::Router;
use clap::Parser;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_quota::{
    BufferBodyLayer, FallbackLayer, RespondLayer, TokenBudgetLayer, respond::Fields,
};

use self::{
    args::{Args, Settings},
    endpoint::Endpoint,
    tenants::{TIERS, Tenant, Tenants},
};

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), String> {
    let listen = args.listen;
    // The providers in a box live as long as the gateway.
    let (settings, _providers) = if args.is_demo() {
        let (settings, providers) = demo::prepare(args).await?;
        (settings, Some(providers))
    } else {
        (args.check()?, None)
    };
    let app = gateway(&settings)?;
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|error| format!("--listen {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on http://{address}/v1");
    let served = axum::serve(listener, app).with_graceful_shutdown(interrupted());
    served.await.map_err(|error| error.to_string())
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Everything between a tenant and the providers.
fn gateway(settings: &Settings) -> Result<Router, String> {
    let tenants = Tenants::new(&settings.tenants);
    let first = settings.first.service()?;
    // Who is served by the second may have to be content with another model.
    let second = settings
        .second
        .as_ref()
        .map(Endpoint::service)
        .transpose()?;
    let second = second.unwrap_or_else(|| first.clone());
    let stack = ServiceBuilder::new()
        .map_response(limits::tell)
        .layer(
            RespondLayer::new()
                .with(errors::refusal)
                .fields(Fields::None)
                // A provider's limits are the gateway's business: a tenant has limits of its own.
                .hide_upstream(),
        )
        .layer(BufferBodyLayer::new())
        // What arrives counts, once, whatever becomes of it: these are the tenant's own limits.
        .layer(
            TokenBudgetLayer::unlimited()
                .keyed_by(tenants::of, |tenant: &Option<Tenant>| match tenant {
                    Some(tenant) => tenant.quota(),
                    None => TIERS[0].quota(),
                })
                .on_arrival()
                .reject()
                .tell(),
        )
        .layer(FallbackLayer::to(second).name("second"))
        .service(first);
    Ok(Router::new()
        .fallback_service(stack)
        .layer(axum::middleware::from_fn_with_state(
            tenants,
            tenants::admit,
        )))
}
