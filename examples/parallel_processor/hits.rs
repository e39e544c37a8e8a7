//! A line for every limit that a request hit: what the quotas tell by `tracing`, as JSON.
//!
//! | `hit` | |
//! |---|---|
//! | `waited` | a request waited for its turn |
//! | `refused` | it was refused before it was sent |
//! | `429` | the provider has refused it |

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
};

use super::stack::PROVIDER;

/// Writes the hits of this process to a file.
#[derive(Debug)]
pub(crate) struct Hits {
    path: PathBuf,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    begin: Instant,
    file: BufWriter<File>,
    // The first time that it couldn't be written.
    failed: Option<io::Error>,
}

#[derive(Serialize)]
struct Hit<'a> {
    time: String,
    // Since the run began.
    seconds: f64,
    hit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
    // As it looked at first, or as the provider asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waited_seconds: Option<f64>,
}

impl Hits {
    /// Begins a new file.
    pub(crate) fn listen(path: &Path) -> Result<Self, String> {
        let problem =
            |error: &dyn fmt::Display| format!("--log-limits {}: {error}", path.display());
        let log = Log {
            begin: Instant::now(),
            file: BufWriter::new(File::create(path).map_err(|error| problem(&error))?),
            failed: None,
        };
        let log = Arc::new(Mutex::new(log));
        let listener = Registry::default().with(Listener(Arc::clone(&log)));
        tracing::subscriber::set_global_default(listener).map_err(|error| problem(&error))?;
        Ok(Self {
            path: path.to_owned(),
            log,
        })
    }

    /// Nothing more comes.
    pub(crate) fn end(self) -> Result<(), String> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = log.failed.take();
        let written = failed.map_or_else(|| log.file.flush(), Err);
        written.map_err(|error| format!("--log-limits {}: {error}", self.path.display()))
    }
}

struct Listener(Arc<Mutex<Log>>);

impl<S: Subscriber> Layer<S> for Listener {
    fn enabled(&self, about: &Metadata<'_>, _: Context<'_, S>) -> bool {
        matches!(about.target(), "tower_quota::wait" | "tower_quota::limit")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Fields::default();
        event.record(&mut told);
        let (hit, cause) = match told.text("message") {
            Some("waited for the quota") => ("waited", "cause"),
            Some("refused by the quota") => ("refused", "reason"),
            // Each quota on the way is told of it.
            Some("the provider has refused") if told.text("pool") == Some(PROVIDER) => {
                ("429", "cause")
            }
            _ => return,
        };
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Hit {
            time: utc(SystemTime::now()),
            seconds: log.begin.elapsed().as_millis() as f64 / 1e3,
            hit,
            limit: told.text("limit").or_else(|| told.text("resource")),
            cause: told.text(cause),
            asked: told.numbers.get("asked").copied(),
            left: told.numbers.get("left").copied(),
            wait_seconds: told.text("wait").and_then(seconds),
            waited_seconds: told.text("waited").and_then(seconds),
        };
        if let Err(error) = log.write(&line) {
            log.failed.get_or_insert(error);
        }
    }
}

impl Log {
    fn write(&mut self, line: &Hit<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, line)?;
        self.file.write_all(b"\n")
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    texts: BTreeMap<&'static str, String>,
    numbers: BTreeMap<&'static str, u64>,
}

impl Fields {
    fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.numbers.insert(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.texts.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.texts.insert(field.name(), format!("{value:?}"));
    }
}

/// A span as it is shown (`1.5s`, `20ms`, `3µs`), in seconds.
fn seconds(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    // As precise as it is read.
    Some((number * unit * 1e6).round() / 1e6)
}

/// `2026-03-01T12:00:00.250Z`.
fn utc(at: SystemTime) -> String {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_millis()
    )
}

/// Year, month and day of so many days after 1 January 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_shown() {
        for (span, read) in [
            (Duration::from_millis(1_500), 1.5),
            (Duration::from_millis(20), 0.02),
            (Duration::from_micros(3), 3e-6),
            (Duration::ZERO, 0.0),
            (Duration::from_secs(3_600), 3_600.0),
        ] {
            assert_eq!(seconds(&format!("{span:?}")), Some(read));
        }
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn instants_are_written_in_utc() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00.250Z"),
            (951_782_400, "2000-02-29T00:00:00.250Z"),
            (1_767_225_599, "2025-12-31T23:59:59.250Z"),
            (4_107_542_400, "2100-03-01T00:00:00.250Z"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 250);
            assert_eq!(utc(at), written);
        }
    }
}
