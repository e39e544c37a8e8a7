//! What an error's body says, whatever shape it has.
//!
//! The bodies come as an object under `error`, a string under `error`, a top-level message,
//! problem+json, an array, JSON inside of a JSON string, HTML, plain text, nothing, and cut off
//! anywhere. So this doesn't parse: it walks over whatever JSON there is, in one pass without
//! recursion into containers, and picks up the few members that say something.

use std::time::Duration;

use super::span;

/// What was found. Texts are in lower case.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Codes, types, statuses and reasons.
    pub(super) words: Vec<String>,
    /// Messages, one a line.
    pub(super) prose: String,
    /// A wait that has a member of its own.
    pub(super) wait: Option<Duration>,
    /// Names of violated quotas (Google).
    pub(super) quotas: Vec<String>,
    /// A violated quota of zero: no access at all.
    pub(super) zero_quota: bool,
}

/// More than this of one kind is noise.
const MAX_WORDS: usize = 32;
const MAX_PROSE: usize = 8 * 1024;
/// How often JSON may be wrapped in a JSON string.
const MAX_WRAPS: u8 = 3;

impl Facts {
    pub(super) fn read(body: &[u8]) -> Self {
        let mut facts = Self::default();
        facts.text(body, 0);
        facts
    }

    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    pub(super) fn says(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.prose.contains(phrase))
    }

    pub(super) fn add_word(&mut self, word: &[u8]) {
        if !word.is_empty() && word.len() <= 64 && self.words.len() < MAX_WORDS {
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            self.words.push(word);
        }
    }

    /// Any text: JSON, JSON in a string, prose.
    fn text(&mut self, text: &[u8], wraps: u8) {
        let text = text.trim_ascii();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        match text.first() {
            Some(b'{' | b'[') if wraps < MAX_WRAPS => self.walk(text, wraps),
            Some(b'"') if wraps < MAX_WRAPS => {
                let (inner, _) = string(&text[1..]);
                self.text(&inner, wraps + 1);
            }
            // A proxy's page says no more than its status.
            Some(b'<') | None => {}
            Some(_) => {
                let room = MAX_PROSE.saturating_sub(self.prose.len());
                let prose = String::from_utf8_lossy(&text[..text.len().min(room)]);
                self.prose.push_str(&prose.to_ascii_lowercase());
                self.prose.push('\n');
            }
        }
    }

    fn walk(&mut self, json: &[u8], wraps: u8) {
        let mut key: Vec<u8> = Vec::new();
        let mut depth = 0_usize;
        // The depth at which something begins that isn't the provider's own word.
        let mut foreign: Option<usize> = None;
        let mut at = 0;
        while let Some(byte) = json.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let (text, len) = string(&json[at..]);
                    at += len;
                    let next = json[at..].trim_ascii_start();
                    if next.first() == Some(&b':') {
                        key = text;
                        key.make_ascii_lowercase();
                    } else if foreign.is_none() {
                        self.member(&key, &text, wraps);
                    }
                }
                b'0'..=b'9' | b'-' => {
                    let rest = &json[at - 1..];
                    let len = rest
                        .iter()
                        .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                        .count();
                    at += len - 1;
                    if foreign.is_none() {
                        self.member(&key, &rest[..len], wraps);
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    // Validators echo what was sent; a prompt isn't a verdict.
                    if foreign.is_none()
                        && matches!(
                            key.as_slice(),
                            b"input" | b"ctx" | b"param" | b"body" | b"request" | b"messages"
                        )
                    {
                        foreign = Some(depth);
                    }
                    if *byte == b'{' {
                        key.clear();
                    }
                }
                b'}' | b']' => {
                    if foreign == Some(depth) {
                        foreign = None;
                    }
                    depth = depth.saturating_sub(1);
                    key.clear();
                }
                _ => {}
            }
        }
    }

    fn member(&mut self, key: &[u8], value: &[u8], wraps: u8) {
        match key {
            b"code" | b"type" | b"status" | b"reason" | b"error_code" | b"error_type"
            | b"limit_source" | b"__type" => self.add_word(value),
            b"message" | b"detail" | b"msg" | b"error" | b"raw" | b"error_description" => {
                self.text(value, wraps + 1);
            }
            b"retrydelay" => self.wait = span::duration(value).or(self.wait),
            b"quotaresetdelay" => self.wait = self.wait.or_else(|| span::duration(value)),
            b"retry_after" | b"retry_after_seconds" => {
                self.wait = self.wait.or_else(|| span::seconds(value));
            }
            b"quotaid" | b"quotametric" if self.quotas.len() < MAX_WORDS => {
                let quota = String::from_utf8_lossy(value).to_ascii_lowercase();
                self.quotas.push(quota);
            }
            b"quotavalue" if value == b"0" => self.zero_quota = true,
            _ => {}
        }
    }
}

/// The JSON string whose opening quote was just passed, decoded, and how many bytes it took. A
/// string that is cut off gives what there is.
fn string(json: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => return (text, at),
            b'\\' => {
                let Some(escaped) = json.get(at) else { break };
                at += 1;
                match escaped {
                    b'n' => text.push(b'\n'),
                    b't' => text.push(b'\t'),
                    b'r' => text.push(b'\r'),
                    b'b' | b'f' => text.push(b' '),
                    b'u' => {
                        let code = json
                            .get(at..at + 4)
                            .and_then(|hex| std::str::from_utf8(hex).ok())
                            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                        at = (at + 4).min(json.len());
                        // Halves of a pair don't matter: nothing that is looked for has them.
                        let char = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
                        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    other => text.push(*other),
                }
            }
            other => text.push(*other),
        }
    }
    (text, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_shape_gives_the_same_facts() {
        let quoted = r#"{"error":{"message":"{\"error\":{\"code\":\"slow_down\",\"message\":\"Wait A\"}}"}}"#;
        for body in [
            r#"{"error":{"code":"slow_down","message":"Wait A"}}"#,
            r#"[{"error":{"message":"Wait\u0020A","code":"slow_down"}}]"#,
            r#"{"code":"slow_down","message":"Wait A"}"#,
            r#"{"type":"slow_down","detail":"Wait A","title":"no"}"#,
            r#"{"type":"slow_down","error":"Wait A"}"#,
            r#""{\"code\":\"slow_down\",\"message\":\"Wait A\"}""#,
            quoted,
            r#"{"error":{"code":"slow_down","message":"Wait A"#,
        ] {
            let facts = Facts::read(body.as_bytes());
            assert!(facts.has(&["slow_down"]), "{body}: {facts:?}");
            assert_eq!(facts.prose, "wait a\n", "{body}");
        }
    }

    #[test]
    fn a_page_and_nothing_say_nothing() {
        for body in ["", "  ", "<html>429 rate_limit_exceeded</html>"] {
            let facts = Facts::read(body.as_bytes());
            assert!(facts.words.is_empty() && facts.prose.is_empty());
        }
        assert_eq!(Facts::read(b"error code: 524").prose, "error code: 524\n");
    }

    #[test]
    fn an_echoed_request_is_no_word_of_the_provider() {
        let body = br#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required",
            "input":{"type":"insufficient_quota","message":"prompt is too long"}}],"code":"x"}"#;
        let facts = Facts::read(body);
        assert_eq!(facts.words, ["missing", "x"]);
        assert_eq!(facts.prose, "field required\n");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Facts::read(&body);
        }

        #[test]
        fn no_json_cut_anywhere_makes_it_panic(body in r#"[\[\]{}":,\\u0-9a-f\-"]{0,60}"#) {
            let _ = Facts::read(body.as_bytes());
        }
    }
}
