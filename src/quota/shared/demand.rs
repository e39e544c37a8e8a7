//! What a process uses, to ask for as much ahead.

use std::time::Duration;

use tokio::time::Instant;

/// What has left of late.
#[derive(Debug, Default)]
pub(super) struct Demand {
    since: Option<Instant>,
    taken: Vec<u64>,
    /// What leaves in a lease, by limit.
    lately: Vec<u64>,
}

/// A lease is of at least so many requests: for fewer it spares nothing.
const LEAST: u64 = 8;

impl Demand {
    /// So much more has left.
    pub(super) fn note(&mut self, taken: &[u64], lease: Duration, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.taken.resize(taken.len(), 0);
        self.lately.resize(taken.len(), 0);
        self.taken
            .iter_mut()
            .zip(taken)
            .for_each(|(sum, n)| *sum += n);
        let span = now.saturating_duration_since(since);
        if span >= lease {
            for (lately, sum) in self.lately.iter_mut().zip(&mut self.taken) {
                *lately = (u128::from(*sum) * lease.as_micros() / span.as_micros().max(1)) as u64;
                *sum = 0;
            }
            self.since = Some(now);
        }
    }

    /// What is to be asked for ahead, when so much is in stock and somebody asks for `cost` anyway.
    pub(super) fn ahead(&self, free: &[u64], cost: &[u64]) -> Option<Vec<u64>> {
        let wanted = self
            .lately
            .iter()
            .zip(free)
            .map(|(lately, free)| lately.saturating_sub(*free));
        let wanted: Vec<u64> = wanted.collect();
        let worth = cost
            .iter()
            .zip(&wanted)
            .any(|(cost, wanted)| *cost > 0 && wanted / cost >= LEAST);
        worth.then_some(wanted)
    }
}
