//! Any history of a quota's handles: asked at once or in line, polled or not, settled, cancelled, paused, resized.

use std::{future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use proptest::{prelude::*, test_runner::TestCaseResult};
use tokio::{
    runtime::Builder,
    time::{Instant, advance},
};
use tower_quota::{
    Cost, Limit, Permit, Quota, RateReading, RateStatus, Reason, Rejected, Resource, Usage,
};

use super::cases;
use crate::support::Bell;

const WINDOW: Duration = Duration::from_secs(8);
const NANO: Duration = Duration::from_nanos(1);
const MOST_IN_LINE: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// At once.
    Try(u64),
    /// In line.
    Join(u64),
    Poll(usize),
    Leave(usize),
    Settle(usize, u64),
    Cancel(usize),
    Drop(usize),
    Pause(Duration),
    Resume,
    Resize(u64),
    Observe(u64),
    Pass(Duration),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span = (0..2_500_000_000u64).prop_map(Duration::from_nanos);
    let which = 0..8usize;
    let step = prop_oneof![
        6 => (0..60u64).prop_map(Step::Try),
        4 => (0..60u64).prop_map(Step::Join),
        5 => which.clone().prop_map(Step::Poll),
        2 => which.clone().prop_map(Step::Leave),
        2 => (which.clone(), 0..80u64).prop_map(|(which, used)| Step::Settle(which, used)),
        1 => which.clone().prop_map(Step::Cancel),
        2 => which.prop_map(Step::Drop),
        1 => span.clone().prop_map(Step::Pause),
        1 => Just(Step::Resume),
        1 => (20..200u64).prop_map(Step::Resize),
        1 => (0..100u64).prop_map(Step::Observe),
        5 => span.prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..50)
}

type Waiting = Pin<Box<dyn Future<Output = Result<Permit, Rejected>>>>;

/// One that has left: when, by which name, and how much of tokens it turned out to be.
struct Sent {
    at: Instant,
    name: usize,
    tokens: u64,
}

struct InLine {
    future: Waiting,
    bell: Arc<Bell>,
    // How many upsets there had been when it was last told to wait.
    upsets: u32,
}

struct World {
    quota: Quota,
    requests: u64,
    tokens: u64,
    in_flight: usize,
    waiting: Vec<InLine>,
    // How often an amount became smaller, something was paused or more was used than charged: what was offered to somebody in
    // line before is theirs all the same.
    upsets: u32,
    permits: Vec<(usize, Permit)>,
    sent: Vec<Sent>,
    // What turned out to be used beyond what was charged, and when.
    late: Vec<(Instant, u64)>,
    made: usize,
    paused: Option<Instant>,
}

impl World {
    fn new(requests: u64, tokens: u64, in_flight: usize) -> Self {
        let quota = Quota::builder()
            .limit(Limit::requests(requests, WINDOW))
            .limit(Limit::tokens(tokens, WINDOW))
            .max_in_flight(in_flight)
            .max_queue(MOST_IN_LINE)
            .build()
            .unwrap();
        Self {
            quota,
            requests,
            tokens,
            in_flight,
            waiting: Vec::new(),
            upsets: 0,
            permits: Vec::new(),
            sent: Vec::new(),
            late: Vec::new(),
            made: 0,
            paused: None,
        }
    }

    /// A permit was had, now.
    fn granted(&mut self, permit: Permit, upset: bool) -> TestCaseResult {
        let (now, tokens) = (Instant::now(), permit.cost().of(Resource::Tokens));
        self.permits.push((self.made, permit));
        self.sent.push(Sent {
            at: now,
            name: self.made,
            tokens,
        });
        self.made += 1;
        prop_assert!(self.permits.len() <= self.in_flight);
        if upset {
            return Ok(());
        }
        // Never more than the amount in any window that ends now.
        let young = |sent: &&Sent| now.duration_since(sent.at) < WINDOW;
        let (count, sum) = (self.sent.iter().filter(young))
            .fold((0, 0), |(count, sum), sent| (count + 1, sum + sent.tokens));
        let late = self
            .late
            .iter()
            .filter(|(at, _)| now.duration_since(*at) < WINDOW);
        let sum = sum + late.map(|(_, n)| n).sum::<u64>();
        prop_assert!(count <= self.requests, "{count} requests");
        prop_assert!(tokens == 0 || sum <= self.tokens, "{sum} tokens");
        prop_assert!(self.paused.is_none_or(|until| until <= now));
        Ok(())
    }

    async fn ask(&mut self, n: u64) -> TestCaseResult {
        let then = std::time::SystemTime::UNIX_EPOCH;
        let before = (self.quota.snapshot(), self.quota.save_at(then));
        let refused = match self.quota.try_acquire(Cost::tokens(n)) {
            Ok(permit) => return self.granted(permit, false),
            Err(refused) => refused,
        };
        let after = (self.quota.snapshot(), self.quota.save_at(then));
        prop_assert_eq!(before, after, "a refusal changes something");
        let Some(hint) = refused.retry_after else {
            let known = [Reason::InFlightFull, Reason::TooLarge, Reason::LimitReached];
            prop_assert!(known.contains(&refused.reason), "{refused:?}");
            return Ok(());
        };
        prop_assert!(!hint.is_zero());
        // Behind others it is a projection. So it is where others may have what was offered to them.
        let free = self.permits.len() < self.in_flight;
        if self.waiting.is_empty() && free && n > 0 {
            advance(hint - NANO).await;
            prop_assert!(self.quota.try_acquire(Cost::tokens(n)).is_err(), "early");
            advance(NANO).await;
            match self.quota.try_acquire(Cost::tokens(n)) {
                Ok(permit) => self.granted(permit, false)?,
                Err(refused) => prop_assert!(false, "after {hint:?}: {refused:?}"),
            }
        }
        Ok(())
    }

    fn poll(&mut self, which: usize) -> TestCaseResult {
        let one = &mut self.waiting[which];
        let upset = one.upsets != self.upsets;
        let Poll::Ready(outcome) = one.bell.poll(one.future.as_mut()) else {
            one.upsets = self.upsets;
            return Ok(());
        };
        drop(self.waiting.swap_remove(which));
        match outcome {
            Ok(permit) => self.granted(permit, upset),
            Err(refused) => {
                let known = [Reason::TooLarge, Reason::WaitTooLong, Reason::QueueFull];
                prop_assert!(known.contains(&refused.reason), "{refused:?}");
                Ok(())
            }
        }
    }

    async fn step(&mut self, step: Step) -> TestCaseResult {
        let one = |which: usize, of: usize| (of > 0).then(|| which % of);
        match step {
            Step::Try(n) => self.ask(n).await?,
            Step::Join(n) => {
                self.waiting.push(InLine {
                    future: Box::pin(self.quota.acquire(Cost::tokens(n))),
                    bell: Bell::rung(),
                    upsets: self.upsets,
                });
                self.poll(self.waiting.len() - 1)?;
            }
            Step::Poll(which) => {
                if let Some(which) = one(which, self.waiting.len()) {
                    self.poll(which)?;
                }
            }
            Step::Leave(which) => {
                if let Some(which) = one(which, self.waiting.len()) {
                    drop(self.waiting.swap_remove(which));
                }
            }
            Step::Settle(which, used) => {
                if let Some(which) = one(which, self.permits.len()) {
                    let (name, permit) = self.permits.swap_remove(which);
                    permit.settle(Usage::new(used, 0));
                    self.turned_out(name, used);
                }
            }
            Step::Cancel(which) => {
                if let Some(which) = one(which, self.permits.len()) {
                    let (name, permit) = self.permits.swap_remove(which);
                    permit.cancel();
                    self.sent.retain(|sent| sent.name != name);
                }
            }
            Step::Drop(which) => {
                if let Some(which) = one(which, self.permits.len()) {
                    drop(self.permits.swap_remove(which));
                }
            }
            Step::Pause(span) => {
                let until = Instant::now() + span;
                self.quota.pause_until(until);
                self.paused = self.paused.max(Some(until));
                self.upsets += 1;
            }
            Step::Resume => {
                self.quota.resume();
                self.paused = None;
            }
            Step::Resize(amount) => {
                self.quota.resize(Limit::tokens(amount, WINDOW)).unwrap();
                self.tokens = amount;
                self.upsets += 1;
            }
            Step::Observe(left) => {
                let reading = RateReading::new().remaining(left);
                let mut status = RateStatus::new();
                status.tokens = reading;
                self.quota.observe(&status);
            }
            Step::Pass(span) => advance(span).await,
        }
        Ok(())
    }

    /// More than was charged counts from now on, less from when it left.
    fn turned_out(&mut self, name: usize, used: u64) {
        let now = Instant::now();
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.name == name) else {
            return;
        };
        let late = used.saturating_sub(sent.tokens);
        sent.tokens = sent.tokens.min(used);
        if late > 0 {
            self.late.push((now, late));
            self.upsets += 1;
        }
    }

    async fn end(&mut self) -> TestCaseResult {
        self.waiting.clear();
        self.permits.clear();
        let snapshot = self.quota.snapshot();
        let held: u64 = snapshot.limits.iter().map(|limit| limit.held).sum();
        prop_assert_eq!((held, snapshot.in_flight, snapshot.waiting), (0, 0, 0));
        // And it isn't wedged: in time everything fits again.
        self.quota.resume();
        advance(WINDOW * 20).await;
        let all = Cost::tokens(self.tokens).requests(self.requests);
        let permit = self.quota.try_acquire(all);
        prop_assert!(permit.is_ok(), "{permit:?}");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_window_is_overdrawn_a_refusal_changes_nothing_a_hint_is_exact_and_nothing_leaks(
        requests in 1..12u64, tokens in 60..200u64, in_flight in 1..5usize, steps in steps(),
    ) {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(requests, tokens, in_flight);
            for step in steps {
                world.step(step).await?;
            }
            world.end().await
        })?;
    }
}
