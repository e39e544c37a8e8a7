//! gRPC says how it went in `grpc-status`, in the headers or after the body.

use http::{HeaderMap, HeaderName};

use super::{envelope::Facts, errors::Answer, span, trust::Trust};
use crate::verdict::{Provider, Verdict};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether these are headers or trailers that say how it went.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// What `grpc-status` means, with `grpc-retry-pushback-ms` and the prose of `grpc-message`;
/// `None` where there is no `grpc-status`. Takes headers (an answer without a body has it there)
/// and trailers alike.
///
/// | code | verdict |
/// |---|---|
/// | 0 `OK` | `Success` |
/// | 8 `RESOURCE_EXHAUSTED` | as a 429: limits, money, what never fits, capacity |
/// | 14 `UNAVAILABLE` | `Overloaded` |
/// | 1, 2, 4, 10, 13, 15, and what isn't a code | `Transient`; with a pushback `Overloaded`, which has a wait |
/// | any other | `Permanent` |
///
/// A pushback that is negative or no number means that the server doesn't want to be asked again
/// (gRFC A6): `Permanent`.
pub fn grpc(headers: &HeaderMap) -> Option<Verdict> {
    let code = headers.get(STATUS)?;
    let code = std::str::from_utf8(code.as_bytes()).ok();
    let status = match code.and_then(|code| code.trim().parse::<u16>().ok()) {
        Some(0) => return Some(Verdict::Success),
        Some(8) => 429,
        Some(14) => 503,
        Some(3 | 5 | 6 | 7 | 9 | 11 | 12 | 16) => 404,
        _ => 500,
    };
    let message = headers.get("grpc-message");
    let message = message.map_or_else(Vec::new, |text| decoded(text.as_bytes()));
    let facts = Facts::read(&message, Trust::All);
    let told = match status {
        // Nothing in its message makes a wrong request another thing.
        404 => Verdict::Permanent,
        _ => Answer {
            provider: Provider::told(headers, &facts),
            status,
            headers,
            facts: &facts,
        }
        .judge(),
    };
    Some(pushed_back(told, headers))
}

fn pushed_back(verdict: Verdict, headers: &HeaderMap) -> Verdict {
    let Some(pushback) = headers.get("grpc-retry-pushback-ms") else {
        return verdict;
    };
    let pushback = span::milliseconds(pushback.as_bytes());
    match (verdict, pushback) {
        (
            Verdict::RateLimited { .. } | Verdict::Overloaded { .. } | Verdict::Transient { .. },
            None,
        ) => Verdict::Permanent,
        // At once.
        (verdict, Some(wait)) if wait.is_zero() => verdict,
        (
            Verdict::RateLimited {
                resource, window, ..
            },
            retry_after,
        ) => Verdict::RateLimited {
            resource,
            window,
            retry_after,
        },
        (Verdict::Overloaded { .. } | Verdict::Transient { .. }, retry_after) => {
            Verdict::Overloaded { retry_after }
        }
        (verdict, _) => verdict,
    }
}

/// Without the percent-encoding of gRPC's messages; what isn't one stays as it is.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        let hex = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => plain.push(*byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cost::Resource;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use std::time::Duration;

    fn judge(pairs: &[(&'static str, &str)]) -> Option<Verdict> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            headers.insert(HeaderName::from_static(name), value);
        }
        grpc(&headers)
    }

    fn limited(ms: Option<u64>) -> Verdict {
        Verdict::RateLimited {
            resource: None,
            window: None,
            retry_after: ms.map(Duration::from_millis),
        }
    }

    fn overloaded(ms: Option<u64>) -> Verdict {
        Verdict::Overloaded {
            retry_after: ms.map(Duration::from_millis),
        }
    }

    #[test]
    fn every_code_means_one_thing() {
        let transient = Verdict::Transient { sent: true };
        for (code, verdict) in [
            ("0", Verdict::Success),
            ("1", transient),
            ("2", transient),
            ("3", Verdict::Permanent),
            ("4", transient),
            ("5", Verdict::Permanent),
            ("6", Verdict::Permanent),
            ("7", Verdict::Permanent),
            ("8", limited(None)),
            ("9", Verdict::Permanent),
            ("10", transient),
            ("11", Verdict::Permanent),
            ("12", Verdict::Permanent),
            ("13", transient),
            ("14", overloaded(None)),
            ("15", transient),
            ("16", Verdict::Permanent),
            ("17", transient),
            ("", transient),
            ("-1", transient),
            ("eight", transient),
        ] {
            assert_eq!(judge(&[("grpc-status", code)]), Some(verdict), "{code:?}");
        }
        assert_eq!(judge(&[("content-type", "application/grpc")]), None);
    }

    #[test]
    fn a_pushback_is_waited_for_and_a_negative_one_ends_it() {
        let pushed = |code, ms| judge(&[("grpc-status", code), ("grpc-retry-pushback-ms", ms)]);
        assert_eq!(pushed("8", "250"), Some(limited(Some(250))));
        for code in ["4", "10", "14"] {
            assert_eq!(pushed(code, "250"), Some(overloaded(Some(250))));
        }
        assert_eq!(pushed("14", "0"), Some(overloaded(None)));
        assert_eq!(pushed("3", "250"), Some(Verdict::Permanent));
        assert_eq!(pushed("0", "-1"), Some(Verdict::Success));
        for nonsense in [
            "-1",
            "",
            "soon",
            "nan",
            "99999999999999999999999999999999999",
        ] {
            assert_eq!(
                pushed("8", nonsense),
                Some(Verdict::Permanent),
                "{nonsense}"
            );
        }
    }

    #[test]
    fn the_message_tells_what_was_exhausted() {
        let said = |message| judge(&[("grpc-status", "8"), ("grpc-message", message)]).unwrap();
        assert_eq!(
            said("Quota exceeded for requests per minute.%0APlease retry in 2.5s"),
            Verdict::RateLimited {
                resource: Some(Resource::Requests),
                window: Some(Duration::from_secs(60)),
                retry_after: Some(Duration::from_millis(2_500)),
            }
        );
        let large = "grpc: received message larger than max (8653851 vs. 4194304)";
        assert_eq!(said(large), Verdict::TooLarge);
        assert_eq!(said("limit: 0, model: x"), Verdict::QuotaExhausted);
        assert_eq!(said("The model is overloaded%2e"), overloaded(None));
        assert_eq!(said("100%25 %zz % %4"), limited(None));
    }

    proptest! {
        #[test]
        fn no_headers_make_it_panic(code in "[ -~]{0,4}", wait in "[ -~]{0,40}", message in "[ -~]{0,60}") {
            let pairs = [("grpc-status", &*code), ("grpc-retry-pushback-ms", &wait), ("grpc-message", &message)];
            prop_assert!(judge(&pairs).is_some());
        }
    }
}
