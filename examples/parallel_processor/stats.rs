//! What a run counts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use tower_quota::BoxError;

use crate::{record::Trouble, send::Usage};

/// The figures of a run, while it runs.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) begin: Instant,
    pub(crate) succeeded: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Lines that an earlier run had done.
    pub(crate) skipped: AtomicU64,
    pub(crate) attempts: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    /// By the provider's own count.
    pub(crate) tokens: AtomicU64,
    /// How much of the input is through, and how much of it this run has worked off.
    pub(crate) bytes: AtomicU64,
    pub(crate) worked: AtomicU64,
    // What went wrong last, without anything that the provider said.
    last: Mutex<String>,
    r#use: Mutex<Use>,
}

/// What stands in the summary's file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) attempts: u64,
    pub(crate) rate_limited: u64,
    pub(crate) tokens: u64,
    pub(crate) elapsed_seconds: f64,
    pub(crate) utilisation: Option<f64>,
}

impl Stats {
    /// `limit` is how many tokens the provider takes a `minute`, where that is known.
    pub(crate) fn new(minute: Duration, limit: Option<u64>) -> Self {
        Self {
            begin: Instant::now(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            worked: AtomicU64::new(0),
            last: Mutex::default(),
            r#use: Mutex::new(Use {
                window: minute,
                limit,
                first: None,
                last: None,
                sums: Vec::new(),
            }),
        }
    }

    /// What went wrong last.
    pub(crate) fn last(&self) -> String {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn summary(&self) -> Summary {
        let r#use = self.r#use.lock().unwrap_or_else(PoisonError::into_inner);
        Summary {
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            attempts: self.attempts.load(Relaxed),
            rate_limited: self.rate_limited.load(Relaxed),
            tokens: self.tokens.load(Relaxed),
            elapsed_seconds: self.begin.elapsed().as_millis() as f64 / 1e3,
            utilisation: r#use.of_limit(),
        }
    }
}

/// How much of the limit on tokens was used, in whole windows from the first departure on. The last window, in which the
/// work ran out, isn't whole and doesn't count.
///
/// A provider admits what a request reserves: its prompt, and as many tokens as the answer may have. One that gives back
/// what isn't used admits more than its limit in that sense: there, what was really used is what counts.
#[derive(Debug)]
struct Use {
    window: Duration,
    limit: Option<u64>,
    first: Option<Instant>,
    last: Option<Instant>,
    // Reserved and used in each window: a run of a day has 1,440.
    sums: Vec<(u64, u64)>,
}

impl Use {
    fn departs(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = self.last.max(Some(now));
    }

    fn add(&mut self, departed: Instant, reserved: u64, used: u64) {
        let Some(first) = self.first else { return };
        let window = self.windows(departed.saturating_duration_since(first));
        if self.sums.len() <= window {
            self.sums.resize(window + 1, (0, 0));
        }
        self.sums[window].0 += reserved;
        self.sums[window].1 += used;
    }

    fn windows(&self, time: Duration) -> usize {
        (time.as_nanos() / self.window.as_nanos()) as usize
    }

    fn of_limit(&self) -> Option<f64> {
        let (limit, first, last) = (self.limit?, self.first?, self.last?);
        let whole = self.windows(last - first);
        let allowed = limit as f64 * whole as f64;
        let sums = || self.sums.iter().take(whole);
        let reserved = sums().map(|sum| sum.0).sum::<u64>() as f64;
        let used = sums().map(|sum| sum.1).sum::<u64>() as f64;
        (whole > 0).then(|| if reserved > allowed { used } else { reserved } / allowed)
    }
}

/// One request's way to the provider and back, as the innermost service sees it.
#[derive(Debug)]
pub(crate) struct Wire {
    stats: Arc<Stats>,
    out: watch::Sender<bool>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    attempts: u32,
    departed: Option<Instant>,
    troubles: Vec<Trouble>,
}

impl Wire {
    pub(crate) fn new(stats: &Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            stats: Arc::clone(stats),
            out: watch::Sender::new(false),
            log: Mutex::default(),
        })
    }

    /// It leaves.
    pub(crate) fn departs(self: &Arc<Self>) -> Departure {
        let now = Instant::now();
        self.stats.attempts.fetch_add(1, Relaxed);
        let mut r#use = self
            .stats
            .r#use
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        r#use.departs(now);
        let mut log = self.log();
        log.attempts += 1;
        log.departed = Some(now);
        self.out.send_replace(true);
        Departure {
            wire: Arc::clone(self),
            attempt: log.attempts,
            answered: false,
        }
    }

    /// Resolves once it isn't on the wire.
    pub(crate) async fn idle(&self) {
        let _ = self.out.subscribe().wait_for(|out| !out).await;
    }

    /// It was answered: what it used, by the provider's count, and how many tokens the answer might have had.
    pub(crate) fn admitted(&self, usage: Usage, allowed: u64) {
        self.stats.tokens.fetch_add(usage.total_tokens, Relaxed);
        if let Some(departed) = self.log().departed {
            let reserved = usage.prompt_tokens + usage.completion_tokens.max(allowed);
            let mut r#use = self
                .stats
                .r#use
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            r#use.add(
                departed,
                reserved.max(usage.total_tokens),
                usage.total_tokens,
            );
        }
    }

    /// What went wrong on all attempts but those that are still out.
    pub(crate) fn take_troubles(&self) -> Vec<Trouble> {
        std::mem::take(&mut self.log().troubles)
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that is on the wire.
#[derive(Debug)]
#[must_use = "an attempt that is dropped counts as given up"]
pub(crate) struct Departure {
    wire: Arc<Wire>,
    attempt: u32,
    answered: bool,
}

impl Departure {
    /// There is an answer: the request is through, nothing may stop it any more.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }

    /// The provider has refused it or failed.
    pub(crate) fn failed(self, trouble: Trouble) {
        if trouble.status == Some(429) {
            self.wire.stats.rate_limited.fetch_add(1, Relaxed);
        }
        let last = match trouble.status {
            Some(status) => format!("HTTP {status}"),
            None => trouble.message.clone(),
        };
        *self
            .wire
            .stats
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = last;
        self.wire.log().troubles.push(Trouble {
            attempt: Some(self.attempt),
            ..trouble
        });
    }

    /// There was no answer.
    pub(crate) fn broke(self, error: &BoxError) {
        self.failed(Trouble::new(chain(error.as_ref())));
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        if !self.answered {
            self.wire.out.send_replace(false);
        }
    }
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(total: u64) -> Usage {
        Usage {
            prompt_tokens: 10,
            completion_tokens: total - 10,
            total_tokens: total,
        }
    }

    async fn utilisation(limit: u64, allowed: u64) -> Option<f64> {
        let stats = Arc::new(Stats::new(Duration::from_secs(10), Some(limit)));
        for total in [60, 30, 100, 70, 50] {
            let wire = Wire::new(&stats);
            wire.departs().answered();
            wire.admitted(usage(total), allowed);
            tokio::time::advance(Duration::from_secs(6)).await;
        }
        assert_eq!(stats.summary().attempts, 5);
        assert_eq!(stats.summary().tokens, 310);
        stats.summary().utilisation
    }

    #[tokio::test(start_paused = true)]
    async fn use_counts_whole_windows_only() {
        // At 0, 6, 12, 18 and 24 s: two whole windows.
        assert_eq!(utilisation(200, 0).await, Some(260.0 / 400.0));
    }

    #[tokio::test(start_paused = true)]
    async fn use_counts_what_was_reserved_unless_it_was_given_back() {
        assert_eq!(
            utilisation(200, 80).await,
            Some((3 * 90 + 100) as f64 / 400.0)
        );
        assert_eq!(utilisation(150, 80).await, Some(260.0 / 300.0));
    }

    #[test]
    fn a_run_shorter_than_a_window_has_no_use() {
        let stats = Arc::new(Stats::new(Duration::from_secs(10), Some(100)));
        let wire = Wire::new(&stats);
        let refused = Trouble {
            status: Some(429),
            ..Trouble::new("wait")
        };
        wire.departs().failed(refused);
        assert_eq!(stats.summary().utilisation, None);
        assert_eq!(stats.summary().rate_limited, 1);
        let troubles = wire.take_troubles();
        assert_eq!(
            (troubles[0].attempt, troubles[0].status),
            (Some(1), Some(429))
        );
    }
}
