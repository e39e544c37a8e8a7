//! The provider, and the way to it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Response, StatusCode};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, CircuitBreakerLayer, CircuitHandle,
    FallbackLayer, Limit, Priority, Quota, Rejected, Settle, TokenBudgetLayer, Verdict,
    edge::{ReqwestLayer, ReqwestService},
    fallback::swap_model,
    testing::{Limits, ProviderBox, Settlement},
    token_budget::Pools,
    tokens::model_of,
};

const MINUTE: Duration = Duration::from_secs(10);

/// A model, its limits, and the price of a million tokens in dollars.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    requests: u64,
    tokens: u64,
    pub(crate) input: f64,
    pub(crate) output: f64,
}

pub(crate) const MODELS: [Model; 2] = [
    Model {
        name: "gpt-4.1",
        requests: 80,
        tokens: 16_000,
        input: 2.0,
        output: 8.0,
    },
    Model {
        name: "gpt-4.1-mini",
        requests: 150,
        tokens: 30_000,
        input: 0.4,
        output: 1.6,
    },
];

pub(crate) type Service = BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError>;

/// The layers, and what can be seen of them.
#[derive(Clone)]
pub(crate) struct Stack {
    pub(crate) service: Service,
    pub(crate) url: Arc<str>,
    pub(crate) quotas: Vec<(&'static str, Quota)>,
    pub(crate) circuits: Vec<(&'static str, CircuitHandle)>,
    pub(crate) tally: Arc<Tally>,
}

/// What was counted at the answers.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) verdicts: Mutex<BTreeMap<&'static str, u64>>,
    /// Tokens of prompts and of answers, by model.
    pub(crate) tokens: Mutex<BTreeMap<String, (u64, u64)>>,
}

pub(crate) async fn provider() -> io::Result<ProviderBox> {
    let mut provider = ProviderBox::openai()
        .minute(MINUTE)
        .settlement(Settlement::TrueUp)
        .completion(0.3..=1.0)
        .latency(Duration::from_millis(80)..Duration::from_millis(500))
        .faults(|faults| faults.errors(0.02, StatusCode::INTERNAL_SERVER_ERROR));
    for model in MODELS {
        let limits = Limits::none().requests_per_minute(model.requests);
        provider = provider.pool([model.name], limits.tokens_per_minute(model.tokens));
    }
    provider.start().await
}

impl Stack {
    pub(crate) fn new(base_url: &str) -> Result<Self, BoxError> {
        let (mut quotas, mut pools) = (Vec::new(), Pools::new());
        for model in MODELS {
            let quota = Quota::builder()
                .named(model.name)
                .limit(Limit::requests(model.requests, MINUTE))
                .limit(Limit::tokens(model.tokens, MINUTE))
                .max_wait(2 * MINUTE)
                .build()?;
            pools = pools.pool(model.name, quota.clone());
            quotas.push((model.name, quota));
        }
        let breaker = CircuitBreakerLayer::new()
            .open_for(Duration::from_secs(3), Duration::from_secs(6))
            .keyed(model_of);
        let handle = breaker.handle();
        let circuits = MODELS.map(|model| (model.name, handle.key(&Some(model.name.to_owned()))));
        let budget = TokenBudgetLayer::unlimited()
            .pools(pools)
            .priority(|request: &http::Request<_>| {
                match request.headers().contains_key("x-background") {
                    true => Priority::Background,
                    false => Priority::Interactive,
                }
            })
            .settle(Settle::TrueUp);
        let tally = Arc::<Tally>::default();
        let counted = tally.clone();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let service = ServiceBuilder::new()
            .layer(ReqwestLayer::new())
            .layer(BufferBodyLayer::new())
            .layer(FallbackLayer::rewrite(swap_model(MODELS[1].name)))
            .layer(BackoffRetryLayer::new())
            .map_result(move |outcome: Result<Response<_>, BoxError>| {
                let name = counted.name(&outcome);
                *lock(&counted.verdicts).entry(name).or_default() += 1;
                outcome
            })
            .layer(breaker.gate())
            .layer(budget)
            .layer(breaker)
            .timeout(Duration::from_secs(60))
            .service(ReqwestService::new(client));
        Ok(Self {
            service: Service::new(service),
            url: format!("{base_url}/chat/completions").into(),
            quotas,
            circuits: circuits.into(),
            tally,
        })
    }
}

impl Tally {
    /// What one try came to.
    fn name<B>(&self, outcome: &Result<Response<B>, BoxError>) -> &'static str {
        match outcome {
            Ok(answer) => match Verdict::of(answer) {
                Some(Verdict::Success) | None => "served",
                Some(Verdict::RateLimited { .. }) => "rate limited",
                Some(Verdict::Overloaded { .. }) => "overloaded",
                Some(_) => "failed",
            },
            Err(error) if Rejected::find(error.as_ref()).is_some() => "refused by us",
            Err(_) => "failed",
        }
    }

    /// What the answers have cost so far, in dollars.
    pub(crate) fn dollars(&self) -> f64 {
        let tokens = lock(&self.tokens);
        let cost = |model: &Model| {
            let (input, output) = tokens.get(model.name).copied().unwrap_or_default();
            (input as f64 * model.input + output as f64 * model.output) / 1e6
        };
        MODELS.iter().map(cost).sum()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
