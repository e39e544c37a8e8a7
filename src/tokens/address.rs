//! Which model a request is for: by its address, or by its body.

use std::borrow::Cow;

use http::{Request, Uri};
use memchr::{memchr2, memchr3};

use crate::body::ReplayBody;

/// A longer name isn't a model's.
const LONGEST: usize = 256;

/// What a request's address says of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Address<'a> {
    /// The model: Google, Azure and Bedrock name it there.
    pub(super) model: Option<&'a str>,
    /// What is asked for has no tokens.
    pub(super) embeds: bool,
}

/// The model that a request is for, or the deployment: by its address where that names one (Google's
/// `/models/{model}:generateContent`, Azure's `/deployments/{name}/`, Bedrock's `/model/{id}/converse`), else by the
/// member `model` of its body, where that can be read ahead. Without Google's `models/`.
///
/// ```
/// use http::Request;
/// use tower_quota::tokens;
///
/// let request = Request::post("https://example.test/v1/chat/completions").body(r#"{"model":"gpt-4o"}"#)?;
/// assert_eq!(tokens::model_of(&request).as_deref(), Some("gpt-4o"));
/// let request = Request::post("/v1beta/models/gemini-2.0-flash:generateContent").body("{}")?;
/// assert_eq!(tokens::model_of(&request).as_deref(), Some("gemini-2.0-flash"));
/// # Ok::<(), http::Error>(())
/// ```
pub fn model_of<B: ReplayBody>(request: &Request<B>) -> Option<String> {
    with_model(request, |model| model.map(str::to_owned))
}

/// Shows the model to `see`, and allocates nothing but for a name with escapes.
pub(crate) fn with_model<B: ReplayBody, T>(
    request: &Request<B>,
    see: impl FnOnce(Option<&str>) -> T,
) -> T {
    of(request.uri(), |address| {
        if address.model.is_some() {
            return see(address.model);
        }
        let mut see = Some(see);
        let seen = request.body().look(|body| {
            let model = named(body);
            see.take().map(|see| see(model.as_deref().map(bare)))
        });
        match (seen.flatten(), see) {
            (Some(seen), _) => seen,
            (None, Some(see)) => see(None),
            (None, None) => unreachable!("it has seen the model or nothing"),
        }
    })
}

/// Shows to `see` what an address says.
pub(super) fn of<T>(uri: &Uri, see: impl FnOnce(&Address<'_>) -> T) -> T {
    let path = uri.path().trim_end_matches('/');
    let mut model = None;
    let mut segments = path.split('/').skip(1).peekable();
    let mut before = "";
    while let Some(segment) = segments.next() {
        match before {
            "deployments" if segments.peek().is_some() => model = Some(segment),
            "model" => {
                let verb = segments.peek().copied().unwrap_or_default();
                if verb.starts_with("converse")
                    || verb.starts_with("invoke")
                    || verb == "count-tokens"
                {
                    model = Some(segment);
                }
            }
            "models" | "tunedModels" => {
                if let Some((name, verb)) = segment.rsplit_once(':')
                    && segments.peek().is_none()
                    && is_verb(verb)
                {
                    model = Some(name);
                }
            }
            _ => {}
        }
        before = segment;
    }
    let last = before.rsplit(':').next().unwrap_or_default();
    let embeds = matches!(
        last,
        "embeddings" | "embed" | "embedContent" | "batchEmbedContents" | "rerank" | "moderations"
    );
    let mut decoded = [0; LONGEST];
    let model = model.and_then(|name| decode(name, &mut decoded));
    let model = model.filter(|model| !model.is_empty());
    see(&Address { model, embeds })
}

/// Google's methods. A fine-tuned model's name has colons too.
fn is_verb(verb: &str) -> bool {
    const BEGINNINGS: [&str; 8] = [
        "generate", "stream", "embed", "batch", "async", "count", "predict", "raw",
    ];
    BEGINNINGS.iter().any(|begin| verb.starts_with(begin))
}

/// A name without its percent-encoding; `None` where it is none.
fn decode<'a>(name: &'a str, decoded: &'a mut [u8; LONGEST]) -> Option<&'a str> {
    if !name.contains('%') {
        return (name.len() <= LONGEST).then_some(name);
    }
    let mut bytes = name.bytes();
    let mut len = 0;
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        };
        *decoded.get_mut(len)? = byte;
        len += 1;
    }
    std::str::from_utf8(&decoded[..len]).ok()
}

/// A model's name without the collection that Google puts before it.
pub(super) fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// The text in the last member `model` of a JSON object; of one that isn't whole, in the last that came.
pub(super) fn named(body: &[u8]) -> Option<Cow<'_, str>> {
    let mut at = skip_blank(body, 0);
    if body.get(at) != Some(&b'{') {
        return None;
    }
    let mut found = None;
    loop {
        at = body[at..].iter().position(|&byte| byte == b'"')? + at;
        let end = text_end(body, at + 1);
        let Some(end) = end else { return found };
        let is_model =
            unescaped(&body[at..=end]).is_some_and(|key| matches!(&*key, "model" | "modelId"));
        at = skip_blank(body, end + 1);
        if body.get(at) != Some(&b':') {
            return found;
        }
        at = skip_blank(body, at + 1);
        let start = at;
        match value_end(body, at) {
            Some(end) => at = end,
            None => return found,
        }
        if is_model {
            found = unescaped(&body[start..at]);
        }
        at = skip_blank(body, at);
        if body.get(at) != Some(&b',') {
            return found;
        }
    }
}

fn skip_blank(body: &[u8], at: usize) -> usize {
    let rest = body.get(at..).unwrap_or_default();
    let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    at + blank.count()
}

/// Where a text ends that has begun: its closing quote.
fn text_end(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', body.get(at..)?)?;
        if body[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Behind a value.
fn value_end(body: &[u8], at: usize) -> Option<usize> {
    let (open, close) = match body.get(at)? {
        b'"' => return Some(text_end(body, at + 1)? + 1),
        b'{' => (b'{', b'}'),
        b'[' => (b'[', b']'),
        _ => {
            let rest = &body[at..];
            return Some(at + memchr3(b',', b'}', b']', rest)?);
        }
    };
    // Brackets of the other kind are balanced inside.
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        at += memchr3(open, close, b'"', body.get(at..)?)?;
        match body[at] {
            b'"' => at = text_end(body, at + 1)?,
            byte if byte == open => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// A JSON text with its quotes, borrowed where it has no escapes.
fn unescaped(text: &[u8]) -> Option<Cow<'_, str>> {
    if text.contains(&b'\\') {
        return serde_json::from_slice::<String>(text).ok().map(Cow::Owned);
    }
    let inside = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(inside).ok().map(Cow::Borrowed)
}
