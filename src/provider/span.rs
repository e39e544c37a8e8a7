//! Spans and instants as providers write them, by integers alone.

use std::time::{Duration, SystemTime};

/// A span longer than this is nonsense, not a wait.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const NANO: u128 = 1;
const MICRO: u128 = 1_000;
const MILLI: u128 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;

/// A decimal number in billionths. A fraction finer than that is rounded up: whoever waits for
/// it must not come too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal(u128);

impl Decimal {
    const fn times(self, unit: u128) -> Option<Duration> {
        span((self.0 * unit).div_ceil(SECOND))
    }
}

/// Nanoseconds as a span, where they make sense as one.
const fn span(nanos: u128) -> Option<Duration> {
    if nanos > LONGEST.as_nanos() {
        None
    } else {
        Some(Duration::from_nanos(nanos as u64))
    }
}

/// The number at the start of `text` and what follows it.
fn decimal(text: &[u8]) -> Option<(Decimal, &[u8])> {
    let whole = digits(text);
    // Fifteen digits hold every epoch in milliseconds; no provider means more.
    if whole == 0 || whole > 15 {
        return None;
    }
    let mut value = number(&text[..whole]) * SECOND;
    let mut rest = &text[whole..];
    if let [b'.', fraction @ ..] = rest {
        let len = digits(fraction);
        if len > 0 {
            let kept = len.min(9);
            value += number(&fraction[..kept]) * 10_u128.pow(9 - kept as u32);
            if fraction[kept..len].iter().any(|digit| *digit != b'0') {
                value += 1;
            }
            rest = &fraction[len..];
        }
    }
    Some((Decimal(value), rest))
}

pub(super) fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn number(digits: &[u8]) -> u128 {
    digits
        .iter()
        .fold(0, |n, digit| n * 10 + u128::from(digit - b'0'))
}

/// Whether it is a number, however large.
pub(super) fn is_number(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let whole = digits(text);
    let rest = &text[whole..];
    whole > 0
        && match rest {
            [] => true,
            [b'.', fraction @ ..] => !fraction.is_empty() && digits(fraction) == fraction.len(),
            _ => false,
        }
}

/// `7.66` and `60` as seconds.
pub(super) fn seconds(text: &[u8]) -> Option<Duration> {
    match decimal(text.trim_ascii())? {
        (value, []) => value.times(SECOND),
        _ => None,
    }
}

/// `120000` as milliseconds.
pub(super) fn milliseconds(text: &[u8]) -> Option<Duration> {
    match decimal(text.trim_ascii())? {
        (value, []) => value.times(MILLI),
        _ => None,
    }
}

/// A duration as Go and protobuf write it: `6m0s`, `7.66s`, `120ms`, `1h16m0.667s`.
pub(super) fn duration(text: &[u8]) -> Option<Duration> {
    match units(text.trim_ascii())? {
        (span, []) => Some(span),
        _ => None,
    }
}

pub(super) fn units(mut text: &[u8]) -> Option<(Duration, &[u8])> {
    let mut sum: Option<Duration> = None;
    while let Some((value, after)) = decimal(text) {
        let word = after.strip_prefix(b" ").unwrap_or(after);
        let len = word
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
            .count();
        let unit = match &word[..len] {
            b"ns" => NANO,
            b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => MICRO,
            b"ms" | b"millisecond" | b"milliseconds" => MILLI,
            b"s" | b"sec" | b"secs" | b"second" | b"seconds" => SECOND,
            b"m" | b"min" | b"mins" | b"minute" | b"minutes" => MINUTE,
            b"h" | b"hr" | b"hrs" | b"hour" | b"hours" => HOUR,
            b"d" | b"day" | b"days" => DAY,
            _ => break,
        };
        let more = sum.unwrap_or_default().checked_add(value.times(unit)?)?;
        sum = Some(more);
        text = &word[len..];
    }
    Some((sum.filter(|sum| *sum <= LONGEST)?, text))
}

/// When a limit is whole again, in any of the ways in which headers say it: a duration, seconds,
/// an epoch in seconds or milliseconds, or an RFC 3339 instant. What has passed is zero away.
pub(super) fn reset(text: &[u8], now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    const EPOCH_SECONDS: u128 = 1_000_000_000 * SECOND;
    const EPOCH_MILLISECONDS: u128 = 1_000_000_000_000 * SECOND;

    let text = text.trim_ascii();
    if text.get(4) == Some(&b'-') {
        return until(rfc3339(text)?, now());
    }
    match decimal(text)? {
        (Decimal(epoch), []) if epoch >= EPOCH_MILLISECONDS => until(epoch / 1_000, now()),
        (Decimal(epoch), []) if epoch >= EPOCH_SECONDS => until(epoch, now()),
        (value, []) => value.times(SECOND),
        _ => duration(text),
    }
}

/// From `now` to an instant in nanoseconds since 1970.
pub(super) fn until(epoch: u128, now: SystemTime) -> Option<Duration> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos();
    span(epoch.saturating_sub(now))
}

/// An RFC 3339 instant in nanoseconds since 1970. Years before 1970 are nonsense here.
pub(super) fn rfc3339(text: &[u8]) -> Option<u128> {
    let field = |at: usize, len: usize| {
        let digits = text.get(at..at + len)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| number(digits) as i64)
    };
    let is = |at: usize, byte: u8| {
        text.get(at)
            .is_some_and(|found| found.eq_ignore_ascii_case(&byte))
    };
    if !(is(4, b'-') && is(7, b'-') && is(13, b':') && is(16, b':')) {
        return None;
    }
    if !(is(10, b'T') || is(10, b' ')) {
        return None;
    }
    let (year, month, day) = (field(0, 4)?, field(5, 2)?, field(8, 2)?);
    let (hour, minute) = (field(11, 2)?, field(14, 2)?);
    // The seconds carry the fraction; 60 is a leap second.
    let (second, zone) = decimal(text.get(17..)?)?;
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second.0 >= 61 * SECOND
    {
        return None;
    }
    let offset = match zone {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()) =>
        {
            let minutes = number(&[*h1, *h2]) as i64 * 60 + number(&[*m1, *m2]) as i64;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 - offset * 60;
    Some(u128::try_from(seconds).ok()? * SECOND + second.0)
}

/// Days from 1 January 1970 in the proleptic Gregorian calendar (Hinnant, "chrono-compatible
/// low-level date algorithms", days_from_civil).
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn go_durations_read_to_the_nanosecond() {
        for (text, nanos) in [
            ("1s", 1_000_000_000),
            ("6m0s", 360_000_000_000),
            ("7.66s", 7_660_000_000),
            ("120ms", 120_000_000),
            ("2m52.8s", 172_800_000_000),
            ("7m12s", 432_000_000_000),
            ("1h16m0.667s", 4_560_667_000_000),
            ("57.238747106s", 57_238_747_106),
            ("1.2036081251s", 1_203_608_126),
            ("3\u{b5}s", 3_000),
            ("15ns", 15),
        ] {
            let span = Duration::from_nanos(nanos);
            assert_eq!(duration(text.as_bytes()), Some(span), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_duration() {
        for text in [
            "",
            " ",
            "-1s",
            "s",
            "1",
            "1x",
            "1s2",
            "1e3s",
            "inf",
            "nan",
            "~5s",
            "1,000s",
            ".5s",
            "99999999999999999999999999999999999s",
            "400d",
            "1s-1s",
        ] {
            assert_eq!(duration(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn resets_read_in_every_form() {
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_761_393_600);
        for (text, expected) in [
            ("0", ms(0)),
            ("12", ms(12_000)),
            ("547ms", ms(547)),
            ("1761393612", ms(12_000)),
            ("1761393612500", ms(12_500)),
            ("2025-10-25T12:00:04Z", ms(4_000)),
            ("2025-10-25T12:00:04.25Z", ms(4_250)),
            ("2025-10-25T14:00:04+02:00", ms(4_000)),
            ("2025-10-25t07:30:04-04:30", ms(4_000)),
            ("2025-10-25T11:00:00Z", ms(0)),
            ("2025-13-25T11:00:00Z", None),
            ("2025-10-25T11:00:00", None),
            ("2025-10-25", None),
            ("9999-12-31T23:59:59Z", None),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(reset(text.as_bytes(), now), expected, "{text}");
        }
    }

    #[test]
    fn days_count_leap_years() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2024, 2, 29), 19_782);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..48)) {
            let now = || SystemTime::UNIX_EPOCH;
            let _ = (reset(&text, now), seconds(&text), milliseconds(&text));
        }

        #[test]
        fn no_characters_of_an_instant_make_it_panic(text in "[0-9TZtz:.+\\- ]{0,40}") {
            if let Some(span) = reset(text.as_bytes(), || SystemTime::UNIX_EPOCH) {
                prop_assert!(span <= LONGEST);
            }
        }
    }
}
