//! What the layers stand on: charges that are held until the request leaves.

use std::{
    sync::Arc as StdArc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use super::*;
use crate::{
    core::{limit::Anchor, settlement::Settle},
    verdict::{RateReading, Usage},
};

const SECOND: Duration = Duration::from_secs(1);

fn quota() -> Quota {
    Quota::builder()
        .limit(Limit::tokens(100, 10 * SECOND).transit(Duration::ZERO))
        .max_in_flight(3)
        .build()
        .expect("valid")
}

fn held(quota: &Quota) -> (u64, u64, usize) {
    let snapshot = quota.snapshot();
    (
        snapshot.limits[0].used,
        snapshot.limits[0].held,
        snapshot.in_flight,
    )
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: StdArc<Self>) {}
}

fn look(waiting: &mut Waiting) -> std::task::Poll<Result<Grant, Rejected>> {
    let waker = Waker::from(StdArc::new(Nobody));
    waiting.poll_turn(&mut Context::from_waker(&waker))
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_given_back_and_what_left_is_kept() {
    let quota = quota();
    let grant = quota
        .reserve_now(&Cost::tokens(60), false, Rank::DEFAULT)
        .expect("fits");
    assert_eq!(held(&quota), (0, 60, 1));
    drop(grant);
    assert_eq!(held(&quota), (0, 0, 0));
    let mut grant = quota
        .reserve_now(&Cost::tokens(60), false, Rank::DEFAULT)
        .expect("fits");
    grant.depart();
    grant.depart();
    assert_eq!(held(&quota), (60, 0, 1));
    grant.land();
    grant.land();
    assert_eq!(held(&quota), (60, 0, 0));
    drop(grant);
    assert_eq!(held(&quota), (60, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_window_runs_from_the_departure_not_from_the_grant() {
    let quota = quota();
    let mut grant = quota
        .reserve_now(&Cost::tokens(100), false, Rank::DEFAULT)
        .expect("fits");
    tokio::time::advance(50 * SECOND).await;
    assert!(
        quota.try_acquire(Cost::tokens(1)).is_err(),
        "held without a date"
    );
    grant.depart();
    let refused = quota.try_acquire(Cost::tokens(1)).expect_err("just left");
    assert!(
        refused.retry_after.is_some_and(|wait| wait >= 10 * SECOND),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_grant_is_settled_up_always_and_down_by_policy() {
    for (used, policy, counts) in [
        (70, Settle::Keep, 70),
        (40, Settle::Keep, 50),
        (80, Settle::TrueUp, 80),
        (10, Settle::TrueUp, 10),
    ] {
        let quota = quota();
        let grant = quota
            .reserve_now(&Cost::tokens(50), false, Rank::DEFAULT)
            .expect("fits");
        let used = grant.used(&Usage::new(used, 0));
        grant.settle(&used, policy);
        assert_eq!(held(&quota), (counts, 0, 0), "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refund_after_departure_gives_everything_back() {
    let quota = quota();
    let mut grant = quota
        .reserve_now(&Cost::tokens(50), false, Rank::DEFAULT)
        .expect("fits");
    grant.depart();
    tokio::time::advance(SECOND).await;
    grant.refund();
    assert_eq!(held(&quota), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_doesn_t_know_of_what_left_after_its_request() {
    let quota = quota();
    let mut first = quota
        .reserve_now(&Cost::tokens(30), false, Rank::DEFAULT)
        .expect("fits");
    first.depart();
    tokio::time::advance(SECOND).await;
    let mut second = quota
        .reserve_now(&Cost::tokens(30), false, Rank::DEFAULT)
        .expect("fits");
    second.depart();
    let mut status = RateStatus::new();
    status.tokens = RateReading::new().remaining(70);
    first.observe(&status);
    assert_eq!(quota.snapshot().limits[0].left, 40);
    status.tokens = RateReading::new().remaining(50);
    first.observe(&status);
    // And a sixth more, by the time that we are told.
    assert_eq!(quota.snapshot().limits[0].left, 17, "others spend twenty");
    status.tokens = RateReading::new().remaining(20);
    second.observe(&status);
    assert_eq!(quota.snapshot().limits[0].left, 17, "the same twenty");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_place_goes_when_one_lands() {
    let quota = Quota::builder().max_in_flight(1).build().expect("valid");
    let mut grant = quota
        .reserve_now(&Cost::request(), false, Rank::DEFAULT)
        .expect("fits");
    grant.depart();
    let Reserved::Queued(mut waiting) = quota.reserve(&Cost::request(), false, Rank::DEFAULT)
    else {
        panic!("it waits");
    };
    assert!(look(&mut waiting).is_pending());
    grant.land();
    assert!(look(&mut waiting).is_ready());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_what_another_holds_goes_when_it_is_given_back() {
    let quota = quota();
    let grant = quota
        .reserve_now(&Cost::tokens(100), false, Rank::DEFAULT)
        .expect("fits");
    let Reserved::Queued(mut waiting) = quota.reserve(&Cost::tokens(1), false, Rank::DEFAULT)
    else {
        panic!("it waits");
    };
    assert!(look(&mut waiting).is_pending());
    drop(grant);
    assert!(look(&mut waiting).is_ready());
    assert_eq!(held(&quota), (0, 0, 0));
}

/// What is refused is asked for three times, so that it is told again, and once more after something else was, which lets it be found
/// anew.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_told_again_is_the_one_that_would_be_found() {
    for seed in 1..=100_u64 {
        let mut state = seed;
        let mut dice = |sides: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % sides
        };
        let quota = Quota::builder()
            .limit(Limit::requests(6, 10 * SECOND))
            .limit(Limit::tokens(100, 20 * SECOND))
            .max_in_flight(5)
            .keep_for(Priority::Interactive, 0.2)
            .build()
            .expect("valid");
        let (mut permits, mut grants, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for step in 0..100 {
            let priority = [Priority::Background, Priority::Interactive][dice(2) as usize];
            let cost = Cost::tokens([20, 40, 95][dice(3) as usize]);
            let ask = || {
                let rank = Rank::new(priority, 0);
                quota.reserve_now(&cost, false, rank).map(drop)
            };
            let told = [ask(), ask(), ask()];
            let other = quota
                .try_acquire(Cost::tokens(1_000))
                .expect_err("too large");
            assert_eq!(other.reason, crate::error::Reason::TooLarge);
            let found = ask();
            assert!(
                told.iter()
                    .filter(|told| told.is_err())
                    .all(|told| *told == found),
                "seed {seed}, step {step}: {told:?} instead of {found:?}"
            );
            match dice(15) {
                0..4 => permits.extend(quota.try_acquire(cost).ok()),
                4 => drop(permits.pop().map(Permit::cancel)),
                5 => drop(permits.pop()),
                6 => drop(permits.pop().map(|permit| permit.settle(Usage::new(5, 1)))),
                7 => grants.extend(quota.reserve_now(&cost, false, Rank::DEFAULT)),
                8 => drop(grants.pop()),
                9 => quota.pause_until(Instant::now() + SECOND),
                10 => {
                    let limit = Limit::tokens(95 + dice(20), 20 * SECOND);
                    quota.resize(limit).expect("valid");
                }
                11 => waiting.push(quota.reserve(&cost, false, Rank::DEFAULT)),
                12 => drop(waiting.pop()),
                13 => {
                    let of_no_tokens = quota.reserve_now(&Cost::request(), false, Rank::DEFAULT);
                    if let Ok(mut grant) = of_no_tokens {
                        grant.depart();
                        grant.refused(Some(Resource::Tokens), Some(SECOND));
                    }
                }
                _ => {}
            }
            if dice(2) == 0 {
                tokio::time::advance(dice(3) as u32 * SECOND / 2).await;
            }
        }
    }
}

/// Nothing is held, nobody asks for anything else: time alone passes.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_told_again_knows_that_the_pause_of_its_limit_is_over() {
    let quota = Quota::builder()
        .limit(Limit::tokens(100, 60 * SECOND))
        .keep_for(Priority::Interactive, 0.3)
        .build()
        .expect("valid");
    drop(quota.try_acquire(Cost::tokens(80)).expect("fits"));
    let mut grant = quota
        .reserve_now(&Cost::request(), false, Rank::DEFAULT)
        .expect("no tokens");
    grant.depart();
    grant.refused(Some(Resource::Tokens), Some(5 * SECOND));
    drop(grant);
    let ask = || {
        let rank = Rank::new(Priority::Background, 0);
        let asked = quota.reserve_now(&Cost::tokens(10), false, rank);
        asked.map(drop).expect_err("kept for others")
    };
    assert!([ask(), ask()].iter().all(|refused| !refused.kept), "paused");
    tokio::time::advance(6 * SECOND).await;
    let told = ask();
    // Whoever looks lets it be found anew.
    quota.snapshot();
    assert_eq!(told, ask());
    assert!(told.kept);
}

/// The units of the user's own are known to nobody else: usage counts tokens alone.
#[tokio::test(start_paused = true)]
async fn a_permit_is_settled_as_what_was_used_units_included() {
    let day = Duration::from_secs(86_400);
    let limit = Limit::units("cents", 500, day).transit(Duration::ZERO);
    let cents = |n| Cost::request().unit("cents", n);
    let shapes = [
        limit.clone().rolling(),
        limit.clone().bucket(),
        limit.fixed(Anchor::utc()),
    ];
    for limit in shapes {
        let alone = Quota::new(limit.clone()).expect("valid");
        let tier = Tier::new(Quota::builder().limit(limit.clone())).expect("valid");
        let keyed = KeyedQuotas::new(move |_: &u8| tier.clone()).get(&1);
        for quota in [alone, keyed] {
            let left = || quota.snapshot().limits[0].left;
            let permit = quota.try_acquire(cents(400)).expect("fits");
            assert_eq!(left(), 100, "{limit}");
            permit.settle(Usage::new(9, 12));
            assert_eq!(left(), 100, "{limit}: usage names no cents");
            let permit = quota.try_acquire(cents(100)).expect("fits");
            permit.settle_as(cents(30));
            assert_eq!(left(), 70, "{limit}: given back");
            let permit = quota.try_acquire(cents(10)).expect("fits");
            permit.settle_as(cents(80));
            assert_eq!(left(), 0, "{limit}: owed");
        }
    }
}

/// What would be ignored is refused; what it is anyway may be said again.
#[tokio::test(start_paused = true)]
async fn a_limit_is_resized_by_its_amount_and_by_nothing_else() {
    let (utc, first) = (Anchor::utc(), Anchor::first_use());
    let of = |amount| Limit::tokens(amount, 10 * SECOND);
    let calendar = || Anchor::calendar(|at| at + SECOND);
    let plain: fn(Limit) -> Limit = |limit| limit;
    type Stated = Box<dyn Fn(Limit) -> Limit>;
    let stated: Vec<Stated> = vec![
        Box::new(plain),
        Box::new(Limit::rolling),
        Box::new(Limit::bucket),
        Box::new(move |limit| limit.fixed(utc.clone())),
        Box::new(move |limit| limit.fixed(first.clone())),
        Box::new(move |limit| limit.fixed(calendar())),
        Box::new(|limit| limit.burst(20)),
        Box::new(|limit| limit.burst(30)),
        Box::new(|limit| limit.transit(SECOND / 10)),
    ];
    for (at, given) in stated.iter().enumerate() {
        let builder = || Quota::builder().limit(given(of(100)));
        let (quota, tier) = (builder().build().expect("valid"), Tier::new(builder()));
        let tier = tier.expect("valid");
        for (other, asked) in stated.iter().enumerate() {
            // Without a word it is a rolling window, or a key's bucket.
            let (rolling, bucket) = ([0, 1, 6, 7, 8], [0, 2, 6, 7, 8]);
            let same = other == 0 || other == at;
            let is = quota.resize(asked(of(120)));
            let unsaid = other == 1 && rolling.contains(&at);
            assert_eq!(is.is_ok(), same || unsaid, "{at}, {other}: {is:?}");
            let is = tier.resize(asked(of(120)));
            let unsaid = other == 2 && bucket.contains(&at);
            assert_eq!(
                is.is_ok(),
                same || unsaid,
                "{at}, {other} of a tier: {is:?}"
            );
        }
        assert_eq!(quota.snapshot().limits[0].limit.amount, 120);
    }
    let learnt = Quota::discover().build().expect("valid");
    learnt.resize(of(5)).expect_err("no limit yet");
}
