//! Midnight on the Pacific coast of the United States, whose days have 23 and 25 hours twice a year.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The first midnight after `time`.
pub(super) fn midnight_after(time: SystemTime) -> SystemTime {
    let now = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs() as i64;
    // Standard time is never ahead of the clocks there: its day is theirs or the one before.
    let day = (now - 8 * HOUR).div_euclid(DAY);
    let next = (day..day + 3)
        .map(midnight)
        .find(|midnight| *midnight > now);
    let next = next.unwrap_or(now + DAY);
    UNIX_EPOCH + Duration::from_secs(next.unsigned_abs())
}

/// When the day so many after 1 January 1970 begins there, in seconds of Unix time. The clocks
/// change at two in the morning, so that at midnight those of the day before still hold.
fn midnight(day: i64) -> i64 {
    let (spring, autumn) = changes(year_of(day));
    let summer = day > spring && day <= autumn;
    day * DAY + if summer { 7 * HOUR } else { 8 * HOUR }
}

/// The days on which the clocks go forward and back: the second Sunday of March and the first of
/// November (15 U.S.C. 260a, since 2007).
fn changes(year: i64) -> (i64, i64) {
    // 1 January 1970 was a Thursday.
    let sunday_from = |day: i64| day + (10 - day.rem_euclid(7)).rem_euclid(7);
    let january = first_of(year);
    let leap = i64::from(first_of(year + 1) - january == 366);
    (
        sunday_from(january + 59 + leap + 7),
        sunday_from(january + 304 + leap),
    )
}

fn first_of(year: i64) -> i64 {
    let before = year - 1;
    (year - 1970) * 365 + (before / 4 - before / 100 + before / 400) - 477
}

fn year_of(day: i64) -> i64 {
    // A year has at least 365 days, so that this is never too early.
    let mut year = 1970 + day.div_euclid(365);
    while first_of(year) > day {
        year -= 1;
    }
    year
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> String {
        let time = httpdate::parse_http_date(text).unwrap();
        httpdate::fmt_http_date(midnight_after(time))
    }

    #[test]
    fn midnight_is_seven_hours_behind_in_summer_and_eight_in_winter() {
        for (time, midnight) in [
            (
                "Thu, 15 Jan 2026 12:00:00 GMT",
                "Fri, 16 Jan 2026 08:00:00 GMT",
            ),
            (
                "Thu, 15 Jan 2026 07:59:59 GMT",
                "Thu, 15 Jan 2026 08:00:00 GMT",
            ),
            (
                "Thu, 15 Jan 2026 08:00:00 GMT",
                "Fri, 16 Jan 2026 08:00:00 GMT",
            ),
            (
                "Wed, 15 Jul 2026 12:00:00 GMT",
                "Thu, 16 Jul 2026 07:00:00 GMT",
            ),
            (
                "Wed, 15 Jul 2026 07:30:00 GMT",
                "Thu, 16 Jul 2026 07:00:00 GMT",
            ),
            (
                "Wed, 15 Jul 2026 06:59:59 GMT",
                "Wed, 15 Jul 2026 07:00:00 GMT",
            ),
            // 8 March 2026 has 23 hours, 1 November 25.
            (
                "Sun, 08 Mar 2026 07:59:59 GMT",
                "Sun, 08 Mar 2026 08:00:00 GMT",
            ),
            (
                "Sun, 08 Mar 2026 08:00:00 GMT",
                "Mon, 09 Mar 2026 07:00:00 GMT",
            ),
            (
                "Sun, 01 Nov 2026 06:59:59 GMT",
                "Sun, 01 Nov 2026 07:00:00 GMT",
            ),
            (
                "Sun, 01 Nov 2026 07:00:00 GMT",
                "Mon, 02 Nov 2026 08:00:00 GMT",
            ),
            (
                "Tue, 31 Dec 2024 20:00:00 GMT",
                "Wed, 01 Jan 2025 08:00:00 GMT",
            ),
            (
                "Thu, 29 Feb 2024 12:00:00 GMT",
                "Fri, 01 Mar 2024 08:00:00 GMT",
            ),
        ] {
            assert_eq!(after(time), midnight, "{time}");
        }
    }

    #[test]
    fn every_day_of_a_century_has_23_24_or_25_hours() {
        let mut at = UNIX_EPOCH + Duration::from_secs(1_167_638_400);
        let (mut short, mut long) = (0, 0);
        for _ in 0..36_525 {
            let next = midnight_after(at);
            match next.duration_since(at).unwrap().as_secs() {
                82_800 => short += 1,
                86_400 => {}
                90_000 => long += 1,
                other => panic!("a day of {other} s"),
            }
            at = next;
        }
        assert_eq!((short, long), (100, 100));
    }
}
