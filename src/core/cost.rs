//! What one request takes from a quota.

use std::sync::Arc;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Calls, whatever their size.
    Requests,
    /// Input and output tokens together.
    Tokens,
    /// Tokens of the prompt.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
    /// A unit of the user's own: images, characters, audio seconds.
    Unit(&'static str),
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Unit(name) => name,
        })
    }
}

/// As it is displayed.
#[cfg(feature = "serde")]
impl serde::Serialize for Resource {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What one request takes: requests, tokens, and units of the user's own.
///
/// A limit on a resource that the cost doesn't name takes nothing.
///
/// ```
/// use tower_quota::{Cost, Resource};
///
/// let chat = Cost::input_output(1_000, 256);
/// assert_eq!(chat.of(Resource::Tokens), 1_256);
/// let image = Cost::request().unit("images", 2);
/// assert_eq!(image.of(Resource::Tokens), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct Cost {
    requests: u64,
    tokens: u64,
    input: u64,
    output: u64,
    // Shared, so that a clone stays cheap and a cost without units stays small.
    units: Option<Arc<[(&'static str, u64)]>>,
}

impl Cost {
    /// Nothing at all; the start of a cost that is put together by hand.
    pub const fn none() -> Self {
        Self {
            requests: 0,
            tokens: 0,
            input: 0,
            output: 0,
            units: None,
        }
    }

    /// One request and no tokens.
    pub const fn request() -> Self {
        Self {
            requests: 1,
            tokens: 0,
            input: 0,
            output: 0,
            units: None,
        }
    }

    /// One request of `tokens` tokens whose split is unknown: limits on input and on output
    /// tokens are charged with all of them.
    pub const fn tokens(tokens: u64) -> Self {
        Self {
            requests: 1,
            tokens,
            input: tokens,
            output: tokens,
            units: None,
        }
    }

    /// One request of `input` tokens in its prompt and `output` in its answer.
    pub const fn input_output(input: u64, output: u64) -> Self {
        Self {
            requests: 1,
            tokens: input.saturating_add(output),
            input,
            output,
            units: None,
        }
    }

    /// Whether clones share something.
    #[inline]
    pub(crate) const fn is_shared(&self) -> bool {
        self.units.is_some()
    }

    /// The same cost for `n` requests instead of one; the tokens stay as they are.
    pub const fn requests(mut self, n: u64) -> Self {
        self.requests = n;
        self
    }

    /// Adds `n` of a unit of the user's own. Allocates once; call it again for further units.
    ///
    /// A unit that no limit of the quota counts takes nothing: see that the name is the limit's own.
    pub fn unit(mut self, name: &'static str, n: u64) -> Self {
        let others = self.units.as_deref().unwrap_or_default();
        self.units = Some(
            others
                .iter()
                .copied()
                .filter(|(other, _)| *other != name)
                .chain([(name, n)])
                .collect(),
        );
        self
    }

    /// The same request with other tokens.
    pub(crate) fn with_tokens(&self, tokens: u64, input: u64, output: u64) -> Self {
        Self {
            requests: self.requests,
            tokens,
            input,
            output,
            units: self.units.clone(),
        }
    }

    /// The same with at most so much output.
    pub(crate) fn with_less_output(mut self, output: u64) -> Self {
        let less = self.output.saturating_sub(output);
        self.output -= less;
        self.tokens = self.tokens.saturating_sub(less);
        self
    }

    /// What is left of this when `other` has been charged already.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        self.requests = self.requests.saturating_sub(other.requests);
        self.tokens = self.tokens.saturating_sub(other.tokens);
        self.input = self.input.saturating_sub(other.input);
        self.output = self.output.saturating_sub(other.output);
        self.units = self.units.map(|units| {
            let rest = |&(name, n): &(&'static str, u64)| {
                (name, n.saturating_sub(other.of(Resource::Unit(name))))
            };
            units.iter().map(rest).collect()
        });
        self
    }

    /// This and `other` together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut sum = Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            units: self.units.clone(),
        };
        for (name, n) in other.units.as_deref().unwrap_or_default() {
            let before = sum.of(Resource::Unit(name));
            sum = sum.unit(name, before.saturating_add(*n));
        }
        sum
    }

    /// How much of `resource` this takes.
    #[inline]
    pub fn of(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Requests => self.requests,
            Resource::Tokens => self.tokens,
            Resource::InputTokens => self.input,
            Resource::OutputTokens => self.output,
            Resource::Unit(name) => self.units.as_deref().map_or(0, |units| {
                units.iter().find(|(n, _)| *n == name).map_or(0, |u| u.1)
            }),
        }
    }
}
