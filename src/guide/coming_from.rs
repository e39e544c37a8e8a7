//! The terms of those that one comes from in ours, with what was written before and what is after.
//!
//! [tower](#tower), [governor](#governor), [tower-resilience](#tower-resilience), [tenacity](#tenacity),
//! [the cookbook's script](#the-cookbooks-script); and at the end the same job [side by side](#side-by-side).
//!
//! # tower
//!
//! | tower | here |
//! |---|---|
//! | `limit::RateLimitLayer`, in a `Buffer` | [`RateLimitLayer`]: `Clone`, one limit for all clones, no `Buffer` |
//! | `ConcurrencyLimitLayer`, `GlobalConcurrencyLimitLayer` | [`max_in_flight`](crate::quota::QuotaBuilder::max_in_flight), until the answer's *body* ends |
//! | `load_shed` | [`reject`](RateLimitLayer::reject); refusals say when to come back |
//! | `retry::Policy` | [`BackoffRetryLayer`], and [`classify`](BackoffRetryLayer::classify), [`only`](BackoffRetryLayer::only) for what it can't know |
//! | `retry::backoff::ExponentialBackoff` | [`Backoff::exponential`] |
//! | `retry::budget::TpsBudget` | [`RetryBudget`](crate::RetryBudget), which is a `tower::retry::budget::Budget` as well |
//! | `timeout` | the same; see [where](crate#order-of-layers) |
//! | `balance`, `steer`, `filter`, `map_request`, `util::Box…` | the same; [`headroom`](crate::headroom) is a `Load` for `balance` |
//! | `option_layer` | the same after `.opaque()`; over http's types [a layer that does nothing](super::wiring#a-layer-that-is-there-only-sometimes) |
//! | `hedge`, `spawn_ready` | no counterpart |
//!
//! Before:
//!
//! ```
//! # use std::time::Duration; use tower::{ServiceBuilder, service_fn};
//! # let client = service_fn(|n: u32| async move { Ok::<_, std::convert::Infallible>(n) });
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let service = ServiceBuilder::new()
//!     .buffer(1_024) // or it isn't `Clone`; spawns a task
//!     .concurrency_limit(64)
//!     .rate_limit(500, Duration::from_secs(60)) // nearly 1,000 in a minute, where two of its windows meet
//!     .service(client);
//! # let _ = service; });
//! ```
//!
//! After:
//!
//! ```
//! # use tower::{ServiceBuilder, service_fn};
//! # let client = service_fn(|n: u32| async move { Ok::<_, std::convert::Infallible>(n) });
//! use tower_quota::{Limit, Quota, RateLimitLayer};
//!
//! let quota = Quota::builder().limit(Limit::requests_per_minute(500)).max_in_flight(64).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(quota).opaque()) // `opaque`: the answers aren't http's
//!     .service(client);
//! # let _ = service; Ok::<(), tower_quota::ConfigError>(())
//! ```
//!
//! The error becomes [`BoxError`](crate::BoxError), tower's own type for it; [`Rejected::find`] tells our refusals from the client's errors.
//!
//! # governor
//!
//! | governor | here |
//! |---|---|
//! | `Quota::per_minute(n)`, the cell-rate algorithm | [`Limit::requests_per_minute`] with [`bucket`](Limit::bucket); without, never more than `n` in *any* minute |
//! | `allow_burst(b)` | [`burst`](Limit::burst) |
//! | `RateLimiter::direct` | [`Quota`], with several limits at once if need be |
//! | `RateLimiter::keyed`, `retain_recent` | [`KeyedQuotas`](crate::quota::KeyedQuotas); idle keys are forgotten by themselves |
//! | `check()`, `check_n(n)` | [`try_acquire`](Quota::try_acquire) of `Cost::request()`, `Cost::tokens(n)` |
//! | `NotUntil::wait_time_from` | [`Rejected::retry_after`] |
//! | `InsufficientCapacity` | [`Reason::TooLarge`](crate::Reason::TooLarge) |
//! | `until_ready()`, `until_n_ready(n)` | [`acquire`](Quota::acquire): in a line, with one wake each; cancelled, it gives back |
//! | `…_with_jitter` | not needed: nobody races |
//! | `FakeRelativeClock` | tokio's paused clock |
//! | tower_governor's `GovernorLayer` | [`RateLimitLayer`] with `.reject().on_arrival().keyed(..)`, and [`RespondLayer`](crate::RespondLayer) outside |
//! | `PeerIpKeyExtractor` and others | [`key`](crate::key), or a closure |
//!
//! Before:
//!
//! ```text
//! let limiter = RateLimiter::direct(Quota::per_minute(nonzero!(500u32)));
//! limiter.until_ready().await;
//! send().await
//! ```
//!
//! After:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # async fn send() -> Result<(u64, u64), std::io::Error> { Ok((900, 150)) }
//! use tower_quota::{Cost, Limit, Quota, Usage};
//!
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000)) // both or none
//!     .build()?;
//! let permit = quota.acquire(Cost::tokens(1_200)).await?;
//! let (input, output) = send().await?;
//! permit.settle(Usage::new(input, output)); // dropped, it counts as it was asked for; `cancel` gives it back
//! # Ok(()) }
//! ```
//!
//! # tower-resilience
//!
//! Its names are resilience4j's. Each of its layers has an error type of its own around the service's; ours share one.
//!
//! | tower-resilience 0.13 | here |
//! |---|---|
//! | `RateLimiterLayer::per_minute(n)`; `limit_for_period`, `refresh_period` | [`RateLimitLayer::per_minute`]; [`Limit::requests`]. One limit for all services of a layer |
//! | `timeout_duration` | [`max_wait`](crate::quota::QuotaBuilder::max_wait); a wait known to be longer is refused at once |
//! | `WindowType::Fixed`, `SlidingLog`; `burst` | [`fixed`](Limit::fixed), [`rolling`](Limit::rolling); [`bucket`](Limit::bucket) |
//! | `RetryLayer::max_attempts` | [`attempts`](BackoffRetryLayer::attempts), the first included in both |
//! | `exponential_backoff`, `fixed_backoff`, `backoff` | [`backoff`](BackoffRetryLayer::backoff) of a [`Backoff`]; spread by default, and never before the provider's hint |
//! | `retry_on`, `retry_on_response` | built in; [`classify`](BackoffRetryLayer::classify) for others |
//! | `budget` | [`budget`](BackoffRetryLayer::budget), on by default |
//! | `CircuitBreakerLayer`: `failure_rate_threshold`, `minimum_number_of_calls` | [`failure_rate`](CircuitBreakerLayer::failure_rate), [`min_calls`](CircuitBreakerLayer::min_calls) |
//! | `sliding_window_size`, `sliding_window_duration` | [`last_calls`](CircuitBreakerLayer::last_calls), [`window`](CircuitBreakerLayer::window) |
//! | `wait_duration_in_open`, `permitted_calls_in_half_open` | [`open_for`](CircuitBreakerLayer::open_for), [`probes`](CircuitBreakerLayer::probes) |
//! | `slow_call_duration_threshold`, `slow_call_rate_threshold` | [`slow_calls`](CircuitBreakerLayer::slow_calls) |
//! | `failure_classifier`, `classify_response` | built in; [`classify`](CircuitBreakerLayer::classify) |
//! | `build_with_handle`, `on_state_transition` | [`handle`](CircuitBreakerLayer::handle), its [`subscribe`](crate::CircuitHandle::subscribe) |
//! | `FallbackLayer::value`, `value_fn`, `from_error`, `from_request_error` | [`respond`](FallbackLayer::respond) |
//! | `service`, `tower_service` | [`to`](FallbackLayer::to), [`chain`](FallbackLayer::chain) |
//! | `handle`, `handle_response` | [`on`](FallbackLayer::on) |
//! | `BulkheadLayer` | [`max_in_flight`](crate::quota::QuotaBuilder::max_in_flight) |
//! | `TimeLimiterLayer` | tower's `timeout` |
//! | cache, coalesce, hedge, reconnect, chaos | no counterpart; they stack with ours |
//!
//! Before:
//!
//! ```text
//! let breaker = CircuitBreakerLayer::builder()
//!     .failure_rate_threshold(0.5)
//!     .minimum_number_of_calls(20)
//!     .wait_duration_in_open(Duration::from_secs(5))
//!     .classify_response(|answer: &Response<Body>| answer.status().is_server_error())
//!     .build()?;
//! ```
//!
//! After:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::CircuitBreakerLayer;
//!
//! let breaker = CircuitBreakerLayer::new() // what is set here is the default
//!     .failure_rate(0.5)
//!     .min_calls(20)
//!     .open_for(Duration::from_secs(5), Duration::from_secs(60));
//! # let _ = breaker;
//! ```
//!
//! # tenacity
//!
//! | tenacity (Python) | here |
//! |---|---|
//! | `@retry` around a function | [`BackoffRetryLayer`] around a service |
//! | `stop_after_attempt(3)` | [`attempts(3)`](BackoffRetryLayer::attempts), the default |
//! | `stop_after_delay(60)` | [`deadline`](BackoffRetryLayer::deadline): no wait goes past it |
//! | `wait_fixed(1)` | [`Backoff::constant`] with [`Jitter::None`] |
//! | `wait_exponential(min=1, max=60)` | [`Backoff::exponential`] with [`Jitter::None`] |
//! | `wait_random_exponential(min=1, max=60)` | [`Backoff::exponential`], with [`min`](Backoff::min) |
//! | `wait_exponential_jitter(initial=1, max=60, jitter=1)` | [`Backoff::exponential`] with [`Jitter::Additive`]; the maximum holds with it |
//! | `wait_incrementing` | [`Backoff::linear`] |
//! | `wait_chain`, a function | [`Backoff::custom`] |
//! | `retry_if_exception_type`, `retry_if_result` | [`classify`](BackoffRetryLayer::classify), [`only`](BackoffRetryLayer::only) |
//! | `reraise=True` | always: the last real outcome is returned |
//! | `RetryError` | [`GaveUp`](crate::backoff_retry::GaveUp), a mark on the answer |
//! | `before_sleep_log` | events under [`tower_quota::retry`](crate::observe#events) |
//! | `retry_error_callback` | [`FallbackLayer::respond`] |
//!
//! Before, as the providers' guides have it:
//!
//! ```text
//! @retry(wait=wait_random_exponential(min=1, max=60), stop=stop_after_attempt(6))
//! def completion_with_backoff(**kwargs):
//!     return client.chat.completions.create(**kwargs)
//! ```
//!
//! After; hints are floors here, and money that is spent isn't waited for:
//!
//! ```
//! use std::time::Duration;
//! use tower_quota::{Backoff, BackoffRetryLayer};
//!
//! let second = Duration::from_secs(1);
//! let retry = BackoffRetryLayer::new()
//!     .attempts(6)
//!     .backoff(Backoff::exponential(second, 60 * second).min(second));
//! # let _ = retry;
//! ```
//!
//! # The cookbook's script
//!
//! OpenAI's `api_request_parallel_processor.py` is the example `parallel_processor` here:
//!
//! | the script | the example, or the crate |
//! |---|---|
//! | `--requests_filepath`, `--save_filepath` | `--requests`, `--output` |
//! | `--request_url`, `--api_key` | `--base-url`, `OPENAI_API_KEY` or `--api-key`; the endpoint is told from each body |
//! | `--max_requests_per_minute`, `--max_tokens_per_minute` | `--requests-per-minute`, `--tokens-per-minute` |
//! | `--token_encoding_name` | nothing: estimates learn from the answers; the feature `tiktoken` counts exactly |
//! | `--max_attempts` | `--max-attempts` |
//! | `available_request_capacity`, `available_token_capacity` | [`Quota`] |
//! | `num_tokens_consumed_from_request` | [`tokens::estimate`](crate::tokens::estimate) |
//! | `seconds_to_pause_after_rate_limit_error = 15` | the provider's own wait, else [`cool_down`](crate::quota::QuotaBuilder::cool_down), 15 s |
//! | a request larger than the budget hangs the run | [`Reason::TooLarge`](crate::Reason::TooLarge), at once |
//! | `insufficient_quota` is tried five times | returned at once |
//! | run again: all of it is sent again | what succeeded isn't |
//!
//! # Side by side
//!
//! 500 requests and 30,000 tokens a minute, a retry with jitter that honours `Retry-After`, a breaker, and another model where the
//! first is down: 13 lines, and over reqwest one more. With governor, tower's retry, and tower-resilience's breaker and fallback it takes 110,
//! which neither settle what was charged, nor tell a 429 that means "no money" from one that means "wait", nor give back what a
//! cancelled call has taken. `cargo run --bin lines` in `benches/peers` of the repository has both, runs them and counts.
//!
//! ```
//! # use bytes::Bytes; use http::{Request, Response}; use http_body_util::Empty; use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use tower_quota::{BackoffRetryLayer, BufferBodyLayer, CircuitBreakerLayer, FallbackLayer, Limit, Quota, TokenBudgetLayer, fallback::swap_model, tokens::model_of};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower_quota::BoxError> {
//! # let client = service_fn(|_: Request<_>| async { Ok::<_, std::io::Error>(Response::new(Empty::<Bytes>::new())) });
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000))
//!     .build()?;
//! let breaker = CircuitBreakerLayer::new().keyed(model_of);
//! let stack = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new())
//!     .layer(FallbackLayer::rewrite(swap_model("gpt-4.1-mini")))
//!     .layer(BackoffRetryLayer::new())
//!     .layer(breaker.gate())
//!     .layer(TokenBudgetLayer::new(quota))
//!     .layer(breaker)
//!     .service(client);
//! # stack.oneshot(Request::new(r#"{"model": "gpt-4.1"}"#.to_owned())).await?; Ok(()) }
//! ```

#[cfg(doc)]
use crate::{
    Backoff, BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Jitter, Limit, Quota,
    RateLimitLayer, Rejected,
};
