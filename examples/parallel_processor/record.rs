//! The lines of the output, and how a line of one file is recognised in the other.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use serde::Serialize;
use serde_json::value::RawValue;

/// What went wrong once.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Trouble {
    /// Which attempt it was, where there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    /// The status of the answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    /// What the provider says of it, word for word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<RawValue>>,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// The same in other words.
    pub(crate) fn map(mut self, words: impl Fn(String) -> String) -> Self {
        self.message = words(self.message);
        self.error = self
            .error
            .and_then(|error| RawValue::from_string(words(error.get().to_owned())).ok());
        self
    }
}

/// `[request, response, metadata?]`; every part is JSON of one line.
pub(crate) fn success(request: &str, response: &str, metadata: Option<&str>) -> String {
    let extra = metadata.map_or(0, str::len);
    let mut line = String::with_capacity(request.len() + response.len() + extra + 5);
    for (before, part) in [("[", Some(request)), (",", Some(response)), (",", metadata)] {
        if let Some(part) = part {
            line.push_str(before);
            line.push_str(part);
        }
    }
    line.push_str("]\n");
    line
}

/// `[request, [errors], metadata?]`.
pub(crate) fn failure(request: &str, errors: &[Trouble], metadata: Option<&str>) -> String {
    let errors = serde_json::to_string(errors).expect("strings and numbers serialise");
    success(request, &errors, metadata)
}

/// A line of the output, read again.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) request: &'a str,
    pub(crate) metadata: Option<&'a str>,
    pub(crate) succeeded: bool,
}

impl<'a> Record<'a> {
    /// `None` where the line isn't one of ours.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        let parts: Vec<&RawValue> = serde_json::from_slice(line).ok()?;
        let (request, outcome, metadata) = match *parts {
            [request, outcome] => (request.get(), outcome.get(), None),
            [request, outcome, metadata] => (request.get(), outcome.get(), Some(metadata.get())),
            _ => return None,
        };
        // A request that could not be read stands there as the text that it was.
        if !request.starts_with(['{', '"']) || !outcome.starts_with(['{', '[']) {
            return None;
        }
        Some(Self {
            request,
            metadata,
            succeeded: outcome.starts_with('{'),
        })
    }
}

/// JSON without the whitespace between its parts, so that it fits on a line; `None` where it isn't JSON. Numbers and strings
/// stay as they were written.
pub(crate) fn compact(json: &[u8]) -> Option<String> {
    let raw: &RawValue = serde_json::from_slice(json).ok()?;
    let mut text = String::with_capacity(raw.get().len());
    let (mut quoted, mut escaped) = (false, false);
    for c in raw.get().chars() {
        if !quoted && matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        text.push(c);
    }
    Some(text)
}

/// What a request and its metadata are recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identity(u64, u64);

/// Makes identities: 128 bits of a keyed hash stand for a line, so that no line is kept.
#[derive(Debug, Default)]
pub(crate) struct Identities(RandomState, RandomState);

impl Identities {
    /// The same for every way to write the same JSON: spaces, order of keys, escapes.
    pub(crate) fn of(&self, request: &str, metadata: Option<&str>) -> Identity {
        let (request, metadata) = (canonical(request), metadata.map(canonical));
        let hash = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write(request.as_bytes());
            hasher.write_u8(0xff);
            hasher.write(metadata.as_deref().unwrap_or_default().as_bytes());
            hasher.finish()
        };
        Identity(hash(&self.0), hash(&self.1))
    }
}

fn canonical(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .map_or_else(|_| json.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let line = success(r#"{"input":"a"}"#, r#"{"data":[]}"#, Some("7"));
        assert_eq!(line, "[{\"input\":\"a\"},{\"data\":[]},7]\n");
        let record = Record::read(line.as_bytes()).unwrap();
        assert_eq!(record.request, r#"{"input":"a"}"#);
        assert_eq!((record.metadata, record.succeeded), (Some("7"), true));

        let line = failure("\"nonsense\"", &[Trouble::new("line 3: no")], None);
        assert_eq!(line, "[\"nonsense\",[{\"message\":\"line 3: no\"}]]\n");
        let record = Record::read(line.as_bytes()).unwrap();
        assert_eq!((record.metadata, record.succeeded), (None, false));
    }

    #[test]
    fn foreign_lines_are_told_apart() {
        for line in [
            "",
            "x",
            "{}",
            "[]",
            "[{}]",
            "[1,2]",
            "[{},1]",
            "[{},{},1,1]",
            "[{},{}",
        ] {
            assert!(Record::read(line.as_bytes()).is_none(), "{line}");
        }
    }

    #[test]
    fn compact_changes_nothing_but_the_space_between() {
        let json =
            "{ \"a b\\\" \" :\r\n [1.0, 2e5,\t-0.10000000000000000001] , \"\\\\\": \" 世 \" }";
        assert_eq!(
            compact(json.as_bytes()).unwrap(),
            r#"{"a b\" ":[1.0,2e5,-0.10000000000000000001],"\\":" 世 "}"#
        );
        assert_eq!(compact(b"{\"a\":1"), None);
        assert_eq!(compact(b"\xff"), None);
    }

    #[test]
    fn an_identity_is_what_the_json_says() {
        let ids = Identities::default();
        let one = ids.of(r#"{"a":1,"b":"世"}"#, None);
        assert_eq!(one, ids.of(r#"{ "b": "\u4e16", "a": 1 }"#, None));
        assert_ne!(one, ids.of(r#"{"a":1,"b":"世"}"#, Some("1")));
        assert_ne!(one, ids.of(r#"{"a":2,"b":"世"}"#, None));
    }
}
