//! What doesn't change once a provider runs.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Call, Limits, RateHeaders, Settlement, Shape,
    answers::Spent,
    dialects::Dialect,
    limits::{Kind, Pool, Rule, Tokens},
};
use crate::error::ConfigError;

pub(super) type Estimate = dyn Fn(&str) -> u64 + Send + Sync;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
    pub(super) pools: Vec<Pool>,
    pub(super) minute: Duration,
    pub(super) day: Duration,
    pub(super) requests_shape: Shape,
    pub(super) tokens_shape: Shape,
    pub(super) day_shape: Shape,
    pub(super) quantum: Option<Duration>,
    pub(super) settlement: Settlement,
    pub(super) count_refused: bool,
    pub(super) estimate: Arc<Estimate>,
    pub(super) default_max_tokens: u64,
    pub(super) prompt_factor: f64,
    pub(super) completion: (f64, f64),
    pub(super) cached: f64,
    pub(super) count_cached: bool,
    pub(super) reasoning: f64,
    pub(super) dimensions: usize,
    pub(super) batch_takes: Duration,
    pub(super) api_key: Option<String>,
    pub(super) organization: String,
    pub(super) models: Vec<String>,
    pub(super) rate_headers: RateHeaders,
    pub(super) refuse_in_stream: bool,
    pub(super) wall_clock: Option<SystemTime>,
    pub(super) log_capacity: usize,
    pub(super) seed: u64,
}

impl Settings {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            limits: Limits::none(),
            pools: Vec::new(),
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
            cached: 0.0,
            count_cached: true,
            reasoning: 0.0,
            dimensions: 8,
            batch_takes: Duration::from_secs(1),
            api_key: None,
            organization: "org-box".to_owned(),
            models: vec!["gpt-4.1-mini".into(), "text-embedding-3-small".into()],
            rate_headers: RateHeaders::OpenAi,
            refuse_in_stream: false,
            wall_clock: None,
            log_capacity: 1_000_000,
            seed: 1,
        }
    }

    pub(super) fn rules(&self, limits: &Limits) -> Vec<Rule> {
        let rule = |kind: Kind| {
            let limit = limits.of(kind)?;
            let (window, shape) = match kind {
                Kind::RequestsPerDay | Kind::TokensPerDay => (self.day, self.day_shape),
                Kind::RequestsPerMinute => (self.minute, self.requests_shape),
                _ => (self.minute, self.tokens_shape),
            };
            Some(Rule {
                kind,
                limit,
                window,
                shape,
                quantum: self.quantum.filter(|_| !kind.is_daily()),
            })
        };
        Kind::ALL.into_iter().filter_map(rule).collect()
    }

    /// Which pool a model is of; 0 is those of no pool.
    pub(super) fn pool(&self, model: &str) -> usize {
        let pool = self.pools.iter().position(|pool| pool.has(model));
        pool.map_or(0, |pool| pool + 1)
    }

    /// What a pool is called, if it has a name.
    pub(super) fn pool_name(&self, pool: usize) -> Option<&str> {
        let pool = self.pools.get(pool.checked_sub(1)?)?;
        pool.models.first().map(|name| &**name)
    }

    /// What a call is charged on arrival.
    pub(super) fn reserves(&self, call: &Call) -> Tokens {
        let cached = self.uncounted(call.prompt);
        let input = call.prompt - cached;
        let all = match self.dialect.reserves_answers() {
            true => call.reserves() - cached,
            false => input,
        };
        Tokens { all, input }
    }

    /// What that should have been.
    pub(super) fn used(&self, spent: Spent) -> Tokens {
        let cached = if self.count_cached { 0 } else { spent.cached };
        let input = spent.prompt - cached;
        let all = match self.dialect.reserves_answers() {
            true => input + spent.completion,
            false => input,
        };
        Tokens { all, input }
    }

    fn uncounted(&self, prompt: u64) -> u64 {
        if self.count_cached {
            0
        } else {
            self.cached_of(prompt)
        }
    }

    pub(super) fn cached_of(&self, prompt: u64) -> u64 {
        part(prompt, self.cached)
    }

    /// # Errors
    ///
    /// Where a setting makes no sense.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let span = |setting, duration: Duration| {
            if duration.is_zero() || duration > Duration::from_secs(366 * 86_400) {
                let problem = format!("{duration:?} isn't between 1 ns and 366 days");
                return Err(ConfigError::new(setting, problem));
            }
            Ok(())
        };
        span("minute", self.minute)?;
        span("day", self.day)?;
        if !self.batch_takes.is_zero() {
            span("batch_takes", self.batch_takes)?;
        }
        if let Some(quantum) = self.quantum {
            span("quantum", quantum)?;
            if quantum > self.minute {
                let problem = format!("{quantum:?} is longer than the minute of {:?}", self.minute);
                return Err(ConfigError::new("quantum", problem));
            }
        }
        // What is reckoned from it has a date, a limit's whole wait later as well.
        let wall_clock = self.wall_clock.unwrap_or(UNIX_EPOCH);
        let since = wall_clock.duration_since(UNIX_EPOCH).ok();
        if since.is_none_or(|since| since > Duration::from_secs(366 * 86_400 * 1_000)) {
            let problem = format!("{wall_clock:?} isn't between 1970 and 2970");
            return Err(ConfigError::new("wall_clock", problem));
        }
        let (least, most) = self.completion;
        if !(0.0 <= least && least <= most && most.is_finite()) {
            let problem = format!("{least}..={most} isn't a range of numbers from 0");
            return Err(ConfigError::new("completion", problem));
        }
        if !(self.prompt_factor >= 0.0 && self.prompt_factor.is_finite()) {
            let problem = format!("{} isn't a number from 0", self.prompt_factor);
            return Err(ConfigError::new("prompt_factor", problem));
        }
        for (setting, part) in [("cached", self.cached), ("reasoning", self.reasoning)] {
            if !(0.0..=1.0).contains(&part) {
                let problem = format!("{part} isn't a part from 0 to 1");
                return Err(ConfigError::new(setting, problem));
            }
        }
        for (i, pool) in self.pools.iter().enumerate() {
            let twice = |model: &&Arc<str>| self.pools[..i].iter().any(|other| other.has(model));
            if pool.models.is_empty() {
                return Err(ConfigError::new(
                    "pool",
                    "a pool without a model".to_owned(),
                ));
            }
            if let Some(model) = pool.models.iter().find(twice) {
                return Err(ConfigError::new("pool", format!("{model} is in two pools")));
            }
        }
        Ok(())
    }
}

/// A part of so many, rounded down.
pub(super) fn part(of: u64, part: f64) -> u64 {
    ((of as f64 * part).floor() as u64).min(of)
}
