//! Many tenants: limits for each of them and each model, accounts of their own, and a cap on money.
//!
//! Limits by key, tiers, and changes while the program runs are [`KeyedQuotas`]'s page. Here is what comes on top.
//!
//! # By tenant and model
//!
//! A layer has one key. For a limit by two things at once it is both of them; for one by each, there is a layer for each:
//!
//! ```
//! use http::Request;
//! # use tower::ServiceBuilder;
//! use tower_quota::{
//!     BufferBodyLayer, BufferedBody, Limit, Quota, RateLimitLayer, TokenBudgetLayer,
//!     key::{self, Key}, quota::{KeyedQuotas, Tier}, tokens::model_of,
//! };
//!
//! let tier = |tokens| Tier::new(Quota::builder().limit(Limit::tokens_per_minute(tokens)));
//! let (large, small) = (tier(10_000)?, tier(200_000)?);
//! let quotas = KeyedQuotas::new(move |(_, model): &(Option<Key>, Option<String>)| match model.as_deref() {
//!     Some("gpt-4.1") => large.clone(),
//!     _ => small.clone(),
//! });
//!
//! let tenant = key::header("x-tenant");
//! let layers = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new()) // the model stands in the body
//!     .layer(RateLimitLayer::per_minute(600).keyed(tenant.clone())) // of a tenant, whatever the model
//!     .layer(TokenBudgetLayer::unlimited().for_keys(
//!         move |request: &Request<BufferedBody>| (tenant(request), model_of(request)),
//!         quotas.clone(), // the handle
//!     ));
//! # let _ = layers;
//! # Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! Who isn't counted, such as programs of one's own, has [`Tier::unlimited`].
//!
//! # Accounts of their own
//!
//! Where each tenant brings an API key, what a provider says is about that account alone. What would hold it against the others is
//! keyed by the tenant as well:
//!
//! | what | otherwise |
//! |---|---|
//! | the circuit, by tenant and model | one account without money opens it for [ten minutes](crate::CircuitBreakerLayer::exhausted_for), for all |
//! | the quota, by tenant, of a tier that [adopts](crate::quota::QuotaBuilder::adopt) | a 429 of one account pauses all; without adopting, none |
//! | the fallback, with [`no_memory`](crate::FallbackLayer::no_memory) | who asked for time, or has no money, is passed over for all |
//!
//! The provider's key goes on innermost, where whose request it is goes off:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use std::{collections::HashMap, sync::Arc};
//! use http::{HeaderValue, Request, header::AUTHORIZATION};
//! # use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_quota::{
//!     BackoffRetryLayer, BufferBodyLayer, BufferedBody, CircuitBreakerLayer, FallbackLayer, Limit, Quota, TokenBudgetLayer,
//!     fallback::swap_model, key::{self, Key}, quota::{KeyedQuotas, Tier}, tokens::model_of,
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), tower_quota::BoxError> {
//! # let [broke, well] = [true, false].map(|broke| {
//! #     let provider = tower_quota::testing::Provider::openai().faults(|faults| faults.insufficient_quota(broke));
//! #     provider.build().unwrap().service()
//! # });
//! # let client = tower::service_fn(move |request: Request<BufferedBody>| {
//! #     assert!(!request.headers().contains_key("x-tenant"));
//! #     let spent = request.headers()[AUTHORIZATION] == "Bearer sk-1" && model_of(&request).unwrap() == "gpt-4.1";
//! #     let account = if spent { &broke } else { &well };
//! #     let answer = account.clone().oneshot(request);
//! #     async move { answer.await.map_err(std::io::Error::other) }
//! # });
//! let keys = Arc::new(HashMap::from([
//!     (Key::of("alice"), HeaderValue::from_static("Bearer sk-1")), // hers has no money for gpt-4.1
//!     (Key::of("bob"), HeaderValue::from_static("Bearer sk-2")),
//! ]));
//! let account = Tier::new(Quota::builder().limit(Limit::tokens_per_minute(30_000)).adopt())?;
//! let accounts = KeyedQuotas::new(move |_: &Option<Key>| account.clone());
//!
//! let tenant = key::header("x-tenant");
//! let whose = tenant.clone();
//! let breaker = CircuitBreakerLayer::new()
//!     .keyed(move |request: &Request<BufferedBody>| (whose(request), model_of(request)));
//! let stack = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new())
//!     .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")).no_memory())
//!     .layer(BackoffRetryLayer::new())
//!     .layer(breaker.gate())
//!     .layer(TokenBudgetLayer::unlimited().for_keys(tenant.clone(), accounts))
//!     .layer(breaker)
//!     .map_request(move |mut request: Request<BufferedBody>| {
//!         let account = tenant(&request).and_then(|tenant| keys.get(&tenant));
//!         let headers = request.headers_mut();
//!         headers.remove("x-tenant");
//!         headers.extend(account.map(|key| (AUTHORIZATION, key.clone())));
//!         request
//!     })
//!     .service(client);
//! # for who in ["alice", "bob", "alice", "bob"] {
//! #     let body = r#"{"model": "gpt-4.1", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}"#;
//! #     let request = Request::post("/v1/chat/completions").header("x-tenant", who);
//! #     let answer = stack.clone().oneshot(request.body(Full::<bytes::Bytes>::from(body))?).await?;
//! #     assert_eq!(answer.status(), 200, "{who}");
//! #     let passed_on = tower_quota::fallback::ServedBy::of(&answer).is_some();
//! #     assert_eq!(passed_on, who == "alice", "{who}");
//! # }
//! # Ok(()) }
//! ```
//!
//! Few accounts, or ones with other settings each, are a stack each, built at the start and chosen by the tenant.
//!
//! # A cap on money
//!
//! Prices are nobody's to know but yours, so money is a [unit](Limit::units) of your own. What a request may cost at most is taken
//! before it is sent, and settled when its usage is known:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::{Anchor, Cost, Limit, Quota, key::Key, provider::UsageScanner, quota::{KeyedQuotas, Tier}, tokens};
//!
//! /// In millionths of a dollar.
//! fn money(model: &str, input: u64, output: u64) -> Cost {
//!     let (of_input, of_output) = if model == "gpt-4.1" { (2, 8) } else { (1, 4) };
//!     Cost::none().unit("microdollars", input * of_input + output * of_output)
//! }
//!
//! const DAY: Duration = Duration::from_secs(86_400);
//! let five_dollars = Limit::units("microdollars", 5_000_000, DAY).fixed(Anchor::utc()); // anew at midnight
//! let tier = Tier::new(Quota::builder().limit(five_dollars))?;
//! let caps = KeyedQuotas::new(move |_: &Key| tier.clone());
//!
//! let body = r#"{"model": "gpt-4.1", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello"}]}"#;
//! let most = tokens::estimate(body.as_bytes()).expect("it is JSON");
//! let cap = caps.get(&Key::of("alice"));
//! let permit = cap.try_acquire(money("gpt-4.1", most.input, most.output))?; // or `Rejected`: until tomorrow
//! # let chunks = [r#"{"usage": {"prompt_tokens": 8, "comple"#, r#"tion_tokens": 20, "total_tokens": 28}}"#];
//! // … through the stack; its answer, a stream or not, as it comes:
//! let mut scanner = UsageScanner::new();
//! for chunk in chunks {
//!     scanner.push(chunk.as_bytes());
//! }
//! match scanner.finish() {
//!     Some(used) => permit.settle_as(money("gpt-4.1", used.input_tokens, used.output_tokens)),
//!     None => drop(permit), // it counts as the most that it may have been
//! }
//! assert_eq!(cap.snapshot().limits[0].used, 8 * 2 + 20 * 8);
//! # Ok::<(), tower_quota::BoxError>(())
//! ```
//!
//! A call that was refused or never sent is [cancelled](crate::Permit::cancel); a future that is dropped drops the permit. As a layer,
//! outermost, `TokenBudgetLayer::unlimited().cost(..).for_keys(..).on_arrival().reject()` with the same [`Cost`] takes the most that a call
//! may cost, once, however often it is tried further in, and keeps it, as usage names no money.
//! To keep the caps over a restart, give each tenant a [`Quota`] that is [saved](Quota::save), as the example `axum_tenants` does.

#[cfg(doc)]
use crate::{
    Cost, Limit, Quota,
    quota::{KeyedQuotas, Tier},
};
