//! Clocks that go back, stand still or leap.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, advance, timeout};
use tower_quota::{Anchor, Cost, Limit, Quota};

use super::run;

const SECOND: Duration = Duration::from_secs(1);
const YEARS: Duration = Duration::from_secs(100 * 31_557_600);

/// The clocks on the wall that a restart may find.
fn walls() -> Vec<SystemTime> {
    let now = SystemTime::now();
    let epoch = SystemTime::UNIX_EPOCH;
    vec![
        now,
        now - SECOND,
        now - YEARS / 4,
        now + YEARS,
        epoch,
        epoch - YEARS,
        epoch + YEARS * 5,
        epoch + Duration::from_secs(u64::MAX >> 12),
    ]
}

#[test]
fn whatever_the_clock_says_when_it_is_saved_and_restored_no_more_is_left_than_was() {
    let builder = || {
        Quota::builder()
            .limit(Limit::requests_per_minute(10))
            .limit(Limit::tokens_per_day(1_000).fixed(Anchor::utc()))
    };
    for saved in walls() {
        for restored in walls() {
            run(async {
                let quota = builder().build().unwrap();
                quota.try_acquire(Cost::tokens(400)).unwrap().settle(
                    // All of it, so that it stays.
                    tower_quota::Usage::new(400, 0),
                );
                let state = quota.save_at(saved);
                let again = builder().restore_at(state, restored).build().unwrap();
                let snapshot = again.snapshot();
                assert!(snapshot.limits[0].left <= 10 && snapshot.limits[1].left <= 1_000);
                // A clock that went back has let no time pass.
                if restored <= saved {
                    assert_eq!(snapshot.limits[0].left, 9, "{saved:?} {restored:?}");
                    assert_eq!(snapshot.limits[1].left, 600, "{saved:?} {restored:?}");
                }
                let _ = again.try_acquire(Cost::tokens(1));
                advance(YEARS).await;
                let all = again.try_acquire(Cost::tokens(1_000));
                assert!(
                    all.is_ok(),
                    "saved at {saved:?}, restored at {restored:?}: {all:?}"
                );
            });
        }
    }
}

#[test]
fn a_calendar_that_goes_back_stands_still_or_leaps_stops_nobody_for_good() {
    let calendars: [fn(SystemTime) -> SystemTime; 6] = [
        |t| t,
        |t| t - SECOND,
        |_| SystemTime::UNIX_EPOCH,
        |t| t + YEARS,
        |t| t + Duration::from_nanos(1),
        |_| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX >> 12),
    ];
    for (index, calendar) in calendars.into_iter().enumerate() {
        run(async move {
            let limit = Limit::requests(2, SECOND * 60).fixed(Anchor::calendar(calendar));
            let quota = Quota::builder().limit(limit).build().unwrap();
            let start = std::time::Instant::now();
            for _ in 0..20 {
                let _ = timeout(SECOND * 61, quota.acquire(Cost::request())).await;
                let _ = quota.snapshot();
                advance(SECOND * 30).await;
            }
            assert!(start.elapsed() < SECOND * 10, "calendar {index} loops");
            assert_eq!(quota.snapshot().waiting, 0);
        });
    }
}

#[test]
fn after_a_hundred_years_asleep_everything_is_as_new() {
    for limit in [
        Limit::requests(3, SECOND),
        Limit::requests(3, SECOND).bucket(),
        Limit::requests(3, SECOND).fixed(Anchor::utc()),
        Limit::requests(3, SECOND).fixed(Anchor::first_use()),
        Limit::requests(3, SECOND).fixed(Anchor::at(SystemTime::UNIX_EPOCH - YEARS)),
        Limit::requests(3, SECOND).fixed(Anchor::at(SystemTime::now() + YEARS)),
    ] {
        run(async {
            let quota = Quota::new(limit).unwrap();
            for _ in 0..3 {
                quota
                    .try_acquire(Cost::none().requests(3))
                    .unwrap()
                    .settle(tower_quota::Usage::new(0, 0));
                advance(YEARS).await;
            }
            assert_eq!(quota.snapshot().limits[0].left, 3);
            // Longer than what nanoseconds can count.
            for _ in 0..6 {
                advance(YEARS).await;
                let _ = quota.try_acquire(Cost::request());
                let _ = quota.snapshot();
            }
        });
    }
}

#[test]
fn a_pause_until_the_end_of_time_ends_by_hand() {
    run(async {
        let quota = Quota::new(Limit::requests(3, SECOND)).unwrap();
        let now = Instant::now();
        for until in [
            now - SECOND.min(now.elapsed()),
            now,
            now + YEARS * 3,
            now + YEARS,
        ] {
            quota.pause_until(until);
            let refused = quota.try_acquire(Cost::request()).err();
            assert_eq!(refused.is_some(), until > now);
            let soon = timeout(SECOND, quota.acquire(Cost::request())).await;
            assert_eq!(matches!(soon, Ok(Ok(_))), until <= now);
            if until > now {
                quota.resume();
            }
            advance(SECOND * 3).await;
        }
        quota.resume();
        assert!(quota.try_acquire(Cost::request()).is_ok());
    });
}
