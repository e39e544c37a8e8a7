//! The way to the provider: the five layers over reqwest.
//!
//! ```text
//! fallback ▷ retry ▷ (patience) ▷ gate ▷ token budget ▷ pace ▷ breaker ▷ wire ▷ time-out ▷ whole ▷ reqwest
//! ```

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE,
};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use reqwest::{Client, Url};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_quota::{
    Backoff, BackoffRetryLayer, BoxError, BufferedBody, CircuitBreakerLayer, ConfigError,
    FallbackLayer, Limit, Quota, RateLimitLayer, Reason as Refused, Rejected, Settle,
    TokenBudgetLayer, Verdict,
    answers::{CopyRequest, Http},
    edge::ReqwestService,
    fallback::swap_model,
    tokens,
};

use super::{
    args::{Api, ApiKey, Limits, Settings},
    input::{Endpoint, Job},
    middle::{Patience, Whole, Wired},
    record::Trouble,
    run::QUEUE,
    send::{Answer, Failure, Transport, read},
    stats::{Wire, chain},
    stop::Reason,
};

// How long one attempt may take: long answers of slow models do.
const ATTEMPT: Duration = Duration::from_secs(600);

// A provider that asks for more isn't waited for. Limits on requests a day ask for minutes.
const LONGEST_HINT: Duration = Duration::from_secs(3_600);

// In a batch nobody waits for one line, so it may take its turn whenever that is.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 86_400);

type Sent = Request<BufferedBody>;
type Answered = Response<UnsyncBoxBody<bytes::Bytes, BoxError>>;
type Service = BoxCloneSyncService<Sent, Answered, BoxError>;

/// Sends requests through the layers.
#[derive(Debug)]
pub(crate) struct Stack {
    service: Service,
    quota: Quota,
    chat: Uri,
    // Not everybody has any.
    embeddings: Option<Uri>,
    headers: HeaderMap,
    api_key: Option<ApiKey>,
}

impl Stack {
    /// `patience` is what a line does while the circuit is open.
    pub(crate) fn new(settings: &Settings, patience: Patience<()>) -> Result<Self, String> {
        let key = settings.api_key.clone();
        let uri = |path| uri(&settings.base_url, path);
        let (chat, embeddings) = match settings.api {
            Api::Openai => (uri(&["chat", "completions"])?, Some(uri(&["embeddings"])?)),
            Api::Anthropic => (uri(&["messages"])?, None),
        };
        let quota = quota(&settings.limits, settings.max_in_flight as usize);
        let quota = quota.map_err(|error| error.to_string())?;
        Ok(Self {
            service: service(settings, &quota, patience)?,
            quota,
            chat,
            embeddings,
            headers: headers(settings.api, key.as_ref())?,
            api_key: key,
        })
    }

    /// The provider's limits.
    pub(crate) const fn quota(&self) -> &Quota {
        &self.quota
    }
}

fn headers(api: Api, key: Option<&ApiKey>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if api == Api::Anthropic {
        let version = HeaderValue::from_static("2023-06-01");
        headers.insert("anthropic-version", version);
    }
    headers.extend(key.map(|key| key.header(api)).transpose()?);
    Ok(headers)
}

fn uri(base: &Url, below: &[&str]) -> Result<Uri, String> {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(below);
    }
    let uri = Uri::try_from(url.as_str());
    uri.map_err(|error| format!("--base-url: {error}"))
}

fn service(settings: &Settings, quota: &Quota, patience: Patience<()>) -> Result<Service, String> {
    let mut client = Client::builder()
        .connect_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(&settings.base_url) {
        client = client.no_proxy();
    }
    let client = client.build().map_err(|error| chain(&error))?;
    let client = ReqwestService::new(client);

    // One quota for all models: requests and tokens are taken together or not at all.
    let in_flight = settings.max_in_flight as usize;
    let pace = pace(&settings.limits, in_flight).map_err(|error| error.to_string())?;

    // The layers around the client, with a circuit breaker for this way alone.
    let way = |patience: Option<Patience<()>>| {
        let breaker = CircuitBreakerLayer::new().max_half_open(ATTEMPT);
        let retry = BackoffRetryLayer::new()
            .attempts(settings.max_attempts)
            .backoff(Backoff::exponential(
                Duration::from_millis(500),
                Duration::from_secs(30),
            ))
            .max_hint(LONGEST_HINT)
            // Every line is to have its attempts; the breaker spares a provider that is down.
            .no_budget();
        let service = ServiceBuilder::new()
            .map_response(boxed)
            .layer(retry)
            .option_layer(patience)
            .layer(breaker.gate())
            .layer(TokenBudgetLayer::new(quota.clone()).settle(settle(settings.api)))
            .layer(RateLimitLayer::new(pace.clone()))
            .layer(breaker)
            .layer_fn(Wired::new)
            .timeout(ATTEMPT)
            .layer_fn(Whole::new)
            .service(client.clone());
        Service::new(service)
    };
    let Some(model) = &settings.fallback_model else {
        return Ok(way(Some(patience)));
    };
    // The other model has its own circuit: that the first is dead says nothing of it.
    let swap = swap_model::<BufferedBody>(model);
    let second = ServiceBuilder::new()
        .map_request(move |request: Sent| {
            let same = Http.copy(&request);
            swap(request)
                .or(same)
                .expect("a body at hand can be copied")
        })
        .service(way(Some(patience)));
    let fallback = FallbackLayer::to(second)
        .name(model)
        .classify(judge)
        .on(|verdict| {
            !matches!(
                verdict,
                Verdict::Success | Verdict::Permanent | Verdict::QuotaExhausted
            )
        });
    let service = ServiceBuilder::new().map_response(boxed).layer(fallback);
    Ok(Service::new(service.service(way(None))))
}

// A model that isn't there, or not for this account, may be replaced as well.
fn judge(outcome: Result<&Response<impl Sized>, &BoxError>) -> Verdict {
    use tower_quota::Classify;
    if let Ok(response) = outcome
        && matches!(
            response.status(),
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN
        )
    {
        return Verdict::Transient { sent: true };
    }
    Http.classify(outcome)
}

// Anthropic counts output as it is produced, whatever the request's maximum.
const fn settle(api: Api) -> Settle {
    match api {
        Api::Openai => Settle::Auto,
        Api::Anthropic => Settle::RealTime,
    }
}

/// What the provider's own quota is called in events.
pub(crate) const PROVIDER: &str = "provider";

fn quota(limits: &Limits, in_flight: usize) -> Result<Quota, ConfigError> {
    let mut quota = Quota::builder()
        .named(PROVIDER)
        .max_in_flight(in_flight)
        .max_wait(LONGEST_WAIT)
        .max_queue(in_flight + QUEUE);
    if let Some(requests) = limits.requests {
        quota = quota.limit(Limit::requests(requests, limits.minute));
    }
    if let Some(tokens) = limits.tokens {
        quota = quota.limit(Limit::tokens(tokens, limits.minute));
    }
    if let Some(tokens) = limits.input {
        quota = quota.limit(Limit::input_tokens(tokens, limits.minute));
    }
    if let Some(tokens) = limits.output {
        quota = quota.limit(Limit::output_tokens(tokens, limits.minute));
    }
    quota.build()
}

// A fifth of a minute's requests in a tenth of it at most: a provider that enforces its minute by the second isn't
// overrun at the start, and the minute as a whole isn't held up.
fn pace(limits: &Limits, in_flight: usize) -> Result<Quota, ConfigError> {
    let mut quota = Quota::builder()
        .named("pace")
        .max_in_flight(in_flight)
        .max_wait(LONGEST_WAIT)
        .max_queue(in_flight + QUEUE);
    if let Some(requests) = limits.requests {
        quota = quota.limit(Limit::requests(requests.div_ceil(5), limits.minute / 10));
    }
    quota.build()
}

fn boxed<B>(response: Response<B>) -> Answered
where
    B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
{
    response.map(|body| UnsyncBoxBody::new(body.map_err(Into::into)))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

impl Transport for Stack {
    async fn send(&self, job: &Job, wire: &Arc<Wire>) -> Result<Answer, Failure> {
        let mut request = Request::new(BufferedBody::from(job.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = match (job.endpoint, &self.embeddings) {
            (Endpoint::Chat, _) => self.chat.clone(),
            (Endpoint::Embeddings, Some(uri)) => uri.clone(),
            (Endpoint::Embeddings, None) => {
                let problem = "a body with \"input\" is for embeddings, which this provider hasn't";
                return Err(Failure {
                    troubles: vec![Trouble::new(problem)],
                    stop: None,
                });
            }
        };
        *request.headers_mut() = self.headers.clone();
        request.extensions_mut().insert(Arc::clone(wire));

        match self.service.clone().oneshot(request).await {
            Ok(response) => self.answer(job, response, wire).await,
            Err(error) => Err(self.refusal(&error, wire)),
        }
    }
}

impl Stack {
    async fn answer(&self, job: &Job, response: Answered, wire: &Wire) -> Result<Answer, Failure> {
        let (status, verdict) = (response.status(), Verdict::of(&response));
        // It is all here; an error could only come from between the layers.
        let outcome = match response.into_body().collect().await {
            Ok(body) => read(status, &body.to_bytes()),
            Err(error) => Err(Trouble::new(chain(error.as_ref()))),
        };
        match outcome {
            Ok(mut answer) => {
                if let Some(key) = &self.api_key {
                    answer.body = key.redact(answer.body);
                }
                let allowed = tokens::estimate(&job.body).map_or(0, |estimate| estimate.output);
                wire.admitted(answer.usage, allowed);
                Ok(answer)
            }
            Err(trouble) => Err(Failure {
                // Of answers that are errors the wire knows already.
                troubles: self.troubles(wire, status.is_success().then_some(trouble)),
                stop: (verdict == Some(Verdict::QuotaExhausted)).then_some(Reason::QuotaExhausted),
            }),
        }
    }

    fn refusal(&self, error: &BoxError, wire: &Wire) -> Failure {
        let rejected = Rejected::find(error.as_ref());
        let down = rejected.is_some_and(|rejected| rejected.reason == Refused::CircuitOpen);
        let trouble = rejected.map(|rejected| Trouble::new(rejected.to_string()));
        let mut troubles = self.troubles(wire, trouble);
        if troubles.is_empty() {
            troubles.push(Trouble::new(chain(error.as_ref())));
        }
        Failure {
            troubles,
            stop: down.then_some(Reason::ProviderDown),
        }
    }

    fn troubles(&self, wire: &Wire, last: Option<Trouble>) -> Vec<Trouble> {
        let all = wire.take_troubles().into_iter().chain(last);
        let Some(key) = &self.api_key else {
            return all.collect();
        };
        all.map(|trouble| trouble.map(|text| key.redact(text)))
            .collect()
    }
}
