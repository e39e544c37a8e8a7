//! Processes of all speeds over one pool, in virtual time.

use super::{
    super::{Ask, Call, Decision, Pool, PoolLimit, PoolShape},
    Fair, Had, Turn, grace,
};
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

const WINDOW: u64 = 64 * SECOND;
/// The longest.
const GRACE: u64 = SECOND / 10;

/// A pool with two processes, of which the first has had `had` of what each has had.
fn entered(all: f64, had: f64, process: u64, now: u64) -> (Fair, Had, Turn) {
    let mut fair = Fair {
        all,
        began: EPOCH,
        ..Fair::default()
    };
    let known = Had { had, put_off: 0 };
    let (had, turn) = fair.enter(Some(known), 2, (process, now, WINDOW));
    (fair, had, turn)
}

#[test]
fn others_are_let_go_first_for_a_tenth_of_a_second_or_a_small_part_of_the_window() {
    let windows = [320_000, 3_200_000, WINDOW];
    assert_eq!(windows.map(grace), [10_000, GRACE, GRACE]);
}

#[test]
fn a_newcomer_has_had_nothing_in_the_first_window_and_later_what_all_have_had() {
    let mut fair = Fair::default();
    let (mut first, mut turn) = fair.enter(None, 1, (1, EPOCH, WINDOW));
    turn.room = 4.0;
    fair.add(&mut first, 3.0, &mut turn);
    assert_eq!((first.had, fair.all, turn.room), (3.0, 3.0, 1.0));
    let mut soon = fair;
    let (had, _) = soon.enter(None, 2, (2, EPOCH + WINDOW - 1, WINDOW));
    assert_eq!((soon.all, had.had), (1.5, 1.0), "but for a share");
    let (had, turn) = fair.enter(None, 2, (2, EPOCH + WINDOW, WINDOW));
    assert_eq!((fair.all, had.had), (3.0, 3.0));
    assert!(!turn.wants_little);
}

#[test]
fn no_more_is_remembered_than_a_share_too_little_or_too_much() {
    for (known, had, little) in [
        (1.0, 9.5, true),
        (9.25, 9.5, true),
        (9.5, 9.5, false),
        (10.25, 10.25, false),
        (10.5, 10.5, false),
        (99.0, 10.5, false),
    ] {
        let (_, is, turn) = entered(10.0, known, 1, EPOCH);
        assert_eq!((is.had, turn.wants_little), (had, little), "{known}");
    }
}

#[test]
fn whoever_has_had_its_share_waits_for_those_who_claim_theirs_until_they_had_time_to_come() {
    let (mut fair, _, mut claims) = entered(10.0, 9.5, 1, EPOCH);
    fair.claims(2 * SECOND, &mut claims);
    let until = EPOCH + 2 * SECOND + GRACE;
    let waits = |now, put_off, process| {
        let (_, _, turn) = entered(10.0, 10.5, process, now);
        let mut had = Had { had: 10.5, put_off };
        (fair.puts_off(&mut had, &turn), had.put_off)
    };
    assert_eq!(waits(until - 1, 0, 2), (Some(GRACE), until - 1));
    assert_eq!(waits(until, 0, 2), (None, 0), "it didn't come");
    assert_eq!(waits(EPOCH, 0, 1), (None, 0), "nobody waits for itself");
    let since = until - 1 - GRACE;
    assert_eq!(waits(until - 2, since, 2), (Some(1), since));
    assert_eq!(waits(until - 1, since, 2), (None, since), "long enough");
    // Never longer than a window and the grace.
    let (mut fair, _, mut claims) = entered(10.0, 9.5, 1, EPOCH);
    fair.claims(9 * WINDOW, &mut claims);
    assert_eq!(
        fair.short[0].until.max(fair.short[1].until),
        EPOCH + WINDOW + GRACE
    );
}

#[test]
fn two_claims_stand_and_each_is_renewed_by_whose_it_is() {
    let mut fair = Fair::default();
    let mut claim = |process, back| {
        let (_, _, mut turn) = entered(10.0, 9.5, process, EPOCH);
        fair.claims(back, &mut turn);
        let mut stand = fair
            .short
            .map(|short| (short.by, short.until.saturating_sub(EPOCH)));
        stand.sort_unstable();
        stand
    };
    assert_eq!(claim(1, 5), [(0, 0), (1, GRACE + 5)]);
    assert_eq!(claim(2, 7), [(1, GRACE + 5), (2, GRACE + 7)]);
    assert_eq!(claim(2, 3), [(1, GRACE + 5), (2, GRACE + 3)]);
    assert_eq!(claim(1, 1), [(1, GRACE + 1), (2, GRACE + 3)]);
    // A third takes the place of the one that ends first, unless it ends earlier itself.
    assert_eq!(claim(3, 0), [(1, GRACE + 1), (2, GRACE + 3)]);
    assert_eq!(claim(3, 1), [(2, GRACE + 3), (3, GRACE + 1)]);
}

#[test]
fn who_has_what_little_it_wants_claims_nothing_any_more() {
    for (known, all, stands) in [(1.0, true, false), (1.0, false, true), (10.0, true, true)] {
        let (mut fair, mut had, mut turn) = entered(10.0, known, 1, EPOCH);
        fair.asks(&mut turn);
        had.put_off = 7;
        fair.leave(&mut had, false, all, &turn);
        let claims = fair
            .short
            .iter()
            .any(|short| short.by == 1 && short.until > EPOCH);
        assert_eq!((claims, had.put_off), (stands, 7), "{known} {all}");
        fair.leave(&mut had, true, all, &turn);
        assert_eq!(had.put_off, 0);
    }
}
