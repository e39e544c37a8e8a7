//! Sees to one line, as long as it wants something of the store: one call at a time.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{
    OnStoreDown,
    desk::{Desk, number},
    flight::{Answer, Flight, Woken},
    line::Plan,
    outage::Local,
    store::StoreError,
    talk::{Head, Talk, Unanswered},
};
use crate::{
    core::pool::{Ask, Decision, PoolLimit, Stamp},
    quota::{line::Line, sync::Arc},
};

/// While the store is away it is asked about so often whether it is back; where it refuses, less often.
const PROBE: Duration = Duration::from_millis(150);
const AT_ONCE: Duration = Duration::from_millis(5);
const PROBE_REFUSED: Duration = Duration::from_secs(2);
/// So many refusals are asked about as often as if it were away: about ten seconds.
const REFUSALS: u32 = 64;
/// What nobody has taken for so long goes back.
const KEEP: Duration = Duration::from_millis(50);
/// After so long in front of the line a request is reserved however far ahead.
const IMPATIENT: Duration = Duration::from_secs(5);

/// One line's session. However it ends, what it knows goes back to the desk.
pub(super) struct Session {
    line: Arc<Line>,
    pub(super) desk: Arc<Desk>,
    pub(super) talk: Box<Talk>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.rest(Instant::now());
        self.desk.end(std::mem::take(&mut self.talk));
        if self.desk.is_forsaken() {
            self.line.close(true);
        } else if !self.line.is_quiet() && Arc::strong_count(&self.line) > 1 || self.desk.has_wish()
        {
            // Somebody came as it ended.
            self.desk.wake();
        }
    }
}

/// Sees to a line until it is quiet.
pub(super) async fn serve(line: Arc<Line>) {
    let Some(desk) = line.desk().cloned() else {
        return;
    };
    let talk = desk.begin();
    let mut session = Session { line, desk, talk };
    let mut flight = None;
    loop {
        let now = Instant::now();
        let plan = session.plan(now);
        if flight.is_none() {
            flight = session.fly(&plan, now);
        }
        let away = session.desk.shared().hub.down();
        if let Some(since) = away {
            session.go_on_alone(plan.limits.clone(), &plan.asks, since, now);
        } else {
            session.talk.local = None;
            session.close(false);
        }
        let Some(flight_now) = flight.as_mut() else {
            if session.is_done(&plan) {
                return;
            }
            session.rest(now);
            session.sleep(&plan, away.is_some(), None, now).await;
            continue;
        };
        match session
            .sleep(&plan, away.is_some(), Some(flight_now), now)
            .await
        {
            Woken::Answered(answer) => {
                let first = flight_now.first;
                flight = None;
                session.hear(*answer, first);
            }
            Woken::Overdue => {
                flight_now.overdue = true;
                let error = StoreError::Unavailable("no answer in time".into());
                session
                    .desk
                    .shared()
                    .hub
                    .went_down(flight_now.since, &error);
            }
            Woken::Other => {}
        }
    }
}

impl Session {
    /// What to say. While a call is on its way only what has to be known without the store.
    fn plan(&mut self, now: Instant) -> Plan {
        let shared = self.desk.shared();
        let forsaken = Arc::strong_count(&self.line) == 1;
        let keep = if forsaken {
            Duration::ZERO
        } else {
            KEEP.max(shared.lease)
        };
        let wall = match self.talk.clock(now) {
            0 => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_micros() as u64),
            clock => clock,
        };
        let mut plan = self.line.plan(&self.desk, keep, wall);
        for (limit, change, n) in plan.changes.drain(..) {
            self.talk.changes.push((limit, change, n));
        }
        plan.owes |= forsaken && !self.talk.changes.is_empty();
        self.talk.owing |= plan.owes;
        self.talk.looks |= self.desk.takes_a_look();
        let front = plan.who.first().zip(plan.asks.first());
        let same = |head: &Head| front.is_some_and(|(who, ask)| head.is(*who, ask));
        if !self.talk.head.as_ref().is_some_and(same) {
            self.talk.head = front.map(|(who, ask)| Head::new(*who, ask, now));
            self.talk.wait = None;
        }
        let amounts = plan.limits.iter().map(|limit| limit.amount);
        if !amounts.clone().eq(self.talk.amounts.iter().copied()) {
            self.talk.amounts = amounts.collect();
            self.talk.wait = None;
        }
        if let Some(Head { since, .. }) = self.talk.head {
            let longest = plan
                .limits
                .iter()
                .map(|limit| limit.window + limit.transit + limit.step);
            let longest = longest.max().unwrap_or(0);
            let shortest = plan
                .limits
                .iter()
                .map(|limit| limit.window)
                .min()
                .unwrap_or(0);
            let impatient = IMPATIENT.min(Duration::from_micros(shortest / 2));
            if let Some(ask) = plan.asks.first_mut().filter(|_| now >= since + impatient) {
                ask.horizon = longest;
            }
        }
        let lease = self.desk.shared().lease;
        if !lease.is_zero() {
            self.talk.demand.note(&plan.taken, lease, now);
        }
        if let Some(last) = plan.asks.last().filter(|_| !lease.is_zero()) {
            let ahead = self.talk.demand.ahead(&plan.free, &last.cost);
            plan.asks.extend(ahead.map(|cost| Ask {
                cost,
                horizon: 0,
                beside: 0,
            }));
        }
        plan
    }

    /// Whether there is something to be told or asked, and the call on its way then.
    fn fly(&mut self, plan: &Plan, now: Instant) -> Option<Flight> {
        if self.talk.retry.is_some_and(|retry| now < retry) {
            return None;
        }
        let hub = Arc::clone(&self.desk.shared().hub);
        let away = hub.down().is_some();
        let (call, limits, first) = if let Some(again) = self.talk.again(now) {
            let Unanswered {
                mut call,
                limits,
                since,
            } = again;
            if call.clock != 0 {
                call.clock = self.talk.clock(now);
            }
            (call, limits, since)
        } else {
            let waits = self.talk.wait.is_some_and(|until| now < until);
            let asks = !plan.asks.is_empty() && !waits;
            let says = self.talk.owing || self.talk.owes() || self.talk.looks;
            if !(asks || says || away && plan.waiting > 0) {
                return None;
            }
            self.talk.owing = false;
            let mut call = self.talk.call(number(), &plan.limits, now);
            // What is asked for while the store is away is granted here.
            if asks && !away {
                call.asks.clone_from(&plan.asks);
                self.talk.asked.clone_from(&plan.who);
            }
            (call, plan.limits.clone(), now)
        };
        self.talk.looks = false;
        let pool = self.desk.shared().pool.clone();
        let answer = Box::pin(async move {
            let result = hub.store.call(&pool, &limits, &call).await;
            (call, limits, result)
        });
        Some(Flight {
            answer,
            since: now,
            first,
            overdue: false,
        })
    }

    fn hear(&mut self, (call, limits, result): Answer, first: Instant) {
        let now = Instant::now();
        let hub = Arc::clone(&self.desk.shared().hub);
        match result {
            Ok(reply) => {
                self.talk.retry = None;
                self.talk.failures = 0;
                hub.heard(now);
                let late = self.talk.age(&reply, now);
                if !self.talk.hear(&call, &limits, &reply, now) {
                    // Nothing was done: all of it is said again, after what has to be replayed.
                    self.talk.keep(call, now);
                    hub.lost();
                    return;
                }
                hub.came_back();
                // Of a call that was on its way for long the answer may be old.
                let late = if now.saturating_duration_since(first) > hub.patience {
                    late
                } else {
                    Duration::ZERO
                };
                self.line
                    .answered(&call.asks, &reply.decisions, Some(&reply), late);
                // Whoever only looks learns nothing of when something fits.
                if !(call.asks.is_empty() && call.adjusts.is_empty()) {
                    self.pace(&call.asks, &reply.decisions, now);
                }
            }
            Err(error) => {
                // A connection that broke is made anew at once.
                self.talk.failures += 1;
                let probe = match error {
                    StoreError::Unavailable(_) if self.talk.failures == 1 => AT_ONCE,
                    StoreError::Unavailable(_) => PROBE,
                    StoreError::Rejected(_) if self.talk.failures > REFUSALS => PROBE_REFUSED,
                    StoreError::Rejected(_) => PROBE,
                };
                self.talk.retry = Some(now + probe.mul_f64(rand::random_range(0.8..1.2)));
                hub.went_down(first, &error);
                self.talk.unanswered = Some(Unanswered {
                    call,
                    limits,
                    since: first,
                });
            }
        }
    }

    /// When to ask again for what has to wait: once it can be reserved.
    fn pace(&mut self, asks: &[Ask], decisions: &[Decision], now: Instant) {
        let waits = asks
            .iter()
            .zip(decisions)
            .enumerate()
            .find_map(|(at, (ask, decision))| match decision {
                // Where others go first, or all is paused, nothing is reserved.
                Decision::Wait { at_least, limit } if *limit >= ask.cost.len() => {
                    Some((at, *at_least))
                }
                Decision::Wait { at_least, .. } => Some((at, at_least.saturating_sub(ask.horizon))),
                _ => None,
            });
        let first = self.talk.head.take();
        if let Some((at, _)) = waits {
            let who = self.talk.asked.get(at).copied();
            let since = first.filter(|_| at == 0).map_or(now, |head| head.since);
            self.talk.head = who.map(|who| Head::new(who, &asks[at], since));
        }
        self.talk.wait = waits.map(|(_, wait)| {
            // Not all processes at once, and never in a tight circle.
            let spread = rand::random_range(1_000..3_000);
            now + Duration::from_micros(wait.max(1_000) + spread)
        });
    }

    /// What becomes of those who ask while the store is away.
    fn go_on_alone(&mut self, limits: Vec<PoolLimit>, asks: &[Ask], since: Instant, now: Instant) {
        let hub = Arc::clone(&self.desk.shared().hub);
        let decisions = match hub.on_down {
            OnStoreDown::FailClosed => return self.close(true),
            OnStoreDown::Wait { max } => {
                return self.close(now.saturating_duration_since(since) >= max);
            }
            OnStoreDown::FailOpen => {
                vec![
                    Decision::Granted {
                        send_in: 0,
                        at: Stamp::default()
                    };
                    asks.len()
                ]
            }
            OnStoreDown::LocalShare => {
                let seen = Some(self.talk.processes).filter(|seen| *seen > 0);
                let Some(processes) = seen.or(hub.expected) else {
                    return self.close(true);
                };
                let local = self.talk.local.take();
                let mut local = local
                    .unwrap_or_else(|| Local::new(&limits, u64::from(processes), &self.talk, now));
                // Nothing ahead: the store may be back by then.
                let here = |ask: &Ask| Ask {
                    horizon: 0,
                    ..ask.clone()
                };
                let asked = asks.iter().map(here).collect();
                let decisions = local.decide(asked, now);
                self.talk.local = Some(local);
                decisions
            }
        };
        self.close(false);
        if asks.is_empty() {
            return;
        }
        for (ask, decision) in asks.iter().zip(&decisions) {
            if let Decision::Granted { .. } = decision {
                self.talk.owe(&ask.cost, now);
            }
        }
        self.line.answered(asks, &decisions, None, Duration::ZERO);
        let waits = decisions.iter().find_map(|decision| match decision {
            Decision::Wait { at_least, .. } => Some(Duration::from_micros(*at_least)),
            _ => None,
        });
        self.talk.alone = waits.map(|wait| now + wait);
    }

    /// While nothing is on its way, what was sent counts on.
    fn rest(&self, now: Instant) {
        let until = self.talk.until();
        if let Some(until) = until.filter(|until| now < until.known) {
            self.desk.shared().hub.rests(&self.line, until, now);
        }
    }

    fn close(&mut self, closed: bool) {
        if self.talk.closed != closed {
            self.talk.closed = closed;
            self.line.close(closed);
        }
    }

    /// Whether it is of no more use for now.
    fn is_done(&self, plan: &Plan) -> bool {
        plan.waiting == 0
            && plan.asks.is_empty()
            && !(self.talk.owing || self.talk.looks)
            && plan.sweep.is_none()
    }
}
