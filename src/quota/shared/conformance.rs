//! What every store has to do, to be tried on any.
//!
//! ```
//! use tower_quota::quota::shared::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let store = MemoryStore::new();
//! // However time passes there: for a real server by sleeping, or by a clock that the test sets.
//! let passes = async |span| tokio::time::advance(span).await;
//! conformance::check(&store, 7, passes).await.unwrap();
//! # }
//! ```

use std::time::Duration;

use super::{PoolId, QuotaStore};
use crate::core::{
    dice::Seeded,
    pool::{Adjust, Ask, Call, Change, Decision, Pool, PoolLimit, PoolShape, Reply, Stamp},
};

/// How many calls each pool gets.
const CALLS: usize = 120;
const SECOND: u64 = 1_000_000;

const fn limit(shape: PoolShape, amount: u64, seconds: u64) -> PoolLimit {
    let window = seconds * SECOND;
    PoolLimit {
        shape,
        amount,
        window,
        transit: window / 64,
        step: window / 60,
        burst: 0,
        ends: [0; 2],
    }
}

/// Pools of all shapes, alone and together.
fn pools() -> Vec<Vec<PoolLimit>> {
    let rolling = limit(PoolShape::Rolling, 40, 6);
    let bucket = limit(PoolShape::Bucket, 30, 5);
    let fixed = limit(PoolShape::Fixed, 50, 8);
    vec![
        vec![rolling],
        vec![PoolLimit {
            burst: 5,
            ..rolling
        }],
        vec![bucket],
        vec![PoolLimit {
            burst: 12,
            ..bucket
        }],
        vec![fixed],
        vec![PoolLimit { burst: 9, ..fixed }],
        vec![rolling, limit(PoolShape::Rolling, 1_000, 60), bucket, fixed],
    ]
}

/// Puts a store to the test: random calls, by three processes, to pools of all shapes. Each answer has to be what the arithmetic of
/// [`MemoryStore`](super::MemoryStore) gives at the instant that it tells. `passes` lets time pass by the store's clock.
///
/// It takes about ten minutes by that clock, and 900 calls.
///
/// # Errors
///
/// What was asked, what was answered, and what should have been.
pub async fn check<S: QuotaStore + ?Sized>(
    store: &S,
    seed: u64,
    mut passes: impl AsyncFnMut(Duration),
) -> Result<(), String> {
    for (number, limits) in pools().into_iter().enumerate() {
        let pool = PoolId::new(&format!("conformance-{seed}-{number}"));
        let mut trial = Trial {
            dice: Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number as u64 + 1)),
            limits,
            model: None,
            stamps: Vec::new(),
            seqs: [0; 3],
            heard: [0; 3],
            epoch: 0,
            ends: false,
        };
        let mut last: Option<(Call, Reply)> = None;
        for step in 0..CALLS {
            trial.ends = step > CALLS * 9 / 10;
            let span = trial.dice.below(4).pow(2) * trial.dice.below(SECOND / 4);
            passes(Duration::from_micros(span)).await;
            // One of which nothing was done may be answered anew.
            let again = last
                .take()
                .filter(|(_, reply)| !reply.lost && trial.dice.below(8) == 0);
            let call = again
                .as_ref()
                .map_or_else(|| trial.call(), |(call, _)| call.clone());
            let reply = store.call(&pool, &trial.limits, &call).await;
            let reply = reply.map_err(|error| format!("{pool}, call {step}: {error}"))?;
            let expected = match again {
                Some((_, reply)) => reply,
                None => Pool::call(&mut trial.model, reply.now.0, &trial.limits, &call),
            };
            if reply != expected {
                return Err(format!(
                    "{pool}, call {step}: {call:?} was answered {reply:?} instead of {expected:?}"
                ));
            }
            trial.hear(&call, &reply);
            if step == 0 {
                trial.set_ends(reply.now.0);
            }
            last = Some((call, reply));
        }
    }
    Ok(())
}

struct Trial {
    dice: Seeded,
    limits: Vec<PoolLimit>,
    model: Option<Pool>,
    stamps: Vec<Stamp>,
    seqs: [u64; 3],
    heard: [u64; 3],
    epoch: u64,
    // Figures without sense come last: whatever is owed for them is owed for long.
    ends: bool,
}

impl Trial {
    /// Windows that are fixed to a calendar get their boundaries once the store's clock is known, every other time.
    fn set_ends(&mut self, now: u64) {
        if self.dice.below(2) == 0 {
            for limit in self
                .limits
                .iter_mut()
                .filter(|limit| limit.shape == PoolShape::Fixed)
            {
                limit.ends = [
                    now + limit.window / 3,
                    now + limit.window / 3 + limit.window,
                ];
            }
        }
    }

    fn costs(&mut self, most: u64) -> Vec<u64> {
        let limits = self.limits.len();
        (0..limits)
            .map(|_| {
                if self.dice.below(6) == 0 {
                    0
                } else {
                    self.dice.below(most)
                }
            })
            .collect()
    }

    fn call(&mut self) -> Call {
        let process = self.dice.below(3) as usize;
        self.seqs[process] += 1;
        let changes = self.dice.below(3);
        let adjusts = (0..changes).map(|_| self.adjust()).collect();
        let asks = self.dice.below(4);
        let asks = (0..asks).map(|_| {
            let horizon = self.dice.below(3) * SECOND;
            let beside = if self.dice.below(4) == 0 {
                self.dice.below(400_000) as u32
            } else {
                0
            };
            let most = if self.dice.below(10) == 0 { 60 } else { 12 };
            Ask {
                cost: self.costs(most),
                horizon,
                beside,
            }
        });
        let asks = asks.collect();
        // Sometimes one that the store has never had: it takes itself to have gone back in time.
        let rewound = u64::from(self.dice.below(40) == 0);
        Call {
            process: process as u64 + 1,
            seq: self.seqs[process],
            heard: self.heard[process] + rewound * 1_000,
            // Sometimes that of a life that is over.
            epoch: if self.dice.below(12) == 0 {
                self.epoch + 1
            } else {
                self.epoch
            },
            fresh: 1_000 + self.dice.below(1_000),
            clock: 0,
            beat: self.dice.below(4) == 0,
            adjusts,
            asks,
        }
    }

    fn adjust(&mut self) -> Adjust {
        let stamps = self.stamps.len().min(12);
        let stamp = if stamps == 0 {
            Stamp(self.dice.below(SECOND))
        } else {
            self.stamps[self.stamps.len() - 1 - self.dice.below(stamps as u64) as usize]
        };
        let change = match self.dice.below(19) {
            0..4 => Change::Late,
            4..8 => Change::Back(stamp),
            8..12 => Change::Unsent(stamp),
            12 => Change::Replay(self.dice.below(7 * SECOND)),
            13 => Change::Foreign(self.dice.below(3 * SECOND)),
            14 => Change::Outside,
            15 => Change::Sent(self.dice.below(7 * SECOND)),
            16 => Change::Reserved(self.dice.below(3 * SECOND)),
            17 => Change::Replayed(self.dice.below(5)),
            _ if self.dice.below(2) == 0 => Change::Resume,
            _ => Change::Pause(self.dice.below(SECOND)),
        };
        let mut cost = self.costs(6);
        if self.ends && self.dice.below(3) == 0 {
            cost.fill(u64::MAX);
        }
        Adjust { change, cost }
    }

    fn hear(&mut self, call: &Call, reply: &Reply) {
        if reply.epoch != self.epoch {
            self.heard = [0; 3];
        }
        self.epoch = reply.epoch;
        if !reply.lost {
            self.heard[call.process as usize - 1] = call.seq;
        }
        self.stamps.extend(
            reply
                .decisions
                .iter()
                .filter_map(|decision| match decision {
                    Decision::Granted { at, .. } => Some(*at),
                    _ => None,
                }),
        );
    }
}
