//! The guide: pages to read, and nothing to call.
//!
//! | page | for whoever asks |
//! |---|---|
//! | [`calm`] | what each layer takes away, from a bare loop to the whole stack |
//! | [`wiring`] | how to name the stack in a struct, over any client, with a layer only sometimes; where to build it, who else must stop retrying, how to end, synchronous callers |
//! | [`tenants`] | limits by tenant and model, accounts of their own, a cap on money |
//! | [`placement`] | what each layer costs, and where caches, compression, batches and trimming stand |
//! | [`promises`] | what we promise, and how each promise is proved |
//! | [`providers`] | what a provider limits, which headers it sends, what its 429s mean and where it lies |
//! | [`sizing`](crate::quota::shared::sizing) | what one quota for many processes costs, and what happens when its server dies |
//! | [`coming_from`] | tower, governor, tower-resilience, tenacity and the cookbook's script, in our terms |
//!
//! The pages of the layers themselves are [`rate_limit`](crate::rate_limit), [`token_budget`](crate::token_budget),
//! [`backoff_retry`](crate::backoff_retry), [`fallback`](crate::fallback) and [`circuit_breaker`](crate::circuit_breaker); the order in
//! which they stack is on [the crate's page](crate#order-of-layers).
//!
//! # Wait, retry, fall back or refuse?
//!
//! | what happened | what is best | who does it |
//! |---|---|---|
//! | a limit of ours is spent, room comes within a minute | wait, in line | [`RateLimitLayer`], [`TokenBudgetLayer`], up to [`max_wait`](crate::quota::QuotaBuilder::max_wait) |
//! | the same, but somebody is looking at a screen | wait in front of background work: a [`Priority`], and a part [kept](crate::quota::QuotaBuilder::keep_for) for it | the quota |
//! | the same, but another model has room now | fall back: a limiter that [rejects](TokenBudgetLayer::reject) inside of a fallback | [`FallbackLayer`] |
//! | the same, on a server whose caller can wait better than we | refuse, with `Retry-After` | `reject()`, [`RespondLayer`] |
//! | a 429 with a hint up to 60 s | wait, then retry; the others in line wait as well | [`BackoffRetryLayer`]; the quota pauses |
//! | a 429 with a longer hint, or of a limit per hour or day without one | fall back | [`FallbackLayer`]; the retry [gives up](crate::backoff_retry::GaveUp) at once |
//! | overload (503, 529), a 500, a connection that broke, a time-out | retry, after a back-off | [`BackoffRetryLayer`], within its [budget](crate::RetryBudget) |
//! | the same, of half of the calls | stop calling, fall back | [`CircuitBreakerLayer`], [`FallbackLayer`] |
//! | a request that is larger than the limit or the context | shorten it, or fall back to a model that takes more; never wait | [`Verdict::TooLarge`], [`Reason::TooLarge`] |
//! | no money, a cap for the month | fall back to another account; tell somebody | [`Verdict::QuotaExhausted`], [`Alert`](crate::Alert) |
//! | 400, 401, 403, 404, 422 | return it: it would be the same elsewhere | all layers do |
//! | a stream that broke off after its first words | return it: what was said can't be taken back | all layers do |
//! | a request that must not be done twice | one try, or one [key](BackoffRetryLayer::idempotency_key) for all tries | [`only`](BackoffRetryLayer::only), [`idempotent_only`](BackoffRetryLayer::idempotent_only) |
//! | too many in line | refuse: a line that only grows helps nobody | [`max_queue`](crate::quota::QuotaBuilder::max_queue), [`max_wait`](crate::quota::QuotaBuilder::max_wait) |
//!
//! What each [`Verdict`] makes the layers do is in its table.

pub mod calm;
pub mod coming_from;
pub mod placement;
pub mod promises;
pub mod providers;
pub mod tenants;
pub mod wiring;

#[cfg(doc)]
use crate::{
    BackoffRetryLayer, CircuitBreakerLayer, FallbackLayer, Priority, RateLimitLayer, Reason,
    RespondLayer, TokenBudgetLayer, Verdict,
};
