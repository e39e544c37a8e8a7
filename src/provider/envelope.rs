//! What an error's body says, whatever shape it has.
//!
//! The bodies come as an object under `error`, a string under `error`, a top-level message,
//! problem+json, an array, JSON inside of a JSON string, HTML, plain text, nothing, and cut off
//! anywhere. So this doesn't parse: it walks over whatever JSON there is, in one pass without
//! recursion into containers, and picks up the few members that say something.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{json_string::string, prose, span, trust::Trust};

/// What was found. Texts are in lower case.
#[derive(Debug)]
pub(super) struct Facts {
    trust: Trust,
    /// Codes, types, statuses and reasons: letters and digits alone, however they were spelled.
    pub(super) words: Vec<String>,
    /// Messages, one a line.
    pub(super) prose: String,
    /// A wait that has a member of its own.
    pub(super) wait: Option<Duration>,
    /// Names of violated quotas (Google).
    pub(super) quotas: Vec<String>,
    /// A violated quota of zero: no access at all.
    pub(super) zero_quota: bool,
    /// Rate headers of another answer that this one reports (OpenRouter).
    pub(super) headers: HeaderMap,
    /// There is an error, whatever the status.
    pub(super) error: bool,
}

/// More than this of one kind is noise.
const MAX_WORDS: usize = 32;
const MAX_PROSE: usize = 8 * 1024;
/// What a message that blames the request says further on may be the request.
const MAX_BLAME: usize = 320;
/// How often JSON may be wrapped in a JSON string.
const MAX_WRAPS: u8 = 3;

impl Facts {
    pub(super) fn read(body: &[u8], trust: Trust) -> Self {
        let mut facts = Self {
            trust,
            words: Vec::new(),
            prose: String::new(),
            wait: None,
            quotas: Vec::new(),
            zero_quota: false,
            headers: HeaderMap::new(),
            error: false,
        };
        facts.text(body, 0);
        facts
    }

    /// Whether one of the words is exactly this one.
    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|found| found == word)
    }

    /// Whether a part of one of the words is among these.
    pub(super) fn hints(&self, parts: &[&str]) -> bool {
        let among = |word: &String| parts.iter().any(|part| word.contains(part));
        self.words.iter().any(among)
    }

    pub(super) fn add_word(&mut self, word: &[u8]) {
        // `ThrottlingException:http://…` and `com.amazon.coral#ThrottlingException` (AWS).
        let start = word
            .iter()
            .position(|byte| *byte == b'#')
            .map_or(0, |at| at + 1);
        let word = word[start..]
            .split(|byte| *byte == b':')
            .next()
            .unwrap_or_default();
        if word.len() > 96 || self.words.len() >= MAX_WORDS {
            return;
        }
        let letters = word.iter().filter(|byte| byte.is_ascii_alphanumeric());
        let word: String = letters
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect();
        if !word.is_empty() {
            self.words.push(word);
        }
    }

    /// Any text: JSON, JSON in a string, prose, prose before JSON.
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
            Some(_) if wraps == 0 && is_stream(text) => self.events(text),
            Some(_) => {
                let (words, json) = text.split_at(prose::json(text).unwrap_or(text.len()));
                self.say(words);
                if self.trust == Trust::All && wraps < MAX_WRAPS {
                    match json {
                        // As Python prints it.
                        [b'{', b'\'', ..] => {
                            let json: Vec<u8> = json
                                .iter()
                                .map(|byte| if *byte == b'\'' { b'"' } else { *byte })
                                .collect();
                            self.walk(&json, wraps + 1);
                        }
                        [] => {}
                        json => self.walk(json, wraps + 1),
                    }
                }
            }
        }
    }

    /// What the events of a stream say.
    fn events(&mut self, stream: &[u8]) {
        for line in stream.split(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data:")
                && data.trim_ascii_start().first() == Some(&b'{')
            {
                self.text(data, 1);
            }
        }
    }

    fn say(&mut self, words: &[u8]) {
        let room = MAX_PROSE.saturating_sub(self.prose.len());
        let words = String::from_utf8_lossy(&words[..words.len().min(room)]);
        if self.trust == Trust::Unquoted {
            let own = prose::unquoted(&words, MAX_BLAME);
            prose::plain(&own, &mut self.prose);
        } else {
            prose::plain(&words, &mut self.prose);
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
                    if foreign.is_none() {
                        if self.trust.is_foreign(&key) {
                            foreign = Some(depth);
                        } else {
                            self.enter(&key, &json[at..]);
                        }
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

    /// A container begins; its members follow.
    fn enter(&mut self, key: &[u8], members: &[u8]) {
        match key {
            b"error" | b"errors" => {
                let first = members.trim_ascii_start().first();
                self.error |= !matches!(first, None | Some(b'}' | b']'));
            }
            // Bedrock's streams name the exception so.
            key if key.ends_with(b"exception") => {
                self.error = true;
                self.add_word(key);
            }
            _ => {}
        }
    }

    fn member(&mut self, key: &[u8], value: &[u8], wraps: u8) {
        match key {
            b"code" | b"type" | b"status" | b"reason" | b"error_code" | b"error_type"
            | b"limit_source" | b"__type" | b"statuscode" | b"status_code" => {
                self.add_word(value);
                self.error |= matches!(value, b"error" | b"response.failed");
                // A sentence for a code (xAI).
                if value.contains(&b' ') {
                    self.say(value);
                }
            }
            b"message" | b"detail" | b"details" | b"msg" | b"error" | b"errors" | b"raw"
            | b"error_description" | b"errormessage" | b"error_message" => {
                self.error |= key.starts_with(b"error") && !value.is_empty();
                self.text(value, wraps + 1);
            }
            b"retrydelay" | b"retry_delay" => self.wait = span::duration(value).or(self.wait),
            b"quotaresetdelay" => self.wait = self.wait.or_else(|| span::duration(value)),
            b"retry_after"
            | b"retryafter"
            | b"retry_after_seconds"
            | b"resets_in_seconds"
            | b"estimated_time" => {
                let wait = || span::seconds(value).or_else(|| span::duration(value));
                self.wait = self.wait.or_else(wait);
            }
            b"retry_after_ms" | b"retryafterms" => {
                self.wait = self.wait.or_else(|| span::milliseconds(value));
            }
            b"quotaid" | b"quotametric" | b"quota_id" | b"quota_metric" | b"quota_limit" => {
                self.add_quota(value);
            }
            b"quotavalue" | b"quota_limit_value" if value == b"0" => self.zero_quota = true,
            key if key.starts_with(b"x-ratelimit-") || key.starts_with(b"retry-after") => {
                if self.headers.len() < MAX_WORDS
                    && let Ok(name) = HeaderName::from_bytes(key)
                    && let Ok(value) = HeaderValue::from_bytes(value)
                {
                    self.headers.insert(name, value);
                }
            }
            _ => {}
        }
    }

    fn add_quota(&mut self, name: &[u8]) {
        if self.quotas.len() < MAX_WORDS && name.len() <= 256 {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            self.quotas.push(name);
        }
    }
}

/// Server-sent events, by how they begin.
fn is_stream(text: &[u8]) -> bool {
    let fields: [&[u8]; 4] = [b"event:", b"data:", b"id:", b": "];
    fields.iter().any(|field| text.starts_with(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &[u8]) -> Facts {
        Facts::read(body, Trust::All)
    }

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
            r#"{"Code":"SlowDown","Message":" Wait\n  A "}"#,
        ] {
            let facts = read(body.as_bytes());
            assert!(facts.has("slowdown"), "{body}: {facts:?}");
            assert_eq!(facts.prose, "wait a\n", "{body}");
        }
    }

    #[test]
    fn json_after_words_is_read_as_well() {
        for body in [
            r#"429 {"error":{"code":"slow_down","message":"Wait A"}}"#,
            r#"{"message":"Upstream - {\"error\":{\"code\":\"slow_down\"}}"}"#,
            r#"{"error":{"message":"OpenAIException - {'error': {'message': 'Wait A', 'code': 'slow_down', 'param': None}}"}}"#,
        ] {
            assert!(read(body.as_bytes()).has("slowdown"), "{body}");
            let wary = Facts::read(body.as_bytes(), Trust::Unquoted);
            assert!(!wary.has("slowdown"), "{body}: {wary:?}");
        }
    }

    #[test]
    fn a_stream_says_what_its_events_say() {
        let stream = b"event: message\ndata: {\"type\":\"a\",\"delta\":{\"code\":\"slow_down\"}}\n\n\
            event: error\r\ndata:{\"error\":{\"code\":\"b\"}}\r\n\r\ndata: [DONE]\n\ndata: overloaded";
        let facts = Facts::read(stream, Trust::Errors);
        assert_eq!(facts.words, ["a", "b"]);
        assert!(facts.error && facts.prose.is_empty());
    }

    #[test]
    fn a_page_and_nothing_say_nothing() {
        for body in ["", "  ", "<html>429 rate_limit_exceeded</html>"] {
            let facts = read(body.as_bytes());
            assert!(facts.words.is_empty() && facts.prose.is_empty());
        }
        assert_eq!(read(b"error code: 524").prose, "error code: 524\n");
    }

    #[test]
    fn an_echoed_request_is_no_word_of_the_provider() {
        let body = br#"{"detail":[{"type":"missing","loc":["body"],"msg":"Field required",
            "input":{"type":"insufficient_quota","message":"prompt is too long"}}],"code":"x"}"#;
        let facts = read(body);
        assert_eq!(facts.words, ["missing", "x"]);
        assert_eq!(facts.prose, "field required\n");
        let body = br#"{"error":{"message":"Invalid value: 'my credit balance is too low'."}}"#;
        let facts = Facts::read(body, Trust::Unquoted);
        assert_eq!(facts.prose, "invalid value: .\n");
    }

    #[test]
    fn a_success_says_only_what_its_errors_say() {
        let body = br#"{"type":"message","content":[{"type":"tool_use","input":{"code":"429"}}],
            "candidates":[{"functionCall":{"args":{"status":"overloaded_error"}}}],"error":null}"#;
        let facts = Facts::read(body, Trust::Errors);
        assert_eq!(facts.words, ["message"]);
        assert!(!facts.error);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            for trust in [Trust::Errors, Trust::Unquoted, Trust::All] {
                let _ = Facts::read(&body, trust);
            }
        }

        #[test]
        fn no_json_cut_anywhere_makes_it_panic(body in r#"[\[\]{}":,\\u0-9a-f\-']{0,60}"#) {
            for trust in [Trust::Errors, Trust::Unquoted, Trust::All] {
                let _ = Facts::read(body.as_bytes(), trust);
            }
        }
    }
}
