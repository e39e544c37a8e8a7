//! Processes of all speeds over one pool, in virtual time.

use super::super::{Ask, Call, Decision, Pool, PoolLimit, PoolShape};
use crate::core::{dice::Seeded, meter::tests::cases};

const SECOND: u64 = 1_000_000;
const EPOCH: u64 = 1_000_000 * SECOND;

/// A process: each of its callers asks again so long after it has sent.
#[derive(Clone)]
struct Process {
    callers: usize,
    pause: u64,
    // From a call to its answer, and up to twice that.
    lag: u64,
    begins: u64,
}

/// What of a process is under way.
struct Busy {
    of: Process,
    calls: u64,
    free: Vec<u64>,
    next: u64,
    sent: Vec<u64>,
}

fn rolling(amount: u64, window: u64) -> PoolLimit {
    PoolLimit {
        shape: PoolShape::Rolling,
        amount,
        window,
        transit: window / 64,
        step: window / 60,
        burst: 0,
        ends: [0; 2],
    }
}

/// What each process sends, and how many calls all of them make, until `end`.
fn run(limit: PoolLimit, processes: &[Process], seed: u64, end: u64) -> (Vec<Vec<u64>>, u64) {
    let mut dice = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let horizon = (2 * SECOND).min(limit.window / 4);
    let begin = |of: &Process| {
        let at = EPOCH + of.begins + dice.below(3_000);
        Busy {
            of: of.clone(),
            calls: 0,
            free: vec![at; of.callers],
            next: at,
            sent: Vec::new(),
        }
    };
    let mut all: Vec<_> = processes.iter().map(begin).collect();
    let mut pool = None;
    loop {
        let next = |at: &usize| all[*at].next;
        let process = (0..all.len()).min_by_key(next).unwrap_or(0);
        let busy = &mut all[process];
        let now = busy.next;
        if now >= EPOCH + end {
            break;
        }
        let waiting = (0..busy.of.callers).filter(|at| busy.free[*at] <= now);
        let waiting: Vec<_> = waiting.take(64).collect();
        busy.calls += 1;
        let ask = Ask {
            cost: vec![1],
            horizon,
            beside: 0,
        };
        let call = Call {
            process: process as u64 + 1,
            seq: busy.calls,
            fresh: 7,
            beat: busy.calls == 1,
            asks: vec![ask; waiting.len()],
            ..Call::default()
        };
        let reply = Pool::call(&mut pool, now, &[limit], &call);
        let answered = now + busy.of.lag + dice.below(busy.of.lag);
        let mut waits = None;
        for (caller, decision) in waiting.into_iter().zip(&reply.decisions) {
            match *decision {
                Decision::Granted { at, .. } => {
                    let leaves = answered.max(at.0);
                    busy.sent.push(leaves - EPOCH);
                    let pause = dice.below(2 * busy.of.pause);
                    busy.free[caller] = leaves + pause;
                }
                Decision::Wait { at_least, limit: 0 } => {
                    waits.get_or_insert(at_least.saturating_sub(horizon).max(1_000));
                }
                Decision::Wait { at_least, .. } => {
                    waits.get_or_insert(at_least.max(1_000));
                }
                Decision::Never { .. } => unreachable!("one fits"),
            }
        }
        let free = busy.free.iter().min().copied().unwrap_or(0);
        let waits = waits.map(|wait| answered + wait + 1_000 + dice.below(2_000));
        busy.next = waits.unwrap_or(answered.max(free));
    }
    let calls = all.iter().map(|busy| busy.calls).sum();
    (all.into_iter().map(|busy| busy.sent).collect(), calls)
}

/// Four, or one where few histories are wanted.
fn seeds() -> u64 {
    cases(4).min(4)
}

/// How many of these are in a span.
fn within(sent: &[u64], from: u64, until: u64) -> u64 {
    let inside = sent.iter().filter(|at| (from..until).contains(*at));
    inside.count() as u64
}

/// Slow ones and fast ones.
fn busy(processes: u64, callers: usize) -> Vec<Process> {
    let process = |number| Process {
        callers,
        pause: 0,
        lag: 200 + 2_400 * number / processes,
        begins: 0,
    };
    (0..processes).map(process).collect()
}

/// The fewest and the most that any of them has sent in so many windows after some.
fn extremes(sent: &[Vec<u64>], window: u64, after: u64, windows: u64) -> (u64, u64) {
    let (from, until) = (after * window, (after + windows) * window);
    let inside = || sent.iter().map(|sent| within(sent, from, until));
    (inside().min().unwrap_or(0), inside().max().unwrap_or(0))
}

#[test]
fn processes_that_want_more_than_there_is_get_the_same_however_fast_they_are() {
    for (amount, window, processes, callers) in [
        (600, 4 * SECOND, 16, 1),
        (600, 4 * SECOND, 16, 8),
        (600, 4 * SECOND, 16, 64),
        (600, 4 * SECOND, 3, 8),
        (60, 4 * SECOND, 4, 2),
        (30_000, 60 * SECOND, 16, 64),
        (5_000, 10 * SECOND, 50, 20),
    ] {
        for seed in 1..=seeds() {
            let limit = rolling(amount, window);
            let (sent, calls) = run(limit, &busy(processes, callers), seed, 23 * window);
            // Nobody knows at first how many there are.
            let (fewest, most) = extremes(&sent, window, 2, 20);
            let (least, largest) = extremes(&sent, window, 0, 22);
            let all: u64 = sent.iter().map(|sent| within(sent, 0, 22 * window)).sum();
            let total: usize = sent.iter().map(Vec::len).sum();
            let what = format!("{amount} in {window}, {processes} x {callers}, seed {seed}");
            assert!(100 * fewest >= 85 * most, "{what}: {fewest} to {most}");
            assert!(10 * least >= 8 * largest, "{what}: {least} to {largest}");
            assert!(
                100 * all >= 97 * 22 * amount,
                "{what}: {all} of {}",
                22 * amount
            );
            assert!(
                calls as f64 <= 1.3 * total as f64,
                "{what}: {calls} calls for {total}"
            );
        }
    }
}

#[test]
fn for_the_sake_of_those_who_want_little_nothing_is_left_unused() {
    let window = 4 * SECOND;
    for (few, pause) in [
        (15, SECOND),
        (15, SECOND / 5),
        (3, SECOND / 20),
        (3, SECOND),
    ] {
        let mut processes = busy(few, 1);
        processes
            .iter_mut()
            .for_each(|process| process.pause = pause);
        processes.extend(busy(1, 8));
        for seed in 1..=seeds() {
            let (sent, _) = run(rolling(600, window), &processes, seed, 8 * window);
            let all: u64 = sent.iter().map(|sent| within(sent, 0, 7 * window)).sum();
            let what = format!("{few} that pause for {pause}, seed {seed}");
            assert!(100 * all >= 97 * 7 * 600, "{what}: {all}");
        }
    }
}

#[test]
fn those_who_come_later_get_as_much_from_then_on() {
    let window = 4 * SECOND;
    let mut processes = busy(16, 8);
    for late in &mut processes[2..] {
        late.begins = 4 * window + window / 3;
    }
    for seed in 1..=seeds() {
        let (sent, _) = run(rolling(600, window), &processes, seed, 12 * window);
        let (fewest, most) = extremes(&sent, window, 5, 7);
        assert!(10 * fewest >= 9 * most, "seed {seed}: {fewest} to {most}");
    }
}
