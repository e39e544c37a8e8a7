//! Everything that one request's prompt is made of.

use super::text::{MESSAGES, PRIMING, TOKEN, TOOLS, Traits};

/// How texts are counted.
#[derive(Clone, Copy)]
pub(super) enum Scale<'e> {
    /// By their bytes.
    Bytes(std::marker::PhantomData<&'e ()>),
    /// By a tokenizer.
    #[cfg(feature = "tiktoken")]
    Exact(&'e super::exact::Encoding),
}

impl Scale<'_> {
    pub(super) const BYTES: Self = Self::Bytes(std::marker::PhantomData);
}

/// What was found so far.
pub(super) struct Tally<'e> {
    scale: Scale<'e>,
    sum: Sum,
}

/// A sum that can be gone back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) traits: Traits,
    /// Tokens besides those of the traits.
    pub(super) tokens: u64,
    /// There is something whose tokens nobody can tell from here.
    pub(super) blurred: bool,
}

impl Sum {
    /// Tokens by the weights of the beginning.
    pub(super) fn first_tokens(&self) -> u64 {
        let tokens = self.traits.weight().div_ceil(TOKEN);
        tokens.saturating_add(self.tokens)
    }
}

impl<'e> Tally<'e> {
    pub(super) const fn new(scale: Scale<'e>) -> Self {
        Self {
            scale,
            sum: Sum {
                traits: Traits([0; super::text::TRAITS]),
                tokens: 0,
                blurred: false,
            },
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        match self.scale {
            Scale::Bytes(_) => self.sum.traits.text(text.as_bytes()),
            #[cfg(feature = "tiktoken")]
            Scale::Exact(encoding) => self.count(encoding.count(text)),
        }
    }

    /// A message, an item or a tool.
    pub(super) fn message(&mut self) {
        self.sum.traits.add(MESSAGES, 1);
    }

    /// The answer's beginning.
    pub(super) fn priming(&mut self) {
        self.sum.traits.add(PRIMING, 1);
    }

    /// Tokens that are known.
    pub(super) fn count(&mut self, tokens: u64) {
        self.sum.tokens = self.sum.tokens.saturating_add(tokens);
    }

    /// Tokens that nobody can know from here.
    pub(super) fn guess(&mut self, tokens: u64) {
        self.count(tokens);
        self.blur();
    }

    /// There is more to it than can be seen from here.
    pub(super) fn blur(&mut self) {
        self.sum.blurred = true;
    }

    pub(super) fn mark(&self) -> Sum {
        self.sum
    }

    pub(super) fn rewind(&mut self, to: Sum) {
        self.sum = to;
    }

    /// Makes one trait of all that came since: providers write out tools and schemas in ways of their own, which make
    /// more or less of them, but about the same each time.
    pub(super) fn lump(&mut self, since: Sum) {
        let weight = self.sum.traits.weight();
        let more = weight.saturating_sub(since.traits.weight());
        self.sum.traits = since.traits;
        self.sum.traits.add(TOOLS, more);
    }

    pub(super) fn sum(&self) -> Sum {
        self.sum
    }
}
