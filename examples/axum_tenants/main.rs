//! A server whose users have quotas by their tier, told to them in headers, and to operators as Prometheus' metrics.
//!
//! ```sh
//! cargo run --example axum_tenants --all-features -- --listen 127.0.0.1:8080 --state counts.json
//!
//! curl -i -X POST -H 'x-api-key: sk-free' -d 'hello' http://127.0.0.1:8080/work   # 200, and after five a minute 429
//! curl -H 'x-api-key: sk-free' http://127.0.0.1:8080/usage
//! curl http://127.0.0.1:8080/metrics
//! ```
//!
//! From the outside in:
//!
//! ```text
//! who is it (401) ▷ refusals as responses ▷ the tenant's quota (429) ▷ what all tenants share (503) ▷ the handler
//! ```
//!
//! SIGTERM and Ctrl-C end it: what has begun is answered, the counts of the day are saved, nothing is waited for.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for the terminal"
)]

mod books;
mod metrics;
mod tenants;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    middleware,
    routing::{get, post},
};
use clap::Parser;
use http::Request;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time};
use tower::ServiceBuilder;
use tower_quota::{Cost, Limit, Quota, RespondLayer, TokenBudgetLayer};

use self::{books::Books, tenants::Tenant};

/// How often the counts are saved: what a crash loses of a day's count.
const SAVED_EVERY: Duration = Duration::from_secs(5);

/// How long the work of one request takes.
const WORK: Duration = Duration::from_millis(30);

/// A server whose users have quotas by their tier.
#[derive(Debug, Parser)]
#[command(name = "axum_tenants")]
struct Args {
    /// Where it listens; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where the counts of the day outlive a restart [default: they don't]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

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
    let metrics = metrics::install()?;
    let shared = shared_quota().map_err(text)?;
    let books = Books::open(args.state)?;
    let quota_of = {
        let books = books.clone();
        move |tenant: &Tenant| books.quota(tenant)
    };
    let own = TokenBudgetLayer::unlimited()
        .cost(cost)
        .keyed_by(tenants::of::<Body>, quota_of)
        // What arrives counts, once, whatever becomes of it.
        .on_arrival()
        .reject()
        .tell();
    let common = TokenBudgetLayer::new(shared.clone())
        .cost(|_: &Request<Body>| Cost::request())
        .priority(|request: &Request<Body>| tenants::of(request).tier.priority)
        .in_turn(tenants::of::<Body>);
    let layers = ServiceBuilder::new()
        .layer(RespondLayer::new())
        .layer(own)
        .layer(common);
    let app = Router::new()
        .route("/work", post(work))
        .layer(layers)
        // Looking at one's own count costs nothing.
        .route("/usage", get(tenants::usage).with_state(books.clone()))
        .layer(middleware::from_fn(tenants::admit))
        .route(
            "/metrics",
            get(metrics::render).with_state((metrics, shared)),
        );

    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.map_err(|error| format!("--listen {}: {error}", args.listen))?;
    let address = listener.local_addr().map_err(text)?;
    println!("listening on http://{address}");

    let (end, ended) = watch::channel(false);
    let saves = tokio::spawn(save_now_and_then(books.clone(), ended));
    let served = axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await;
    // Nothing is sent any more: this count is the last.
    end.send_replace(true);
    let _ = saves.await;
    books.save()?;
    served.map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The server's own strength: what all tenants share. Who pays more goes first, and inside of a tier tenants take turns.
fn shared_quota() -> Result<Quota, tower_quota::ConfigError> {
    Quota::builder()
        .limit(Limit::requests_per_second(200))
        .max_in_flight(16)
        .max_wait(Duration::from_secs(1))
        .named("shared")
        .build()
}

/// One request, and the tokens that its body may come to: four bytes are about one.
fn cost(request: &Request<Body>) -> Cost {
    let length = request.headers().get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Cost::tokens(length.unwrap_or(4_000_u64) / 4)
}

async fn work(body: String) -> Json<Value> {
    time::sleep(WORK).await;
    let tokens = body.len() / 4;
    // By this the tenant's charge is settled.
    let usage = json!({"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens});
    Json(json!({"length": body.len(), "usage": usage}))
}

async fn save_now_and_then(books: Books, mut ended: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = ended.changed() => return,
            () = time::sleep(SAVED_EVERY) => {}
        }
        if let Err(problem) = books.save() {
            eprintln!("warning: {problem}");
        }
    }
}

/// Ends with Ctrl-C, or as whoever runs servers asks them to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
