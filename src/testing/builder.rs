//! How a provider is set up.

use std::{fmt, io, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    Delay, Faults, Provider, ProviderBox, Shape,
    accounts::{Kind, Rule},
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

pub(super) type Estimate = dyn Fn(&str) -> u64 + Send + Sync;

/// What doesn't change once the provider runs.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) requests_per_minute: Option<u64>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) requests_per_day: Option<u64>,
    pub(super) minute: Duration,
    pub(super) day: Duration,
    requests_shape: Shape,
    tokens_shape: Shape,
    day_shape: Shape,
    quantum: Option<Duration>,
    pub(super) settlement: Settlement,
    pub(super) count_refused: bool,
    pub(super) estimate: Arc<Estimate>,
    pub(super) default_max_tokens: u64,
    pub(super) prompt_factor: f64,
    pub(super) completion: (f64, f64),
    pub(super) dimensions: usize,
    pub(super) api_key: Option<String>,
    pub(super) organization: String,
    pub(super) models: Vec<String>,
    pub(super) rate_headers: bool,
    pub(super) log_capacity: usize,
    pub(super) seed: u64,
}

impl Settings {
    pub(super) fn rules(&self) -> Vec<Rule> {
        let (minute, day) = (self.minute, self.day);
        [
            (
                Kind::RequestsPerMinute,
                self.requests_per_minute,
                minute,
                self.requests_shape,
            ),
            (
                Kind::TokensPerMinute,
                self.tokens_per_minute,
                minute,
                self.tokens_shape,
            ),
            (
                Kind::RequestsPerDay,
                self.requests_per_day,
                day,
                self.day_shape,
            ),
        ]
        .into_iter()
        .filter_map(|(kind, limit, window, shape)| {
            let by_the_minute = kind != Kind::RequestsPerDay;
            Some(Rule {
                kind,
                limit: limit?,
                window,
                shape,
                quantum: self.quantum.filter(|_| by_the_minute),
            })
        })
        .collect()
    }
}

/// Sets up a provider: what its limits are, how it counts, and what goes wrong.
///
/// | setting | default |
/// |---|---|
/// | `requests_per_minute`, `tokens_per_minute`, `requests_per_day` | unlimited |
/// | `minute`, `day` | 60 s, 24 h |
/// | `shape` | [`Shape::Bucket`] |
/// | `quantum` | none |
/// | `settlement` | [`Settlement::Keep`] |
/// | `count_refused` | off |
/// | `estimate` | a token for every 4 bytes of text, rounded up |
/// | `default_max_tokens` | 256 |
/// | `completion` | 1.0..=1.0: every answer has as many tokens as it may |
/// | `prompt_factor` | 1.0: the estimate is right |
/// | `dimensions` | 8 |
/// | `api_key` | any will do, and none too |
/// | `organization` | `org-box` |
/// | `models` | `gpt-4.1-mini` and `text-embedding-3-small` are listed, all are served |
/// | `rate_headers` | on |
/// | `transit`, `latency` | no time |
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
    pub(super) fn openai() -> Self {
        Self {
            settings: Settings {
                requests_per_minute: None,
                tokens_per_minute: None,
                requests_per_day: None,
                minute: Duration::from_secs(60),
                day: Duration::from_secs(86_400),
                requests_shape: Shape::Bucket,
                tokens_shape: Shape::Bucket,
                day_shape: Shape::Bucket,
                quantum: None,
                settlement: Settlement::Keep,
                count_refused: false,
                estimate: Arc::new(|text| text.len().div_ceil(4) as u64),
                default_max_tokens: 256,
                prompt_factor: 1.0,
                completion: (1.0, 1.0),
                dimensions: 8,
                api_key: None,
                organization: "org-box".to_owned(),
                models: vec!["gpt-4.1-mini".into(), "text-embedding-3-small".into()],
                rate_headers: true,
                log_capacity: 1_000_000,
                seed: 1,
            },
            faults: Faults::default(),
        }
    }

    /// At most so many requests in a minute.
    pub fn requests_per_minute(mut self, limit: u64) -> Self {
        self.settings.requests_per_minute = Some(limit);
        self
    }

    /// At most so many tokens in a minute, reserved on arrival.
    pub fn tokens_per_minute(mut self, limit: u64) -> Self {
        self.settings.tokens_per_minute = Some(limit);
        self
    }

    /// At most so many requests in a day.
    pub fn requests_per_day(mut self, limit: u64) -> Self {
        self.settings.requests_per_day = Some(limit);
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

    /// How the limit on tokens a minute counts.
    pub fn tokens_shape(mut self, shape: Shape) -> Self {
        self.settings.tokens_shape = shape;
        self
    }

    /// How the limit on requests a day counts.
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

    /// How many numbers an embedding has. Default: 8.
    pub fn dimensions(mut self, dimensions: usize) -> Self {
        self.settings.dimensions = dimensions;
        self
    }

    /// Answers 401 to requests without `authorization: Bearer` and this key.
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

    /// Whether answers have `x-ratelimit-*` headers; real ones sometimes have none.
    pub fn rate_headers(mut self, on: bool) -> Self {
        self.settings.rate_headers = on;
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
    /// If a minute, a day or a quantum has no length, a quantum is longer than the minute, or a
    /// part or factor isn't a number of at least 0.
    pub fn build(self) -> Result<Provider, ConfigError> {
        let Settings {
            minute,
            day,
            quantum,
            completion,
            prompt_factor,
            ..
        } = self.settings;
        let span = |setting, duration: Duration| {
            if duration.is_zero() || duration > Duration::from_secs(366 * 86_400) {
                let problem = format!("{duration:?} isn't between 1 ns and 366 days");
                return Err(ConfigError::new(setting, problem));
            }
            Ok(())
        };
        span("minute", minute)?;
        span("day", day)?;
        if let Some(quantum) = quantum {
            span("quantum", quantum)?;
            if quantum > minute {
                let problem = format!("{quantum:?} is longer than the minute of {minute:?}");
                return Err(ConfigError::new("quantum", problem));
            }
        }
        let (least, most) = completion;
        if !(0.0 <= least && least <= most && most.is_finite()) {
            let problem = format!("{least}..={most} isn't a range of numbers from 0");
            return Err(ConfigError::new("completion", problem));
        }
        if !(prompt_factor >= 0.0 && prompt_factor.is_finite()) {
            let problem = format!("{prompt_factor} isn't a number from 0");
            return Err(ConfigError::new("prompt_factor", problem));
        }
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
            .field("rules", &self.settings.rules())
            .field("settlement", &self.settings.settlement)
            .field("seed", &self.settings.seed)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
