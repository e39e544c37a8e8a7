//! What messages in prose say: their own words, in sentences, and the figures in them.

/// Where JSON begins after words: `429 {"error": …`, or Python's way to print it.
pub(super) fn json(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'{', b'[', &text[at..]) {
        at += found;
        let next = text[at + 1..].trim_ascii_start().first();
        if matches!(next, Some(b'"' | b'\'' | b'{')) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// What stands outside of quotation marks in the first `most` bytes. A quotation that isn't
/// closed goes on to the end.
pub(super) fn unquoted(text: &str, most: usize) -> String {
    let mut own = String::new();
    let mut closing: Option<char> = None;
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if own.len() >= most {
            break;
        }
        let after = chars.peek().copied().unwrap_or(' ');
        match closing {
            Some(mark) => {
                if char == mark && !after.is_alphanumeric() {
                    closing = None;
                }
            }
            // An apostrophe follows a letter, a quotation mark doesn't.
            None if !before.is_alphanumeric() => match char {
                '"' | '\'' | '`' => closing = Some(char),
                '“' | '„' => closing = Some('”'),
                '‘' => closing = Some('’'),
                '«' => closing = Some('»'),
                _ => own.push(char),
            },
            None => own.push(char),
        }
        before = char;
    }
    own
}

/// Adds `text` as one line in lower case, any white space being one space.
pub(super) fn plain(text: &str, to: &mut String) {
    let start = to.len();
    for word in text.split_whitespace() {
        if to.len() > start {
            to.push(' ');
        }
        to.push_str(&word.to_ascii_lowercase());
    }
    if to.len() > start {
        to.push('\n');
    }
}

/// Whether one sentence has all the parts of one of the shapes; a part may be one of several,
/// parted by `|`.
pub(super) fn has_shape(prose: &str, shapes: &[&[&str]]) -> bool {
    let part = |sentence: &str, part: &str| part.split('|').any(|one| sentence.contains(one));
    sentences(prose).any(|sentence| {
        shapes
            .iter()
            .any(|shape| shape.iter().all(|one| part(sentence, one)))
    })
}

fn sentences(prose: &str) -> impl Iterator<Item = &str> {
    let lines = prose.split('\n');
    lines.flat_map(|line| line.split(". ").flat_map(|part| part.split("! ")))
}

/// The numbers that follow `word`: `Limit 30000`, `Requested ~12903`, `limit: 20,000`, `limit of 30k`.
pub(super) fn numbers<'a>(prose: &'a str, word: &'a str) -> impl Iterator<Item = u64> + 'a {
    const BETWEEN: [char; 5] = [' ', ':', '~', '=', '≈'];

    prose.match_indices(word).filter_map(move |(at, _)| {
        let text = prose[at + word.len()..].trim_start_matches(BETWEEN);
        let linked = text
            .strip_prefix("of ")
            .or_else(|| text.strip_prefix("is "));
        number(linked.unwrap_or(text).trim_start_matches(BETWEEN))
    })
}

/// The whole number at the start of `text`, with commas between its digits or none.
fn number(text: &str) -> Option<u64> {
    let mut number: Option<u64> = None;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let digit_next = bytes.peek().is_some_and(u8::is_ascii_digit);
        match byte {
            b'0'..=b'9' => {
                let n = number.unwrap_or(0).checked_mul(10)?;
                number = Some(n.checked_add(u64::from(byte - b'0'))?);
            }
            b',' | b'_' if number.is_some() && digit_next => {}
            // A fraction of something is no limit of ours.
            b'.' if digit_next => return None,
            b'k' if bytes
                .next()
                .is_none_or(|next| !next.is_ascii_alphanumeric()) =>
            {
                return number?.checked_mul(1_000);
            }
            b'm' if bytes
                .next()
                .is_none_or(|next| !next.is_ascii_alphanumeric()) =>
            {
                return number?.checked_mul(1_000_000);
            }
            // `60s` is a span.
            b'a'..=b'z' => return None,
            _ => break,
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_follow_their_word_however_they_are_written() {
        for (text, figure) in [
            ("limit 30000, used", Some(30_000)),
            ("limit: 10000 / min", Some(10_000)),
            ("limit ~12903", Some(12_903)),
            ("limit of 20,000 input tokens", Some(20_000)),
            ("limit is 30k, x", Some(30_000)),
            ("limit=2m", Some(2_000_000)),
            ("limit 1_000_000", Some(1_000_000)),
            ("limit: 0, model", Some(0)),
            ("limit 0.5", None),
            ("limit 60s", None),
            ("limit, 7", None),
            ("limit 99999999999999999999999", None),
            ("limit", None),
            ("limit k", None),
        ] {
            assert_eq!(numbers(text, "limit").next(), figure, "{text}");
        }
    }

    #[test]
    fn quotations_are_taken_out_and_apostrophes_stay() {
        for (text, own) in [
            ("you've \"x y\" it's", "you've  it's"),
            ("bad 'it's me' end", "bad  end"),
            ("bad `a` and “b”, «c»", "bad  and , "),
            ("organization's users' data", "organization's users' data"),
            ("bad 'never closed", "bad "),
            ("0123456789", "0123456789"),
        ] {
            assert_eq!(unquoted(text, 100), own, "{text}");
        }
        assert_eq!(unquoted("0123456789", 4), "0123");
    }

    #[test]
    fn a_shape_is_of_one_sentence() {
        let shapes: &[&[&str]] = &[&["spend|spent", "limit"]];
        assert!(has_shape("the limit. your spend limit. x", shapes));
        assert!(!has_shape("the limit. your spend. x", shapes));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = (json(text.as_bytes()), unquoted(&text, 20), numbers(&text, "a").count());
            let mut line = String::new();
            plain(&text, &mut line);
            prop_assert!(!line.contains("  "));
        }
    }
}
