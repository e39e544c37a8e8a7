//! The way to the provider.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Url};
use tokio::sync::Semaphore;

use crate::{
    args::{ApiKey, Settings},
    input::{Endpoint, Job},
    record::Trouble,
    send::{Answer, Failure, Transport, read},
    stats::Wire,
    stop::Reason,
};

/// Sends each request once, with nothing in between.
#[derive(Debug)]
pub(crate) struct Plain {
    client: Client,
    base_url: Url,
    api_key: Option<ApiKey>,
    slots: Semaphore,
}

impl Plain {
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let client = Client::builder()
            .timeout(Duration::from_secs(600))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            base_url: settings.base_url.clone(),
            api_key: settings.api_key.clone(),
            slots: Semaphore::new(settings.max_in_flight as usize),
        })
    }

    fn url(&self, endpoint: Endpoint) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(endpoint.path());
        }
        url
    }

    async fn attempt(&self, url: Url, body: Bytes, wire: &Arc<Wire>) -> Result<Answer, Trouble> {
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.api_key {
            request = request.header(AUTHORIZATION, key.bearer().map_err(Trouble::new)?);
        }
        let departure = wire.departs();
        let outcome = request.body(body).send().await;
        match outcome {
            Ok(response) => {
                let status = response.status();
                departure.returned(status.as_u16());
                let body = response.bytes().await;
                let body = body.map_err(|error| Trouble::new(error.without_url().to_string()))?;
                read(status, &body)
            }
            Err(error) => {
                let error = error.without_url();
                let trouble = Trouble::new(crate::stats::chain(&error));
                departure.failed(&error);
                Err(trouble)
            }
        }
    }
}

impl Transport for Plain {
    async fn send(&self, job: &Job, wire: &Arc<Wire>) -> Result<Answer, Failure> {
        let _slot = self.slots.acquire().await;
        let url = self.url(job.endpoint);
        self.attempt(url, job.body.clone(), wire)
            .await
            .map_err(|mut trouble| {
                if let Some(key) = &self.api_key {
                    trouble = trouble.map(|text| key.redact(text));
                }
                let text = trouble.error.as_deref().map_or("", |error| error.get());
                let stop = text.contains("insufficient_quota");
                Failure {
                    troubles: vec![trouble],
                    stop: stop.then_some(Reason::QuotaExhausted),
                }
            })
    }
}
