//! What happens while the store can't be reached.

use std::time::Duration;

use tokio::time::Instant;

use super::talk::Talk;
use crate::core::pool::{Adjust, Ask, Call, Change, Decision, Pool, PoolLimit, PoolShape, Stamp};

/// What becomes of requests while the store can't be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreDown {
    /// Each process goes on with 0.8 of its share: of each limit, divided by the processes that the store has last seen, one by one at
    /// that pace. What the pool had used when it was last seen counts on. A process that never saw the store takes
    /// [`expected_processes`](super::SharedQuotaBuilder::expected_processes); where that isn't said either it refuses.
    #[default]
    LocalShare,
    /// Requests wait for the store; once it has been away for so long they are refused.
    Wait {
        /// So long.
        max: Duration,
    },
    /// Requests are refused.
    FailClosed,
    /// Everything goes at once: for limits that cost nothing to exceed.
    FailOpen,
}

/// What a process plans with of its share, in tenths.
const TENTHS: u64 = 8;
/// What is unknown is taken for spent evenly, in so many parts.
const PARTS: u64 = 8;
/// The local clock starts here, so that what was spent earlier has a date.
const EPOCH: u64 = 1 << 50;

/// A pool of a process's own share.
#[derive(Debug)]
pub(super) struct Local {
    pool: Option<Pool>,
    limits: Vec<PoolLimit>,
    began: Instant,
    seq: u64,
}

impl Local {
    /// A share among so many processes, seeded with what is known of the pool.
    pub(super) fn new(limits: &[PoolLimit], processes: u64, talk: &Talk, now: Instant) -> Self {
        let share =
            |n: u64| (u128::from(n) * u128::from(TENTHS) / (10 * u128::from(processes))) as u64;
        let limits: Vec<PoolLimit> = limits
            .iter()
            .map(|limit| PoolLimit {
                // What is kept of a bucket elsewhere isn't known: a rolling window is inside of any.
                shape: match limit.shape {
                    PoolShape::Fixed => PoolShape::Fixed,
                    _ => PoolShape::Rolling,
                },
                amount: share(limit.amount).max(1),
                burst: 1,
                ..*limit
            })
            .collect();
        let heard = talk
            .heard
            .map_or(Duration::MAX, |heard| now.saturating_duration_since(heard));
        let heard = u64::try_from(heard.as_micros()).unwrap_or(u64::MAX);
        let mut adjusts = Vec::new();
        if heard < u64::MAX {
            let of = |amounts: &[u64], at: usize| amounts.get(at).copied().unwrap_or(0);
            let used = limits.iter().enumerate().map(|(at, limit)| {
                share(of(&talk.used, at) + of(&talk.doubtful, at)).min(limit.amount)
            });
            adjusts.push(Adjust {
                change: Change::Replay(heard.min(EPOCH)),
                cost: used.collect(),
            });
        }
        // What others have spent since then, at the limits' own rates.
        for part in (1..=PARTS).rev() {
            let unknown = |limit: &PoolLimit| {
                let span = heard.min(limit.window);
                let ago = span * part / PARTS;
                let spent = u128::from(limit.amount) * u128::from(span) / u128::from(limit.window);
                (ago, (spent / u128::from(PARTS)) as u64)
            };
            for (at, limit) in limits.iter().enumerate() {
                let (ago, spent) = unknown(limit);
                let mut cost = vec![0; limits.len()];
                cost[at] = spent;
                adjusts.push(Adjust {
                    change: Change::Replay(ago),
                    cost,
                });
            }
        }
        let mut local = Self {
            pool: None,
            limits,
            began: now,
            seq: 0,
        };
        local.call(adjusts, Vec::new(), now);
        local
    }

    fn call(&mut self, adjusts: Vec<Adjust>, asks: Vec<Ask>, now: Instant) -> Vec<Decision> {
        self.seq += 1;
        let call = Call {
            process: 1,
            seq: self.seq,
            fresh: 1,
            adjusts,
            asks,
            ..Call::default()
        };
        let since = now.saturating_duration_since(self.began).as_micros() as u64;
        Pool::call(&mut self.pool, EPOCH + since, &self.limits, &call).decisions
    }

    /// What the share grants. What is larger than it all waits for the store.
    pub(super) fn decide(&mut self, asks: Vec<Ask>, now: Instant) -> Vec<Decision> {
        let mut decisions = self.call(Vec::new(), asks, now);
        for decision in &mut decisions {
            match decision {
                Decision::Granted { at, .. } => *at = Stamp::default(),
                Decision::Never { limit } => {
                    *decision = Decision::Wait {
                        at_least: 1_000_000,
                        limit: *limit,
                    };
                }
                Decision::Wait { .. } => {}
            }
        }
        decisions
    }
}
