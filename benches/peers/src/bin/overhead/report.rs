//! Rounds of timings, and their tables.

use allocation_counter::measure;
use cpu_time::ThreadTime;
use peers::{Way, median};

const CALLS: u32 = 2_000;

struct Timed {
    way: Way,
    rounds: Vec<f64>,
}

/// Ways that are compared with each other, job by job.
pub(crate) struct Section {
    title: &'static str,
    of: &'static str,
    ways: Vec<Timed>,
    bare: bool,
}

impl Section {
    /// Of whole calls.
    pub(crate) fn whole(title: &'static str, of: &'static str, ways: Vec<Way>) -> Self {
        let timed = |way| Timed {
            way,
            rounds: Vec::new(),
        };
        Self {
            title,
            of,
            ways: ways.into_iter().map(timed).collect(),
            bare: false,
        }
    }

    /// Of what comes on top of the first of `ways`.
    pub(crate) fn above_bare(title: &'static str, of: &'static str, ways: Vec<Way>) -> Self {
        Self {
            bare: true,
            ..Self::whole(title, of, ways)
        }
    }

    /// Nothing of it, unless its title has this word.
    pub(crate) fn kept(mut self, word: &str) -> Self {
        self.ways.retain(|_| self.title.contains(word));
        self
    }

    /// Times all once.
    pub(crate) fn round(&mut self) {
        for timed in &mut self.ways {
            // The processor's, so that what else runs on the machine takes no part.
            let start = ThreadTime::now();
            (timed.way.send)(CALLS);
            let nanos = start.elapsed().as_nanos() as f64 / f64::from(CALLS);
            timed.rounds.push(nanos);
        }
    }

    /// A table of all.
    pub(crate) fn print(&mut self) {
        if self.ways.is_empty() {
            return;
        }
        let mut bare = 0.0;
        print!("**{}**: ns, {}", self.title, self.of);
        if self.bare {
            bare = median(&mut self.ways.remove(0).rounds);
            print!(", which takes {bare:.0}");
        }
        println!("\n\n| job | whose | ns | to the best peer | allocations | future, B |");
        println!("|---|---|---|---|---|---|");
        let above = |timed: &mut Timed| median(&mut timed.rounds) - bare;
        let all: Vec<(&str, &str, f64)> = (self.ways.iter_mut())
            .map(|timed| (timed.way.name, timed.way.peer, above(timed)))
            .collect();
        for (timed, (name, peer, nanos)) in self.ways.iter_mut().zip(&all) {
            let allocations = measure(|| (timed.way.send)(1_000)).count_total as f64 / 1_000.0;
            let peers = all
                .iter()
                .filter(|(job, peer, _)| job == name && !peer.is_empty());
            let best = peers.map(|(_, _, nanos)| *nanos).reduce(f64::min);
            let ratio = best.map_or(String::new(), |best| format!("{:.2}", nanos / best));
            let whose = whose(peer);
            println!(
                "| {name} | {whose} | {nanos:.0} | {ratio} | {allocations:.0} | {} |",
                timed.way.future
            );
        }
        println!();
    }
}

/// How a candidate is named in a table.
pub(crate) fn whose(peer: &str) -> &str {
    if peer.is_empty() {
        "**tower-quota**"
    } else {
        peer
    }
}
