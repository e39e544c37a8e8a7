//! The way to one provider: retried, within its limits, and spared while it is down.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Uri,
    header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use reqwest::{Client, Url};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferedBody, CircuitBreakerLayer, Limit, Quota, TokenBudgetLayer,
    answers::{CopyRequest, Http},
    edge::ReqwestService,
    fallback::swap_model,
};

// How long one attempt may take to begin its answer: long answers of slow models do.
const ATTEMPT: Duration = Duration::from_secs(120);

pub(crate) type Sent = Request<BufferedBody>;
pub(crate) type Answered = Response<UnsyncBoxBody<Bytes, BoxError>>;
pub(crate) type Service = BoxCloneSyncService<Sent, Answered, BoxError>;

/// What a provider takes a minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// A provider.
pub(crate) struct Endpoint {
    pub(crate) base: Url,
    pub(crate) key: Option<String>,
    /// The model that is asked for instead.
    pub(crate) model: Option<String>,
    pub(crate) limits: Limits,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("base", &self.base.as_str())
            .field("model", &self.model)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(crate) fn service(&self) -> Result<Service, String> {
        let quota = Quota::builder()
            .limit(Limit::requests_per_minute(self.limits.requests))
            .limit(Limit::tokens_per_minute(self.limits.tokens))
            .max_wait(Duration::from_secs(20))
            .build()
            .map_err(|error| error.to_string())?;
        let mut client = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none());
        if self.base.host_str() == Some("127.0.0.1") {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| error.to_string())?;
        let breaker = CircuitBreakerLayer::new();
        let service = ServiceBuilder::new()
            .map_response(passed_on)
            .map_request(self.aim()?)
            .layer(BackoffRetryLayer::new())
            .layer(breaker.gate())
            .layer(TokenBudgetLayer::new(quota))
            .layer(breaker)
            .timeout(ATTEMPT)
            .service(ReqwestService::new(client));
        Ok(Service::new(service))
    }

    /// Makes of a tenant's request one for this provider.
    fn aim(&self) -> Result<impl Fn(Sent) -> Sent + Clone + Send + Sync + 'static, String> {
        let base = self.base.as_str().trim_end_matches('/').to_owned();
        let bearer = self.key.as_ref().map(|key| bearer(key)).transpose()?;
        let swap = self.model.as_deref().map(swap_model::<BufferedBody>);
        Ok(move |request: Sent| {
            // A request without a model stays as it is.
            let mut request = match &swap {
                Some(swap) => {
                    let same = Http.copy(&request);
                    swap(request)
                        .or(same)
                        .expect("a body at hand can be copied")
                }
                None => request,
            };
            let path = request
                .uri()
                .path_and_query()
                .map_or("", |path| path.as_str());
            let path = path.strip_prefix("/v1").unwrap_or(path);
            if let Ok(uri) = Uri::try_from(format!("{base}{path}")) {
                *request.uri_mut() = uri;
            }
            let headers = request.headers_mut();
            for name in [HOST, CONTENT_LENGTH, AUTHORIZATION] {
                headers.remove(name);
            }
            end_of_connection(headers);
            if let Some(bearer) = &bearer {
                headers.insert(AUTHORIZATION, bearer.clone());
            }
            request
        })
    }
}

fn bearer(key: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::try_from(format!("Bearer {key}"));
    let mut value =
        value.map_err(|_| "a key holds characters that no header can carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What concerns one connection alone isn't passed on (RFC 9110, 7.6.1).
fn end_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

/// A provider's answer, without what concerned the connection to it.
fn passed_on<B>(mut response: Response<B>) -> Answered
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    end_of_connection(response.headers_mut());
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}
