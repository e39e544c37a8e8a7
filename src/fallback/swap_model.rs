//! The same request for another model.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderValue, Request, header::CONTENT_LENGTH};
use serde::de::IgnoredAny;

use crate::body::ReplayBody;

/// Swaps the `model` of a request whose body is a JSON object, and leaves every other byte as it
/// is. `None` where the body isn't at hand, isn't JSON or names no model.
///
/// ```
/// use tower_quota::fallback::{FallbackLayer, swap_model};
///
/// let smaller = FallbackLayer::rewrite(swap_model::<bytes::Bytes>("gpt-4o-mini"));
/// # let _ = smaller;
/// ```
///
/// A `Content-Length` is set right; a signature of the body would be wrong afterwards.
/// The body is made anew of bytes: where it is a `String`, put a [`BufferBodyLayer`](crate::BufferBodyLayer) outside of the fallback.
///
/// # Panics
/// If `model` is empty.
#[track_caller]
pub fn swap_model<B>(model: &str) -> impl Fn(Request<B>) -> Option<Request<B>> + Clone + use<B>
where
    B: ReplayBody + From<Bytes>,
{
    assert!(!model.is_empty(), "swap_model: {model:?} names no model");
    // Quoted and escaped once.
    let model = Bytes::from(serde_json::Value::from(model).to_string());
    move |request| {
        let (mut head, body) = request.into_parts();
        let body = body.look(|body| swapped(body, &model))??;
        if let Some(length) = head.headers.get_mut(CONTENT_LENGTH) {
            *length = HeaderValue::from(body.len());
        }
        Some(Request::from_parts(head, B::from(body)))
    }
}

fn swapped(body: &[u8], model: &[u8]) -> Option<Bytes> {
    serde_json::from_slice::<IgnoredAny>(body).ok()?;
    let old = find(body, b"model")?;
    Some(Bytes::from(
        [&body[..old.start], model, &body[old.end..]].concat(),
    ))
}

/// Where the string is that `key` has in the object, quotes included. `json` is known to be valid.
fn find(json: &[u8], key: &[u8]) -> Option<Range<usize>> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let is_key = |text: Range<usize>| {
        serde_json::from_slice::<String>(&json[text]).is_ok_and(|text| text.as_bytes() == key)
    };
    let mut depth = 0;
    // A string that may be the key of the object itself, and whether its colon was seen.
    let mut candidate: Option<Range<usize>> = None;
    let mut is_value = false;
    let mut found = None;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = string_end(json, at)?;
                let text = at..end;
                at = end;
                if depth == 1 && is_value {
                    if candidate.take().is_some_and(is_key) {
                        // Of keys that repeat themselves the last one counts, as for most parsers.
                        found = Some(text);
                    }
                } else if depth == 1 {
                    candidate = Some(text);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b':' if depth == 1 => is_value = true,
            b',' | b'}' if depth == 1 => {
                is_value = false;
                // Its value wasn't a string.
                if candidate.take().is_some_and(is_key) {
                    found = None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The index after the string that starts at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
