//! The vocabulary that all layers share: what an answer means ([`Verdict`]), what the provider
//! says of its limits ([`RateStatus`]), what a request really used ([`Usage`]), and who says it
//! ([`Provider`]).

use std::time::Duration;

use crate::{core::cost::Resource, error::BoxError, marked::Marked};

/// What an answer means, whatever its status code was.
///
/// | verdict | retry | breaker | fallback | quota |
/// |---|---|---|---|---|
/// | `Success` | returned | success | returned | settled |
/// | `RateLimited` | after the hint, never earlier | neutral | falls back | keeps the charge, pauses for the hint |
/// | `Overloaded` | after the hint | failure; opens for the hint | falls back | keeps |
/// | `Transient` | after a back-off | failure | falls back | keeps if it was sent, else refunds |
/// | `QuotaExhausted` | returned at once | failure; opens for long | falls back | keeps |
/// | `TooLarge` | returned at once | success | falls back | keeps |
/// | `Permanent` | returned | success: the server is up | returned | keeps |
/// | `Refused` | returned, of a retry too | no sample | falls back | gives back |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Success,
    /// Wait: a limit on requests or tokens was reached.
    RateLimited {
        /// The resource whose limit it was, where the answer says so.
        resource: Option<Resource>,
        /// The window of that limit, such as a minute or a day, where the answer says so.
        window: Option<Duration>,
        /// How long to wait, where the answer says so.
        retry_after: Option<Duration>,
    },
    /// The provider has too much to do (503, 529).
    Overloaded {
        /// How long to wait, where the answer says so.
        retry_after: Option<Duration>,
    },
    /// It may work next time (408, 409, other 5xx, connection errors, time-outs).
    Transient {
        /// Whether the request may have reached the provider.
        sent: bool,
    },
    /// No money, or a cap for the month: waiting doesn't help.
    QuotaExhausted,
    /// The request is larger than the provider will ever take.
    TooLarge,
    /// It will never work as it is (400, 401, 403, 404, 422).
    Permanent,
    /// One of our own layers refused it; it was never sent.
    Refused,
}

impl Verdict {
    /// The verdict that a layer further in has read and left in the response's extensions.
    pub fn of(response: &impl Marked) -> Option<Self> {
        response.marks().get::<Self>().copied()
    }

    /// Whether the request may have reached the provider.
    pub(crate) const fn was_sent(&self) -> bool {
        !matches!(self, Self::Refused | Self::Transient { sent: false })
    }

    /// The same with a wait, which is looked for only where there can be one and none is told.
    pub(crate) fn or_asking(mut self, wait: impl FnOnce() -> Option<Duration>) -> Self {
        if let Self::RateLimited { retry_after, .. } | Self::Overloaded { retry_after } = &mut self
            && retry_after.is_none()
        {
            *retry_after = wait();
        }
        self
    }

    /// How long the provider asks to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Overloaded { retry_after } => {
                *retry_after
            }
            _ => None,
        }
    }
}

/// What a request really used, by the provider's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt, those from the provider's cache included.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Input and output together, as the provider adds them up.
    pub total_tokens: u64,
    /// Those of the prompt's tokens that came from the provider's cache.
    pub cached_tokens: u64,
}

impl Usage {
    /// `input` tokens in the prompt and `output` in the answer.
    pub const fn new(input: u64, output: u64) -> Self {
        Self {
            input_tokens: input,
            output_tokens: output,
            total_tokens: input.saturating_add(output),
            cached_tokens: 0,
        }
    }
}

/// What the provider says of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateReading {
    /// The limit.
    pub limit: Option<u64>,
    /// What is left of it; a negative remainder reads as 0.
    pub remaining: Option<u64>,
    /// When it is whole again.
    pub reset: Option<Duration>,
    /// The window that it is counted in, where the header's name or the provider says so.
    pub window: Option<Duration>,
}

impl RateReading {
    /// A reading that says nothing; fill in what is known.
    pub const fn new() -> Self {
        Self {
            limit: None,
            remaining: None,
            reset: None,
            window: None,
        }
    }

    /// The same with the limit.
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same with what is left.
    pub const fn remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    /// The same, whole again after `reset`.
    pub const fn reset(mut self, reset: Duration) -> Self {
        self.reset = Some(reset);
        self
    }

    /// The same, counted in `window`.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }
}

/// What the provider says of its limits, from the headers of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateStatus {
    /// The limit on requests.
    pub requests: RateReading,
    /// The limit on tokens.
    pub tokens: RateReading,
    /// The limit on input tokens.
    pub input_tokens: RateReading,
    /// The limit on output tokens.
    pub output_tokens: RateReading,
}

impl RateStatus {
    /// A status that says nothing; fill in what is known.
    pub const fn new() -> Self {
        Self {
            requests: RateReading::new(),
            tokens: RateReading::new(),
            input_tokens: RateReading::new(),
            output_tokens: RateReading::new(),
        }
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::new()
    }
}

/// Whose answers they are. The same bytes mean different things from different providers: see
/// [`provider`](crate::provider).
///
/// Given to a layer's `provider` it is known beforehand; otherwise it is told from each answer. Of
/// several layers the innermost reads the answer for all: there it has to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// OpenAI.
    OpenAi,
    /// Azure OpenAI, Azure AI Foundry and GitHub Models.
    AzureOpenAi,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API and Vertex AI.
    Gemini,
    /// Groq.
    Groq,
    /// Mistral.
    Mistral,
    /// Cohere.
    Cohere,
    /// Together AI.
    Together,
    /// Fireworks AI.
    Fireworks,
    /// OpenRouter.
    OpenRouter,
    /// Amazon Bedrock.
    Bedrock,
    /// xAI.
    XAi,
    /// DeepSeek.
    DeepSeek,
    /// Any other: read by what most of them have in common.
    Other,
}

/// Judges answers: the layers act on what it says.
///
/// Any `Fn(Result<&Response, &BoxError>) -> Verdict` is one. As a closure it names its argument's type, where the body's is left
/// to the compiler:
///
/// ```
/// # use bytes::Bytes; use http_body_util::Empty; use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use http::{Request, Response};
/// use tower_quota::{BackoffRetryLayer, BoxError, Classify, Verdict, answers::Http};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// # let client = service_fn(|_: Request<Bytes>| async { Ok::<_, std::io::Error>(Response::new(Empty::<Bytes>::new())) });
/// let retry = BackoffRetryLayer::new().classify(|outcome: Result<&Response<_>, &BoxError>| match outcome {
///     // This server says 202 for "not yet".
///     Ok(answer) if answer.status() == 202 => Verdict::Overloaded { retry_after: None },
///     // All others mean what they always do.
///     other => Http.classify(other),
/// });
/// let service = ServiceBuilder::new().layer(retry).service(client);
/// # service.oneshot(Request::new(Bytes::new())).await?; Ok(()) }
/// ```
///
/// For answers that aren't `http::Response`, after `.opaque()`: `|outcome: Result<&Answer, &BoxError>|`. The layers of a stack judge
/// each by itself: give the same to all that shall act on it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't judge answers of type `{R}`",
    note = "for answers that aren't `http::Response<_>`, call `.opaque()` on the layer",
    note = "a judgement for `.classify` names its argument's type: `|outcome: Result<&Response<_>, &BoxError>| ..`, or after `.opaque()` `|outcome: Result<&Answer, &BoxError>| ..`"
)]
pub trait Classify<R> {
    /// What this outcome means.
    fn classify(&self, outcome: Result<&R, &BoxError>) -> Verdict;
}

impl<R, F> Classify<R> for F
where
    F: Fn(Result<&R, &BoxError>) -> Verdict,
{
    fn classify(&self, outcome: Result<&R, &BoxError>) -> Verdict {
        self(outcome)
    }
}
