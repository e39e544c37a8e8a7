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

/// What came of one way.
pub(crate) struct Row {
    pub(crate) job: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) nanos: f64,
    pub(crate) allocations: f64,
    pub(crate) future: usize,
}

/// What came of a section.
pub(crate) struct Measured {
    pub(crate) head: String,
    pub(crate) rows: Vec<Row>,
}

impl Section {
    /// Of whole calls.
    pub(crate) fn whole(title: &'static str, ways: Vec<Way>) -> Self {
        let timed = |way| Timed {
            way,
            rounds: Vec::new(),
        };
        Self {
            title,
            of: "all of it",
            ways: ways.into_iter().map(timed).collect(),
            bare: false,
        }
    }

    /// Of what comes on top of the first of `ways`.
    pub(crate) fn above_bare(title: &'static str, ways: Vec<Way>) -> Self {
        Self {
            of: "above the bare service",
            bare: true,
            ..Self::whole(title, ways)
        }
    }

    /// Whether its title has this word.
    pub(crate) fn is_about(&self, word: &str) -> bool {
        self.title.contains(word)
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

    /// Medians of all rounds.
    pub(crate) fn measured(mut self) -> Measured {
        let mut head = format!("**{}**, in ns, {}", self.title, self.of);
        let mut bare = 0.0;
        if self.bare {
            bare = median(&mut self.ways.remove(0).rounds);
            head += &format!(", which takes {bare:.0}");
        }
        let row = |mut timed: Timed| Row {
            job: timed.way.name,
            peer: timed.way.peer,
            nanos: median(&mut timed.rounds) - bare,
            allocations: measure(|| (timed.way.send)(1_000)).count_total as f64 / 1_000.0,
            future: timed.way.future,
        };
        let rows = self.ways.into_iter().map(row).collect();
        Measured { head, rows }
    }
}

impl Measured {
    /// Ours of this job.
    pub(crate) fn ours(&self, job: &str) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.job == job && row.peer.is_empty())
    }

    /// The fastest peer of this job.
    pub(crate) fn best(&self, job: &str) -> Option<&Row> {
        let peers = self
            .rows
            .iter()
            .filter(|row| row.job == job && !row.peer.is_empty());
        peers.min_by(|one, other| one.nanos.total_cmp(&other.nanos))
    }

    /// As Markdown.
    pub(crate) fn table(&self) -> Vec<String> {
        let mut lines = vec![
            self.head.clone(),
            String::new(),
            "| job | whose | ns | to the best peer | to ours | allocations | future, B |".into(),
            "|---|---|---|---|---|---|---|".into(),
        ];
        for row in &self.rows {
            let to = |other: Option<&Row>| {
                let ratio = other.map(|other| format!("{:.2}", row.nanos / other.nanos));
                ratio.unwrap_or_default()
            };
            let ours = self.ours(row.job).filter(|_| !row.peer.is_empty());
            lines.push(format!(
                "| {} | {} | {:.0} | {} | {} | {:.0} | {} |",
                row.job,
                whose(row.peer),
                row.nanos,
                to(self.best(row.job)),
                to(ours),
                row.allocations,
                row.future
            ));
        }
        lines.push(String::new());
        lines
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
