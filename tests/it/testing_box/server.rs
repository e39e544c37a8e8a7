//! Over real sockets. Nothing here waits for more than a few milliseconds.

use std::sync::Arc;

use async_openai::{
    Client,
    config::OpenAIConfig,
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
};
use http::{Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;
use tower_quota::testing::{Outage, ProviderBox, Shape, When};

use super::{MODEL, chat_body, ms};

async fn post(client: &reqwest::Client, base_url: &str) -> reqwest::Result<reqwest::Response> {
    let url = format!("{base_url}/chat/completions");
    client.post(url).body(chat_body()).send().await
}

#[tokio::test]
async fn it_speaks_http() {
    let provider = ProviderBox::openai()
        .requests_per_minute(2)
        .start()
        .await
        .unwrap();
    assert_eq!(
        provider.base_url(),
        format!("http://{}/v1", provider.addr())
    );
    let client = reqwest::Client::new();
    let answer = post(&client, &provider.base_url()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], "1");
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["usage"]["total_tokens"], 100);
    post(&client, &provider.base_url()).await.unwrap();
    let refused = post(&client, &provider.base_url()).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "30");

    let url = format!("{}/models", provider.base_url());
    let models: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"][0]["id"], MODEL);
    assert_eq!(provider.report().connections, 1);
}

#[tokio::test]
async fn openais_own_types_read_its_answers() {
    let provider = ProviderBox::openai()
        .api_key("sk-box")
        .start()
        .await
        .unwrap();
    let config = OpenAIConfig::new()
        .with_api_base(provider.base_url())
        .with_api_key("sk-box");
    let client = Client::with_config(config);
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("What is a quota good for?")
        .build()
        .unwrap();
    let request = CreateChatCompletionRequestArgs::default()
        .model(MODEL)
        .max_completion_tokens(90_u32)
        .messages([message.into()])
        .build()
        .unwrap();
    let answer = client.chat().create(request).await.unwrap();
    let content = answer.choices[0].message.content.as_deref();
    assert_eq!(content, Some("What is a quota good for?"));
    assert_eq!(answer.usage.unwrap().total_tokens, 97);
}

#[tokio::test]
async fn many_clients_at_once_share_one_account_and_keep_their_connections() {
    let provider = ProviderBox::openai()
        .requests_per_minute(100)
        .shape(Shape::Rolling)
        .latency(ms(5))
        .start()
        .await
        .unwrap();
    let base_url: Arc<str> = provider.base_url().into();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let base_url = base_url.clone();
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut admitted = 0;
                for _ in 0..20 {
                    let answer = post(&client, &base_url).await.unwrap();
                    admitted += u64::from(answer.status() == 200);
                    answer.bytes().await.unwrap();
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for client in clients {
        admitted += client.await.unwrap();
    }
    let report = provider.report();
    assert_eq!((admitted, report.admitted), (100, 100));
    assert_eq!((report.requests, report.rate_limited), (160, 60));
    assert_eq!((report.connections, report.in_flight), (8, 0));
    assert!((2..=8).contains(&report.peak_in_flight), "{report}");
}

#[tokio::test]
async fn a_dropped_connection_is_an_error_and_the_next_one_works() {
    let provider = ProviderBox::openai()
        .faults(|f| f.drops(1.0, When::AfterCounting))
        .start()
        .await
        .unwrap();
    let client = reqwest::Client::new();
    assert!(post(&client, &provider.base_url()).await.is_err());
    assert!(provider.report().admitted >= 1);
    provider.faults(|f| f.drops(0.0, When::AfterCounting));
    let answer = post(&client, &provider.base_url()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_closed_outage_cuts_new_connections_and_old_ones() {
    let provider = ProviderBox::openai().start().await.unwrap();
    let (old, new) = (reqwest::Client::new(), reqwest::Client::new());
    post(&old, &provider.base_url()).await.unwrap();
    provider.faults(|f| f.outage_as(Outage::Closed));
    assert!(post(&old, &provider.base_url()).await.is_err());
    assert!(post(&new, &provider.base_url()).await.is_err());
    provider.faults(|f| f.outage(false));
    assert!(post(&new, &provider.base_url()).await.is_ok());
    assert_eq!(provider.report().admitted, 2);
}

#[tokio::test]
async fn a_stall_lasts_until_the_client_gives_up() {
    let provider = ProviderBox::openai()
        .faults(|f| f.stalls(1.0, super::secs(60)))
        .start()
        .await
        .unwrap();
    let url = format!("{}/chat/completions", provider.base_url());
    let client = reqwest::Client::new();
    let request = client.post(url).body(chat_body()).timeout(ms(100));
    assert!(request.send().await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn scripted_answers_go_over_the_wire() {
    let provider = ProviderBox::openai().start().await.unwrap();
    let answer = Response::builder().status(529).header("x-own", "1");
    provider.then_answer(answer.body("overloaded").unwrap());
    let answer = post(&reqwest::Client::new(), &provider.base_url())
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-own"]),
        (529, &"1".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), "overloaded");
    assert_eq!(provider.arrivals()[0].status, Some(529));
}

#[tokio::test]
async fn nobody_listens_once_it_is_stopped_or_dropped() {
    let provider = ProviderBox::openai()
        .latency(super::secs(60))
        .start()
        .await
        .unwrap();
    let (addr, base_url) = (provider.addr(), provider.base_url());
    let pending = tokio::spawn(async move { post(&reqwest::Client::new(), &base_url).await });
    while provider.report().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let account = provider.provider().clone();
    provider.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
    // The request that was under way is cut, not left behind.
    assert!(pending.await.unwrap().is_err());
    assert_eq!(account.report().in_flight, 0);

    let dropped = ProviderBox::openai().start().await.unwrap();
    let addr = dropped.addr();
    drop(dropped);
    tokio::task::yield_now().await;
    assert!(TcpStream::connect(addr).await.is_err());
}
