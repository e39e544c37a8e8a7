//! A provider that does as a test tells it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// What a request gets.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Ok,
    Status(u16, Value),
    /// Never anything.
    Hang,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

impl Seen {
    /// What the request asks, whatever kind it is of.
    pub(crate) fn prompt(&self) -> String {
        prompt(&self.body)
    }
}

pub(crate) fn prompt(body: &Value) -> String {
    let text = &body["messages"][0]["content"];
    let text = if text.is_null() { &body["input"] } else { text };
    text.as_str().unwrap_or_default().to_owned()
}

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Answers the nth request as `reply` says, after as long as it says.
    pub(crate) async fn start(
        reply: impl Fn(usize, &Seen) -> (Duration, Reply) + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let reply = Arc::new(reply);
        let all = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let (all, reply) = (Arc::clone(&all), Arc::clone(&reply));
            async move {
                let seen = read(request).await;
                let (after, reply) = {
                    let mut all = all.lock().unwrap();
                    all.push(seen.clone());
                    reply(all.len() - 1, &seen)
                };
                tokio::time::sleep(after).await;
                answer(&seen, reply).await
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let header = head.headers.get("authorization");
    Seen {
        path: head.uri.to_string(),
        authorization: header.map(|value| value.to_str().unwrap().to_owned()),
        body: serde_json::from_slice(&body).unwrap(),
    }
}

async fn answer(seen: &Seen, reply: Reply) -> Response {
    let (status, body) = match reply {
        Reply::Ok => (
            200,
            json!({"echo": seen.prompt(), "usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}}),
        ),
        Reply::Status(status, body) => (status, body),
        Reply::Hang => std::future::pending().await,
    };
    // On several lines, as OpenAI writes it.
    let body = serde_json::to_string_pretty(&body).unwrap();
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body).into_response()
}
