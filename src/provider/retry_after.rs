//! How long an answer's headers ask to wait.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap,
    header::{DATE, HeaderName, RETRY_AFTER},
};

use super::span::{self, LONGEST};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_MS_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");

/// How long the headers ask to wait.
///
/// `retry-after-ms` and `x-ms-retry-after-ms` (milliseconds) outrank `retry-after` where they
/// are above zero; `retry-after` is seconds, whole or with a fraction, or an HTTP date, which is
/// read against the answer's own `date`, or else against the system's clock. Some gateways write a duration: `1m30s`.
///
/// A wait of zero, one above 366 days and anything that isn't any of those is no hint: `None`. Of several headers of one name
/// the longest wait counts.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let longest = |name: &HeaderName, read: fn(&[u8], &HeaderMap) -> Option<Duration>| {
        let waits = headers.get_all(name).iter();
        let waits = waits.filter_map(|text| read(text.as_bytes(), headers));
        waits.max().filter(|wait| !wait.is_zero())
    };
    [RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS]
        .iter()
        .find_map(|name| longest(name, |text, _| span::milliseconds(text)))
        .or_else(|| longest(&RETRY_AFTER, wait))
}

fn wait(text: &[u8], headers: &HeaderMap) -> Option<Duration> {
    span::seconds(text)
        .or_else(|| until(date(text)?, now(headers)))
        .or_else(|| span::duration(text))
}

/// Whether the headers ask for a wait that is too long for any calendar. That is no hint to plan with, but whoever came back
/// before it would come too early.
pub(crate) fn is_endless(headers: &HeaderMap) -> bool {
    let never = |text: &[u8]| {
        let then = date(text).and_then(|then| then.duration_since(now(headers)).ok());
        then.is_some_and(|wait| wait > LONGEST) || span::is_number(text)
    };
    // Those that can be waited for were found; a zero is a number, too, and none of these.
    let long = |name: &HeaderName| {
        headers.get_all(name).iter().any(|text| {
            let text = text.as_bytes();
            span::seconds(text).is_none() && never(text)
        })
    };
    retry_after(headers).is_none()
        && [RETRY_AFTER_MS, X_MS_RETRY_AFTER_MS, RETRY_AFTER]
            .iter()
            .any(long)
}

/// When the answer was made, by its own `date` where it has one.
pub(super) fn now(headers: &HeaderMap) -> SystemTime {
    headers
        .get(DATE)
        .and_then(|text| date(text.as_bytes()))
        .unwrap_or_else(SystemTime::now)
}

/// `Wednesday, 31-Dec-16 23:59:60 GMT` and a little more.
const LONGEST_DATE: usize = 40;

fn date(text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if text.len() > LONGEST_DATE {
        return None;
    }
    let read = |text: &str| httpdate::parse_http_date(text).ok();
    // A leap second, which a date may have (RFC 9110, 5.6.7), but httpdate doesn't read.
    let leap = || Some(read(&text.replacen(":60 ", ":59 ", 1))? + Duration::from_secs(1));
    read(text).or_else(leap)
}

fn until(then: SystemTime, now: SystemTime) -> Option<Duration> {
    then.duration_since(now)
        .ok()
        .filter(|wait| *wait <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wait(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(wait(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(
            wait(&[("retry-after", "7.66")]),
            Some(Duration::from_millis(7_660))
        );
        assert_eq!(
            wait(&[("retry-after", " 60 ")]),
            Some(Duration::from_secs(60))
        );
        let gateway = wait(&[("retry-after", "1m30s")]);
        assert_eq!(gateway, Some(Duration::from_secs(90)));
    }

    #[test]
    fn milliseconds_outrank_seconds_only_above_zero() {
        let both = |ms| wait(&[("retry-after", "2"), ("retry-after-ms", ms)]);
        assert_eq!(both("120"), Some(Duration::from_millis(120)));
        for bad in ["0", "-5", "", "nan", "soon"] {
            assert_eq!(both(bad), Some(Duration::from_secs(2)), "{bad:?}");
        }
        let azure = wait(&[("retry-after", "2"), ("x-ms-retry-after-ms", "300")]);
        assert_eq!(azure, Some(Duration::from_millis(300)));
    }

    #[test]
    fn dates_count_from_the_answers_own_date() {
        let at = |date, until| wait(&[("date", date), ("retry-after", until)]);
        let noon = "Fri, 29 Sep 2023 12:00:00 GMT";
        let later = "Fri, 29 Sep 2023 12:00:30 GMT";
        assert_eq!(at(noon, later), Some(Duration::from_secs(30)));
        assert_eq!(at(noon, noon), None);
        assert_eq!(at(later, noon), None);
        assert_eq!(at(noon, "Fri, 29 Sep 2034 12:00:30 GMT"), None);
        // Without one, the system's clock decides.
        assert_eq!(wait(&[("retry-after", noon)]), None);
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let wait = wait(&[("retry-after", &soon)]).unwrap();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(100));
    }

    #[test]
    fn a_leap_second_is_a_second() {
        let date = ("date", "Sat, 31 Dec 2016 23:59:50 GMT");
        for (until, seconds) in [
            ("Sat, 31 Dec 2016 23:59:60 GMT", 10),
            ("Saturday, 31-Dec-16 23:59:60 GMT", 10),
            ("Sat Dec 31 23:59:60 2016", 10),
            ("Sun, 01 Jan 2017 00:00:00 GMT", 10),
        ] {
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(wait(&[date, ("retry-after", until)]), expected, "{until}");
        }
        let nonsense = wait(&[date, ("retry-after", "Sat, 31 Dec 2016 23:60:60 GMT")]);
        assert_eq!(nonsense, None);
    }

    #[test]
    fn of_several_headers_the_longest_wait_counts() {
        for several in [["0", "30"], ["30", "2"], ["soon", "30"], ["30", ""]] {
            let headers = several.map(|text| ("retry-after", text));
            assert_eq!(wait(&headers), Some(Duration::from_secs(30)), "{several:?}");
        }
        let millis = [("retry-after-ms", "5"), ("retry-after-ms", "50")];
        assert_eq!(wait(&millis), Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_wait_beyond_any_calendar_is_no_hint_and_endless() {
        let endless = |name: &'static str, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                "date",
                HeaderValue::from_static("Fri, 29 Sep 2023 12:00:00 GMT"),
            );
            headers.insert(name, HeaderValue::from_str(text).unwrap());
            assert!(
                !is_endless(&headers) || retry_after(&headers).is_none(),
                "{text:?}"
            );
            is_endless(&headers)
        };
        for text in [
            "99999999999999999999999999999999999",
            "999999999999",
            " 1788220800.5 ",
            "Fri, 29 Sep 2034 12:00:30 GMT",
        ] {
            assert!(endless("retry-after", text), "{text:?}");
        }
        assert!(endless("retry-after-ms", "99999999999999999"));
        for text in [
            "",
            "0",
            "0.0",
            "-10",
            "inf",
            "nan",
            "1e99",
            "20",
            "31622400",
            "99999999999999999999 s",
            "Fri, 29 Sep 2023 11:00:00 GMT",
            "Fri, 29 Sep 2023 12:00:30 GMT",
            "Fri, 29 Sep 100000 16:26:57 GMT",
            "Zun, 29 Sep 2023 16:26:27 GMT",
        ] {
            assert!(!endless("retry-after", text), "{text:?}");
        }
    }

    #[test]
    fn nonsense_is_no_hint() {
        for bad in [
            "",
            "0",
            "0.0",
            "-10",
            "-0",
            "inf",
            "nan",
            "NaN",
            "1e9",
            "20,000",
            "~5",
            "5 6",
            "0x10",
            "99999999999999999999999999999999999",
            "999999999999",
            "1788220800",
            "Fri, 29 Sep 100000 16:26:57 GMT",
            "Zun, 29 Sep 2023 16:26:27 GMT",
            "\u{fffd}",
        ] {
            assert_eq!(wait(&[("retry-after", bad)]), None, "{bad:?}");
        }
    }
}
