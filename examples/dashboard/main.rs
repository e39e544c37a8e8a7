//! A live view of the stack in the browser, while a load runs.
//!
//! ```sh
//! cargo run --all-features --example dashboard                        # then open http://127.0.0.1:3000
//! cargo run --all-features --example dashboard -- --listen 127.0.0.1:0 --seconds 60
//! ```
//!
//! Two models of a provider in a box, each with limits of its own whose "minute" is ten seconds; people who ask the first, and
//! background work for the second. The buttons let the provider fail, and change the load.
//!
//! What to look at: nothing is measured here. Use, queue and waits are `Quota::snapshot()`, serialised as they are; circuits are
//! their handles' `state()`; verdicts are counted where each try's outcome passes, by one `map_result`.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

mod load;
mod stack;
mod view;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    response::Html,
    routing::{get, post},
};
use clap::Parser;
use http::StatusCode;
use tokio::net::TcpListener;
use tower_quota::{BoxError, testing::ProviderBox};

use self::{load::Load, stack::Stack, view::View};

#[derive(Parser)]
struct Args {
    /// Where the page is served.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Ends after so many seconds; without it, by Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
}

/// What the handlers share.
struct Shared {
    provider: ProviderBox,
    load: Load,
    view: View,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let args = Args::parse();
    let provider = stack::provider().await?;
    let stack = Stack::new(&provider.base_url())?;
    let load = Load::start(&stack);
    let view = View::start(stack);
    let shared = Arc::new(Shared {
        provider,
        load,
        view,
    });
    let app = Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route(
            "/events",
            get(async |State(shared): State<Arc<Shared>>| shared.view.events()),
        )
        .route("/do/{what}", post(change))
        .with_state(shared);
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.map_err(|error| format!("--listen {}: {error}", args.listen))?;
    println!("look at http://{}", listener.local_addr()?);
    tokio::select! {
        served = async { axum::serve(listener, app).await } => Ok(served?),
        () = over(args.seconds) => Ok(()),
    }
}

async fn over(seconds: Option<u64>) {
    let time = seconds.map_or(Duration::MAX, Duration::from_secs);
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
}

/// What a button does.
async fn change(State(shared): State<Arc<Shared>>, Path(what): Path<String>) -> StatusCode {
    let provider = &shared.provider;
    match &*what {
        "outage" => provider.faults(|faults| faults.outage(true)),
        "dead" => provider
            .faults(|faults| faults.dead_model_as(stack::MODELS[0].name, StatusCode::BAD_GATEWAY)),
        "recover" => {
            provider.faults(|faults| faults.outage(false).live_model(stack::MODELS[0].name));
        }
        "more" => shared.load.change(1),
        "less" => shared.load.change(-1),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::NO_CONTENT
}
