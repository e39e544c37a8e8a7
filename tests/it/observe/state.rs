//! What outlives the process.

use std::time::{Duration, SystemTime};

use tower_quota::{
    Anchor, Cost, Limit, Quota, RateReading, RateStatus, Reason,
    quota::{QuotaBuilder, SavedState},
};

use super::SECOND;

const HOUR: Duration = Duration::from_secs(3_600);

/// Some noon, UTC.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 12 * 3_600)
}

/// Through a file, where it can be written.
fn through_a_file(state: SavedState) -> SavedState {
    #[cfg(feature = "serde")]
    let state = serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
    state
}

/// Spends, dies at once, and is back after so long.
fn crash(quota: Quota, again: QuotaBuilder, at: SystemTime, down: Duration) -> Quota {
    let saved = through_a_file(quota.save_at(at));
    drop(quota);
    assert_eq!(saved.saved_at(), at);
    again.restore_at(saved, at + down).build().unwrap()
}

fn spend(quota: &Quota, requests: u64) {
    for _ in 0..requests {
        drop(quota.try_acquire(Cost::request()).expect("left"));
    }
}

fn left(quota: &Quota) -> u64 {
    quota.snapshot().limits[0].left
}

#[tokio::test(start_paused = true)]
async fn a_daily_budget_is_not_refilled_by_a_crash() {
    let shapes: [(Limit, u64); 4] = [
        (Limit::requests_per_day(10), 0),
        // A tenth of a day refills one.
        (Limit::requests_per_day(10).bucket(), 0),
        (Limit::requests_per_day(10).fixed(Anchor::utc()), 0),
        (Limit::requests_per_day(10).fixed(Anchor::first_use()), 0),
    ];
    for (limit, expected) in shapes {
        let builder = Quota::builder().limit(limit.clone());
        let mut quota = builder.clone().restore_at(
            Quota::builder()
                .limit(limit.clone())
                .build()
                .unwrap()
                .save_at(noon()),
            noon(),
        );
        quota = quota.named("daily");
        let mut quota = quota.build().unwrap();
        let mut at = noon();
        for _ in 0..10 {
            spend(&quota, 1);
            // As often as it likes.
            quota = crash(quota, builder.clone(), at, SECOND);
            at += SECOND;
        }
        assert_eq!(left(&quota), expected, "{limit}");
        let refused = quota.try_acquire(Cost::request()).unwrap_err();
        assert_eq!(refused.reason, Reason::LimitReached);
        assert!(refused.retry_after > Some(2 * HOUR), "{limit}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_passed_while_it_was_down_counts_and_no_more() {
    // Each is whole again at its own time.
    let shapes: [(Limit, Duration, u64); 4] = [
        (Limit::requests_per_day(10).transit(SECOND), 24 * HOUR, 0),
        (
            Limit::requests_per_day(10).bucket().transit(SECOND),
            24 * HOUR,
            9,
        ),
        (
            Limit::requests_per_day(10)
                .fixed(Anchor::utc())
                .transit(SECOND),
            12 * HOUR,
            0,
        ),
        (
            Limit::requests_per_day(10)
                .fixed(Anchor::first_use())
                .transit(SECOND),
            24 * HOUR,
            0,
        ),
    ];
    let start = noon() - SECOND;
    for (limit, whole, before) in shapes {
        let builder = Quota::builder().limit(limit.clone());
        let fresh = builder.clone().build().unwrap().save_at(start);
        let quota = || {
            builder
                .clone()
                .restore_at(fresh.clone(), noon())
                .build()
                .unwrap()
        };
        for (down, expected) in [
            (whole - 60 * SECOND, before),
            // Steps are a 1,024th of a day.
            (whole + 90 * SECOND, 10),
        ] {
            let quota = quota();
            spend(&quota, 10);
            let quota = crash(quota, builder.clone(), noon(), down);
            assert_eq!(left(&quota), expected, "{limit} after {down:?}");
        }
    }
}

/// What the window that follows may hold isn't the crash's to decide: the next boundary is where the calendar has it.
#[tokio::test(start_paused = true)]
async fn a_window_that_ended_while_it_was_down_is_followed_by_whole_ones() {
    let limit = Limit::requests_per_day(10).fixed(Anchor::utc());
    let builder = Quota::builder().limit(limit);
    let fresh = builder.clone().build().unwrap().save_at(noon());
    let quota = builder.clone().restore_at(fresh, noon()).build().unwrap();
    spend(&quota, 10);
    let quota = crash(quota, builder.clone(), noon(), 20 * HOUR);
    let snapshot = quota.snapshot();
    assert_eq!(snapshot.limits[0].resets_in, Some(16 * HOUR));
    spend(&quota, 10);
    tokio::time::advance(15 * HOUR).await;
    assert_eq!(left(&quota), 0);
    tokio::time::advance(HOUR).await;
    assert_eq!(left(&quota), 10);
}

/// Clocks are set by a little every now and then, also at midnight.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_over_midnight_costs_no_further_day() {
    let builder = Quota::builder().limit(Limit::requests_per_day(10).fixed(Anchor::utc()));
    let midnight = noon() + 12 * HOUR;
    let fresh = builder.clone().build().unwrap().save_at(noon());
    let quota = builder.clone().restore_at(fresh, noon()).build().unwrap();
    spend(&quota, 10);
    tokio::time::advance(12 * HOUR - SECOND).await;
    // A clock that was ahead for a moment, and is right again.
    let saved = quota.save_at(midnight + SECOND);
    let quota = builder
        .restore_at(saved, midnight + SECOND / 2)
        .build()
        .unwrap();
    assert_eq!(left(&quota), 0);
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(left(&quota), 10);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_back_lets_no_time_pass() {
    let builder = Quota::builder().limit(Limit::requests_per_day(10));
    let quota = builder.clone().build().unwrap();
    spend(&quota, 10);
    let saved = quota.save_at(noon());
    let quota = builder
        .restore_at(saved, noon() - 900 * HOUR)
        .build()
        .unwrap();
    let refused = quota.try_acquire(Cost::request()).unwrap_err();
    assert!(refused.retry_after > Some(24 * HOUR), "{refused}");
    assert!(refused.retry_after < Some(25 * HOUR), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_was_held_counts_as_sent_and_places_in_flight_are_free() {
    let builder = Quota::builder()
        .limit(Limit::tokens_per_day(100))
        .max_in_flight(1);
    let quota = builder.clone().build().unwrap();
    let mut permit = Box::pin(quota.acquire(Cost::tokens(60)));
    let permit = super::now(&mut permit).unwrap();
    let quota = crash(quota, builder, noon(), SECOND);
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.limits[0].left), (0, 40));
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn pauses_go_on_and_time_in_a_new_process_passes_as_ever() {
    let builder = Quota::builder().limit(Limit::requests_per_minute(10));
    let quota = builder.clone().build().unwrap();
    tokio::time::advance(1_000 * SECOND).await;
    quota.pause_until(tokio::time::Instant::now() + 30 * SECOND);
    let quota = crash(quota, builder, noon(), 10 * SECOND);
    assert_eq!(quota.snapshot().paused, 20 * SECOND);
    let start = tokio::time::Instant::now();
    drop(quota.acquire(Cost::request()).await.unwrap());
    assert_eq!(start.elapsed(), 20 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn settings_may_have_changed_meanwhile() {
    let quota = Quota::builder()
        .limit(Limit::requests_per_day(10))
        .limit(Limit::tokens_per_minute(100))
        .build()
        .unwrap();
    drop(quota.try_acquire(Cost::tokens(70)).unwrap());
    // Another amount, another shape, and one that is new.
    let again = Quota::builder()
        .limit(Limit::requests_per_day(20))
        .limit(Limit::tokens_per_minute(100).bucket())
        .limit(Limit::tokens_per_day(1_000));
    let quota = crash(quota, again, noon(), SECOND);
    let left: Vec<_> = quota.snapshot().limits.iter().map(|l| l.left).collect();
    assert_eq!(left, [19, 30, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn limits_that_answers_stated_are_known_again() {
    let quota = Quota::discover().build().unwrap();
    let mut stated = RateStatus::new();
    stated.requests = RateReading::new().limit(100).remaining(40);
    quota.observe(&stated);
    let before = quota.snapshot();
    let quota = crash(quota, Quota::discover(), noon(), Duration::ZERO);
    assert_eq!(quota.snapshot().limits, before.limits);
    assert_eq!(before.limits[0].limit.amount, 100);
}

#[tokio::test(start_paused = true)]
async fn a_state_of_something_else_is_refused_by_name() {
    let one = || Quota::builder().limit(Limit::requests_per_day(10));
    let saved = one().named("openai").build().unwrap().save_at(noon());
    let refuse = |builder: QuotaBuilder, saved: &SavedState| {
        let error = builder
            .restore_at(saved.clone(), noon())
            .build()
            .unwrap_err();
        assert_eq!(error.setting(), "restore");
        error.to_string()
    };
    assert_eq!(
        refuse(one().named("groq"), &saved),
        r#"restore: a state of the quota "openai" for one that is called "groq""#
    );
    assert!(
        one().restore_at(saved.clone(), noon()).build().is_ok(),
        "unnamed"
    );
    let other = Quota::builder().limit(Limit::tokens_per_day(10));
    assert_eq!(
        refuse(other, &saved),
        "restore: none of its limits is this quota's"
    );
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn another_format_and_figures_without_sense_are_refused() {
    let one = || Quota::builder().limit(Limit::requests_per_day(10));
    let quota = one().build().unwrap();
    spend(&quota, 3);
    let json = serde_json::to_value(quota.save_at(noon())).unwrap();
    for (path, value, says) in [
        ("/format", 2u64, "a state of format 2: this version reads 1"),
        (
            "/accounts/limits/0/account/rolling/spent/0/0",
            u64::MAX,
            "too far in the future",
        ),
        (
            "/accounts/limits/0/account/rolling/spent/0/1",
            u64::MAX,
            "more than can be counted",
        ),
        ("/accounts/now", u64::MAX, "too far in the future"),
        ("/accounts/limits/0/window", 0, "a limit makes no sense"),
    ] {
        let mut json = json.clone();
        *json.pointer_mut(path).unwrap() = value.into();
        let saved: SavedState = serde_json::from_value(json).unwrap();
        let error = one().restore_at(saved, noon()).build().unwrap_err();
        assert!(error.to_string().contains(says), "{path}: {error}");
    }
    let half = &serde_json::to_string(&json).unwrap()[..100];
    assert!(serde_json::from_str::<SavedState>(half).is_err());
}
