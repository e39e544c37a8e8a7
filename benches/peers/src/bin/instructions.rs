//! How many instructions one admitted request takes, and how many allocations: `./instructions.sh`, which needs valgrind.
//!
//! - `measure` prints both for each of our layers and all five, as lines that `compare` reads;
//! - `compare THEN NOW` fails if of two such files the second is worse than the tolerance allows;
//! - `count NAME N` sends N requests and prints nothing: what is run under valgrind, twice, so that the difference is that of
//!   the requests alone.
//!
//! The kernel's part isn't counted, nor, under valgrind, is that of reading the clock.

use std::{
    env,
    error::Error,
    fs,
    process::{Command, ExitCode},
};

use allocation_counter::measure;
use peers::ours;

type Failed = Box<dyn Error>;

/// Requests of the two runs whose difference is taken.
const FEW: u32 = 1_000;
const MORE: u32 = 3_000;

/// What may come on top before it counts as worse.
struct Tolerance {
    percent: u64,
    instructions: u64,
}

const SAME_COMPILER: Tolerance = Tolerance {
    percent: 3,
    instructions: 20,
};
const OTHER_COMPILER: Tolerance = Tolerance {
    percent: 25,
    instructions: 100,
};

/// Which compiler made the code whose instructions are counted.
fn compiler() -> Result<String, Failed> {
    let told = Command::new("rustc").arg("--version").output()?.stdout;
    let told = String::from_utf8(told)?;
    let version = told
        .split_whitespace()
        .nth(1)
        .ok_or("no version of rustc")?;
    Ok(format!("rustc {version}, {}", env::consts::ARCH))
}

/// All instructions of a run that sends so many requests.
fn instructions(name: &str, calls: u32) -> Result<u64, Failed> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["count", name, &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let told = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        return Err(format!("valgrind: {}\n{told}", run.status).into());
    }
    let collected = told.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = collected.ok_or_else(|| format!("no count in\n{told}"))?;
    Ok(number.trim().parse()?)
}

fn print_figures() -> Result<(), Failed> {
    println!("{}", compiler()?);
    println!("{:<16}{:>12}{:>12}", "", "instructions", "allocations");
    for mut way in ours() {
        let all = instructions(way.name, MORE)? - instructions(way.name, FEW)?;
        let each = all / u64::from(MORE - FEW);
        (way.send)(1);
        let allocations = measure(|| (way.send)(FEW)).count_total;
        println!("{:<16}{each:>12}{allocations:>12}", way.name);
    }
    Ok(())
}

/// One path's figures: of a thousand requests the allocations.
struct Line {
    name: String,
    instructions: u64,
    allocations: u64,
}

struct Figures {
    compiler: String,
    lines: Vec<Line>,
}

fn read(path: &str) -> Result<Figures, Failed> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next().ok_or("no compiler")?.to_owned();
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let allocations = words.pop()?.parse().ok()?;
        let instructions = words.pop()?.parse().ok()?;
        Some(Line {
            name: words.join(" "),
            instructions,
            allocations,
        })
    };
    // The second line is the heads of columns.
    let lines = lines.skip(1).map(line).collect::<Option<Vec<_>>>();
    let lines = lines.ok_or_else(|| format!("{path}: a line that has no figures"))?;
    Ok(Figures { compiler, lines })
}

/// Whether nothing is worse.
fn compare(then: &Figures, now: &Figures) -> Result<bool, Failed> {
    let tolerance = if then.compiler == now.compiler {
        SAME_COMPILER
    } else {
        println!(
            "!!! Compared are figures of {}\n!!! with figures of {}:\n!!! only what is much worse is seen. Accept figures of this compiler.",
            then.compiler, now.compiler
        );
        OTHER_COMPILER
    };
    println!(
        "{:<16}{:>8}{:>8}{:>9}{:>13}",
        "instructions", "then", "now", "", "allocations"
    );
    let (mut well, mut better) = (true, false);
    for line in &now.lines {
        let Line {
            name,
            instructions: new,
            allocations,
        } = line;
        let known = then.lines.iter().find(|line| line.name == *name);
        let Some(&Line {
            instructions: old, ..
        }) = known
        else {
            println!(
                "{name:<16}{:>8}{new:>8}  WORSE: it has no accepted figure",
                ""
            );
            well = false;
            continue;
        };
        let room = old * tolerance.percent / 100 + tolerance.instructions;
        let change = (*new as f64 / old as f64 - 1.0) * 100.0;
        let verdict = if *new > old + room {
            well = false;
            format!(
                "  WORSE by {} instructions, {} more than may be",
                new - old,
                new - old - room
            )
        } else if new + room < old {
            better = true;
            format!("  better by {} instructions", old - new)
        } else {
            String::new()
        };
        let allocates = if *allocations > 0 {
            well = false;
            "  WORSE: a request that is admitted allocates"
        } else {
            ""
        };
        println!("{name:<16}{old:>8}{new:>8}{change:>+8.1}%{allocations:>13}{verdict}{allocates}");
    }
    for line in &then.lines {
        if !now.lines.iter().any(|other| other.name == line.name) {
            println!(
                "{:<16}{:>8}  WORSE: it isn't measured",
                line.name, line.instructions
            );
            well = false;
        }
    }
    if better {
        println!("Better by much: so that it stays so, ./instructions.sh accept");
    }
    Ok(well)
}

fn run(args: &[&str]) -> Result<ExitCode, Failed> {
    match args {
        ["count", name, calls] => {
            let mut way = ours()
                .into_iter()
                .find(|way| way.name == *name)
                .ok_or("no such name")?;
            (way.send)(calls.parse()?);
        }
        ["measure"] => print_figures()?,
        ["compare", then, now] => {
            if !compare(&read(then)?, &read(now)?)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        _ => return Err("measure, compare THEN NOW, or count NAME N".into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> Result<ExitCode, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _entered = runtime.enter();
    let args: Vec<String> = env::args().skip(1).collect();
    run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}
