//! How much a provider allows: its limits as data.

use std::{sync::Arc, time::Duration};

use super::Shape;

/// How much of what: of a whole box, or of the models of one [pool](super::ProviderBuilder::pool).
/// Nothing is limited by default; `None` lifts a limit.
///
/// ```
/// use tower_quota::testing::Limits;
///
/// let sonnet = Limits::none()
///     .requests_per_minute(50)
///     .input_tokens_per_minute(30_000)
///     .output_tokens_per_minute(8_000);
/// assert_ne!(sonnet, sonnet.requests_per_minute(None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    pub(super) requests_per_minute: Option<u64>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) input_tokens_per_minute: Option<u64>,
    pub(super) output_tokens_per_minute: Option<u64>,
    pub(super) requests_per_day: Option<u64>,
    pub(super) tokens_per_day: Option<u64>,
}

impl Limits {
    /// No limit at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// At most so many requests in a minute.
    pub fn requests_per_minute(mut self, limit: impl Into<Option<u64>>) -> Self {
        self.requests_per_minute = limit.into();
        self
    }

    /// At most so many tokens in a minute, reserved on arrival: the prompt's and the most that the
    /// answer may have, but the prompt's alone for Anthropic and Gemini.
    pub fn tokens_per_minute(mut self, limit: impl Into<Option<u64>>) -> Self {
        self.tokens_per_minute = limit.into();
        self
    }

    /// At most so many tokens of prompts in a minute, estimated on arrival.
    pub fn input_tokens_per_minute(mut self, limit: impl Into<Option<u64>>) -> Self {
        self.input_tokens_per_minute = limit.into();
        self
    }

    /// So many tokens of answers in a minute, counted as they are produced. Nothing is reserved:
    /// once they are used up, new requests are refused, and answers under way go on.
    pub fn output_tokens_per_minute(mut self, limit: impl Into<Option<u64>>) -> Self {
        self.output_tokens_per_minute = limit.into();
        self
    }

    /// At most so many requests in a day.
    pub fn requests_per_day(mut self, limit: impl Into<Option<u64>>) -> Self {
        self.requests_per_day = limit.into();
        self
    }

    /// At most so many tokens in a day, reserved as those of a minute.
    pub fn tokens_per_day(mut self, limit: impl Into<Option<u64>>) -> Self {
        self.tokens_per_day = limit.into();
        self
    }

    pub(super) fn of(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::RequestsPerMinute => self.requests_per_minute,
            Kind::TokensPerMinute => self.tokens_per_minute,
            Kind::InputPerMinute => self.input_tokens_per_minute,
            Kind::OutputPerMinute => self.output_tokens_per_minute,
            Kind::RequestsPerDay => self.requests_per_day,
            Kind::TokensPerDay => self.tokens_per_day,
        }
    }
}

/// Models that share their limits; the first one names the pool.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) models: Vec<Arc<str>>,
    pub(super) limits: Limits,
}

impl Pool {
    pub(super) fn has(&self, model: &str) -> bool {
        self.models.iter().any(|of| **of == *model)
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    RequestsPerMinute,
    TokensPerMinute,
    InputPerMinute,
    OutputPerMinute,
    RequestsPerDay,
    TokensPerDay,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Requests,
    Tokens,
    Input,
    Output,
}

impl Kind {
    /// In this order a refusal looks at them.
    pub(super) const ALL: [Self; 6] = [
        Self::RequestsPerMinute,
        Self::TokensPerMinute,
        Self::InputPerMinute,
        Self::OutputPerMinute,
        Self::RequestsPerDay,
        Self::TokensPerDay,
    ];

    pub(super) fn unit(self) -> Unit {
        match self {
            Self::RequestsPerMinute | Self::RequestsPerDay => Unit::Requests,
            Self::TokensPerMinute | Self::TokensPerDay => Unit::Tokens,
            Self::InputPerMinute => Unit::Input,
            Self::OutputPerMinute => Unit::Output,
        }
    }

    pub(super) fn is_daily(self) -> bool {
        matches!(self, Self::RequestsPerDay | Self::TokensPerDay)
    }

    /// As OpenAI's and Groq's messages name it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requests per min (RPM)",
            Self::TokensPerMinute => "tokens per min (TPM)",
            Self::InputPerMinute => "input tokens per minute (ITPM)",
            Self::OutputPerMinute => "output tokens per minute (OTPM)",
            Self::RequestsPerDay => "requests per day (RPD)",
            Self::TokensPerDay => "tokens per day (TPD)",
        }
    }

    /// The `type` of OpenAI's errors.
    pub(super) fn resource(self) -> &'static str {
        match self.unit() {
            Unit::Requests => "requests",
            Unit::Tokens | Unit::Input | Unit::Output => "tokens",
        }
    }
}

/// One limit: how much, in how long, counted how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    pub(super) limit: u64,
    pub(super) window: Duration,
    pub(super) shape: Shape,
    /// Enforced by this much of the window as well.
    pub(super) quantum: Option<Duration>,
}

/// How many tokens something is, by what counts which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// By limits on tokens.
    pub(super) all: u64,
    /// By limits on those of prompts.
    pub(super) input: u64,
}
