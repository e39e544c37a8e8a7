//! A provider in a box: the API, the limits and the moods of OpenAI, Azure, Groq, Anthropic or Gemini, for
//! tests of one's own stack.
//!
//! It counts requests and tokens as a provider does, refuses with the same words and headers, fails on demand, and
//! reports afterwards what any window of the run held. So a test can say "never refused, and 97 % of
//! the quota used", and mean it.
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::testing::{ProviderBox, Shape};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = ProviderBox::openai()
//!     .requests_per_minute(500)
//!     .tokens_per_minute(30_000)
//!     .minute(Duration::from_secs(10)) // shorter minutes, shorter tests
//!     .shape(Shape::Rolling)
//!     .start()
//!     .await?;
//!
//! let answer = reqwest::Client::new()
//!     .post(format!("{}/chat/completions", provider.base_url()))
//!     .body(r#"{"model": "gpt-4.1-mini", "max_tokens": 90, "messages": [{"role": "user", "content": "What is a quota good for?"}]}"#)
//!     .send()
//!     .await?;
//! assert_eq!(answer.headers()["x-ratelimit-remaining-tokens"], "29903");
//!
//! let report = provider.report();
//! assert_eq!((report.admitted, report.tokens_admitted), (1, 97));
//! # Ok(())
//! # }
//! ```
//!
//! # In paused time
//!
//! [`Provider::service`] is the same provider as a tower service, without a socket: hours of traffic
//! run in milliseconds under `#[tokio::test(start_paused = true)]`. The server reads tokio's clock as
//! well, but a paused clock jumps ahead while bytes are under way in the kernel, so with a socket
//! use real time wherever latencies matter.
//!
//! ```
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//! use tower_quota::testing::Provider;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::openai().requests_per_minute(1).build()?;
//! let ask = || {
//!     let body = r#"{"model": "text-embedding-3-small", "input": "What is a quota good for?"}"#;
//!     Request::post("/v1/embeddings").body(body.to_owned()).unwrap()
//! };
//! assert_eq!(provider.service().oneshot(ask()).await.unwrap().status(), StatusCode::OK);
//! assert_eq!(provider.service().oneshot(ask()).await.unwrap().headers()["retry-after"], "60");
//! # Ok(())
//! # }
//! ```
//!
//! # Accounting alone
//!
//! [`Provider::handle`] takes a [`Call`] and `now`, and waits for nothing. For a provider that isn't
//! HTTP, for simulations and for benchmarks.
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::testing::{Call, Provider, Shape};
//!
//! let provider = Provider::openai().tokens_per_minute(1_000).shape(Shape::Rolling).build()?;
//! let (start, call) = (provider.started(), Call::chat("gpt-4.1-mini", 100, 500));
//! assert!(provider.handle(start, &call).is_admitted());
//! let refused = provider.handle(start + Duration::from_secs(20), &call);
//! assert_eq!(refused.retry_after(), Some(Duration::from_secs(40)));
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # Whose API
//!
//! [`openai`](Provider::openai) has chat completions, responses and embeddings; [`azure`](Provider::azure)
//! and [`groq`](Provider::groq) the same under their own paths, with their own words, waits and headers;
//! [`anthropic`](Provider::anthropic) has messages, [`gemini`](Provider::gemini) `generateContent`. Other
//! spellings of rate headers are [`RateHeaders`], odd answers one of a kind are [`Odd`].
//!
//! ```
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_quota::testing::{Limits, Odd, Provider};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::anthropic()
//!     .limits(Limits::none().input_tokens_per_minute(30_000).output_tokens_per_minute(8_000))
//!     .build()?;
//! let body = r#"{"model": "claude-sonnet-4-5", "max_tokens": 90, "messages": [{"role": "user", "content": "Hello"}]}"#;
//! let ask = || Request::post("/v1/messages").body(body.to_owned()).unwrap();
//! let answer = provider.service().oneshot(ask()).await.unwrap();
//! assert_eq!(answer.headers()["anthropic-ratelimit-input-tokens-remaining"], "29998");
//!
//! provider.then_answer(Odd::Anthropic413.answer());
//! assert_eq!(provider.service().oneshot(ask()).await.unwrap().status(), 413);
//! # Ok(())
//! # }
//! ```
//!
//! # How it counts
//!
//! On arrival a chat reserves its prompt's estimate and `max_completion_tokens` (or `max_tokens`, or
//! 256) for each of its `n` choices; embeddings reserve their input's. Anthropic and Gemini reserve the
//! prompt's alone, less what is read from the cache with Anthropic. All limits are charged or none.
//! What was reserved and not used stays charged, or is [trued up](Settlement::TrueUp). Limits on the
//! [tokens of answers](Limits::output_tokens_per_minute) reserve nothing: they are charged as the answer
//! is produced. A refusal states the wait of the limit that takes longest: one nanosecond earlier the
//! same request is refused, then it is admitted, if nothing else came. `retry-after` and
//! `retry-after-ms` round it up. A request larger than a whole limit is refused without a wait. Where the
//! real provider lies, the box does: Gemini's `retryDelay` is never as long as a minute, Azure's wait for
//! what never fits is a day. [`Hint`] tells other lies.
//!
//! The answer to a chat repeats the text of its last message, so that answers can be told apart.
//!
//! # Pools, others, and limits that change
//!
//! [`pool`](ProviderBuilder::pool) gives some models limits of their own, [`spend`](Provider::spend) is
//! somebody else who spends from the same ones, and [`limits`](Provider::limits) changes them in the run.
//!
//! ```
//! use tower_quota::testing::{Call, Limits, Provider};
//!
//! let provider = Provider::openai()
//!     .tokens_per_minute(216_000)
//!     .pool(["gpt-4.1", "gpt-4.1-2025-04-14"], Limits::none().tokens_per_minute(30_000))
//!     .build()?;
//! let now = provider.started();
//! assert!(provider.spend(now, &Call::chat("gpt-4.1", 9_000, 20_000)));
//! assert!(!provider.handle(now, &Call::chat("gpt-4.1-2025-04-14", 1_000, 1_000)).is_admitted());
//! provider.limits(now, |limits| limits.tokens_per_minute(36_000));
//! assert!(!provider.handle(now, &Call::embeddings("other", 40_000)).is_admitted());
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # Streams
//!
//! `"stream": true` is answered with server-sent events, all at once or as [`Stream`] has it; Gemini's
//! `streamGenerateContent` with a JSON array, or with events for `?alt=sse`. A [`StreamFault`] breaks them
//! off or puts an error inside of them, before the first content or after it.
//!
//! ```
//! use std::time::Duration;
//! use http::Request;
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_quota::testing::{Provider, Stream, StreamFault};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::openai()
//!     .stream(Stream::at_once().pieces(4).first(Duration::from_millis(300)).pace(Duration::from_millis(20)))
//!     .faults(|f| f.streams(1.0, StreamFault::Overloaded, 2))
//!     .build()?;
//! let body = r#"{"model": "gpt-4.1", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}"#;
//! let request = Request::post("/v1/chat/completions").body(body.to_owned())?;
//! let answer = provider.service().oneshot(request).await.unwrap();
//! assert_eq!(answer.status(), 200);
//! let said = answer.into_body().collect().await?.to_bytes();
//! assert!(String::from_utf8(said.to_vec())?.contains("server_is_overloaded"));
//! # Ok(())
//! # }
//! ```
//!
//! # Batches
//!
//! OpenAI's box, Azure's and Groq's take files (`/files`) and run batches of the requests in them (`/batches`), as the Batch API
//! has it: charged to no limit, each request served as it would be alone, dead models and errors by chance included. A batch is
//! looked at, runs and is written out while [`batch_takes`](ProviderBuilder::batch_takes) passes; a cancelled one ends at once, and
//! none expires. What was uploaded is kept until it is deleted, up to 200 MB a file.
//!
//! ```
//! use std::time::Duration;
//! use http::Request;
//! use http_body_util::BodyExt;
//! use serde_json::{Value, json};
//! use tower::ServiceExt;
//! use tower_quota::testing::Provider;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::openai().batch_takes(Duration::from_secs(3_600)).build()?;
//! let ask = async |request: http::request::Builder, body: String| {
//!     let answer = provider.service().oneshot(request.body(body).unwrap()).await.unwrap();
//!     let answer = answer.into_body().collect().await.unwrap().to_bytes();
//!     String::from_utf8(answer.to_vec()).unwrap()
//! };
//! let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/embeddings",
//!     "body": {"model": "text-embedding-3-small", "input": "What is a quota good for?"}});
//! let form = format!("--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
//!     --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{line}\n\r\n--x--\r\n");
//! let upload = Request::post("/v1/files").header("content-type", "multipart/form-data; boundary=x");
//! let file: Value = serde_json::from_str(&ask(upload, form).await)?;
//!
//! let order = json!({"input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"});
//! let batch: Value = serde_json::from_str(&ask(Request::post("/v1/batches"), order.to_string()).await)?;
//! tokio::time::sleep(Duration::from_secs(3_600)).await;
//! let uri = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
//! let batch: Value = serde_json::from_str(&ask(Request::get(uri), String::new()).await)?;
//! assert_eq!((&batch["status"], &batch["request_counts"]["completed"]), (&json!("completed"), &json!(1)));
//!
//! let uri = format!("/v1/files/{}/content", batch["output_file_id"].as_str().unwrap());
//! let result: Value = serde_json::from_str(&ask(Request::get(uri), String::new()).await)?;
//! assert_eq!((&result["custom_id"], &result["response"]["status_code"]), (&json!("a"), &json!(200)));
//! # Ok(())
//! # }
//! ```
//!
//! # Real, or in a box
//!
//! [`Upstream`] is the provider that the environment has a key for, and a box where there is none: for examples and smoke tests.
//!
//! # Faults
//!
//! [`Faults`] has transit, latency, 5xx, closed connections, stalls, outages, dead models and spent
//! credit; [`Provider::then_answer`] scripts single answers.
//!
//! ```
//! # use tower_quota::testing::{Call, Provider};
//! # let provider = Provider::openai().build()?;
//! # let call = Call::chat("gpt-4.1-mini", 100, 500);
//! provider.faults(|f| f.outage(true));
//! assert_eq!(provider.handle(provider.started(), &call).status().unwrap(), 503);
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! # When
//!
//! In tests of one's own stack, where a mock would be asked to lie as a provider does; in examples, and to try settings before they cost money. Every
//! setting and its default: [`ProviderBuilder`].
//!
//! # Sharing
//!
//! Clones of a [`Provider`], its services and its server are the same provider.
//!
//! # Errors
//!
//! [`ConfigError`](crate::ConfigError) for settings that make no sense; an [`io::Error`](std::io::Error) where no socket is to be had.
//!
//! # Cancellation
//!
//! A request that was counted stays counted when its caller goes away, with all that it reserved, and with
//! what was produced of its answer by then. A stream is in flight until it ends or is dropped.

mod accounts;
mod answers;
mod batches;
mod body;
mod bucket;
mod builder;
mod call;
mod complaint;
mod dialects;
mod dice;
mod faults;
mod limits;
mod meters;
mod odd;
mod provider;
mod reply;
mod report;
mod script;
mod server;
mod service;
mod settings;
mod state;
mod stream;
mod telling;
mod upstream;

pub use self::{
    body::ProviderBody,
    builder::{ProviderBuilder, Settlement},
    call::Call,
    dialects::RateHeaders,
    faults::{Delay, Faults, Hint, Outage, When},
    limits::Limits,
    meters::Shape,
    odd::Odd,
    provider::Provider,
    reply::Reply,
    report::{Arrival, Outcome, Report},
    server::ProviderBox,
    service::{ProviderFuture, ProviderService},
    stream::{Stream, StreamFault},
    upstream::Upstream,
};
