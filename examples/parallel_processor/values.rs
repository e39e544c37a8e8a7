//! Values of flags.

use std::time::Duration;

/// How much a minute takes.
pub(crate) fn limit(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("nothing could be sent; leave it out for no limit".to_owned()),
        Ok(limit) => Ok(limit),
        Err(_) => Err("say a whole number; leave it out for no limit".to_owned()),
    }
}

/// A whole number with its unit: `500ms`, `60s`, `1m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "say a whole number and a unit, like 60s or 500ms".to_owned())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "" => return Err(format!("say the unit too, like {number}s")),
        _ => return Err(format!("{unit:?} is no unit; take ms, s, m or h")),
    };
    match millis {
        Some(0) => Err("must be longer than nothing".to_owned()),
        Some(millis) if millis <= 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err("must be at most 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in [
            "",
            "s",
            "60",
            "0s",
            "-1s",
            "1.5s",
            "5 s",
            "5d",
            "99999999999999999999s",
            "25h",
            "1m30s",
        ] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_limit_of_nothing_says_how_to_have_none() {
        assert_eq!(limit("500"), Ok(500));
        for bad in ["0", "-1", "many", ""] {
            let told = limit(bad).unwrap_err();
            assert!(
                told.contains("leave it out for no limit"),
                "{bad:?}: {told}"
            );
        }
    }
}
