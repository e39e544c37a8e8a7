//! What the comparisons share: how something is timed, and how figures are shown beside a peer's.

#[cfg(feature = "peers")]
mod peer;
mod stacks;
#[cfg(feature = "virtual-time")]
mod virtual_time;
mod way;

#[cfg(feature = "peers")]
pub use peer::*;
pub use stacks::*;
#[cfg(feature = "virtual-time")]
pub use virtual_time::*;
pub use way::*;

use std::time::Instant;

/// The least of `rounds` timings of `work`, which is done `times` in each, in nanoseconds a piece. The least, because all that a
/// busy machine adds is time.
pub fn nanos(rounds: u32, times: u32, mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..times).for_each(|_| work());
        start.elapsed().as_nanos() as f64 / f64::from(times)
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

/// The middle one of `figures`.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Lines of figures, the last of each line being the first one's ratio to the second.
#[derive(Debug)]
pub struct Table {
    lines: Vec<[String; 4]>,
}

impl Table {
    /// A table of `what`, ours and a peer's.
    pub fn new(what: &str, ours: &str, peer: &str) -> Self {
        let head = [what, ours, peer, "ratio"];
        Self {
            lines: vec![head.map(str::to_owned)],
        }
    }

    /// Adds a line.
    pub fn line(&mut self, what: &str, ours: f64, peer: f64) {
        self.lines.push([
            what.to_owned(),
            format!("{ours:.0}"),
            format!("{peer:.0}"),
            format!("{:.2}", ours / peer),
        ]);
    }

    /// Prints it.
    pub fn print(&self) {
        let width = |column: usize| self.lines.iter().map(|line| line[column].len()).max();
        let widths: [usize; 4] = std::array::from_fn(|column| width(column).unwrap_or_default());
        for [what, ours, peer, ratio] in &self.lines {
            let [first, second, third, fourth] = widths;
            println!("{what:first$}  {ours:>second$}  {peer:>third$}  {ratio:>fourth$}");
        }
    }
}
