//! What a request pays in each layer, ours and the peers', admitted and refused: `cargo run --release --bin overhead`.
//!
//! All wrap one service that answers at once, and are timed in turn, round after round, so that what disturbs one disturbs all;
//! each figure is the median of its rounds. The tables are Markdown.
//!
//! - `overhead write` puts them into the README and on the modules' pages: best where nothing else runs.
//! - `overhead ROUNDS` takes so many rounds, `overhead ROUNDS WORD` of the tables whose titles have that word.

mod admitted;
mod bodies;
mod checks;
mod pages;
mod refused;
mod report;
mod threads;

use std::{env, error::Error};

use self::report::{Measured, Section};

const ROUNDS: usize = 101;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _entered = runtime.enter();
    let first = env::args().nth(1).unwrap_or_default();
    let rounds = match first.as_str() {
        "" | "write" => ROUNDS,
        rounds => rounds.parse()?,
    };
    let word = env::args().nth(2).unwrap_or_default();
    let mut sections = vec![
        Section::above_bare("Admitted, `http::Request<()>`", admitted::ways()),
        Section::whole("Refused", refused::ways(&runtime)),
        Section::whole("One check, without a service", checks::ways()),
        Section::above_bare("Admitted, 10 headers and a body of 4 KiB", bodies::large()),
        Section::above_bare(
            "Admitted, `POST` with a body that can't be sent again",
            bodies::once(),
        ),
    ];
    sections.retain(|section| section.is_about(&word));
    let mut shared = threads::stacks();
    shared.retain(|_| threads::TITLE.contains(&word));
    for _ in 0..rounds {
        sections.iter_mut().for_each(Section::round);
        shared.iter_mut().for_each(threads::Shared::round);
    }
    let sections: Vec<Measured> = sections.into_iter().map(Section::measured).collect();
    let mut lines: Vec<String> = sections.iter().flat_map(Measured::table).collect();
    lines.extend(threads::table(&mut shared));
    if first == "write" {
        pages::write(&sections, &lines)?;
    } else {
        println!("{}", lines.join("\n"));
    }
    Ok(())
}
