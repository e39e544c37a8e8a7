//! How long an answer's body asks to wait.

use std::time::{Duration, SystemTime};

use super::{envelope::Facts, spoken};

/// After these a duration is said.
const AFTER: [&str; 16] = [
    "try again in ",
    "try again after ",
    "retry in ",
    "retry after ",
    "retry-after: ",
    "retry again in ",
    "retry again after ",
    "retry your request in ",
    "retry your request after ",
    "please wait ",
    "wait for ",
    "available in ",
    "available again in ",
    "resets in ",
    "reset in ",
    "replenished in ",
];

/// After these an instant.
const AT: [&str; 7] = [
    "try again at ",
    "try again after ",
    "retry at ",
    "retry after ",
    "resets at ",
    "resets at: ",
    "reset at ",
];

/// The wait that the body states. Google's daily quotas are the caller's to know: a wait of
/// seconds comes along with them.
pub(super) fn wait(facts: &Facts, now: impl Fn() -> SystemTime) -> Option<Duration> {
    let found = facts.wait.filter(|wait| !wait.is_zero());
    found
        .or_else(|| said(&facts.prose, &AFTER, |text| spoken::spoken(text.as_bytes())))
        .or_else(|| said(&facts.prose, &AT, |text| spoken::spoken_instant(text, &now)))
}

fn said(
    prose: &str,
    phrases: &[&str],
    read: impl Fn(&str) -> Option<Duration>,
) -> Option<Duration> {
    phrases.iter().find_map(|phrase| {
        let mut places = prose.match_indices(phrase);
        places.find_map(|(at, _)| read(&prose[at + phrase.len()..]).filter(|wait| !wait.is_zero()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::trust::Trust;
    use proptest::prelude::*;

    fn stated(body: &str) -> Option<Duration> {
        // 25 October 2025, noon.
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_761_393_600);
        wait(&Facts::read(body.as_bytes(), Trust::All), now)
    }

    #[test]
    fn waits_are_read_wherever_they_are_stated() {
        for (body, ms) in [
            (
                r#"{"error":{"message":"Please try again in 7m12s."}}"#,
                432_000,
            ),
            (
                r#"{"error":{"message":"Please  try\n again in 644ms."}}"#,
                644,
            ),
            (r#"{"error":{"message":"Try again in 60 seconds"}}"#, 60_000),
            (r#"{"message":"Please retry after 33 seconds."}"#, 33_000),
            (
                r#"{"message":"Please wait 52000 seconds before retrying."}"#,
                52_000_000,
            ),
            (r#"{"message":"Please retry in 45.578569677s."}"#, 45_579),
            (r#"{"message":"Resets at 2025-10-25T12:00:09Z."}"#, 9_000),
            (
                r#"{"message":"Limit resets at: 2025-10-25 12:00:25 UTC"}"#,
                25_000,
            ),
            (r#"{"retryDelay":"34.4s"}"#, 34_400),
            (
                r#"{"details":[{"metadata":{"quotaResetDelay":"1h16m0.667s"}}]}"#,
                4_560_667,
            ),
            (r#"{"retry_after":2.5}"#, 2_500),
            (r#"{"retry_after":"20s"}"#, 20_000),
            (r#"{"retryAfterMs":120}"#, 120),
            ("Rate limited. Please wait for 5 seconds", 5_000),
            ("Rate limited. Please wait 1,200 seconds.", 1_200_000),
            ("Quota will be replenished in 02:12:45.", 7_965_000),
        ] {
            let found = stated(body).map(|wait| wait.as_nanos().div_ceil(1_000_000));
            assert_eq!(found, Some(ms), "{body}");
        }
    }

    #[test]
    fn nonsense_is_no_wait() {
        for text in [
            "0s",
            "0",
            "-10s",
            "-10 seconds",
            "",
            "inf",
            "infs",
            "nans",
            "99999999999999999999999999999999999s",
            "400 days",
            "20,000 tokens",
            "a moment",
            "2019-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            for body in [
                format!(r#"{{"message":"Please try again in {text}."}}"#),
                format!(r#"{{"message":"Please retry after {text}"}}"#),
                format!(r#"{{"message":"Resets at {text}"}}"#),
                format!(r#"{{"retryDelay":"{text}"}}"#),
                format!(r#"{{"retry_after":"{text}"}}"#),
                format!(r#"{{"quotaResetDelay":"{text}"}}"#),
            ] {
                assert_eq!(stated(&body), None, "{body}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_prose_makes_a_nonsense_wait(text in "(again in |after |at |wait |retry |[0-9]{1,35}|[.,~:TZ -]|ms|s|m|h|seconds|inf|nan|é){0,12}") {
            if let Some(wait) = stated(&text) {
                prop_assert!(!wait.is_zero() && wait <= crate::provider::span::LONGEST);
            }
        }
    }
}
