//! How much of what a provider allows is used, and how often it refuses, in virtual time:
//! `cargo run --release --features virtual-time --bin utilisation`.
//!
//! 30,000 tokens a minute, counted exactly: in any minute, by a bucket, or in fixed minutes whose beginning the client doesn't know.
//! A request is up to 468 ms on its way and is answered in 0.3 to 3 s. Who is refused waits as long as the provider says and asks
//! again. Limiters of requests alone are told how many requests of the mean size the limit holds. Fails where ours is refused or
//! uses less than 97 %, steady or mixed. `utilisation WORD` looks at those alone whose names have that word.

mod demand;
mod limiters;

use std::{env, process::ExitCode, time::Duration};

use peers::paused;
use tower_quota::testing::Shape;

use self::{
    demand::{Demand, Seen, run},
    limiters::{CANDIDATES, Candidate},
};

pub(crate) const TOKENS: u64 = 30_000;
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const SHAPES: [(&str, Shape); 3] = [
    ("rolling", Shape::Rolling),
    ("bucket", Shape::Bucket),
    ("fixed", Shape::FixedAt(Duration::from_secs(20))),
];

/// Whether somebody does better: is refused less, or as little and uses more, by more than what is drawn.
fn beats(one: &Seen, other: &Seen) -> bool {
    (one.refused, (other.used * 1_000.0) as u64) < (other.refused, (one.used * 1_000.0) as u64)
}

/// Why ours isn't always the first.
const WHY: &str = "A bucket admits a minute's worth more at the start, and a client that knows that it is one may send as it refills: \
`.bucket()`. In fixed minutes who sends all at once may do so every 60 s; ours does so every 60.94 s, as a request may be that late, \
and is refused by none of the three for it.";

fn main() -> ExitCode {
    let word = env::args().nth(1).unwrap_or_default();
    let candidates: Vec<_> = (CANDIDATES.iter())
        .filter(|candidate| candidate.name.contains(&word))
        .collect();
    let mut well = true;
    for demand in [Demand::Steady, Demand::Bursty, Demand::Mixed] {
        let seen: Vec<Vec<Seen>> = (SHAPES.iter())
            .map(|(_, shape)| {
                let all = candidates.iter();
                let seen = all.map(|one| paused().block_on(run(one.make, demand, *shape)));
                seen.collect()
            })
            .collect();
        println!("**{demand:?} demand**: of what the provider allows used; requests refused\n");
        println!("| whose | rolling | bucket | fixed |\n|---|---|---|---|");
        for (number, candidate) in candidates.iter().enumerate() {
            print!("| {} |", candidate.name);
            for by_shape in &seen {
                let Seen { used, refused } = by_shape[number];
                print!(" {:.1} %; {refused} |", used * 100.0);
            }
            println!();
        }
        println!();
        for ((name, _), by_shape) in SHAPES.iter().zip(&seen) {
            let of = |candidate: &&Candidate| candidate.name.contains("tower-quota");
            let all = || candidates.iter().copied().zip(by_shape);
            let Some((_, ours)) = all().next().filter(|(candidate, _)| of(candidate)) else {
                continue;
            };
            let ahead: Vec<&str> = all()
                .filter(|(candidate, seen)| !of(candidate) && beats(seen, ours))
                .map(|(candidate, _)| candidate.name)
                .collect();
            if !ahead.is_empty() {
                println!("Ahead where it is {name}: {}.\n", ahead.join("; "));
            }
            if demand != Demand::Bursty && (ours.used < 0.97 || ours.refused > 0) {
                println!("MISSED where it is {name}: 97 %, and no refusal.\n");
                well = false;
            }
        }
    }
    println!("{WHY}");
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
