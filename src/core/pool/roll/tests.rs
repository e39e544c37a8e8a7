use super::{
    super::{tests::limit, *},
    *,
};

const SECOND: u64 = 1_000_000;
const EPOCH: u64 = 1_000_000 * SECOND;
const LOST: u64 = EPOCH + SECOND;
/// When it has learnt.
const LEARNT: u64 = LOST + LEARNING;

fn adjust(change: Change, n: u64) -> Adjust {
    Adjust {
        change,
        cost: vec![n],
    }
}

/// Calls to one pool of one limit.
struct Trial {
    limit: PoolLimit,
    pool: Option<Pool>,
    seq: u64,
}

impl Trial {
    /// One that has lost its state, as the first who was there finds.
    fn new(limit: PoolLimit) -> Self {
        let mut trial = Self {
            limit,
            pool: None,
            seq: 0,
        };
        let told = trial.call(1, LOST, 7, Vec::new(), 0);
        assert!(told.lost && told.created);
        trial
    }

    fn call(&mut self, process: u64, now: u64, epoch: u64, adjusts: Vec<Adjust>, n: u64) -> Reply {
        self.seq += 1;
        let call = Call {
            process,
            seq: self.seq,
            epoch,
            fresh: 8,
            beat: true,
            adjusts,
            asks: vec![Ask {
                cost: vec![n],
                horizon: 0,
                beside: 0,
            }],
            ..Call::default()
        };
        Pool::call(&mut self.pool, now, &[self.limit], &call)
    }

    fn replays(&mut self, process: u64, now: u64, adjusts: Vec<Adjust>) -> Reply {
        self.call(process, now, 8, adjusts, 0)
    }

    fn is_granted(&mut self, now: u64, n: u64) -> bool {
        let reply = self.call(1, now, 8, Vec::new(), n);
        matches!(reply.decisions[..], [Decision::Granted { .. }])
    }
}

const SHAPES: [PoolShape; 3] = [PoolShape::Rolling, PoolShape::Bucket, PoolShape::Fixed];

#[test]
fn what_was_free_counts_until_as_many_have_replayed_as_there_were() {
    for shape in SHAPES {
        let mut trial = Trial::new(limit(shape, 100, 600 * SECOND));
        let own = adjust(Change::Replay(SECOND), 10);
        let foreign = adjust(Change::Foreign(SECOND), 30);
        let all = adjust(Change::Replayed(3), 0);
        let told = trial.replays(1, LOST, vec![own, foreign, all.clone()]);
        assert!(
            (30..=31).contains(&told.used[0]),
            "{shape:?}: {:?} is known",
            told.used
        );
        assert_eq!(told.processes, 3, "{shape:?}");
        assert_eq!(told.used[0] + told.doubtful[0], 100, "{shape:?}");
        let again = trial.call(1, LEARNT, 8, Vec::new(), 1).decisions;
        let soon = [Decision::Wait {
            at_least: AGAIN,
            limit: 1,
        }];
        assert!(again == soon, "{shape:?}: {again:?}");
        // The second had nothing, the third more than was known.
        trial.replays(2, LEARNT, vec![all.clone()]);
        assert!(!trial.is_granted(LEARNT, 1), "{shape:?}");
        let own = adjust(Change::Replay(0), 60);
        let told = trial.replays(3, LEARNT, vec![own, all]);
        let known = if shape == PoolShape::Bucket {
            90..=91
        } else {
            70..=70
        };
        assert!(known.contains(&told.used[0]), "{shape:?}: {:?}", told.used);
        assert!(!trial.is_granted(LEARNT, 101 - known.start()), "{shape:?}");
        assert!(trial.is_granted(LEARNT, 100 - known.end()), "{shape:?}");
    }
}

#[test]
fn what_was_granted_and_never_heard_of_counts_where_another_had_seen_it() {
    let mut trial = Trial::new(limit(PoolShape::Rolling, 100, 60 * SECOND));
    let all = adjust(Change::Replayed(2), 0);
    let own = |n| adjust(Change::Replay(SECOND), n);
    // Of the 32 two were granted to the second, whose answer was lost.
    let foreign = adjust(Change::Foreign(SECOND), 32);
    trial.replays(1, LOST, vec![own(10), foreign, all.clone()]);
    assert_eq!(trial.replays(2, LOST, vec![own(20), all]).used, [32]);
    assert!(!trial.is_granted(LEARNT, 69) && trial.is_granted(LEARNT, 68));
}

#[test]
fn what_left_while_the_pool_could_not_be_asked_is_not_what_others_had() {
    let mut trial = Trial::new(limit(PoolShape::Rolling, 100, 60 * SECOND));
    let (all, sent) = (
        adjust(Change::Replayed(2), 0),
        adjust(Change::Sent(SECOND), 20),
    );
    let foreign = adjust(Change::Foreign(SECOND), 30);
    let told = trial.replays(1, LOST, vec![foreign, all.clone(), sent]);
    assert_eq!(told.used, [50]);
    let told = trial.replays(2, LOST, vec![adjust(Change::Replay(SECOND), 30), all]);
    assert_eq!(told.used, [50]);
    assert!(trial.is_granted(LEARNT, 50));
}

#[test]
fn whoever_never_replays_is_waited_for_no_longer_than_it_would_count_nor_than_a_minute() {
    for shape in SHAPES {
        for (window, most) in [(6 * SECOND, 8 * SECOND), (600 * SECOND, ALIVE + LEARNING)] {
            let mut trial = Trial::new(limit(shape, 100, window));
            trial.replays(1, LOST, vec![adjust(Change::Replayed(2), 0)]);
            assert!(!trial.is_granted(LEARNT, 90), "{shape:?}");
            assert!(!trial.is_granted(LOST + most / 2, 90), "{shape:?}");
            assert!(trial.is_granted(LOST + most, 90), "{shape:?} {window}");
        }
    }
}

#[test]
fn whoever_is_there_before_those_who_knew_of_another_life_is_no_reason_to_trust_it() {
    let limit = limit(PoolShape::Rolling, 100, 60 * SECOND);
    let mut trial = Trial {
        limit,
        pool: None,
        seq: 0,
    };
    let reply = trial.call(9, LOST, 0, Vec::new(), 5);
    assert!(matches!(reply.decisions[..], [Decision::Granted { .. }]));
    // It is to tell what the pool held, and nothing more is granted meanwhile.
    let told = trial.call(1, LOST, 7, Vec::new(), 1);
    assert!(told.lost && told.created);
    assert!(!trial.is_granted(LEARNT - 1, 1));
    let told = trial.call(2, LOST, 7, Vec::new(), 1);
    assert!(told.lost && !told.created);
}

#[test]
fn what_went_through_a_bucket_before_it_was_lost_holds_nobody_up() {
    let bucket = PoolLimit {
        burst: 10,
        ..limit(PoolShape::Bucket, 60, 60 * SECOND)
    };
    let paced = PoolLimit {
        burst: 10,
        ..limit(PoolShape::Rolling, 120, 60 * SECOND)
    };
    for limit in [bucket, paced] {
        let mut trial = Trial::new(limit);
        // Two have sent one every other second each; half of what a bucket holds is there.
        let own = |first: u64| {
            (0..28).map(move |at| adjust(Change::Replay((first + 2 * at) * SECOND), 1))
        };
        let all = adjust(Change::Replayed(2), 0);
        let used = if limit.shape == PoolShape::Bucket {
            5
        } else {
            56
        };
        let one = own(2)
            .rev()
            .chain([adjust(Change::Foreign(SECOND), used), all.clone()]);
        trial.replays(1, LOST, one.collect());
        trial.replays(2, LOST, own(3).rev().chain([all]).collect());
        assert!(trial.is_granted(LEARNT, 5), "{:?}", limit.shape);
    }
}

#[test]
fn what_was_reserved_ahead_counts_from_when_it_leaves() {
    let mut trial = Trial::new(limit(PoolShape::Rolling, 100, 6 * SECOND));
    let reserved = adjust(Change::Reserved(3 * SECOND), 60);
    trial.replays(1, LOST, vec![reserved, adjust(Change::Replayed(1), 0)]);
    assert!(!trial.is_granted(LOST + 8 * SECOND, 50));
    assert!(trial.is_granted(LOST + 10 * SECOND, 50));
}

#[test]
fn what_does_not_count_any_more_is_not_what_others_had() {
    // Neither what surely doesn't, nor what may not have when they were seen last.
    for ago in [9_000_000, 7_050_000] {
        let mut trial = Trial::new(limit(PoolShape::Rolling, 100, 6 * SECOND));
        let (foreign, all) = (adjust(Change::Foreign(SECOND), 30), Change::Replayed(3));
        trial.replays(1, LOST, vec![foreign, adjust(all, 0)]);
        let own = adjust(Change::Replay(ago), 30);
        let told = trial.replays(2, LOST, vec![own, adjust(all, 0)]);
        assert!(told.used[0] >= 30, "{ago}: {:?}", told.used);
    }
}

/// One that keeps its dates to the microsecond, and counts at once.
fn exact(shape: PoolShape, amount: u64, window: u64) -> PoolLimit {
    PoolLimit {
        transit: 0,
        step: 1,
        ..limit(shape, amount, window)
    }
}

#[test]
fn what_others_held_counts_as_if_all_of_it_had_been_reserved_as_far_ahead_as_anything_is() {
    let mut trial = Trial::new(exact(PoolShape::Rolling, 100, 8 * SECOND));
    let foreign = adjust(Change::Foreign(SECOND), 30);
    trial.replays(1, LOST, vec![foreign, adjust(Change::Replayed(1), 0)]);
    let told = trial.call(1, LEARNT, 8, Vec::new(), 71).decisions;
    // Seen a second ago, reserved two seconds ahead.
    let at_least = LOST + SECOND + 8 * SECOND - LEARNT;
    assert_eq!(told, [Decision::Wait { at_least, limit: 0 }]);
}

#[test]
fn what_is_replayed_is_taken_off_what_others_held_then_off_what_is_in_doubt_and_never_off_both() {
    for shape in [PoolShape::Rolling, PoolShape::Fixed] {
        let mut trial = Trial::new(limit(shape, 100, 60 * SECOND));
        let all = adjust(Change::Replayed(4), 0);
        let foreign = adjust(Change::Foreign(SECOND), 30);
        trial.replays(1, LOST, vec![foreign, all.clone()]);
        for (process, known) in [(2, 30), (3, 40)] {
            let own = adjust(Change::Replay(SECOND), 20);
            let told = trial.replays(process, LOST, vec![own, all.clone()]);
            assert_eq!(told.used, [known], "{shape:?} {process}");
            assert!(!trial.is_granted(LEARNT, 1), "{shape:?} {process}");
        }
    }
}

#[test]
fn what_may_have_been_among_what_others_held_is_once_all_have_replayed() {
    let mut trial = Trial::new(exact(PoolShape::Rolling, 100, 8 * SECOND));
    let foreign = adjust(Change::Foreign(SECOND), 30);
    let all = adjust(Change::Replayed(2), 0);
    trial.replays(1, LOST, vec![foreign, all.clone()]);
    // It expired when they were seen last, or a moment later.
    let own = adjust(Change::Replay(9 * SECOND - UNSURE / 2), 10);
    let told = trial.replays(2, LOST, vec![own.clone(), own]);
    assert_eq!(told.used, [30]);
    assert_eq!(trial.replays(2, LOST, vec![all]).used, [10]);
}

#[test]
fn what_may_have_been_among_what_others_held_is_not_where_it_is_said_too_late() {
    let mut trial = Trial::new(exact(PoolShape::Rolling, 100, 600 * SECOND));
    let foreign = adjust(Change::Foreign(SECOND), 30);
    let all = adjust(Change::Replayed(2), 0);
    trial.replays(1, LOST, vec![foreign, all.clone()]);
    let now = LEARNT + ALIVE;
    let own = now - LOST + 601 * SECOND - UNSURE / 2;
    let own = adjust(Change::Replay(own), 30);
    assert_eq!(trial.replays(2, now, vec![own, all]).used, [30]);
    assert_eq!(trial.replays(2, now, Vec::new()).used, [30]);
}

#[test]
fn what_refills_a_bucket_while_it_is_in_doubt_is_not_granted_afterwards() {
    let mut trial = Trial::new(exact(PoolShape::Bucket, 60, 60 * SECOND));
    let held = adjust(Change::Foreign(0), 30);
    let all = adjust(Change::Replayed(2), 0);
    trial.replays(1, LOST, vec![held, all.clone()]);
    let now = LOST + 5 * SECOND;
    assert_eq!(trial.replays(2, now, vec![all]).used, [30]);
    assert!(!trial.is_granted(now, 31));
    assert!(trial.is_granted(now, 30));
}

#[test]
fn nothing_is_in_doubt_any_more_once_it_would_not_count() {
    for shape in SHAPES {
        let mut trial = Trial::new(exact(shape, 100, 10 * SECOND));
        trial.replays(1, LOST, vec![adjust(Change::Replayed(2), 0)]);
        let now = LOST + 12 * SECOND + 1;
        assert!(trial.is_granted(now, 20), "{shape:?}");
        let told = trial.call(1, now, 8, Vec::new(), 81);
        assert_eq!(told.used, [20], "{shape:?}");
        // Nor is anybody to ask again sooner than it fits.
        let fits = match shape {
            PoolShape::Bucket => SECOND / 10,
            _ => 10 * SECOND,
        };
        let waits = Decision::Wait {
            at_least: fits,
            limit: 0,
        };
        assert_eq!(told.decisions, [waits], "{shape:?}");
    }
}

#[test]
fn whoever_waits_while_something_is_in_doubt_asks_again_when_it_fits_at_the_latest() {
    let mut trial = Trial::new(exact(PoolShape::Bucket, 60, 60 * SECOND));
    trial.replays(1, LOST, vec![adjust(Change::Replayed(2), 0)]);
    // Two seconds' worth may have been reserved ahead of all that it holds; the next one comes a second later.
    for (before, at_least) in [(AGAIN * 2, AGAIN), (AGAIN / 2, AGAIN / 2)] {
        let now = LOST + 3 * SECOND - before;
        let told = trial.call(1, now, 8, Vec::new(), 1).decisions;
        assert_eq!(told, [Decision::Wait { at_least, limit: 1 }]);
    }
    assert!(trial.is_granted(LOST + 3 * SECOND, 1));
}

#[test]
fn those_who_are_waited_for_use_the_pool_until_a_minute_after_it_has_learnt() {
    let mut trial = Trial::new(limit(PoolShape::Rolling, 100, 600 * SECOND));
    trial.replays(1, LOST, vec![adjust(Change::Replayed(3), 0)]);
    let mut at = |now| trial.replays(1, now, Vec::new()).processes;
    assert_eq!((at(LEARNT + ALIVE - 1), at(LEARNT + ALIVE)), (3, 1));
}
