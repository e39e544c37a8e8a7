//! A quota: limits that bind together, taken all or nothing, and the line of those who wait.
//!
//! ```
//! use tower_quota::{Cost, Limit, Quota, Usage};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = Quota::builder()
//!     .limit(Limit::requests_per_minute(500))
//!     .limit(Limit::tokens_per_minute(30_000))
//!     .max_in_flight(64)
//!     .build()?;
//!
//! let permit = quota.acquire(Cost::tokens(1_200)).await?;
//! // … send the request, read the answer …
//! permit.settle(Usage::new(900, 150));
//! assert_eq!(quota.snapshot().limits[1].used, 1_050);
//! # Ok(()) }
//! ```
//!
//! # When
//!
//! Most give it to [`RateLimitLayer`](crate::RateLimitLayer) or [`TokenBudgetLayer`](crate::TokenBudgetLayer) and never ask it. Ask it
//! where there is no service: a job, a client that isn't tower's. Every setting and its default: [`QuotaBuilder`]; a limit's: [`Limit`].
//!
//! # Sharing
//!
//! A [`Quota`] is a handle: clones share limits, line and pauses. Build one per provider and organisation, and clone it everywhere.
//!
//! # Who is next
//!
//! First come, first served inside a [`Priority`]. The head of the line waits for its whole cost, so that nobody small starves
//! somebody large; one of the next 32 goes first only where that doesn't move the head's instant.
//!
//! Where requests have [keys](Acquire::in_turn), each key goes once before any goes again, inside of its priority: so a thousand
//! waiters of one tenant delay another's by one. The wait that is foretold behind other keys is an estimate.
//!
//! A less urgent request counts as having come later, and so gets there in the end, if [`max_wait`](QuotaBuilder::max_wait) is longer
//! than that: by default it is, but for [`Priority::Background`]. While the more urgent keep coming they wait
//! for those of the less urgent that went before them; what is [kept](QuotaBuilder::keep_for) for them spares them that.
//! Measured, with background work that always has more to send and an interactive request a second: 54 s at the 99th percentile by
//! priority alone, none at all with a quarter kept.
//!
//! # What it learns
//!
//! [`TokenBudgetLayer`](crate::TokenBudgetLayer) tells it what answers say, and so may you by [`observe`](Quota::observe). What is
//! left there lowers what is left here at once, and never raises it. What others spend from the same limits is held against
//! ours for a window, and fades over the next two, because whoever spends steadily goes on when a window ends; an eighth
//! of the limit stays ours. Limits that [`adopt`](QuotaBuilder::adopt) and [`discover`](Quota::discover) are those that the answers state. All others
//! are what they were given as, or what the answers state of the same resource and window where that is less: never more than was given.
//!
//! A 429 pauses the resource that it names, or everything, for its hint or else for a [`cool_down`](QuotaBuilder::cool_down); it
//! halves what may go at once, down to a 256th of the limit, the rest going at the limit's rate, and after each window without
//! another, a quarter more may go at once. So providers that enforce a minute by the second are met at their own pace. A bucket that
//! is refused is kept as a rolling window for at least three windows, and as long as others are seen.
//!
//! # Watching it, keys, restarts
//!
//! [`snapshot`](Quota::snapshot) is what it looks like now; events, metrics and [alerts](QuotaBuilder::alerts) are told as
//! [`observe`](crate::observe) says.
//!
//! [`KeyedQuotas`] are quotas by a key: of tenants, API keys, addresses. Each has a [`Tier`], which can be changed.
//!
//! A quota begins with everything unspent, so that a crash would refill a daily budget: [`save`](Quota::save) it now and then, and
//! [`restore`](QuotaBuilder::restore) it. [`SavedState`] says what of it goes on.
//!
//! # Cost
//!
//! What a waiter takes of the processor when the line moves, its task included; each is woken once:
//!
//! | the line moves | 1,000 waiters | 100,000 | 1,000,000 | beside it, 100,000 |
//! |---|---|---|---|---|
//! | one place, handed on | 0.35 µs | 0.45 µs | 0.44 µs | tokio's `Semaphore`: 0.14 µs |
//! | all at once | 0.28 µs | 0.36 µs | 0.37 µs | leaky-bucket: 0.13 µs |
//! | one at each tick of the timer | 1.11 µs | 1.15 µs | | leaky-bucket: 0.76 µs, three wakes; tower behind `Buffer`: 1.23 µs |
//!
//! `cargo run --release --features virtual-time --bin queue` in `benches/peers` measures it.
//!
//! # Cancellation
//!
//! Every future may be dropped at any time: a waiter leaves the line, an offer goes to the next, a place in flight is freed. A
//! waiter that is never polled again delays the others by at most one second, once.
//!
//! # Errors
//!
//! [`Rejected`], which tells the limit, what was asked and left, and when to come back; nothing is spent then.
//! [`ConfigError`] where settings make no sense, from [`build`](QuotaBuilder::build).
//!
//! # Order in a stack
//!
//! That of the layers that hold it: see [the crate's page](crate). Two quotas are asked in the same order everywhere: where some ask the
//! other way round, each may hold what the other waits for, until `max_wait`.
//!
//! # Runtimes
//!
//! [`try_acquire`](Quota::try_acquire) needs none. Waiting needs a tokio runtime with its time driver enabled; a quota may be
//! used from several runtimes, one after the other or at once.

mod acquire;
mod allowance;
mod books;
mod builder;
mod calendar;
mod charge;
mod fullness;
mod grant;
mod kept;
mod keyed;
mod line;
mod outputs;
mod permit;
mod priority;
mod refusal;
mod reserve;
mod resize;
pub mod shared;
mod snapshot;
mod state;
mod sync;
#[cfg(test)]
mod tests;

mod timer;
mod told;
mod watch;

use std::fmt;

use tokio::time::Instant;

pub use self::keyed::{KeyedQuotas, Tier};
pub use self::{
    acquire::Acquire,
    allowance::{Allowance, Left},
    builder::QuotaBuilder,
    permit::Permit,
    priority::Priority,
    snapshot::{LimitSnapshot, Percentiles, Snapshot},
    state::SavedState,
};
pub(crate) use self::{
    acquire::Waiting,
    grant::Grant,
    priority::{Rank, flow},
};

use self::{books::Books, line::Line, sync::Arc};
use crate::{
    core::{
        cost::{Cost, Resource},
        limit::{Limit, LimitId},
        settlement::Departure,
    },
    error::{ConfigError, Refusal, Rejected},
    verdict::RateStatus,
};

/// Limits that bind together. A handle: clones share everything.
#[derive(Clone)]
pub struct Quota {
    books: Books,
}

/// What becomes of a request that asks for its turn.
#[derive(Debug)]
pub(crate) enum Reserved {
    Granted(Grant),
    Queued(Waiting),
    Refused(Refusal),
}

impl Quota {
    /// Starts to put a quota together.
    pub const fn builder() -> QuotaBuilder {
        QuotaBuilder::new()
    }

    /// Starts to put a quota together that knows no limits: the provider's answers teach them, by
    /// [`TokenBudgetLayer`](crate::TokenBudgetLayer) or by [`observe`](Self::observe).
    ///
    /// One request goes first; its answer's rate headers become the limits, whatever they state per minute of requests,
    /// tokens, input and output tokens. Where the answers state none, as many more may be in flight as were answered, until
    /// the first refusal; from there on half as many, and slowly more. Limits that are given to the builder hold from the
    /// beginning, for instance those of a preset.
    ///
    /// A [`RateLimitLayer`](crate::RateLimitLayer) alone reads no answers and teaches it nothing: one request at a time would
    /// be in flight for good. Give it a quota that a `TokenBudgetLayer` shares, or limits.
    ///
    /// ```
    /// # use tower_quota::Quota;
    /// let quota = Quota::discover().max_in_flight(64).build()?;
    /// # let _ = quota;
    /// # Ok::<(), tower_quota::ConfigError>(())
    /// ```
    pub const fn discover() -> QuotaBuilder {
        QuotaBuilder::new().discover()
    }

    /// A quota of this one limit.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a limit that makes no sense.
    pub fn new(limit: Limit) -> Result<Self, ConfigError> {
        Self::builder().limit(limit).build()
    }

    /// One that limits nothing.
    pub(crate) fn unlimited() -> Self {
        let most = Self::builder().max_in_flight(usize::MAX - 1);
        most.build().expect("what nothing reaches is a limit")
    }

    /// One of its limits, as text, where it has any.
    pub(crate) fn limit(&self) -> Option<String> {
        let line = self.books.line();
        let QuotaBuilder {
            limits,
            max_in_flight,
            adopt,
            ..
        } = line.settings();
        match limits.first() {
            Some(limit) => Some(limit.to_string()),
            None if *max_in_flight < usize::MAX - 1 => Some(format!("{max_in_flight} in flight")),
            None => adopt.then(|| "what answers state".to_owned()),
        }
    }

    /// Makes of `cost`'s output what answers have lately come to, instead of the most that it may be.
    pub(crate) fn expect_output(&self, cost: &mut Cost) {
        let outputs = self.books.outputs();
        cost.limit_output(outputs.expected(cost.of(Resource::OutputTokens)));
    }

    /// Takes `cost` now, or says when to come back. Never delays anyone who waits.
    ///
    /// # Errors
    ///
    /// [`Rejected`], and nothing is spent.
    pub fn try_acquire(&self, cost: Cost) -> Result<Permit, Rejected> {
        let grant = self.reserve_now(&cost, false, Rank::DEFAULT)?;
        Ok(Permit::new(grant, cost, true))
    }

    /// Takes `cost` when its turn has come.
    ///
    /// # Errors
    ///
    /// [`Rejected`] at once where it can never fit, where the wait is known to be longer than `max_wait` or where the queue
    /// is full; later where a pause, the more urgent or a smaller amount made the wait too long. Nothing is spent then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it leaves the line without a trace.
    ///
    /// # Panics
    ///
    /// Has to be polled in a tokio runtime with its time driver enabled if it must wait.
    pub fn acquire(&self, cost: Cost) -> Acquire {
        Acquire::new(self.clone(), cost)
    }

    /// [`acquire`](Self::acquire) with a priority.
    pub fn acquire_as(&self, cost: Cost, priority: Priority) -> Acquire {
        self.acquire(cost).priority(priority)
    }

    /// Nothing is granted before `until`, of any resource. A later pause stands.
    pub fn pause_until(&self, until: Instant) {
        let line = self.books.line();
        line.pause(None, until);
        line.paused(Some(line.time(until)));
    }

    /// Ends every pause.
    pub fn resume(&self) {
        let line = self.books.line();
        line.change(|ledger| {
            ledger.resume();
            true
        });
        line.paused(None);
    }

    /// What the provider says is left, now: where that is less than what is left here, others spend
    /// too, and the difference is charged. Never raises what is left.
    pub fn observe(&self, status: &RateStatus) {
        let line = self.books.line();
        let now = Departure {
            at: line.now(),
            mark: None,
        };
        line.observe(status, &Cost::none(), now);
    }

    /// Another amount for the limit on the same resource and window, from now on; what is spent
    /// stays spent, and who can never fit any more is told.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a limit that makes no sense, that states another shape, burst or transit than it has, or where there is none
    /// on this resource and window.
    pub fn resize(&self, limit: Limit) -> Result<(), ConfigError> {
        let line = self.books.line();
        resize::check(&limit, line.settings())?;
        let id = LimitId {
            amount: builder::planned(limit.amount, line.settings().headroom),
            ..limit.id()
        };
        let mut found = false;
        line.change(|ledger| {
            found = ledger.resize(id, limit.amount);
            found
        });
        if found {
            line.resized(id);
            line.look_at_use(&Cost::none());
            Ok(())
        } else {
            Err(ConfigError::new(
                "resize",
                format!(
                    "this quota has no limit on {} per {:?}",
                    limit.resource, limit.window
                ),
            ))
        }
    }

    /// Sets the gauges as of now, see [`observe`](crate::observe#metrics): before they are rendered.
    #[cfg(feature = "metrics")]
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn publish_metrics(&self) {
        self.books.look().publish();
    }

    /// What it looks like now.
    pub fn snapshot(&self) -> Snapshot {
        self.books.look().snapshot()
    }

    /// How full it is, to be compared with others: in millionths of its fullest limit.
    pub(crate) fn fullness(&self) -> u64 {
        self.books.look().fullness()
    }

    const fn of(line: Arc<Line>) -> Self {
        Self {
            books: Books::Line(line),
        }
    }

    /// Names this quota among all others.
    pub(crate) fn id(&self) -> usize {
        self.books.id()
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("Quota")
            .field("limits", &snapshot.limits)
            .field("in_flight", &snapshot.in_flight)
            .field("waiting", &snapshot.waiting)
            .finish_non_exhaustive()
    }
}
