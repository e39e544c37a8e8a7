//! What a process knows of a pool.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{demand::Demand, desk::number, outage::Local};
use crate::core::{
    pool::{Adjust, Ask, Call, Change, Decision, PoolLimit, Reply, Stamp},
    queue::Who,
};

/// Processes say about so often that they are alive, with a call that they make anyway.
const BEAT: Duration = Duration::from_secs(15);
/// A call that wasn't answered for so long isn't repeated: the store may have forgotten the process.
const REPEATED: Duration = Duration::from_secs(30);
/// A pool knows of a process for so long after it has told that it is alive.
const KNOWN: Duration = Duration::from_secs(60);

/// A call that may or may not have been done.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) call: Call,
    pub(super) limits: Vec<PoolLimit>,
    pub(super) since: Instant,
}

/// Until when a pool that loses its state has to learn from a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// Something that was sent here counts.
    pub(super) counts: Instant,
    /// The pool knows of it, and waits for it.
    pub(super) known: Instant,
    /// How long something counts.
    pub(super) longest: Duration,
}

/// Who is in front of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) who: Who,
    pub(super) cost: Vec<u64>,
    pub(super) beside: u32,
    pub(super) since: Instant,
}

impl Head {
    pub(super) fn new(who: Who, ask: &Ask, since: Instant) -> Self {
        let (cost, beside) = (ask.cost.clone(), ask.beside);
        Self {
            who,
            cost,
            beside,
            since,
        }
    }

    /// Whether what was said of it is of that ask.
    pub(super) fn is(&self, who: Who, ask: &Ask) -> bool {
        (self.who, &self.cost, self.beside) == (who, &ask.cost, ask.beside)
    }
}

/// What a process knows of a pool, and has yet to tell it.
#[derive(Debug, Default)]
pub(super) struct Talk {
    // Whose calls these are, 0 before the first: another line of the same pool in this process is another's.
    process: u64,
    pub(super) seq: u64,
    /// The last call that was answered in this life of the pool.
    answered: u64,
    pub(super) epoch: u64,
    beat: Option<Instant>,
    /// The store's clock, and when it showed that.
    clock: Option<(Instant, u64)>,
    pub(super) heard: Option<Instant>,
    pub(super) used: Vec<u64>,
    pub(super) doubtful: Vec<u64>,
    pub(super) processes: u32,
    /// What was granted here and counts, by its date.
    own: VecDeque<(u64, Vec<u64>)>,
    /// How long something counts.
    longest: u64,
    /// Of the limit that is dated most finely the step and the transit.
    fine: (u64, u64),
    /// What left while the store couldn't be reached.
    owed: Vec<(Instant, Vec<u64>)>,
    pub(super) unanswered: Option<Unanswered>,
    /// The pool has lost its state, and whether it was found out by this process.
    lost: Option<bool>,
    /// Who is in front of the line, since when, and not granted before.
    pub(super) head: Option<Head>,
    /// Before that it isn't granted.
    pub(super) wait: Option<Instant>,
    /// The limits' amounts when that was heard: of others it says nothing.
    pub(super) amounts: Vec<u64>,
    pub(super) local: Option<Local>,
    pub(super) retry: Option<Instant>,
    pub(super) failures: u32,
    /// When the share of this process alone grants more.
    pub(super) alone: Option<Instant>,
    /// What is to be told with the next call, by limit; and whether that is made for its sake.
    pub(super) changes: Vec<(usize, Change, u64)>,
    pub(super) owing: bool,
    /// The store is to be heard.
    pub(super) looks: bool,
    kept: Vec<Adjust>,
    /// Those for whom the last call asked, in order.
    pub(super) asked: Vec<Who>,
    pub(super) closed: bool,
    pub(super) demand: Demand,
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Talk {
    /// Until when others wait for what it has to replay, were the pool to lose its state.
    pub(super) fn until(&self) -> Option<Until> {
        let (heard, clock) = self.clock?;
        let end = self.own.back().map_or(0, |(last, _)| last + self.longest);
        let counts = heard + Duration::from_micros(end.saturating_sub(clock));
        Some(Until {
            counts,
            known: counts.max(heard + KNOWN),
            longest: Duration::from_micros(self.longest),
        })
    }

    /// What the store's clock shows now; 0 where it was never heard.
    pub(super) fn clock(&self, now: Instant) -> u64 {
        self.clock.map_or(0, |(at, clock)| {
            clock + micros(now.saturating_duration_since(at))
        })
    }

    /// Whether there is something to be said whatever is asked for.
    pub(super) const fn owes(&self) -> bool {
        self.lost.is_some() || !self.owed.is_empty()
    }

    /// The next call.
    pub(super) fn call(&mut self, fresh: u64, limits: &[PoolLimit], now: Instant) -> Call {
        let mut adjusts = Vec::new();
        // A pool that begins anew knows its clock better.
        let clock = if self.lost.is_some() {
            0
        } else {
            self.clock(now)
        };
        if let Some(created) = self.lost.take() {
            self.replay(created, limits.len(), now, &mut adjusts);
        }
        let told = adjusts.len();
        for (at, cost) in self.owed.drain(..) {
            adjusts.push(Adjust {
                change: Change::Sent(micros(now.saturating_duration_since(at))),
                cost,
            });
        }
        adjusts.append(&mut self.kept);
        for (limit, change, n) in std::mem::take(&mut self.changes) {
            let same = adjusts[told..]
                .iter_mut()
                .find(|adjust| adjust.change == change);
            match same {
                Some(adjust) => {
                    let sum = &mut adjust.cost[limit];
                    *sum = sum.saturating_add(n);
                }
                None => {
                    let mut cost = vec![0; limits.len()];
                    cost[limit] = n;
                    adjusts.push(Adjust { change, cost });
                }
            }
        }
        self.book(&adjusts[told..], limits, now);
        if self.process == 0 {
            // Whoever used this pool in this process before isn't answered in its stead.
            self.process = number();
        }
        self.seq += 1;
        let beaten = self.beat.map(|at| now.saturating_duration_since(at));
        let beat = beaten.is_none_or(|ago| ago >= BEAT);
        // Of those that haven't told for long that they live, the pool forgets the calls.
        let heard = beaten.map_or(0, |ago| if ago < REPEATED { self.answered } else { 0 });
        if beat {
            self.beat = Some(now);
        }
        Call {
            process: self.process,
            seq: self.seq,
            heard,
            epoch: self.epoch,
            fresh,
            clock,
            beat,
            adjusts,
            asks: Vec::new(),
        }
    }

    /// Everything of ours that counts; and who finds the pool empty tells what else was in it.
    fn replay(&self, created: bool, limits: usize, now: Instant, adjusts: &mut Vec<Adjust>) {
        let clock = self.clock(now);
        for (at, cost) in &self.own {
            let change = match at.checked_sub(clock) {
                Some(ahead) => Change::Reserved(ahead),
                None => Change::Replay(clock - *at),
            };
            adjusts.push(Adjust {
                change,
                cost: cost.clone(),
            });
        }
        if let (true, Some(heard)) = (created, self.heard) {
            let ago = micros(now.saturating_duration_since(heard));
            // Last, so that what is ours isn't taken from what is theirs.
            adjusts.push(Adjust {
                change: Change::Foreign(ago),
                cost: self.used.clone(),
            });
        }
        adjusts.push(Adjust {
            change: Change::Replayed(u64::from(self.processes)),
            cost: vec![0; limits],
        });
    }

    /// Keeps account of what counts for us over there.
    fn book(&mut self, adjusts: &[Adjust], limits: &[PoolLimit], now: Instant) {
        let clock = self.clock(now);
        for adjust in adjusts {
            match adjust.change {
                Change::Late => self.add(clock, &adjust.cost, limits, clock),
                Change::Back(at) | Change::Unsent(at) => {
                    let at = self.dated(at.0);
                    let later = self.own.partition_point(|(date, _)| *date <= at);
                    if let Some((_, cost)) =
                        later.checked_sub(1).and_then(|at| self.own.get_mut(at))
                    {
                        for (n, back) in cost.iter_mut().zip(&adjust.cost) {
                            *n = n.saturating_sub(*back);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The date under which that is kept: the middle of the slot in which it counts, so that it counts in the same one where it is
    /// told of a moment later.
    fn dated(&self, at: u64) -> u64 {
        let (step, transit) = self.fine;
        let slot = (at + transit).next_multiple_of(step.max(1));
        slot.saturating_sub(transit + step / 2)
    }

    /// So much of ours counts from then on, where the clock shows `now`.
    fn add(&mut self, at: u64, cost: &[u64], limits: &[PoolLimit], now: u64) {
        let longest = limits
            .iter()
            .map(|limit| limit.window + limit.transit + limit.step)
            .max()
            .unwrap_or(0);
        self.longest = longest;
        let fine = limits.iter().min_by_key(|limit| limit.step);
        self.fine = fine.map_or((1, 0), |limit| (limit.step, limit.transit));
        let at = self.dated(at);
        while self
            .own
            .front()
            .is_some_and(|(date, _)| date.saturating_add(longest) < now)
        {
            self.own.pop_front();
        }
        match self.own.back_mut() {
            Some((date, sum)) if at <= *date => {
                for (sum, n) in sum.iter_mut().zip(cost) {
                    *sum = sum.saturating_add(*n);
                }
            }
            _ => self.own.push_back((at, cost.to_vec())),
        }
    }

    /// What was answered. False where nothing was done, because the pool had lost its state.
    pub(super) fn hear(
        &mut self,
        call: &Call,
        limits: &[PoolLimit],
        reply: &Reply,
        now: Instant,
    ) -> bool {
        if reply.lost {
            self.lost = Some(reply.created || self.lost == Some(true));
            self.epoch = reply.epoch;
            // It doesn't know who is there either.
            (self.answered, self.beat) = (0, None);
            return false;
        }
        for adjust in &call.adjusts {
            if let Change::Sent(ago) = adjust.change {
                let at = reply.now.0.saturating_sub(ago);
                self.add(at, &adjust.cost, limits, reply.now.0);
            }
        }
        for (ask, decision) in call.asks.iter().zip(&reply.decisions) {
            if let Decision::Granted { at, .. } = decision {
                self.add(at.0, &ask.cost, limits, reply.now.0);
            }
        }
        self.epoch = reply.epoch;
        self.answered = call.seq;
        self.clock = Some((now, reply.now.0));
        self.heard = Some(now);
        self.used.clone_from(&reply.used);
        self.doubtful.clone_from(&reply.doubtful);
        self.processes = reply.processes;
        true
    }

    /// A call of which nothing was done: what it had to tell goes into the next.
    pub(super) fn keep(&mut self, call: Call, now: Instant) {
        for adjust in call.adjusts {
            match adjust.change {
                Change::Sent(ago) => {
                    let at = now.checked_sub(Duration::from_micros(ago));
                    self.owed.push((at.unwrap_or(now), adjust.cost));
                }
                Change::Outside | Change::Pause(_) | Change::Resume => self.kept.push(adjust),
                // What was given back, and what had been replayed, is in what is replayed now.
                _ => {}
            }
        }
    }

    /// What left without the store's knowledge.
    pub(super) fn owe(&mut self, cost: &[u64], at: Instant) {
        match self.owed.last_mut() {
            Some((last, sum))
                if at.saturating_duration_since(*last) < Duration::from_millis(100) =>
            {
                for (sum, n) in sum.iter_mut().zip(cost) {
                    *sum = sum.saturating_add(*n);
                }
            }
            _ => self.owed.push((at, cost.to_vec())),
        }
    }

    /// A call that is to be made again, if it still may be.
    pub(super) fn again(&mut self, now: Instant) -> Option<Unanswered> {
        let unanswered = self.unanswered.take()?;
        if now.saturating_duration_since(unanswered.since) < REPEATED {
            return Some(unanswered);
        }
        // What it had to tell is told anew: what was asked for, if it was granted, is forgotten in time.
        for adjust in unanswered.call.adjusts {
            match adjust.change {
                Change::Late | Change::Sent(_) => self.owe(&adjust.cost, unanswered.since),
                Change::Replayed(_) => self.lost = Some(self.lost == Some(true)),
                Change::Foreign(_) => self.lost = Some(true),
                _ => {}
            }
        }
        None
    }

    /// How old an answer is, by the clock that it tells.
    pub(super) fn age(&self, reply: &Reply, now: Instant) -> Duration {
        let Stamp(then) = reply.now;
        Duration::from_micros(self.clock(now).saturating_sub(then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_a_pool_up_again_is_not_answered_what_was_said_to_whoever_had_it() {
        let first = || Talk::default().call(2, &[], Instant::now());
        let (one, other) = (first(), first());
        assert_ne!(
            (one.process, one.seq),
            (other.process, other.seq),
            "a call is known by its process and number"
        );
        assert_eq!((one.heard, one.epoch), (0, 0));
    }
}
