//! Sends a file of requests to an LLM provider as fast as its limits allow, and never faster.
//!
//! What people use the OpenAI cookbook's `api_request_parallel_processor.py` for, with the five layers over reqwest:
//!
//! ```sh
//! # A bundled file against a provider in a box: see it work.
//! cargo run --example parallel_processor --all-features
//!
//! # The real thing.
//! OPENAI_API_KEY=... cargo run --release --example parallel_processor --all-features -- \
//!     --requests requests.jsonl --output answers.jsonl \
//!     --requests-per-minute 500 --tokens-per-minute 30000
//!
//! # The same for Anthropic's messages, which are limited by input and output apart.
//! ANTHROPIC_API_KEY=... cargo run --release --example parallel_processor --all-features -- --api anthropic \
//!     --requests requests.jsonl --output answers.jsonl \
//!     --requests-per-minute 50 --input-tokens-per-minute 30000 --output-tokens-per-minute 8000
//! ```
//!
//! One JSON body a line comes in; `[request, response, metadata?]` or `[request, [errors], metadata?]` a line goes out, as
//! they finish. Run it again to go on after Ctrl-C, a crash or failures: what succeeded is never sent twice.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a program for the terminal"
)]

mod args;
mod demo;
mod files;
mod history;
mod hits;
mod input;
mod lines;
mod middle;
mod order;
mod output;
mod plot;
mod progress;
mod record;
mod resume;
mod run;
mod send;
mod stack;
mod stats;
mod stop;
#[cfg(test)]
mod testing;
mod values;

use std::{
    fs,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use self::{
    args::{Args, Settings},
    history::History,
    hits::Hits,
    middle::Patience,
    progress::Progress,
    run::{Plan, Watched},
    stack::Stack,
    stats::Stats,
    stop::Reason,
};

const SOME_FAILED: u8 = 1;
const BAD_USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::of_this_program();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("can't start: {error}"), SOME_FAILED),
    };
    let code = runtime.block_on(begin(args));
    // Whoever asked for an end doesn't wait for name look-ups.
    runtime.shutdown_background();
    code
}

fn complain(problem: &str, code: u8) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::from(code)
}

async fn begin(args: Args) -> ExitCode {
    let prepared = if args.is_demo() {
        let prepared = demo::prepare(args).await;
        prepared.map(|(provider, settings)| (Some(provider), settings))
    } else {
        let variable = |name: &str| std::env::var(name).ok();
        args.check(variable).map(|settings| (None, settings))
    };
    match prepared {
        Ok((provider, settings)) => {
            let code = process(settings).await;
            drop(provider);
            code
        }
        Err(problem) => complain(&problem, BAD_USAGE),
    }
}

async fn process(settings: Settings) -> ExitCode {
    let bytes = fs::metadata(&settings.requests).map_or(0, |facts| facts.len());
    let watched = Watched {
        stats: Arc::new(Stats::new(settings.limits.minute, settings.limits.tokens)),
        stop: Arc::default(),
        progress: Progress::new(settings.quiet, bytes),
    };
    let prepared = Stack::new(&settings, Patience::new(watched.clone()))
        .and_then(|stack| Ok((stack, resume::open(&settings.output)?)));
    let (stack, (output, done)) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return complain(&problem, BAD_USAGE),
    };
    let hits = match settings.log_limits.as_deref().map(Hits::listen).transpose() {
        Ok(hits) => hits,
        Err(problem) => return complain(&problem, BAD_USAGE),
    };
    let history = settings.plot.is_some().then(|| {
        let history = History::new(settings.limits.minute);
        history.follow(stack.quota().clone(), Arc::clone(&watched.stats))
    });
    let resumed = !done.is_empty();
    let plan = Plan {
        requests: settings.requests.clone(),
        output,
        done,
        max_in_flight: settings.max_in_flight as usize,
        ordered: settings.ordered,
    };
    let signals = tokio::spawn(obey_signals(watched.clone()));
    let outcome = run::run(plan, stack, &watched).await;
    signals.abort();
    watched.progress.end();
    let pictured = match (history, &settings.plot) {
        (Some(history), Some(path)) => plot::save(&history.end().await, &watched.stats, path),
        _ => Ok(()),
    };
    let logged = hits.map_or(Ok(()), |hits| hits.end());
    if let Err(problem) = logged.and(pictured) {
        return complain(&problem, SOME_FAILED);
    }

    let through = match outcome {
        Ok(through) => through,
        Err(error) => {
            let what = match watched.stop.reason() {
                Some(Reason::CantWrite) => settings.output.display(),
                _ => settings.requests.display(),
            };
            return complain(&format!("{what}: {error}"), SOME_FAILED);
        }
    };
    if settings.ordered
        && resumed
        && through
        && let Err(error) = order::put_in_order(&settings.requests, &settings.output)
    {
        let output = settings.output.display();
        return complain(
            &format!("{output}: can't be put in order: {error}"),
            SOME_FAILED,
        );
    }
    tell(&settings, &watched, through)
}

fn tell(settings: &Settings, watched: &Watched, through: bool) -> ExitCode {
    let summary = watched.stats.summary();
    if !settings.quiet {
        let skipped = watched.stats.skipped.load(Relaxed);
        let output = settings.output.display().to_string();
        print!("{}", progress::table(&summary, skipped, &output));
    }
    let mut code = if summary.failed > 0 { SOME_FAILED } else { 0 };
    if !through {
        let why = match watched.stop.reason() {
            Some(Reason::QuotaExhausted) => {
                code = SOME_FAILED;
                "the provider says that the account has no quota left"
            }
            Some(Reason::ProviderDown) => {
                code = SOME_FAILED;
                "the provider doesn't answer"
            }
            _ => {
                code = INTERRUPTED;
                "interrupted"
            }
        };
        eprintln!("{why}; what was done is saved, run it again to go on");
    }
    if let Some(path) = &settings.summary {
        let text = serde_json::to_string(&summary).expect("numbers serialise");
        if let Err(error) = fs::write(path, text + "\n") {
            return complain(
                &format!("--summary {}: {error}", path.display()),
                SOME_FAILED,
            );
        }
    }
    ExitCode::from(code)
}

// The first signal ends the run in good order, the second at once.
async fn obey_signals(watched: Watched) {
    let Ok(mut signals) = Signals::new() else {
        return;
    };
    signals.next().await;
    watched.stop.finish(Reason::Interrupted);
    watched
        .progress
        .say("finishing what is on its way; Ctrl-C again to end at once");
    signals.next().await;
    watched.stop.at_once(Reason::Interrupted);
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
