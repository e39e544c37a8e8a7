use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::ServiceExt;

use super::super::{Provider, ProviderBuilder};

const HOUR: Duration = Duration::from_secs(3_600);

struct Api {
    provider: Provider,
    base: &'static str,
}

impl Api {
    fn new(provider: ProviderBuilder) -> Self {
        Self {
            provider: provider.batch_takes(HOUR).build().unwrap(),
            base: "/v1",
        }
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: String) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", kind)
            .body(body)
            .unwrap();
        let answer = self.provider.service().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.ask(Method::GET, path, "", String::new()).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let body = body.to_string();
        let (status, body) = self.ask(Method::POST, path, "application/json", body).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn upload(&self, purpose: &str, lines: &str) -> String {
        let form = format!(
            "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n\
             --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n{lines}\r\n--x--\r\n"
        );
        let kind = "multipart/form-data; boundary=x";
        let (status, body) = self.ask(Method::POST, "/files", kind, form).await;
        assert_eq!(status, 200, "{body}");
        let file: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(file["bytes"], lines.len());
        file["id"].as_str().unwrap().to_owned()
    }

    async fn begin(&self, lines: &str) -> String {
        let file = self.upload("batch", lines).await;
        let (status, batch) = self.post("/batches", order(&file)).await;
        assert_eq!((status, &batch["status"]), (200, &json!("validating")));
        format!("/batches/{}", batch["id"].as_str().unwrap())
    }

    /// The lines of a batch's results.
    async fn results(&self, batch: &Value, kind: &str) -> Vec<Value> {
        let Some(file) = batch[kind].as_str() else {
            return Vec::new();
        };
        let path = format!("/files/{file}/content");
        let (status, text) = self.ask(Method::GET, &path, "", String::new()).await;
        assert_eq!(status, 200);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn order(file: &str) -> Value {
    json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "metadata": {"job": "night"}})
}

fn line(id: &str, change: Value) -> String {
    let mut body = json!({"model": "gpt-4.1-mini", "max_tokens": 9, "messages": [{"role": "user", "content": id}]});
    body.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    let line =
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body});
    format!("{line}\n")
}

fn lines(n: usize) -> String {
    (0..n).map(|i| line(&format!("n{i}"), json!({}))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_its_way_and_every_request_has_its_result_and_no_limit_its_charge() {
    for (provider, base) in [
        (Provider::openai(), "/v1"),
        (Provider::groq(), "/openai/v1"),
        (Provider::azure(), "/openai/v1"),
    ] {
        let provider = provider.requests_per_minute(1).tokens_per_minute(20);
        let b = Api {
            base,
            ..Api::new(provider)
        };
        let path = b.begin(&lines(10)).await;
        let mut seen = Vec::new();
        for _ in 0..21 {
            let (_, batch) = b.get(&path).await;
            let counts = &batch["request_counts"];
            seen.push((
                batch["status"].as_str().unwrap().to_owned(),
                counts["total"].as_u64().unwrap(),
                counts["completed"].as_u64().unwrap(),
            ));
            let over = batch["output_file_id"].is_string();
            assert_eq!(over, batch["status"] == "completed");
            // Nor can it be had by who guesses its name.
            let guessed = path.replace("/batches/batch_", "/files/file-output-");
            assert_eq!(b.get(&guessed).await.0, if over { 200 } else { 404 });
            sleep(HOUR / 20).await;
        }
        assert_eq!(seen[1], ("validating".to_owned(), 0, 0));
        assert_eq!(seen[10], ("in_progress".to_owned(), 10, 5));
        assert_eq!(seen[19], ("finalizing".to_owned(), 10, 10));
        assert_eq!(seen[20], ("completed".to_owned(), 10, 10));
        assert!(seen.is_sorted_by_key(|(_, _, done)| *done));

        let (_, batch) = b.get(&path).await;
        assert_eq!(batch["metadata"]["job"], "night");
        assert!(b.results(&batch, "error_file_id").await.is_empty());
        let results = b.results(&batch, "output_file_id").await;
        assert_eq!(results.len(), 10);
        for (i, result) in results.iter().enumerate() {
            assert_eq!(result["custom_id"], format!("n{i}"));
            let body = &result["response"]["body"];
            let said = &body["choices"][0]["message"]["content"];
            assert_eq!(*said, format!("n{i}"));
            assert_eq!(body["usage"]["completion_tokens"], 9);
        }
        let ids: std::collections::HashSet<_> = results.iter().map(|r| r["id"].as_str()).collect();
        assert_eq!(ids.len(), 10);
        assert_eq!(b.provider.report().admitted, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_has_a_line_among_the_errors() {
    let provider = Provider::openai().faults(|f| f.dead_model("gone"));
    let b = Api::new(provider);
    let input = [
        line("good", json!({})),
        line("dead", json!({"model": "gone"})),
        line("streamed", json!({"stream": true})),
        line("bare", json!({"messages": []})),
    ];
    let path = b.begin(&input.concat()).await;
    sleep(HOUR).await;
    let (_, batch) = b.get(&path).await;
    assert_eq!(
        batch["request_counts"],
        json!({"total": 4, "completed": 1, "failed": 3})
    );
    let errors = b.results(&batch, "error_file_id").await;
    let told = errors.iter().map(|line| {
        let status = line["response"]["status_code"].as_u64().unwrap();
        (line["custom_id"].as_str().unwrap(), status)
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("dead", 404), ("streamed", 400), ("bare", 400)]);
    assert_eq!(b.results(&batch, "output_file_id").await.len(), 1);

    b.provider
        .faults(|f| f.errors(0.5, StatusCode::BAD_GATEWAY));
    // Of the answers to the errands themselves none is drawn, so all that fails is in the batch.
    let path = b.begin(&lines(400)).await;
    sleep(HOUR).await;
    let failed = b.get(&path).await.1["request_counts"]["failed"].clone();
    assert!((150..250).contains(&failed.as_u64().unwrap()), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_wrong_fails_its_batch_line_by_line() {
    let b = Api::new(Provider::openai());
    let good = line("a", json!({}));
    let input = [
        good.clone(),
        "{\n".to_owned(),
        "\n".to_owned(),
        good,
        r#"{"custom_id":"b","method":"GET"}"#.to_owned() + "\n",
        r#"{"custom_id":"c","method":"POST","url":"/v1/embeddings"}"#.to_owned() + "\n",
        r#"{"custom_id":"d","method":"POST","url":"/v1/chat/completions"}"#.to_owned() + "\n",
        "{}".to_owned(),
    ];
    let path = b.begin(&input.concat()).await;
    assert_eq!(b.get(&path).await.1["errors"], Value::Null);
    sleep(HOUR / 2).await;
    let (_, batch) = b.get(&path).await;
    assert_eq!(batch["status"], "failed");
    let errors = batch["errors"]["data"].as_array().unwrap();
    let told = errors
        .iter()
        .map(|e| (e["code"].as_str().unwrap(), e["line"].as_u64().unwrap()));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("invalid_json_line", 2),
            ("duplicate_custom_id", 4),
            ("invalid_method", 5),
            ("invalid_url", 6),
            ("missing_required_parameter", 7),
            ("missing_required_parameter", 8),
        ]
    );
    let path = b.begin("\n\n").await;
    sleep(HOUR).await;
    let (_, batch) = b.get(&path).await;
    assert_eq!(batch["errors"]["data"][0]["code"], "empty_file");
    assert_eq!(batch["output_file_id"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_batch_keeps_what_was_done() {
    let b = Api::new(Provider::openai());
    let path = b.begin(&lines(10)).await;
    sleep(HOUR / 2).await;
    let cancel = format!("{path}/cancel");
    let (_, batch) = b.post(&cancel, Value::Null).await;
    assert_eq!(batch["status"], "cancelled");
    sleep(HOUR).await;
    let (_, batch) = b.get(&path).await;
    assert_eq!(batch["request_counts"]["completed"], 5);
    assert_eq!(b.results(&batch, "output_file_id").await.len(), 5);
    let (status, again) = b.post(&cancel, Value::Null).await;
    assert_eq!((status, again), (200, batch));
}

#[tokio::test(start_paused = true)]
async fn files_are_there_until_they_are_deleted() {
    let b = Api::new(Provider::openai());
    let id = b.upload("batch", "x").await;
    let path = format!("/files/{id}");
    assert_eq!(b.get(&path).await.1["filename"], "in.jsonl");
    assert_eq!(b.get("/files").await.1["data"][0]["id"], *id);
    let below = format!("{path}/content");
    let content = b.ask(Method::GET, &below, "", String::new()).await;
    assert_eq!(content, (200, "x".to_owned()));
    let deleted = b.ask(Method::DELETE, &path, "", String::new()).await;
    assert_eq!(deleted.0, 200);
    assert_eq!(b.get(&path).await.0, 404);
    assert_eq!(b.get("/files").await.1["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_wrongly_is_refused_as_openai_does() {
    let b = Api::new(Provider::openai().api_key("none"));
    assert_eq!(b.get("/files").await.0, 401);
    let b = Api::new(Provider::openai());
    for (method, path, status) in [
        (Method::GET, "/files/file-1", 404),
        (Method::GET, "/files/file-1/content", 404),
        (Method::DELETE, "/files/file-1", 404),
        (Method::GET, "/batches/batch_1", 404),
        (Method::POST, "/batches/batch_1/cancel", 404),
        (Method::DELETE, "/batches/batch_1", 405),
        (Method::PUT, "/files", 405),
        (Method::GET, "/files/a/b/c", 404),
        (Method::POST, "/files", 400),
        (Method::POST, "/batches", 400),
    ] {
        let (said, body) = b.ask(method.clone(), path, "", String::new()).await;
        assert_eq!(said, status, "{method} {path}: {body}");
        assert!(body.contains("invalid_request_error"), "{body}");
    }
    let file = b.upload("batch", &lines(1)).await;
    let other = b.upload("fine-tune", &lines(1)).await;
    for (name, value) in [
        ("input_file_id", json!(null)),
        ("input_file_id", json!("file-1")),
        ("input_file_id", json!(other)),
        ("endpoint", json!("/v1/models")),
        ("endpoint", json!(1)),
        ("completion_window", json!("1h")),
    ] {
        let mut wrong = order(&file);
        wrong[name] = value;
        let (status, said) = b.post("/batches", wrong).await;
        assert!([400, 404].contains(&status), "{name}: {said}");
    }
    assert_eq!(b.get("/batches").await.1["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn an_outage_reaches_files_as_well_and_other_apis_have_none() {
    let b = Api::new(Provider::openai());
    b.provider.faults(|f| f.outage(true));
    assert_eq!(b.get("/files").await.0, 503);
    b.provider.faults(|f| f.outage(false));
    assert_eq!(b.get("/files").await.1["data"], json!([]));
    let b = Api::new(Provider::anthropic());
    assert_eq!(b.get("/files").await.0, 404);
}
