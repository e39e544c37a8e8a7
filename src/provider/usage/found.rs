//! What was found in an answer.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::read::Raw;
use crate::verdict::Usage;

#[derive(Debug)]
pub(super) struct Found {
    /// The usage of a document that stands alone.
    alone: Option<Usage>,
    /// What a stream's begin says of its message: the input, and a place-holder for the output.
    begun: Option<Box<Raw>>,
    /// The last usage of a stream, as it was sent: many send one with every event, so that it is
    /// read at the end.
    last: Vec<u8>,
    count: u64,
    /// An error came after the last usage, or with it.
    failed: bool,
    /// An error came in this document.
    failing: bool,
    /// A message may still begin.
    at_begin: bool,
}

impl Found {
    pub(super) const fn new() -> Self {
        Self {
            alone: None,
            begun: None,
            last: Vec::new(),
            count: 0,
            failed: false,
            failing: false,
            at_begin: true,
        }
    }

    /// How many usages a stream had.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Whether a stream has had a usage that may be its last.
    pub(super) const fn has_last(&self) -> bool {
        !self.last.is_empty()
    }

    /// No message begins any more.
    pub(super) const fn is_past_begin(&mut self) {
        self.at_begin = false;
    }

    /// The last usage came too early.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// Another document of a stream begins.
    pub(super) const fn begin(&mut self) {
        self.failing = false;
    }

    pub(super) const fn fail(&mut self) {
        self.failed = true;
        self.failing = true;
    }

    /// The usage of a document that stands alone.
    pub(super) fn alone(&mut self, usage: &[u8]) {
        self.alone = Raw::read(usage).and_then(|raw| raw.usage());
    }

    /// The usage of a message that begins: only a stream's first one, since what comes later says
    /// more.
    pub(super) fn begun(&mut self, usage: &[u8]) {
        if self.at_begin && self.count == 0 && counts_tokens(usage) {
            self.begun = Raw::read(usage).map(Box::new);
            self.count = u64::from(self.begun.is_some());
        }
    }

    /// Another usage of a stream. Without figures it says nothing, and takes nothing back.
    pub(super) fn later(&mut self, usage: &[u8]) {
        if usage.iter().any(u8::is_ascii_digit) && counts_tokens(usage) {
            self.last.clear();
            self.last.extend_from_slice(usage);
            self.count += 1;
            // Who tells what was used after an error has counted it.
            self.failed = self.failing;
        }
    }

    /// The usage that counts.
    pub(super) fn finish(self) -> Option<Usage> {
        if self.last.is_empty() {
            // What a stream began with doesn't say what came of it.
            return self.alone;
        }
        if self.failed {
            return None;
        }
        Raw::read(&self.last)?.after(self.begun.as_deref()).usage()
    }

    /// How much is allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.last.capacity()
    }
}

/// Whether it has a member with a name that ends as those of all counts of tokens do.
fn counts_tokens(usage: &[u8]) -> bool {
    TOKENS.find_iter(usage).any(|at| {
        let rest = &usage[at + TOKENS.needle().len()..];
        rest.starts_with(b"s\"") || rest.starts_with(b"Count\"")
    })
}

/// What all names of counts have in them: `prompt_tokens`, `outputTokens`, `totalTokenCount`.
static TOKENS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"oken"));
