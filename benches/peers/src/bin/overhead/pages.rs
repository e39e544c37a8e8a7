//! The figures on the crate's pages, each between two marks.

use std::{error::Error, fs, path::Path};

use crate::report::Measured;

const END: &str = "<!-- end of overhead -->";

/// Of each module's page the lines: which section (0 of what is admitted, 1 of what is refused), the job in it, and what it is called.
type Lines = [(usize, &'static str, &'static str)];
const PAGES: [(&str, &Lines); 5] = [
    (
        "src/rate_limit/mod.rs",
        &[(0, "rate limit", "admitted"), (1, "rate limit", "refused")],
    ),
    (
        "src/token_budget/mod.rs",
        &[
            (0, "token budget", "admitted"),
            (1, "token budget", "refused"),
        ],
    ),
    (
        "src/circuit_breaker/mod.rs",
        &[
            (0, "breaker", "closed"),
            (1, "open breaker", "open"),
            (0, "gate", "the gate of a closed one"),
            (1, "gate of an open breaker", "the gate of an open one"),
        ],
    ),
    ("src/backoff_retry/mod.rs", &[(0, "retry", "a success")]),
    (
        "src/fallback/mod.rs",
        &[(0, "fallback", "the first serves")],
    ),
];

/// Puts `lines`, each after `prefix`, in the place of what stands in the file between the marks.
fn splice(path: &Path, prefix: &str, lines: &[String]) -> Result<(), Box<dyn Error>> {
    let missing = || format!("{}: no marks", path.display());
    let text = fs::read_to_string(path)?;
    let begin = format!("{prefix}<!-- overhead -->\n");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest
        .split_once(&format!("{prefix}{END}"))
        .ok_or_else(missing)?;
    let lines = lines
        .iter()
        .map(|line| format!("{prefix}{line}").trim_end().to_owned() + "\n");
    let between: String = lines.collect();
    fs::write(
        path,
        format!("{before}{begin}{between}{prefix}{END}{after}"),
    )?;
    Ok(())
}

fn page(sections: &[Measured], lines: &Lines) -> Vec<String> {
    let mut table = vec![
        "| | ns | allocations | future | the fastest peer |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for (section, job, called) in lines {
        let Some(ours) = sections[*section].ours(job) else {
            continue;
        };
        let best = sections[*section].best(job);
        let best = best.map(|best| format!("{:.0} ns, {}", best.nanos, best.peer));
        table.push(format!(
            "| {called} | {:.0} | {:.0} | {} B | {} |",
            ours.nanos,
            ours.allocations,
            ours.future,
            best.unwrap_or_default()
        ));
    }
    table
}

/// Writes all tables into the README, and each layer's own into its module's page.
pub(crate) fn write(sections: &[Measured], all: &[String]) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    splice(&root.join("README.md"), "", all)?;
    for (path, lines) in PAGES {
        splice(&root.join(path), "//! ", &page(sections, lines))?;
    }
    Ok(())
}
