//! Spans and instants in prose.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use super::span::{LONGEST, digits, rfc3339, units, until};

/// A duration in prose, at the start of `text`: as Go writes it, `33 seconds`, `~1 minute and 5 s`.
pub(super) fn spoken(text: &[u8]) -> Option<Duration> {
    const BEFORE: [&[u8]; 4] = [b"~", b"about ", b"approximately ", b"at least "];

    let text = BEFORE
        .iter()
        .find_map(|word| text.strip_prefix(*word))
        .unwrap_or(text);
    if let Some(span) = clock(text) {
        return Some(span);
    }
    let plain = ungrouped(text);
    let (mut sum, mut rest) = units(&plain)?;
    for between in [&b" and "[..], b", ", b" "].iter().cycle().take(9) {
        let Some((more, after)) = rest.strip_prefix(*between).and_then(units) else {
            continue;
        };
        // Only what is finer can belong to it.
        if more >= sum {
            break;
        }
        sum = sum.checked_add(more)?;
        rest = after;
    }
    Some(sum).filter(|sum| *sum <= LONGEST)
}

/// A duration as a clock shows it: `02:12:45`.
fn clock(text: &[u8]) -> Option<Duration> {
    let (clock, rest) = text.split_at_checked(8)?;
    let [a, b, b':', c, d, b':', e, f] = *clock else {
        return None;
    };
    // What has a date or a zone is a time of day.
    let ends = !matches!(rest, [b'0'..=b'9' | b':' | b'z' | b'+' | b' ', ..]);
    if !ends || digits(&[a, b, c, d, e, f]) < 6 {
        return None;
    }
    let pair = |tens: u8, ones: u8| u64::from(tens - b'0') * 10 + u64::from(ones - b'0');
    let (hours, minutes, seconds) = (pair(a, b), pair(c, d), pair(e, f));
    let span = Duration::from_secs((hours * 60 + minutes) * 60 + seconds);
    (minutes < 60 && seconds < 60).then_some(span)
}

/// The same without the commas between the digits of the number that it begins with: `1,200 seconds`.
fn ungrouped(text: &[u8]) -> Cow<'_, [u8]> {
    let mut rest = &text[digits(text).min(3)..];
    if !matches!(rest, [b',', next @ ..] if digits(next) == 3) {
        return Cow::Borrowed(text);
    }
    let mut plain = text[..text.len() - rest.len()].to_vec();
    while let [b',', next @ ..] = rest
        && digits(next) == 3
    {
        plain.extend_from_slice(&next[..3]);
        rest = &next[3..];
    }
    plain.extend_from_slice(rest);
    Cow::Owned(plain)
}

/// An instant in prose, at the start of `text`, that lies ahead: `2026-09-01 at 00:00 UTC` and
/// `2025-11-03T11:10:25Z`.
pub(super) fn spoken_instant(text: &str, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let text = text.trim_start_matches(['"', '\'', '`', '(']);
    let date = text.get(..10)?;
    let time = text.get(10..)?.trim_start_matches([' ', 't', 'T']);
    let time = time.strip_prefix("at ").unwrap_or(time);
    let end = time.find(|c: char| !(c.is_ascii_digit() || ":.+-zZ".contains(c)));
    let (clock, zone) = time.split_at(end.unwrap_or(time.len()));
    let clock = clock.trim_end_matches(['.', '-', ':']);
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let zone = zone.trim_start();
    let utc = zone.starts_with("utc") || zone.starts_with("gmt");
    let utc = if utc { "Z" } else { "" };
    let instant = format!("{date}T{clock}{seconds}{utc}");
    until(rfc3339(instant.as_bytes())?, now()).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn spoken_durations_end_where_they_end() {
        assert_eq!(spoken(b"33 seconds. Please go"), ms(33_000));
        assert_eq!(spoken(b"16 days. To"), ms(16 * 86_400_000));
        assert_eq!(spoken(b"1 minute"), ms(60_000));
        assert_eq!(spoken(b"~5 seconds"), ms(5_000));
        assert_eq!(spoken(b"about 1 minute and 5 seconds."), ms(65_000));
        assert_eq!(spoken(b"1 hour, 2 minutes, 3 seconds"), ms(3_723_000));
        assert_eq!(spoken(b"1m 30s"), ms(90_000));
        assert_eq!(spoken(b"5 s, 3 requests"), ms(5_000));
        assert_eq!(spoken(b"5 seconds 10 minutes"), ms(5_000));
        assert_eq!(spoken(b"7m12s. Visit us"), ms(432_000));
        assert_eq!(spoken(b"1,200 seconds"), ms(1_200_000));
        assert_eq!(spoken(b"12,345,678 ms"), ms(12_345_678));
        assert_eq!(spoken(b"02:12:45."), ms(7_965_000));
        for text in [
            "1,20 seconds",
            "1,2000 s",
            "12:30:00 utc",
            "12:30:00z",
            "00:99:00",
            "1 :30:00",
            "12:30",
        ] {
            assert_eq!(spoken(text.as_bytes()), None, "{text}");
        }
        assert_eq!(spoken(b"a while"), None);
        assert_eq!(spoken(b"-5s"), None);
    }

    #[test]
    fn instants_in_prose_are_waited_for_only_ahead() {
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_761_393_600);
        for (text, expected) in [
            ("2025-10-25 at 12:01 utc.", ms(60_000)),
            ("2025-10-25 12:00:04 utc", ms(4_000)),
            ("2025-10-25t12:00:04z.", ms(4_000)),
            ("2025-10-25t14:00:04.5+02:00, or", ms(4_500)),
            ("2025-10-25 12:00:04", None),
            ("2025-10-25t12:00:00z", None),
            ("2025-10-25", None),
            ("2025-10-25 at noon utc", None),
            ("2025-99-25 at 12:01 utc", None),
            ("é025-10-25 at 12:01 utc", None),
            ("", None),
        ] {
            assert_eq!(spoken_instant(text, now), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = spoken(&text);
            let _ = spoken_instant(&String::from_utf8_lossy(&text), || SystemTime::UNIX_EPOCH);
        }

        #[test]
        fn no_numbers_make_it_panic(text in "[0-9,:.a-z ]{0,20}") {
            if let Some(span) = spoken(text.as_bytes()) {
                prop_assert!(span <= LONGEST);
            }
        }
    }
}
