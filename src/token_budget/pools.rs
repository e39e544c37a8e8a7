use std::{collections::HashMap, fmt, sync::Arc};

use http::Request;

use crate::{
    admission::Charge,
    body::ReplayBody,
    core::cost::Cost,
    error::Scope,
    quota::{Priority, Quota},
    tokens::{self, Lesson},
};

/// Quotas by model, for providers whose limits are each model's own.
///
/// A model is found as [`tokens::model_of`] finds it. A pool is its models' by their names, by aliases, and by the names of
/// dated snapshots: `gpt-4o-2024-08-06`, `claude-3-5-sonnet-20241022` and `gpt-4-0613` take from the pools `gpt-4o`,
/// `claude-3-5-sonnet` and `gpt-4`, where they have none of their own. All other models share the layer's quota.
///
/// ```
/// use tower_quota::{Limit, Quota, TokenBudgetLayer, token_budget::Pools};
///
/// let quota = |tokens| Quota::builder()
///     .limit(Limit::requests_per_minute(500))
///     .limit(Limit::tokens_per_minute(tokens))
///     .build();
/// let pools = Pools::new()
///     .pool("gpt-4o", quota(30_000)?)
///     .pool("gpt-4o-mini", quota(200_000)?)
///     .alias("our-deployment", "gpt-4o");
/// let layer = TokenBudgetLayer::new(quota(10_000)?).pools(pools); // 10,000 for all others together
/// # let _ = layer;
/// # Ok::<(), tower_quota::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Pools {
    // A clone of the pool's quota for each alias.
    quotas: HashMap<Box<str>, Quota>,
}

impl Pools {
    /// No pool: all models share the layer's quota.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests for `model` take from `quota`. Models that are given clones of one quota share it.
    ///
    /// # Panics
    ///
    /// If `model` is empty, or has a pool already.
    #[track_caller]
    pub fn pool(self, model: impl Into<Box<str>>, quota: Quota) -> Self {
        self.put("pool", model.into(), quota)
    }

    #[track_caller]
    fn put(mut self, setting: &str, model: Box<str>, quota: Quota) -> Self {
        assert!(!model.is_empty(), "{setting}: {model:?} names no model");
        let twice = self.quotas.contains_key(&model);
        assert!(!twice, "{setting}: {model:?} has a pool already");
        self.quotas.insert(model, quota);
        self
    }

    /// Requests for `model` take from the pool of another one.
    ///
    /// # Panics
    ///
    /// If there is no pool called `pool` yet, or `model` is empty or has a pool already.
    #[track_caller]
    pub fn alias(self, model: impl Into<Box<str>>, pool: &str) -> Self {
        let Some(quota) = self.quotas.get(pool).cloned() else {
            panic!("alias: there is no pool called {pool:?} to be an alias of");
        };
        self.put("alias", model.into(), quota)
    }

    /// The quota that a model takes from, where it isn't the layer's own.
    pub fn get(&self, model: &str) -> Option<&Quota> {
        let quota = self.quotas.get(model);
        quota.or_else(|| self.quotas.get(undated(model)?))
    }
}

/// The name of a dated snapshot without its date: `-2024-08-06`, `-20241022`, `-0613`.
fn undated(model: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, last) = model.rsplit_once('-')?;
    match last.len() {
        4 | 8 if digits(last) => Some(rest),
        2 if digits(last) => {
            let (rest, month) = rest.rsplit_once('-')?;
            let (rest, year) = rest.rsplit_once('-')?;
            let dated = month.len() == 2 && year.len() == 4 && digits(month) && digits(year);
            dated.then_some(rest)
        }
        _ => None,
    }
}

/// `C`, with a quota for every model that has a pool.
pub struct Pooled<C> {
    charge: C,
    pools: Arc<Pools>,
}

impl<C> Pooled<C> {
    pub(super) fn new(charge: C, pools: Pools) -> Self {
        Self {
            charge,
            pools: Arc::new(pools),
        }
    }
}

impl<C: Clone> Clone for Pooled<C> {
    fn clone(&self) -> Self {
        Self {
            charge: self.charge.clone(),
            pools: Arc::clone(&self.pools),
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Pooled<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled")
            .field("charge", &self.charge)
            .field("pools", &self.pools)
            .finish()
    }
}

impl<B: ReplayBody, C: Charge<Request<B>>> Charge<Request<B>> for Pooled<C> {
    fn cost(&self, request: &Request<B>) -> Cost {
        self.charge.cost(request)
    }

    fn weigh(&self, request: &Request<B>) -> (Cost, Option<Lesson>) {
        self.charge.weigh(request)
    }

    fn priority(&self, request: &Request<B>) -> Priority {
        self.charge.priority(request)
    }

    fn turn(&self, request: &Request<B>) -> u64 {
        self.charge.turn(request)
    }

    fn quota(&self, request: &Request<B>) -> Option<(Quota, Scope)> {
        let pool = tokens::with_model(request, |model| self.pools.get(model?).cloned());
        match pool {
            // The callers share it.
            Some(quota) => Some((quota, Scope::Shared)),
            None => self.charge.quota(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_from_other_ends() {
        for (model, pool) in [
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("claude-3-5-sonnet-20241022", Some("claude-3-5-sonnet")),
            ("gpt-4-0613", Some("gpt-4")),
            ("gpt-4o", None),
            ("gpt-4o-mini", None),
            ("gpt-4-32k", None),
            ("claude-3-7", None),
            ("llama-3-70", None),
            ("a-2024-8-06", None),
            ("2024-08-06", None),
            ("-", None),
            ("", None),
            ("é-漢字", None),
        ] {
            assert_eq!(undated(model), pool, "{model}");
        }
    }
}
