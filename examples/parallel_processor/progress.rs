//! What is shown while it runs and at the end.

use std::{
    fmt::Write,
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stats::{Stats, Summary};

// More reports than these help nobody; the output has them all.
const REPORTS: u32 = 20;

/// The bar on the terminal, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    reports: Arc<AtomicU32>,
    waited: Arc<AtomicBool>,
}

impl Progress {
    /// A bar for an input of `bytes` bytes; none where it is unwanted or nobody would see it.
    pub(crate) fn new(quiet: bool, bytes: u64) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {percent:>3}%  {wide_msg}");
            bar.set_style(style.expect("the template is sound"));
            bar
        });
        Self {
            bar,
            reports: Arc::default(),
            waited: Arc::default(),
        }
    }

    /// Shows the figures four times a second, until dropped.
    pub(crate) async fn follow(&self, stats: &Stats) {
        let Some(bar) = &self.bar else {
            return std::future::pending().await;
        };
        loop {
            bar.set_position(stats.bytes.load(Relaxed));
            bar.set_message(message(stats, bar.length().unwrap_or_default()));
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Says something on a line of its own.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Says something that may happen very often.
    pub(crate) fn report(&self, text: &str) {
        match self.reports.fetch_add(1, Relaxed) {
            n if n < REPORTS => self.say(text),
            REPORTS => self.say("(further lines like these are in the output only)"),
            _ => {}
        }
    }

    /// Says, once, that the provider is down and how long that is borne.
    pub(crate) fn waits(&self, patience: Duration) {
        if !self.waited.swap(true, Relaxed) {
            self.say(&format!(
                "the provider fails; waiting for it to recover, {patience:?} at the longest"
            ));
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn message(stats: &Stats, bytes: u64) -> String {
    let elapsed = stats.begin.elapsed().as_secs_f64().max(0.001);
    let (succeeded, failed) = (stats.succeeded.load(Relaxed), stats.failed.load(Relaxed));
    let mut text = format!("{} done", grouped(succeeded + failed));
    if failed > 0 {
        let _ = write!(text, " ({} failed)", grouped(failed));
    }
    let rate = (succeeded + failed) as f64 / elapsed;
    let tokens = stats.tokens.load(Relaxed) as f64 / elapsed * 60.0;
    let _ = write!(
        text,
        "  {rate:.1} req/s  {} tokens/min",
        grouped(tokens as u64)
    );
    // The rest takes as long a byte as what this run has worked off.
    let (through, worked) = (stats.bytes.load(Relaxed), stats.worked.load(Relaxed));
    if worked > 0 && bytes >= through {
        let left = (bytes - through) as f64 * elapsed / worked as f64;
        let left = Duration::from_secs(left.ceil() as u64);
        let _ = write!(text, "  ETA {}", indicatif::HumanDuration(left));
    }
    text
}

/// The table at the end.
pub(crate) fn table(summary: &Summary, skipped: u64, output: &str) -> String {
    let seconds = summary.elapsed_seconds.max(0.001);
    let done = summary.succeeded + summary.failed;
    let mut rows = vec![
        ("succeeded", grouped(summary.succeeded)),
        ("failed", grouped(summary.failed)),
        ("done earlier", grouped(skipped)),
        ("attempts", grouped(summary.attempts)),
        ("429 answers", grouped(summary.rate_limited)),
        ("tokens", grouped(summary.tokens)),
        ("time", format!("{seconds:.1} s")),
        ("requests", format!("{:.1} a second", done as f64 / seconds)),
    ];
    if let Some(part) = summary.utilisation {
        rows.push(("use of the limit", format!("{:.1} %", part * 100.0)));
    }
    rows.push(("output", output.to_owned()));
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:>16}  {value}");
    }
    text
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let all = [0, 7, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "7", "999", "1,000", "1,234,567"]);
    }
}
