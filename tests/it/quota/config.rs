//! Contradictions are refused when a quota is built, by a message that names setting and value.

use std::time::Duration;

use tower_quota::{Limit, Priority, Quota, quota::QuotaBuilder};

use crate::quota::support::SECOND;

fn refused(builder: QuotaBuilder) -> String {
    builder.build().expect_err("it makes no sense").to_string()
}

fn of(limit: Limit) -> String {
    refused(Quota::builder().limit(limit))
}

#[test]
fn what_no_request_could_pass_is_refused_when_it_is_built() {
    let minute = Limit::tokens_per_minute(1_000);
    for (message, names) in [
        (refused(Quota::builder()), vec!["limit", "at least one"]),
        (
            of(Limit::requests_per_minute(0)),
            vec!["0 requests per minute"],
        ),
        (of(Limit::tokens_per_minute(u64::MAX)), vec!["2^53"]),
        (
            of(Limit::requests(5, Duration::ZERO)),
            vec!["5 requests in a window of 0ns", "millisecond"],
        ),
        (
            of(Limit::requests(5, Duration::from_micros(999))),
            vec!["millisecond"],
        ),
        (of(Limit::requests(5, Duration::MAX)), vec!["a year"]),
        (
            of(minute.clone().burst(0)),
            vec!["1000 tokens per minute", "burst of 0"],
        ),
        (
            of(minute.clone().burst(1_001)),
            vec!["1001", "more than the amount"],
        ),
        (of(minute.clone().bucket().burst(u64::MAX)), vec!["burst"]),
        (
            of(minute.clone().transit(61 * SECOND)),
            vec!["61s", "longer than the window"],
        ),
        (of(Limit::units("", 5, SECOND)), vec!["name"]),
        (
            refused(Quota::builder().limit(minute.clone()).headroom(0.0)),
            vec!["headroom", "0"],
        ),
        (
            refused(Quota::builder().limit(minute.clone()).headroom(1.1)),
            vec!["headroom", "1.1"],
        ),
        (
            refused(Quota::builder().limit(minute.clone()).headroom(f64::NAN)),
            vec!["headroom", "NaN"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .keep_for(Priority::Interactive, 1.0),
            ),
            vec!["keep_for", "1", "Interactive"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .keep_for(Priority::Interactive, f64::NAN),
            ),
            vec!["keep_for", "NaN"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .keep_for(Priority::Level(9), 0.1),
            ),
            vec!["keep_for", "less urgent"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .keep_for(Priority::Interactive, 0.5)
                    .keep_for(Priority::Standard, 0.5),
            ),
            vec!["keep_for", "nothing"],
        ),
        (
            refused(Quota::builder().limit(minute.clone()).max_in_flight(0)),
            vec!["max_in_flight", "0"],
        ),
        (
            refused(Quota::builder().limit(minute.clone()).max_per_request(0)),
            vec!["max_per_request", "0"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .max_per_request(1_001),
            ),
            vec!["max_per_request", "1001", "1000 tokens per minute"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .headroom(0.5)
                    .max_per_request(501),
            ),
            vec!["max_per_request", "501", "500"],
        ),
        (
            refused(
                Quota::builder()
                    .limit(minute.clone())
                    .limit(minute.bucket()),
            ),
            vec!["limit the same", "1000 tokens per minute"],
        ),
    ] {
        for name in names {
            assert!(message.contains(name), "{message:?} doesn't say {name:?}");
        }
    }
}

#[test]
fn what_makes_sense_is_built() -> Result<(), tower_quota::ConfigError> {
    let minute = Limit::tokens_per_minute(1_000);
    Quota::builder().max_in_flight(1).build()?;
    Quota::builder()
        .limit(minute.clone())
        .limit(Limit::tokens_per_day(1_000))
        .build()?;
    Quota::builder()
        .limit(minute.clone().bucket().burst(5_000))
        .max_per_request(5_000)
        .build()?;
    Quota::builder().limit(minute).headroom(0.000_1).build()?;
    Quota::builder()
        .limit(Limit::tokens(1 << 53, SECOND))
        .max_wait(Duration::MAX)
        .max_queue(0)
        .build()?;
    Ok(())
}

#[test]
fn resize_refuses_what_build_refuses_and_what_isn_t_there() {
    let quota = Quota::new(Limit::tokens_per_minute(1_000)).expect("valid");
    assert!(quota.resize(Limit::tokens_per_minute(0)).is_err());
    let message = quota
        .resize(Limit::tokens_per_day(5))
        .expect_err("no such limit")
        .to_string();
    assert!(
        message.contains("tokens") && message.contains("86400s"),
        "{message}"
    );
    quota
        .resize(Limit::tokens_per_minute(7))
        .expect("there is one");
    assert_eq!(quota.snapshot().limits[0].left, 7);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_taken_as_it_is_written() {
    for percent in 1..100 {
        let share = format!("0.{percent:02}").parse().expect("a float");
        for amount in [100, 300, 1_000_000, 9_000_000_000_000_000] {
            let builder = Quota::builder().limit(Limit::tokens(amount, SECOND));
            let quota = builder.headroom(share).build().expect("valid");
            let planned = quota.snapshot().limits[0].left;
            assert_eq!(planned, amount / 100 * percent, "{share} of {amount}");
        }
    }
}
