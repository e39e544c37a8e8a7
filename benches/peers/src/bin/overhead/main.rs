//! What a request pays in each layer, ours and the peers', admitted and refused: `cargo run --release --bin overhead`.
//!
//! All wrap one service that answers at once, and are timed in turn, round after round, so that what disturbs one disturbs all;
//! each figure is the median of its rounds. The tables are Markdown. `overhead ROUNDS` takes so many rounds, and
//! `overhead ROUNDS WORD` of the tables whose titles have that word.

mod admitted;
mod bodies;
mod checks;
mod refused;
mod report;
mod threads;

use std::{env, error::Error};

use self::report::Section;

const ROUNDS: usize = 101;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _entered = runtime.enter();
    let rounds = match env::args().nth(1) {
        Some(rounds) => rounds.parse()?,
        None => ROUNDS,
    };
    let sections = [
        Section::above_bare(
            "Admitted, `http::Request<()>`",
            "above the bare service",
            admitted::ways(),
        ),
        Section::whole("Refused", "the whole call", refused::ways(&runtime)),
        Section::whole("One check, without a service", "all of it", checks::ways()),
        Section::above_bare(
            "Admitted, 10 headers and a body of 4 KiB",
            "above the bare service",
            bodies::large(),
        ),
        Section::above_bare(
            "Admitted, `POST` with a body that can't be sent again",
            "above the bare service",
            bodies::once(),
        ),
    ];
    let word = env::args().nth(2).unwrap_or_default();
    let mut sections = sections.map(|section| section.kept(&word));
    let mut shared = threads::stacks();
    shared.retain(|_| threads::TITLE.contains(&word));
    for _ in 0..rounds {
        sections.iter_mut().for_each(Section::round);
        shared.iter_mut().for_each(threads::Shared::round);
    }
    sections.iter_mut().for_each(Section::print);
    threads::print(&mut shared);
    Ok(())
}
