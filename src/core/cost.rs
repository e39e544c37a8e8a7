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

/// How many resources every cost has a number for.
const KINDS: usize = 4;

/// Where a cost has its number of a resource; beyond all of them where that is a unit of the user's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(usize);

impl Kind {
    pub(crate) const REQUESTS: Self = Resource::Requests.kind();
    pub(crate) const TOKENS: Self = Resource::Tokens.kind();
}

impl Resource {
    pub(crate) const fn kind(self) -> Kind {
        Kind(match self {
            Self::Requests => 0,
            Self::Tokens => 1,
            Self::InputTokens => 2,
            Self::OutputTokens => 3,
            Self::Unit(_) => KINDS,
        })
    }
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
#[derive(Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Cost {
    // In the order of `Kind`.
    numbers: Numbers,
    // Shared, so that a clone stays cheap and a cost without units stays small.
    units: Option<Units>,
}

pub(crate) type Numbers = [u64; KINDS];
pub(crate) const NO_NUMBERS: Numbers = [0; KINDS];
pub(crate) type Units = Arc<[(&'static str, u64)]>;

impl Cost {
    /// Nothing at all; the start of a cost that is put together by hand.
    pub const fn none() -> Self {
        Self {
            numbers: [0, 0, 0, 0],
            units: None,
        }
    }

    /// One request and no tokens.
    pub const fn request() -> Self {
        Self {
            numbers: [1, 0, 0, 0],
            units: None,
        }
    }

    /// One request of `tokens` tokens whose split is unknown: limits on input and on output
    /// tokens are charged with all of them.
    pub const fn tokens(tokens: u64) -> Self {
        Self {
            numbers: [1, tokens, tokens, tokens],
            units: None,
        }
    }

    /// One request of `input` tokens in its prompt and `output` in its answer.
    pub const fn input_output(input: u64, output: u64) -> Self {
        Self {
            numbers: [1, input.saturating_add(output), input, output],
            units: None,
        }
    }

    /// What it is made of.
    #[inline]
    pub(crate) const fn of_parts(numbers: Numbers, units: Option<Units>) -> Self {
        Self { numbers, units }
    }

    #[inline]
    pub(crate) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    #[inline]
    pub(crate) const fn units(&self) -> Option<&Units> {
        self.units.as_ref()
    }

    /// Whether one request and tokens are all that it is.
    #[inline]
    pub(crate) const fn is_one_request(&self) -> bool {
        self.numbers[0] == 1 && self.units.is_none()
    }

    /// The same cost for `n` requests instead of one; the tokens stay as they are.
    pub const fn requests(mut self, n: u64) -> Self {
        self.numbers[0] = n;
        self
    }

    /// The same cost with `n` of a unit of the user's own: said again of the same unit, the last `n` is what it takes. Allocates once; call
    /// it again for further units.
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
            numbers: [self.numbers[0], tokens, input, output],
            units: self.units.clone(),
        }
    }

    /// From now on at most so much output.
    pub(crate) fn limit_output(&mut self, output: u64) {
        let [_, tokens, _, before] = &mut self.numbers;
        let less = before.saturating_sub(output);
        *before -= less;
        *tokens = tokens.saturating_sub(less);
    }

    /// What is left of this when `other` has been charged already.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        for (n, other) in self.numbers.iter_mut().zip(other.numbers) {
            *n = n.saturating_sub(other);
        }
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
            numbers: self.numbers,
            units: self.units.clone(),
        };
        for (n, other) in sum.numbers.iter_mut().zip(other.numbers) {
            *n = n.saturating_add(other);
        }
        for (name, n) in other.units.as_deref().unwrap_or_default() {
            let before = sum.of(Resource::Unit(name));
            sum = sum.unit(name, before.saturating_add(*n));
        }
        sum
    }

    /// How much of a resource this takes, where its kind is known already.
    #[inline]
    pub(crate) fn of_kind(&self, Kind(kind): Kind, resource: impl FnOnce() -> Resource) -> u64 {
        match self.numbers.get(kind) {
            Some(n) => *n,
            None => self.of_unit(resource()),
        }
    }

    /// How much of `resource` this takes.
    #[inline]
    pub fn of(&self, resource: Resource) -> u64 {
        self.of_kind(resource.kind(), || resource)
    }

    #[cold]
    fn of_unit(&self, unit: Resource) -> u64 {
        let units = self.units.as_deref().unwrap_or_default();
        let found = units.iter().find(|(n, _)| Resource::Unit(n) == unit);
        found.map_or(0, |u| u.1)
    }
}

impl std::fmt::Debug for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [requests, tokens, input, output] = self.numbers;
        f.debug_struct("Cost")
            .field("requests", &requests)
            .field("tokens", &tokens)
            .field("input", &input)
            .field("output", &output)
            .field("units", &self.units)
            .finish()
    }
}
