//! What a line has to say to the store, and what it makes of the answer. Decided under the line's lock, sent outside of it.

use std::time::Duration;

use tokio::time::Instant;

use super::desk::Desk;
use crate::{
    core::{
        cost::Cost,
        ledger::{Ledger, Spare},
        limit::{Limit, Shape},
        meter::Meter,
        pool::{Ask, Change, Decision, PoolLimit, Reply, Stamp, ahead},
        queue::Who,
        time::{Time, nanos},
    },
    error::{Reason, Rejected},
    quota::{calendar, line::Line, sync::Arc},
};

/// So much is asked for at once.
pub(super) const AT_ONCE: usize = 64;

/// What a line has to say.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) limits: Vec<PoolLimit>,
    /// By limit.
    pub(super) changes: Vec<(usize, Change, u64)>,
    /// Whether they want to be told though nothing is asked for.
    pub(super) owes: bool,
    pub(super) asks: Vec<Ask>,
    /// Those who ask, in order.
    pub(super) who: Vec<Who>,
    /// How many wait.
    pub(super) waiting: usize,
    /// What has left since the last plan, and what is in stock that nobody here waits for; by limit.
    pub(super) taken: Vec<u64>,
    pub(super) free: Vec<u64>,
    /// When something in stock is to be given back.
    pub(super) sweep: Option<Instant>,
}

fn amounts(ledger: &Ledger, cost: &Cost) -> Vec<u64> {
    ledger
        .meters()
        .iter()
        .map(|meter| cost.of(meter.id().resource))
        .collect()
}

impl Line {
    pub(in crate::quota) fn desk(&self) -> Option<&Arc<Desk>> {
        self.shared.as_ref()
    }

    /// The store is to be heard.
    pub(super) fn look_up(&self) {
        if let Some(desk) = &self.shared {
            desk.look();
        }
    }

    /// Somebody waits whom only the store can help.
    pub(in crate::quota) fn in_demand(&self) {
        if let Some(desk) = &self.shared {
            desk.wake();
        }
    }

    /// Somebody was refused whom the store could have helped; it is asked for as much, for whoever comes next.
    #[cold]
    pub(in crate::quota) fn wished(&self, cost: &Cost, rejected: &Rejected) {
        if let Some(desk) = self
            .shared
            .as_ref()
            .filter(|_| rejected.reason == Reason::LimitReached)
        {
            desk.wish(cost);
        }
    }

    /// Looks after what is in stock, and says what is to be told and asked. What nobody wants for longer than `keep` goes back.
    pub(super) fn plan(&self, desk: &Desk, keep: Duration, wall: u64) -> Plan {
        let mut plan = Plan::default();
        let wish = desk.take_wish();
        let now = self.now();
        let settings = self.settings();
        let mut state = self.lock();
        let state = &mut *state;
        let (ledger, queue) = (&mut state.ledger, &mut state.queue);
        let now = ledger.advance(now);
        queue.take_back(ledger, now);
        for (index, meter) in ledger.meters_mut().iter_mut().enumerate() {
            let held = meter.held();
            let braked = meter.braked();
            let Some(stock) = meter.stock_mut() else {
                continue;
            };
            stock.sweep(held, nanos(keep), now);
            plan.owes |= stock.owes();
            plan.taken.push(stock.taken());
            let changes = stock.take_changes().into_iter();
            let heard = changes.filter(|(change, _)| {
                !matches!(change, Change::Back(Stamp(0)) | Change::Unsent(Stamp(0)))
            });
            plan.changes
                .extend(heard.map(|(change, n)| (index, change, n)));
            let mut limit = *stock.limit();
            limit.ends = ends(settings.limits.get(index), wall);
            if let Some(burst) =
                braked.filter(|_| limit.shape != crate::core::pool::PoolShape::Bucket)
            {
                limit.burst = if limit.burst == 0 {
                    burst
                } else {
                    limit.burst.min(burst)
                };
            }
            plan.limits.push(limit);
            let sweep = stock.oldest().map(|at| at.after(keep).max(now));
            let sweep = sweep.map(|at| Instant::now() + at.since(now) + Duration::from_millis(1));
            plan.sweep = [plan.sweep, sweep].into_iter().flatten().min();
        }
        let free = |meter: &Meter| {
            meter
                .stock()
                .map_or(0, |stock| stock.total().saturating_sub(meter.held()))
        };
        let mut left: Vec<u64> = ledger.meters().iter().map(free).collect();
        let mut places = ledger.room_in_flight().saturating_sub(ledger.in_flight());
        let horizon = ahead(&plan.limits);
        let mut covers = |cost: &[u64]| {
            let covered = left.iter().zip(cost).all(|(left, n)| n <= left);
            if covered {
                left.iter_mut().zip(cost).for_each(|(left, n)| *left -= n);
            }
            covered
        };
        plan.waiting = queue.waiting();
        queue.in_order(now, |who, cost, slot, spare| {
            if slot && places == 0 {
                return false;
            }
            places -= usize::from(slot);
            let cost = amounts(ledger, cost);
            if !covers(&cost) {
                plan.who.push(who);
                plan.asks.push(Ask {
                    cost,
                    horizon,
                    beside: spare.in_millionths(),
                });
            }
            plan.asks.len() < AT_ONCE
        });
        if let Some(cost) = wish.filter(|_| plan.asks.is_empty()) {
            let cost = amounts(ledger, &cost);
            if !covers(&cost) {
                plan.asks.push(Ask {
                    cost,
                    horizon: 0,
                    beside: 0,
                });
            }
        }
        plan.free = left;
        plan
    }

    /// What was asked for was answered; `late`: so long ago.
    pub(super) fn answered(
        &self,
        asks: &[Ask],
        decisions: &[Decision],
        reply: Option<&Reply>,
        late: Duration,
    ) {
        let now = self.now();
        let mut state = self.lock();
        let ledger = &mut state.ledger;
        let now = ledger.advance(now);
        if let Some(reply) = reply {
            for (index, meter) in ledger.meters_mut().iter_mut().enumerate() {
                if let Some(stock) = meter.stock_mut() {
                    stock.hear(index, reply, now);
                }
            }
        }
        let since = Time::from_nanos(now.nanos().saturating_sub(nanos(late)));
        let mut waits = false;
        for (ask, decision) in asks.iter().zip(decisions) {
            match *decision {
                Decision::Granted { send_in, at } => {
                    let from = since.after(Duration::from_micros(send_in));
                    for (meter, n) in ledger.meters_mut().iter_mut().zip(&ask.cost) {
                        if let Some(stock) = meter.stock_mut().filter(|_| *n > 0) {
                            stock.put_in(*n, from, at, now);
                        }
                    }
                }
                Decision::Wait { at_least, limit } if !waits => {
                    waits = true;
                    let at = since.after(Duration::from_micros(at_least));
                    for (index, (meter, n)) in
                        ledger.meters_mut().iter_mut().zip(&ask.cost).enumerate()
                    {
                        let whole = Spare::millionths(ask.beside).whole(*n, meter);
                        if let Some(stock) = meter.stock_mut().filter(|_| *n > 0) {
                            let blamed = index == limit || limit >= ask.cost.len();
                            stock.hint(if blamed { at } else { Time::ZERO }, whole);
                        }
                    }
                }
                Decision::Wait { .. } | Decision::Never { .. } => {}
            }
        }
        drop(state);
        self.turn();
    }

    /// Whatever is asked for is refused from now on, or isn't any more.
    pub(super) fn close(&self, closed: bool) {
        let now = self.now();
        let mut changed = false;
        let mut state = self.lock();
        state.ledger.advance(now);
        for meter in state.ledger.meters_mut() {
            if let Some(stock) = meter.stock_mut() {
                changed |= stock.is_closed() != closed;
                stock.close(closed);
            }
        }
        drop(state);
        // Whatever is owed is told, or isn't, elsewhere: who closes may do so for being asked to tell.
        if changed {
            self.turn();
        }
    }

    /// Whether there is nothing to look after: nobody waits, nothing is in stock.
    pub(super) fn is_quiet(&self) -> bool {
        self.read(|ledger, waiting| {
            let empty = |meter: &Meter| meter.stock().is_none_or(|stock| stock.total() == 0);
            waiting == 0 && ledger.meters().iter().all(empty)
        })
    }

    /// Whether the store is to be told of what has changed, though nobody asks.
    pub(in crate::quota) fn owes(ledger: &Ledger) -> bool {
        ledger
            .meters()
            .iter()
            .any(|meter| meter.stock().is_some_and(|stock| stock.owes()))
    }
}

/// The next two boundaries of a window that is fixed to a calendar, after `wall`.
fn ends(limit: Option<&Limit>, wall: u64) -> [u64; 2] {
    let Some(limit) = limit.filter(|limit| matches!(limit.shape, Some(Shape::Fixed(_)))) else {
        return [0; 2];
    };
    let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_micros(wall);
    // The calendar's time begins at 1970, as the store's does.
    let origin = Time::from_nanos(wall.saturating_mul(1_000));
    let Some(boundaries) = calendar::boundaries(limit, now, origin) else {
        return [0; 2];
    };
    let after = |at: Time| {
        let next = boundaries.after(at);
        if next > at {
            next
        } else {
            at.after(limit.window)
        }
    };
    let first = after(origin);
    let second = after(first);
    [first, second].map(|at| at.nanos().div_ceil(1_000))
}
