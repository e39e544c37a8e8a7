//! A pool that many processes share, as a store keeps it: arithmetic only, in whole microseconds.
//!
//! The script of the Redis store does the same, number for number; sums stay below 2^53, where doubles are exact.

mod account;
mod adjust;
mod call;
mod fair;
mod rate;
mod roll;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use self::call::{Adjust, Ask, Call, Change, Decision, PoolLimit, PoolShape, Reply, Stamp};
pub(crate) use self::roll::ahead;
use self::{
    account::Dim,
    fair::{Fair, Had, Turn, part},
    roll::{AGAIN, Roll},
};

/// Nothing is granted for so long after a pool has lost its state, while those who have used it replay what they have sent.
const LEARNING: u64 = 250_000;
/// The store's clock is taken to have been set where it is so much away from what a process expects.
const STEPPED: u64 = 5_000_000;
/// What was called less long ago knows the clock better than whoever expects another.
const RECENT: u64 = 1_000_000;
/// A process that hasn't told for so long that it is alive isn't.
const ALIVE: u64 = 60_000_000;

/// The state of one pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    epoch: u64,
    /// Nobody is granted anything earlier than whoever came before.
    last: u64,
    paused: u64,
    learning: u64,
    foreign_at: u64,
    roll: Roll,
    /// What the clock that counts is behind the store's, because that was set.
    skew: i64,
    seen: u64,
    fair: Fair,
    dims: Vec<Dim>,
    processes: HashMap<u64, u64>,
    known: HashMap<u64, Known>,
}

/// What is known of a process: its last call and the answer to it, and what it has had.
#[derive(Clone, Debug)]
struct Known {
    seq: u64,
    reply: Reply,
    had: Had,
}

impl Pool {
    fn new(limits: usize, epoch: u64) -> Self {
        Self {
            epoch,
            last: 0,
            paused: 0,
            learning: 0,
            foreign_at: 0,
            roll: Roll::default(),
            skew: 0,
            seen: 0,
            fair: Fair::default(),
            dims: vec![Dim::default(); limits],
            processes: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// What the clock that counts shows when the store's shows `raw`.
    fn clock(&mut self, raw: u64, expected: u64) -> u64 {
        let now = raw.saturating_add_signed(-self.skew);
        let off = now.abs_diff(expected);
        // Somebody has called a moment ago, by this very clock.
        let known = now >= self.seen && now - self.seen < RECENT;
        if expected > 0 && off > STEPPED && !known {
            self.skew = raw as i64 - expected as i64;
            return expected;
        }
        now
    }

    /// Whether it has gone back to before something that it has answered.
    fn lacks(&self, call: &Call) -> bool {
        let last = self.known.get(&call.process).map(|known| known.seq);
        call.epoch == self.epoch && last.unwrap_or(0) < call.heard
    }

    /// Does what a call asks for. `raw` is what the store's clock shows.
    pub(crate) fn call(
        pool: &mut Option<Self>,
        raw: u64,
        limits: &[PoolLimit],
        call: &Call,
    ) -> Reply {
        if pool.as_ref().is_some_and(|pool| pool.lacks(call)) {
            *pool = None;
        }
        let created = pool.is_none();
        let pool = pool.get_or_insert_with(|| Self::new(limits.len(), call.fresh));
        if !created
            && let Some(known) = pool.known.get(&call.process)
            && known.seq == call.seq
        {
            return known.reply.clone();
        }
        if call.epoch != 0 && call.epoch != pool.epoch {
            let now = raw.saturating_add_signed(-pool.skew);
            // Somebody new, who knew of no life before, may have been there earlier.
            let first = pool.learning == 0;
            if first {
                pool.learning = now + LEARNING;
            }
            return Reply {
                epoch: pool.epoch,
                created: first,
                lost: true,
                now: Stamp(now),
                processes: pool.processes.len() as u32,
                ..Reply::default()
            };
        }
        let now = pool.clock(raw, call.clock);
        pool.seen = now;
        if call.beat || created {
            pool.processes.insert(call.process, raw);
            let alive = |seen: u64| seen + ALIVE >= raw;
            for (gone, _) in pool.processes.extract_if(|_, seen| !alive(*seen)) {
                pool.known.remove(&gone);
            }
        }
        // What stands further ahead than anything can have been reserved is of a clock that was set.
        let furthest = limits
            .iter()
            .map(|limit| limit.window + limit.transit)
            .max();
        if pool.last > now.saturating_add(2 * furthest.unwrap_or(0)) {
            pool.last = now;
        }
        let learnt = pool.learnt(limits);
        for (dim, limit) in pool.dims.iter_mut().zip(limits) {
            dim.advance(limit, now);
            dim.doubts_no_longer(limit, &learnt, now);
        }
        pool.waits_no_longer(limits, now);
        for adjust in &call.adjusts {
            pool.adjust(limits, adjust, now);
        }
        let window = limits.iter().map(|limit| limit.window).min().unwrap_or(1);
        let known = pool.known.get(&call.process).map(|known| known.had);
        let (mut had, mut turn) =
            pool.fair
                .enter(known, pool.processes.len(), (call.process, now, window));
        let dims = pool.dims.iter().zip(limits);
        let rooms = dims.map(|(dim, limit)| {
            limit.holds().saturating_sub(dim.used(limit, now)) as f64 / limit.amount as f64
        });
        turn.room = rooms.fold(f64::INFINITY, f64::min);
        let mut decisions = Vec::with_capacity(call.asks.len());
        for ask in &call.asks {
            decisions.push(pool.decide(limits, ask, &mut had, &mut turn));
        }
        let is_granted = |decision: &Decision| matches!(decision, Decision::Granted { .. });
        let all = !decisions.is_empty() && decisions.iter().all(is_granted);
        let its_turn = decisions.iter().any(|decision| match decision {
            Decision::Wait { limit, .. } => *limit < limits.len(),
            other => is_granted(other),
        });
        pool.fair.leave(&mut had, its_turn, all, &turn);
        let dims = pool.dims.iter().zip(limits);
        let reply = Reply {
            epoch: pool.epoch,
            created,
            lost: false,
            now: Stamp(now),
            processes: pool.users(now),
            used: dims
                .clone()
                .map(|(dim, limit)| dim.known(limit, now))
                .collect(),
            doubtful: dims.map(|(dim, limit)| dim.doubtful(limit, now)).collect(),
            outside: pool.dims.iter().map(|dim| dim.outside).collect(),
            decisions,
        };
        let known = Known {
            seq: call.seq,
            reply: reply.clone(),
            had,
        };
        pool.known.insert(call.process, known);
        reply
    }

    fn decide(
        &mut self,
        limits: &[PoolLimit],
        ask: &Ask,
        had: &mut Had,
        turn: &mut Turn,
    ) -> Decision {
        let (all, now) = (limits.len(), turn.now);
        for (limit, (of, cost)) in limits.iter().zip(&ask.cost).enumerate() {
            if *cost > of.holds() {
                return Decision::Never { limit };
            }
        }
        // Nothing ahead either, before all have replayed.
        if now < self.learning {
            return Decision::Wait {
                at_least: self.learning - now,
                limit: all,
            };
        }
        let part = part(limits, &ask.cost);
        let mut short = false;
        if part > 0.0 {
            let over = |at| {
                let left = self.left(limits, &ask.cost, at) * part;
                self.fair.is_over(had, left, turn)
            };
            // Of what is asked for at least as much is left as of everything: then there is no need to look.
            short = !(self.fair.is_over(had, turn.room, turn)
                && over(now)
                && over(now.saturating_add(ask.horizon)));
            if short {
                self.fair.asks(turn);
            } else if let Some(at_least) = self.fair.puts_off(had, turn) {
                return Decision::Wait {
                    at_least,
                    limit: all,
                };
            }
        }
        let mut blame = all;
        let mut at = now.max(self.last).max(self.paused);
        loop {
            let before = at;
            for (index, (dim, limit)) in self.dims.iter_mut().zip(limits).enumerate() {
                let cost = ask.cost[index];
                if cost > 0 {
                    let earliest = dim.earliest(limit, cost, ask.beside, at);
                    if earliest > at {
                        (at, blame) = (earliest, index);
                    }
                }
            }
            if at == before {
                break;
            }
        }
        if at > now.saturating_add(ask.horizon) {
            if short {
                self.fair.claims(at - now - ask.horizon, turn);
            }
            if self.dims.iter().any(|dim| dim.doubt > 0) {
                return Decision::Wait {
                    at_least: AGAIN.min(at - now),
                    limit: all,
                };
            }
            return Decision::Wait {
                at_least: at - now,
                limit: blame,
            };
        }
        self.last = at;
        self.fair.add(had, part, turn);
        for ((dim, limit), cost) in self.dims.iter_mut().zip(limits).zip(&ask.cost) {
            if *cost > 0 {
                dim.charge(limit, *cost, at);
            }
        }
        Decision::Granted {
            send_in: at - now,
            at: Stamp(at),
        }
    }

    /// How often that fits into what is left at an instant, of what is granted so far.
    fn left(&self, limits: &[PoolLimit], cost: &[u64], at: u64) -> f64 {
        let dims = self.dims.iter().zip(limits).zip(cost);
        let fits = dims.filter(|(_, n)| **n > 0).map(|((dim, limit), n)| {
            let free = limit.holds().saturating_sub(dim.used(limit, at));
            free as f64 / *n as f64
        });
        fits.fold(f64::INFINITY, f64::min)
    }
}
