//! The till beside the lock.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::prelude::*;

use super::till::{Amount, Counted, Till};
use crate::{
    clock,
    core::{
        cost::Cost, ledger::Ledger, limit::Limit, meter::Meter, settlement::Settle, time::Time,
    },
    departure::Place,
    observe::Alerts,
    quota::{Grant, Quota, Rank, Reserved, Waiting},
    verdict::{RateReading, RateStatus, Usage},
};

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Try(u64),
    Ask(u64),
    Depart(usize),
    Put(usize, bool),
    Land(usize),
    Drop(usize),
    Settle(usize, u64, Settle),
    Refund(usize),
    Served(usize),
    Observe(usize, u64),
    Refused(usize, u64),
    Look,
    Poll(usize),
    Leave(usize),
    Pause(u64),
    Resize(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let of = 0..8_usize;
    let waits = prop_oneof![
        Just(0),
        Just(1),
        0..2_000_000_u64,
        0..200_000_000_u64,
        0..3_000_000_000_u64
    ];
    let policy = prop_oneof![Just(Settle::Auto), Just(Settle::Keep), Just(Settle::TrueUp)];
    let step = prop_oneof![
        4 => waits.prop_map(|nanos| Step::Wait(Duration::from_nanos(nanos))),
        6 => (0..40_u64).prop_map(Step::Ask),
        3 => (0..40_u64).prop_map(Step::Try),
        6 => of.clone().prop_map(Step::Depart),
        1 => (of.clone(), any::<bool>()).prop_map(|(of, held)| Step::Put(of, held)),
        2 => of.clone().prop_map(Step::Land),
        3 => of.clone().prop_map(Step::Drop),
        1 => (of.clone(), 0..50_u64, policy).prop_map(|(of, used, how)| Step::Settle(of, used, how)),
        1 => of.clone().prop_map(Step::Refund),
        1 => of.clone().prop_map(Step::Served),
        1 => (of.clone(), 0..150_u64).prop_map(|(of, left)| Step::Observe(of, left)),
        1 => (of.clone(), 1..1_500_u64).prop_map(|(of, wait)| Step::Refused(of, wait)),
        2 => Just(Step::Look),
        2 => of.clone().prop_map(Step::Poll),
        1 => of.prop_map(Step::Leave),
        1 => (1..500_u64).prop_map(Step::Pause),
        1 => (20..150_u64).prop_map(Step::Resize),
    ];
    prop::collection::vec(step, 1..80)
}

/// A quota, those who hold something of it and those who wait.
struct Side {
    kind: u8,
    quota: Quota,
    grants: Vec<Grant>,
    waiting: Vec<Waiting>,
}

fn limits(kind: u8) -> Vec<Limit> {
    let second = Duration::from_secs(1);
    match kind {
        0 => vec![Limit::tokens(100, second)],
        1 => vec![Limit::requests(6, second)],
        2 => vec![Limit::requests(8, second), Limit::tokens(100, second)],
        // Dates are rounded differently.
        3 => vec![Limit::requests(8, second), Limit::tokens(100, 3 * second)],
        _ => vec![Limit::tokens(100, second).transit(Duration::ZERO)],
    }
}

impl Side {
    fn new(kind: u8, has_till: bool) -> Self {
        let builder = limits(kind)
            .into_iter()
            .fold(Quota::builder(), |b, limit| b.limit(limit));
        // Who is to be told of each request's use goes by the lock.
        let builder = match has_till {
            true => builder,
            false => builder.alerts(Alerts::new(|_| {})),
        };
        Self {
            kind,
            quota: builder.build().expect("valid"),
            grants: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// What is to be seen of a step.
    fn take(&mut self, step: &Step) -> String {
        let at = |len: usize, of: usize| (len > 0).then(|| of % len.max(1));
        let grant = |side: &Self, of| at(side.grants.len(), of);
        match *step {
            Step::Wait(_) => {}
            Step::Try(tokens) => {
                match self
                    .quota
                    .reserve_now(&Cost::tokens(tokens), false, Rank::DEFAULT)
                {
                    Ok(grant) => self.grants.push(grant),
                    Err(refused) => return format!("{refused:?}"),
                }
            }
            Step::Ask(tokens) => {
                match self
                    .quota
                    .reserve(&Cost::tokens(tokens), false, Rank::DEFAULT)
                {
                    Reserved::Granted(grant) => self.grants.push(grant),
                    Reserved::Queued(waiting) => {
                        self.waiting.push(waiting);
                        return "queued".into();
                    }
                    Reserved::Refused(refused) => return format!("{refused:?}"),
                }
            }
            Step::Depart(of) => {
                if let Some(at) = grant(self, of) {
                    self.grants[at].depart();
                    return format!("{:?}", self.grants[at].departure());
                }
            }
            Step::Put(of, held) => {
                if let Some(at) = grant(self, of) {
                    self.grants[at].put(if held { Place::Held } else { Place::HandedOn });
                }
            }
            Step::Land(of) => {
                if let Some(at) = grant(self, of).filter(|at| self.grants[*at].has_left()) {
                    self.grants[at].land();
                }
            }
            Step::Drop(of) => {
                if let Some(at) = grant(self, of) {
                    self.grants.remove(at);
                }
            }
            Step::Settle(of, used, policy) => {
                if let Some(at) = grant(self, of) {
                    let grant = self.grants.remove(at);
                    let used = grant.used(&Usage::new(used, 0));
                    grant.settle(&used, policy);
                }
            }
            Step::Refund(of) => {
                if let Some(at) = grant(self, of) {
                    self.grants.remove(at).refund();
                }
            }
            Step::Served(of) => {
                if let Some(at) = grant(self, of) {
                    self.grants.remove(at).served();
                }
            }
            Step::Observe(of, left) => {
                if let Some(at) = grant(self, of).filter(|at| self.grants[*at].has_left()) {
                    let mut status = RateStatus::new();
                    status.tokens = RateReading::new().remaining(left);
                    self.grants[at].observe(&status);
                }
            }
            Step::Refused(of, wait) => {
                if let Some(at) = grant(self, of).filter(|at| self.grants[*at].has_left()) {
                    self.grants[at].refused(None, Some(Duration::from_millis(wait)));
                }
            }
            Step::Look => return format!("{:?}", self.quota.snapshot()),
            Step::Poll(of) => {
                if let Some(at) = at(self.waiting.len(), of) {
                    let cx = &mut Context::from_waker(Waker::noop());
                    match self.waiting[at].poll_turn(cx) {
                        Poll::Pending => return "waits".into(),
                        Poll::Ready(turn) => {
                            self.waiting.remove(at);
                            match turn {
                                Ok(grant) => self.grants.push(grant),
                                Err(refused) => return format!("{refused:?}"),
                            }
                        }
                    }
                }
            }
            Step::Leave(of) => {
                if let Some(at) = at(self.waiting.len(), of) {
                    self.waiting.remove(at);
                }
            }
            Step::Pause(millis) => {
                let until = tokio::time::Instant::now() + Duration::from_millis(millis);
                self.quota.pause_until(until);
            }
            Step::Resize(amount) => {
                let limit = Limit {
                    amount,
                    ..limits(self.kind).remove(0)
                };
                self.quota.resize(limit).expect("a limit of its");
            }
        }
        format!("{} {}", self.grants.len(), self.waiting.len())
    }
}

#[test]
fn who_looks_late_how_many_are_in_flight_sees_no_crowd() {
    let till = Till::new(u64::MAX);
    let mut ledger = Ledger::new(Vec::new(), usize::MAX, u64::MAX);
    // Two have come and landed since it saw what was taken up to there.
    till.land();
    till.land();
    till.peaked(0, Amount::default());
    till.close(&mut Counted::default(), &mut ledger);
    assert_eq!(ledger.peak_in_flight(), 0);
}

#[test]
fn what_left_in_a_step_is_dated_before_what_begins_the_next() {
    let limit = Limit::tokens(100, Duration::from_secs(1)).transit(Duration::ZERO);
    let meter = Meter::new(&limit, 100, None, Time::ZERO);
    let mut ledger = Ledger::new(vec![meter], usize::MAX, u64::MAX);
    let (till, mut counted) = (Till::new(u64::MAX), Counted::default());
    let amount = Amount::of(&Cost::tokens(10)).expect("little enough");
    ledger.hold(&Cost::tokens(30).requests(3), false);
    let (first, next) = (Time::from_nanos(1_000_000), Time::from_nanos(2_000_000));
    ledger.advance(first);
    till.step(&mut counted, &mut ledger, amount);
    // When whoever begins the next has the lock already.
    assert!(till.leave(amount, first).is_some());
    ledger.advance(next);
    till.step(&mut counted, &mut ledger, amount);
    assert_eq!(ledger.meters()[0].used(), 30);
    ledger.advance(next.after(limit.window()));
    assert_eq!(ledger.meters()[0].used(), 10);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn by_the_till_or_by_the_lock_is_all_one(kind in 0..5_u8, steps in steps()) {
        clock::paused().block_on(async {
            let mut sides = [Side::new(kind, true), Side::new(kind, false)];
            for step in steps.iter().chain([&Step::Look]) {
                if let Step::Wait(time) = step {
                    tokio::time::advance(*time).await;
                }
                let [by_till, by_lock] = &mut sides;
                prop_assert_eq!(by_till.take(step), by_lock.take(step), "{:?}", step);
            }
            Ok(())
        })?;
    }
}
