//! What was used of the limits, from the beginning of the run to its end.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};
use tower_quota::{LimitId, Quota};

use super::stats::Stats;

/// More than these can't be told apart on a screen; of a longer run, fewer an hour are kept.
const MOST: usize = 720;

/// One look at the quota.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// Of each limit, in their order, what counts against it.
    pub(crate) used: Vec<u64>,
    pub(crate) in_flight: u64,
    pub(crate) waiting: u64,
    /// How many 429s there were so far.
    pub(crate) refused: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) limits: Vec<LimitId>,
    pub(crate) samples: Vec<Sample>,
    every: Duration,
}

impl History {
    pub(crate) fn new(minute: Duration) -> Self {
        Self {
            limits: Vec::new(),
            samples: Vec::new(),
            every: (minute / 120).clamp(Duration::from_millis(20), Duration::from_secs(1)),
        }
    }

    /// Looks at `quota` now and then, until it is told to end.
    pub(crate) fn follow(self, quota: Quota, stats: Arc<Stats>) -> Following {
        let history = Arc::new(Mutex::new(self));
        let task = {
            let (history, quota, stats) = (Arc::clone(&history), quota.clone(), Arc::clone(&stats));
            tokio::spawn(async move {
                loop {
                    let every = look(&history, &quota, &stats);
                    sleep(every).await;
                }
            })
        };
        Following {
            history,
            quota,
            stats,
            task,
        }
    }

    fn add(&mut self, sample: Sample) {
        if self.samples.len() >= MOST {
            self.thin_out();
        }
        self.samples.push(sample);
    }

    // Of two, what was most; peaks are what a picture of limits is looked at for.
    fn thin_out(&mut self) {
        let pairs = self.samples.chunks(2).map(|pair| {
            let mut most = pair[0].clone();
            for other in &pair[1..] {
                for (used, other) in most.used.iter_mut().zip(&other.used) {
                    *used = (*used).max(*other);
                }
                most.in_flight = most.in_flight.max(other.in_flight);
                most.waiting = most.waiting.max(other.waiting);
                most.refused = most.refused.max(other.refused);
            }
            most
        });
        self.samples = pairs.collect();
        self.every = self.every.saturating_mul(2);
    }
}

fn look(history: &Mutex<History>, quota: &Quota, stats: &Stats) -> Duration {
    let snapshot = quota.snapshot();
    let sample = Sample {
        at: stats.begin.elapsed(),
        used: (snapshot.limits.iter())
            .map(|limit| limit.used + limit.held)
            .collect(),
        in_flight: snapshot.in_flight as u64,
        waiting: snapshot.waiting as u64,
        refused: stats.rate_limited.load(Relaxed),
    };
    let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
    history.limits = snapshot.limits.iter().map(|limit| limit.limit).collect();
    history.add(sample);
    history.every
}

/// A history that is being written.
#[derive(Debug)]
pub(crate) struct Following {
    history: Arc<Mutex<History>>,
    quota: Quota,
    stats: Arc<Stats>,
    task: JoinHandle<()>,
}

impl Following {
    /// All of it, this moment included.
    pub(crate) async fn end(self) -> History {
        self.task.abort();
        let _ = self.task.await;
        look(&self.history, &self.quota, &self.stats);
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_its_peaks_and_no_more_samples_than_can_be_seen() {
        let mut history = History::new(Duration::from_secs(60));
        let mut at = Duration::ZERO;
        for n in 0..10_000 {
            history.add(Sample {
                at,
                used: vec![if n == 4_321 { 7 } else { 1 }],
                ..Sample::default()
            });
            at += history.every;
        }
        assert!(history.samples.len() <= MOST);
        assert_eq!(history.samples[0].at, Duration::ZERO);
        assert_eq!(history.samples.iter().filter(|s| s.used == [7]).count(), 1);
        assert!(history.every > Duration::from_secs(3_600));
    }
}
