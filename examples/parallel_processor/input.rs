//! The lines of the input, and what is to be done with each.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How long a line may be.
pub(crate) const LONGEST: usize = 64 << 20;

// How much of a malformed line the output repeats.
const SHOWN: usize = 2_000;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Embeddings,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) endpoint: Endpoint,
    /// The body as it was written, without its metadata.
    pub(crate) body: Bytes,
    pub(crate) metadata: Option<Box<str>>,
}

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The line itself, or its beginning, as a JSON string.
    pub(crate) shown: String,
    pub(crate) why: String,
}

impl Malformed {
    fn new(line: &[u8], why: impl Into<String>) -> Self {
        let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
        let cut = if line.len() > SHOWN { "…" } else { "" };
        Self {
            shown: serde_json::Value::from(format!("{text}{cut}")).to_string(),
            why: why.into(),
        }
    }
}

impl Job {
    /// What a line asks for; `None` for a blank one.
    pub(crate) fn read(line: &[u8], too_long: bool) -> Option<Result<Self, Malformed>> {
        if too_long {
            let why = format!("longer than {} MiB", LONGEST >> 20);
            return Some(Err(Malformed::new(line, why)));
        }
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line = line.trim_ascii();
        (!line.is_empty()).then(|| Self::parse(line).map_err(|why| Malformed::new(line, why)))
    }

    fn parse(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
        if !text.starts_with('{') {
            return Err(match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => "not a JSON object".to_owned(),
                Err(error) => not_json(&error),
            });
        }
        let Fields(fields) = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        let field = |name: &str| fields.iter().rev().find(|(key, _)| key == name);
        let endpoint = if let Some((_, messages)) = field("messages") {
            if !messages.get().starts_with('[') {
                return Err("\"messages\" isn't a list".to_owned());
            }
            Endpoint::Chat
        } else if field("input").is_some() {
            Endpoint::Embeddings
        } else {
            return Err("neither \"messages\" nor \"input\": no known kind of request".to_owned());
        };
        if field("stream").is_some_and(|(_, value)| value.get() == "true") {
            return Err("\"stream\": true makes no answer that fits on a line".to_owned());
        }
        let metadata = field("metadata").map(|(_, value)| value.get().into());
        let body = if metadata.is_some() {
            without_metadata(&fields).into()
        } else {
            Bytes::copy_from_slice(line)
        };
        Ok(Self {
            endpoint,
            body,
            metadata,
        })
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("it was read as text")
    }
}

fn not_json(error: &serde_json::Error) -> String {
    // The parser only ever sees this one line.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    format!("not JSON: {message} at column {}", error.column())
}

fn without_metadata(fields: &[(String, &RawValue)]) -> String {
    let mut body = String::from("{");
    for (key, value) in fields.iter().filter(|(key, _)| key != "metadata") {
        if body.len() > 1 {
            body.push(',');
        }
        body.push_str(&serde_json::Value::from(key.as_str()).to_string());
        body.push(':');
        body.push_str(value.get());
    }
    body.push('}');
    body
}

/// The fields of an object as they were written, in their order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Job, Malformed> {
        Job::read(line.as_bytes(), false).expect("not blank")
    }

    #[test]
    fn the_shape_of_the_body_says_where_it_goes() {
        let chat = read(r#"{"model":"m","messages":[]}"#).unwrap();
        assert_eq!(chat.endpoint, Endpoint::Chat);
        let embed = read(r#"  {"model":"m","input":["a"]}  "#).unwrap();
        assert_eq!(embed.endpoint, Endpoint::Embeddings);
        assert_eq!(embed.text(), r#"{"model":"m","input":["a"]}"#);
    }

    #[test]
    fn metadata_is_kept_back_and_the_rest_stays_as_it_was() {
        let job = read(r#"{ "z": 1.0, "metadata": {"row": 7}, "input": "\u4e16", "a\"": [ ] }"#);
        let job = job.unwrap();
        assert_eq!(job.text(), r#"{"z":1.0,"input":"\u4e16","a\"":[ ]}"#);
        assert_eq!(job.metadata.as_deref(), Some(r#"{"row": 7}"#));
        let only = read(r#"{"metadata":null,"input":"a"}"#).unwrap();
        assert_eq!(only.metadata.as_deref(), Some("null"));
    }

    #[test]
    fn blank_lines_and_a_byte_order_mark_are_passed_over() {
        for blank in ["", "  ", "\r", "\u{feff}"] {
            assert!(Job::read(blank.as_bytes(), false).is_none(), "{blank:?}");
        }
        assert!(read("\u{feff}{\"input\":1}\r").is_ok());
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (line, why) in [
            ("{\"a\":", "not JSON: EOF while parsing a value at column 5"),
            ("hello", "not JSON: expected value at column 1"),
            ("[1]", "not a JSON object"),
            (
                "{\"model\":\"m\"}",
                "neither \"messages\" nor \"input\": no known kind of request",
            ),
            ("{\"messages\":7}", "\"messages\" isn't a list"),
            (
                "{\"input\":1,\"stream\":true}",
                "\"stream\": true makes no answer that fits on a line",
            ),
            (
                "{\"input\":1} x",
                "not JSON: trailing characters at column 13",
            ),
        ] {
            assert_eq!(read(line).unwrap_err().why, why, "{line}");
        }
        assert_eq!(
            Job::read(b"\xff", false).unwrap().unwrap_err().why,
            "not UTF-8"
        );
        let long = Job::read(b"{", true).unwrap().unwrap_err();
        assert_eq!(long.why, "longer than 64 MiB");
    }

    #[test]
    fn a_malformed_line_is_shown_in_part() {
        let malformed = read(&"é\"".repeat(5_000)).unwrap_err();
        let shown: String = serde_json::from_str(&malformed.shown).unwrap();
        assert!(shown.starts_with("é\"é\"") && shown.ends_with('…'));
        assert!(shown.len() < 2_100);
    }
}
