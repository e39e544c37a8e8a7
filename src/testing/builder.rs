//! How a provider is set up.

use std::{
    fmt, io,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Delay, Faults, Limits, Provider, ProviderBox, RateHeaders, Shape, Stream, dialects::Dialect,
    limits::Pool, settings::Settings,
};
use crate::error::ConfigError;

/// What becomes of the difference between what a request reserved and what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// Nothing: the reservation stays charged. The default.
    #[default]
    Keep,
    /// Once the answer is sent, the charge becomes what was really used, at the instant of the
    /// reservation: as if that had been charged in the first place.
    TrueUp,
}

/// Sets up a provider: what its limits are, how it counts, and what goes wrong.
///
/// | setting | default |
/// |---|---|
/// | `limits`, or one by one: `requests_per_minute`, `tokens_per_minute` … | unlimited |
/// | `pool` | none: all models share the limits |
/// | `minute`, `day` | 60 s, 24 h |
/// | `shape` | [`Shape::Bucket`]; Azure's is [`Shape::Fixed`], and so is Gemini's day |
/// | `quantum` | none |
/// | `settlement` | [`Settlement::Keep`]; Anthropic's is [`Settlement::TrueUp`] |
/// | `count_refused` | off |
/// | `estimate` | a token for every 4 bytes of text, rounded up |
/// | `default_max_tokens` | 256 |
/// | `completion` | 1.0..=1.0: every answer has as many tokens as it may |
/// | `prompt_factor` | 1.0: the estimate is right |
/// | `cached`, `reasoning` | 0.0: nothing |
/// | `count_cached` | on; off for Anthropic and Groq |
/// | `dimensions` | 8 |
/// | `batch_takes` | 1 s |
/// | `api_key` | any will do, and none too |
/// | `organization` | `org-box` |
/// | `models` | a chat model of the provider is listed, all are served |
/// | `rate_headers`, `headers` | on, of the provider's own kind; Gemini has none |
/// | `refuse_in_stream` | off, on for Azure |
/// | `wall_clock` | the system's at the start |
/// | `transit`, `latency` | no time |
/// | `stream` | [`Stream::at_once`] |
/// | `faults` | none |
/// | `seed` | 1 |
/// | `log_capacity` | 1,000,000 arrivals |
#[derive(Clone)]
#[must_use]
pub struct ProviderBuilder {
    settings: Settings,
    faults: Faults,
}

impl ProviderBuilder {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            settings: dialect.settings(),
            faults: Faults::default(),
        }
    }

    /// Its limits, in place of those it had: for every model that is in no [pool](Self::pool).
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Limits of their own for these models, which share them: the first one names the pool, the
    /// others are its aliases. A model can be in one pool only.
    pub fn pool<M: Into<Arc<str>>>(
        mut self,
        models: impl IntoIterator<Item = M>,
        limits: Limits,
    ) -> Self {
        let models = models.into_iter().map(Into::into).collect();
        self.settings.pools.push(Pool { models, limits });
        self
    }

    /// At most so many requests in a minute.
    pub fn requests_per_minute(mut self, limit: u64) -> Self {
        self.settings.limits.requests_per_minute = Some(limit);
        self
    }

    /// At most so many tokens in a minute: [`Limits::tokens_per_minute`].
    pub fn tokens_per_minute(mut self, limit: u64) -> Self {
        self.settings.limits.tokens_per_minute = Some(limit);
        self
    }

    /// At most so many tokens of prompts in a minute: [`Limits::input_tokens_per_minute`].
    pub fn input_tokens_per_minute(mut self, limit: u64) -> Self {
        self.settings.limits.input_tokens_per_minute = Some(limit);
        self
    }

    /// So many tokens of answers in a minute: [`Limits::output_tokens_per_minute`].
    pub fn output_tokens_per_minute(mut self, limit: u64) -> Self {
        self.settings.limits.output_tokens_per_minute = Some(limit);
        self
    }

    /// At most so many requests in a day.
    pub fn requests_per_day(mut self, limit: u64) -> Self {
        self.settings.limits.requests_per_day = Some(limit);
        self
    }

    /// How long its minute is: shorter ones make shorter tests. Default: 60 s.
    pub fn minute(mut self, minute: Duration) -> Self {
        self.settings.minute = minute;
        self
    }

    /// How long its day is. Default: 24 h.
    pub fn day(mut self, day: Duration) -> Self {
        self.settings.day = day;
        self
    }

    /// How all of its limits count.
    pub fn shape(self, shape: Shape) -> Self {
        self.requests_shape(shape)
            .tokens_shape(shape)
            .day_shape(shape)
    }

    /// How the limit on requests a minute counts.
    pub fn requests_shape(mut self, shape: Shape) -> Self {
        self.settings.requests_shape = shape;
        self
    }

    /// How the limits on tokens a minute count.
    pub fn tokens_shape(mut self, shape: Shape) -> Self {
        self.settings.tokens_shape = shape;
        self
    }

    /// How the limits on a day count.
    pub fn day_shape(mut self, shape: Shape) -> Self {
        self.settings.day_shape = shape;
        self
    }

    /// Enforces the limits of a minute by this much of it as well: 60,000 a minute by the second
    /// are 1,000 a second. A bucket beside the limit, which holds what a quantum allows (at
    /// least 1); a larger request is admitted when that is full, and the next ones wait until it
    /// is paid off. Headers and messages show the minute's limit all the same, as providers do.
    pub fn quantum(mut self, quantum: Duration) -> Self {
        self.settings.quantum = Some(quantum);
        self
    }

    /// What becomes of tokens that were reserved and not used.
    pub fn settlement(mut self, settlement: Settlement) -> Self {
        self.settings.settlement = settlement;
        self
    }

    /// Whether requests that are refused for now count against the limits on requests. The wait that is
    /// stated then allows for it.
    pub fn count_refused(mut self, count: bool) -> Self {
        self.settings.count_refused = count;
        self
    }

    /// How many tokens a text has: of all messages of a chat together, or of one input of embeddings.
    pub fn estimate(mut self, estimate: impl Fn(&str) -> u64 + Send + Sync + 'static) -> Self {
        self.settings.estimate = Arc::new(estimate);
        self
    }

    /// What a chat reserves for its answer that doesn't state `max_completion_tokens` or
    /// `max_tokens`. Default: 256.
    pub fn default_max_tokens(mut self, tokens: u64) -> Self {
        self.settings.default_max_tokens = tokens;
        self
    }

    /// How much of the tokens that it may have an answer has, drawn evenly and rounded up.
    pub fn completion(mut self, part: RangeInclusive<f64>) -> Self {
        self.settings.completion = part.into_inner();
        self
    }

    /// How many tokens a prompt really has, as a multiple of the estimate, rounded up.
    pub fn prompt_factor(mut self, factor: f64) -> Self {
        self.settings.prompt_factor = factor;
        self
    }

    /// How much of every prompt is read from the provider's cache. Default: 0, nothing.
    pub fn cached(mut self, part: f64) -> Self {
        self.settings.cached = part;
        self
    }

    /// Whether what is read from the cache counts against the limits.
    pub fn count_cached(mut self, count: bool) -> Self {
        self.settings.count_cached = count;
        self
    }

    /// How much of every answer is reasoning, which is counted and not shown. Default: 0.
    pub fn reasoning(mut self, part: f64) -> Self {
        self.settings.reasoning = part;
        self
    }

    /// How many numbers an embedding has. Default: 8.
    pub fn dimensions(mut self, dimensions: usize) -> Self {
        self.settings.dimensions = dimensions;
        self
    }

    /// How long a [batch](super#batches) takes. Default: 1 s, where real ones may take a day.
    pub fn batch_takes(mut self, time: Duration) -> Self {
        self.settings.batch_takes = time;
        self
    }

    /// Answers 401 to requests without this key: `authorization: Bearer`, `x-api-key`, `api-key`
    /// or `x-goog-api-key`, as the provider has it.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.settings.api_key = Some(key.into());
        self
    }

    /// The organisation that messages name.
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.settings.organization = organization.into();
        self
    }

    /// The models that `GET /v1/models` lists, less the dead ones. Others are served too.
    pub fn models<M: Into<String>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.settings.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// Whether answers have rate headers, of the provider's own kind; real ones sometimes have none.
    pub fn rate_headers(mut self, on: bool) -> Self {
        let own = self.settings.dialect.settings().rate_headers;
        self.settings.rate_headers = if on { own } else { RateHeaders::None };
        self
    }

    /// Whose rate headers answers have.
    pub fn headers(mut self, headers: RateHeaders) -> Self {
        self.settings.rate_headers = headers;
        self
    }

    /// Whether a limit refuses streams of `/v1/responses` inside of a 200, as Azure does: with a
    /// `retry-after`, and events in place of a status.
    pub fn refuse_in_stream(mut self, on: bool) -> Self {
        self.settings.refuse_in_stream = on;
        self
    }

    /// What the box takes for the time of day at its start: `date` and whatever is reckoned by it.
    /// Default: the system's clock.
    pub fn wall_clock(mut self, start: SystemTime) -> Self {
        self.settings.wall_clock = Some(start);
        self
    }

    /// How long a request is on its way before it is counted.
    pub fn transit(self, transit: impl Into<Delay>) -> Self {
        self.faults(|faults| faults.transit(transit))
    }

    /// How long a request takes after it was counted; refusals take no time.
    pub fn latency(self, latency: impl Into<Delay>) -> Self {
        self.faults(|faults| faults.latency(latency))
    }

    /// How answers stream.
    pub fn stream(self, stream: Stream) -> Self {
        self.faults(|faults| faults.stream(stream))
    }

    /// What goes wrong from the start.
    pub fn faults(mut self, change: impl FnOnce(Faults) -> Faults) -> Self {
        self.faults = change(self.faults);
        self
    }

    /// The seed of everything that is drawn; the report states it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How many arrivals are kept for reports. Default: 1,000,000.
    pub fn log_capacity(mut self, arrivals: usize) -> Self {
        self.settings.log_capacity = arrivals;
        self
    }

    /// The provider without a server: for virtual time, and for accounting alone.
    ///
    /// # Errors
    ///
    /// If a minute, a day or a quantum has no length, a quantum is longer than the minute, a part or
    /// factor isn't a number of at least 0, or a model is in two pools.
    pub fn build(self) -> Result<Provider, ConfigError> {
        self.settings.check()?;
        Ok(Provider::new(self.settings, self.faults))
    }

    /// The provider as an HTTP server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where [`build`](Self::build) would fail, and
    /// whatever keeps the port from being opened.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O.
    pub async fn start(self) -> io::Result<ProviderBox> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        ProviderBox::start(self.build().map_err(invalid)?).await
    }
}

impl fmt::Debug for ProviderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderBuilder")
            .field("rules", &self.settings.rules(&self.settings.limits))
            .field("pools", &self.settings.pools)
            .field("settlement", &self.settings.settlement)
            .field("seed", &self.settings.seed)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
