//! Background work that finds no room goes to the Batch API: half the price, and limits of its own.
//!
//! ```sh
//! cargo run --all-features --example batch
//! ```
//!
//! Without a key it asks a provider in a box that takes 20 requests a minute, and whose batches take two seconds. With
//! `OPENAI_API_KEY` it asks OpenAI, where a batch may take a day; with `OPENAI_BASE_URL` somebody else who speaks like it.
//!
//! What to look at: the budget refuses instead of letting wait (`reject`), and keeps half of the limit for people (`keep_for`). What it
//! refuses for now becomes a line of JSON; the lines are uploaded, run and read back by their `custom_id`. Files and batches take
//! nothing from the quota, so their stack has a retry and no budget.
#![allow(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{ServiceBuilder, ServiceExt};
use tower_quota::{
    BackoffRetryLayer, BoxError, BufferBodyLayer, Limit, Priority, Quota, Reason, Rejected,
    TokenBudgetLayer,
    edge::{ReqwestLayer, ReqwestService},
    testing::{ProviderBox, Upstream},
};

const ENDPOINT: &str = "/v1/chat/completions";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = ProviderBox::openai()
        .requests_per_minute(20)
        .batch_takes(Duration::from_secs(2));
    let upstream = Upstream::openai(provider).await?;
    let client = upstream.client()?;
    let service = ReqwestService::new(client.clone());
    let quota = Quota::builder().limit(Limit::requests_per_minute(20));
    let quota = quota.keep_for(Priority::Interactive, 0.5).build()?;
    let door = ServiceBuilder::new()
        .layer(ReqwestLayer::new())
        .layer(BufferBodyLayer::new())
        .layer(BackoffRetryLayer::new());
    let budget = TokenBudgetLayer::new(quota).priority(|_: &http::Request<_>| Priority::Background);
    let now = door.clone().layer(budget.reject()).service(service.clone());
    let files = door.service(service);

    let mut answers = BTreeMap::new();
    let mut spilled = String::new();
    for i in 0..40 {
        let (id, prompt) = (format!("doc-{i:02}"), format!("Summarise document {i}."));
        let body = json!({"model": "gpt-4.1-mini", "max_tokens": 30,
            "messages": [{"role": "user", "content": prompt}]});
        let request = upstream.request("/chat/completions", body.to_string());
        match now.clone().oneshot(request).await {
            Ok(answer) => {
                let answer: Value = answer.error_for_status()?.json().await?;
                answers.insert(id, answer["choices"][0]["message"]["content"].to_string());
            }
            // No room now; what is too large never has any.
            Err(error) => match Rejected::find(error.as_ref()) {
                Some(refused) if refused.reason != Reason::TooLarge => {
                    let mut line = json!({"custom_id": id, "method": "POST", "url": ENDPOINT});
                    line["body"] = body;
                    spilled += &format!("{line}\n");
                }
                _ => return Err(error),
            },
        }
    }
    let (at_once, later) = (answers.len(), spilled.lines().count());
    println!("{at_once} answered at once, {later} spilled");

    let ask = async |method, path: &str, kind: &str, body: String| {
        let request = client.request(method, format!("{}{path}", upstream.base_url()));
        let request = request.bearer_auth(upstream.key()).body(body);
        let request = request.header("content-type", kind).build()?;
        let answer = files.clone().oneshot(request).await?;
        Ok::<_, BoxError>(answer.error_for_status()?.text().await?)
    };
    let form = format!(
        "--form\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--form\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"spilled.jsonl\"\r\n\r\n{spilled}\r\n--form--\r\n"
    );
    let kind = "multipart/form-data; boundary=form";
    let file: Value = serde_json::from_str(&ask(Method::POST, "/files", kind, form).await?)?;
    let (id, window, kind) = (&file["id"], "24h", "application/json");
    let order = json!({"input_file_id": id, "endpoint": ENDPOINT, "completion_window": window});
    let batch = ask(Method::POST, "/batches", kind, order.to_string()).await?;
    let mut batch: Value = serde_json::from_str(&batch)?;
    let path = format!("/batches/{}", batch["id"].as_str().unwrap_or_default());
    let pause = upstream.in_a_box().map_or(30_000, |_| 400);
    loop {
        println!("batch: {}, {}", batch["status"], batch["request_counts"]);
        let status = batch["status"].as_str().unwrap_or_default();
        if ["completed", "failed", "expired", "cancelled"].contains(&status) {
            break;
        }
        sleep(Duration::from_millis(pause)).await;
        batch = serde_json::from_str(&ask(Method::GET, &path, "", String::new()).await?)?;
    }
    let files = ["output_file_id", "error_file_id"].map(|name| batch[name].as_str());
    for file in files.into_iter().flatten() {
        let path = format!("/files/{file}/content");
        for line in ask(Method::GET, &path, "", String::new()).await?.lines() {
            let line: Value = serde_json::from_str(line)?;
            let id = line["custom_id"].as_str().unwrap_or_default().to_owned();
            let answer = &line["response"]["body"];
            answers.insert(id, answer["choices"][0]["message"]["content"].to_string());
        }
    }
    let last = answers.last_key_value();
    println!("{} of 40 answered; the last: {last:?}", answers.len());
    Ok(())
}
