//! Whose word it is what stands in a body.

/// How much of a body is believed, by the status that it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It came with a success: only what stands in an error's own members.
    Errors,
    /// It blames the request, which it may well quote: nothing in quotation marks.
    Unquoted,
    /// It is about the provider.
    All,
}

impl Trust {
    pub(super) const fn under(status: u16) -> Self {
        match status {
            ..400 => Self::Errors,
            400 | 422 => Self::Unquoted,
            _ => Self::All,
        }
    }

    /// Whether what stands under `key` isn't the provider's own word.
    pub(super) fn is_foreign(self, key: &[u8]) -> bool {
        if self == Self::Errors {
            !ERRORS.contains(&key) && !key.ends_with(b"exception")
        } else {
            ECHOES.contains(&key)
        }
    }
}

/// Validators echo what was sent; a prompt isn't a verdict.
const ECHOES: &[&[u8]] = &[
    b"input",
    b"inputs",
    b"ctx",
    b"param",
    b"params",
    b"parameters",
    b"body",
    b"request",
    b"original_request",
    b"messages",
    b"contents",
    b"content",
    b"prompt",
    b"arguments",
    b"args",
    b"tools",
    b"functions",
    b"text",
    b"query",
    b"payload",
    b"value",
    b"instances",
    b"documents",
];

/// Where an error stands in an answer that came with a success. Members of an array have no name.
const ERRORS: &[&[u8]] = &[
    b"",
    b"error",
    b"errors",
    b"response",
    b"detail",
    b"details",
    b"metadata",
    b"violations",
    b"headers",
];
