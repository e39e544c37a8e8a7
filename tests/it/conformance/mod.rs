//! Scenarios from the suites of others, replayed in virtual time against what this crate offers.
//!
//! Each line of the file is a scenario: a configuration, and steps with what is to be seen after each. What a scenario
//! expects of everybody (`adopt`, `strengthen`) must pass; a reading of its source alone (`profile`) must, where this crate
//! offers that mode. What isn't offered is told with its reason. A configuration, an event or an expectation that the
//! replay doesn't know fails the test, naming it.
//!
//! ```sh
//! cargo test --all-features --test it conformance -- --nocapture   # prints the table
//! CONFORMANCE=/path/to/more.jsonl cargo test --all-features --test it conformance -- --nocapture
//! ```

mod backoff;
mod breaker;
mod breaker_setup;
mod bucket;
mod budget;
mod case;
mod fallback;
mod limiter;
mod offered;
mod retry_after;
mod retrying;
mod stack;
mod window;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use case::{Case, Failure};

/// Those of other suites.
const THEIRS: &str = include_str!("../../data/conformance.jsonl");

/// More of the same kind, written for this crate: other settings, other values, other orders of what happens.
const OURS: &str = include_str!("../../data/conformance_more.jsonl");

/// The variable that names another file.
const GIVEN: &str = "CONFORMANCE";

/// What the scenarios are about, as far as it is offered.
const CONCERNS: [&str; 7] = [
    "circuit_breaker",
    "composition",
    "fallback",
    "rate_limit",
    "retry_backoff",
    "retry_budget",
    "token_budget",
];

/// The cases of `text`, or of the file that was given.
fn cases(text: &str) -> Vec<Case> {
    let given = std::env::var(GIVEN).ok();
    let given = given.map(|path| {
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    });
    let text = given.as_deref().unwrap_or(text);
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            Case::parse(line).unwrap_or_else(|why| panic!("line {}: {why}", number + 1))
        })
        .collect()
}

enum Came {
    Passed,
    NotOffered(&'static str),
    Failed(Failure),
}

impl Came {
    fn of(case: &Case) -> Self {
        if let Some(why) = offered::refusal(case) {
            return Self::NotOffered(why);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let replayed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(replay(case))));
        match replayed {
            Ok(Ok(())) => Self::Passed,
            Ok(Err(why)) => Self::Failed(why),
            Err(why) => {
                let text = why.downcast_ref::<&str>().copied();
                let why = why.downcast_ref::<String>().map(String::as_str).or(text);
                Self::Failed(format!("it panicked: {}", why.unwrap_or_default()))
            }
        }
    }
}

async fn replay(case: &Case) -> Result<(), Failure> {
    match &*case.model {
        "token_bucket" | "offered_load" => bucket::token_bucket(case).await,
        "gcra" => bucket::gcra(case).await,
        "leaky_queue" => bucket::leaky_queue(case).await,
        "cycle" => window::cycle(case).await,
        "bursty" => window::bursty(case).await,
        "smooth" => window::smooth(case).await,
        "fixed_window" => window::fixed_window(case).await,
        "sliding_log" => window::sliding_log(case).await,
        "backoff" => backoff::replay(case).await,
        "retry_after" => retry_after::replay(case).await,
        "aws_quota" => budget::aws_quota(case).await,
        "grpc_throttle" => budget::grpc_throttle(case).await,
        "finagle_budget" => budget::finagle_budget(case).await,
        "concurrency_budget" => budget::concurrency_budget(case).await,
        "breaker" => breaker::replay(case).await,
        "fallback" => fallback::replay(case).await,
        "stack" => stack::stack(case).await,
        "amplify" => stack::amplify(case).await,
        other => Err(format!("unknown model `{other}`")),
    }
}

#[test]
fn what_other_suites_expect_is_so() {
    let cases = cases(THEIRS);
    let totals = replay_all(&cases);
    // Of a file that was given, only what it holds can be replayed.
    let expected: Vec<&str> = match std::env::var_os(GIVEN) {
        None => CONCERNS.to_vec(),
        Some(_) => (cases.iter())
            .filter(|case| case.stance != "profile" && case.concern != "adaptive")
            .map(|case| &*case.concern)
            .collect(),
    };
    for concern in expected {
        let passed = totals.get(concern).map_or(0, |it| it[0]);
        assert!(passed > 0, "nothing of {concern} was replayed: {totals:?}");
    }
    let replayed: usize = totals.values().map(|it| it[0]).sum();
    assert!(replayed > 0, "nothing was replayed");
}

#[test]
fn and_so_is_what_others_of_their_kind_expect() {
    replay_all(&cases(OURS));
}

/// Replays them and prints a table; of each concern how many passed, aren't offered and failed, which none may.
fn replay_all(cases: &[Case]) -> BTreeMap<&str, [usize; 3]> {
    let mut table = String::new();
    let mut failures = Vec::new();
    // Of each concern: passed, not offered, failed.
    let mut totals: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for case in cases {
        let came = Came::of(case);
        let (column, result, why) = match &came {
            Came::Passed => (0, "passed", ""),
            Came::NotOffered(why) => (1, "not offered", *why),
            Came::Failed(why) => (2, "FAILED", why.as_str()),
        };
        totals.entry(&case.concern).or_default()[column] += 1;
        let Case {
            id,
            concern,
            model,
            stance,
            ..
        } = case;
        writeln!(
            table,
            "| {id:6} | {concern:15} | {model:18} | {stance:10} | {result:11} | {why}"
        )
        .expect("a string");
        if let Came::Failed(why) = came {
            failures.push(format!("{id} ({stance}): {why}"));
        }
    }
    println!(
        "| case   | concern         | model              | stance     | result      | why\n{table}"
    );
    for (concern, [passed, not_offered, failed]) in &totals {
        println!("{concern:15}: {passed} passed, {not_offered} not offered, {failed} failed");
    }
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    totals
}

#[test]
fn no_expectation_is_overlooked() {
    let mut overlooked = Vec::new();
    let mut changed = 0;
    for case in cases(THEIRS).into_iter().chain(cases(OURS)) {
        if !matches!(Came::of(&case), Came::Passed) {
            continue;
        }
        for (step, key) in case.expectations() {
            changed += 1;
            if !matches!(Came::of(&case.mutated(step, &key)), Came::Failed(_)) {
                overlooked.push(format!("{}: step {step}, `{key}`", case.id));
            }
        }
    }
    println!(
        "{changed} expectations changed, {} overlooked",
        overlooked.len()
    );
    assert!(
        overlooked.is_empty(),
        "overlooked:\n{}",
        overlooked.join("\n")
    );
    assert!(changed > 0, "nothing was expected");
}

#[test]
fn what_a_case_says_and_nobody_understands_fails_it() {
    let case = |config: &str, step: &str| {
        let line = format!(
            r#"{{"id": "X", "concern": "rate_limit", "model": "token_bucket", "stance": "adopt",
            "config": {{"rate_per_s": 10, "burst": 1{config}}},
            "steps": [{{"at_ms": 0, "event": "acquire", "expect": {{"ok": true}}{step}}}]}}"#
        );
        Case::parse(&line).map(|case| Came::of(&case))
    };
    assert!(matches!(case("", ""), Ok(Came::Passed)));
    for (config, step) in [
        (r#", "colour": 1"#, ""),
        ("", r#", "colour": 1"#),
        ("", r#", "event": "paint""#),
        ("", r#", "expect": {"ok": true, "colour": 1}"#),
        ("", r#", "expect": 1"#),
        ("", r#", "n": "many""#),
    ] {
        let came = case(config, step);
        assert!(
            matches!(came, Err(_) | Ok(Came::Failed(_))),
            "{config} {step}"
        );
    }
}
