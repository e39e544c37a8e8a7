use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tower::retry::budget::Budget;

use crate::core::{
    retry_budget::RetryBudget as Account,
    time::{Time, nanos},
};

/// How many retries there may be: a share of the requests, and a reserve.
///
/// Every request deposits its share; every retry takes a whole one, before it waits. What nobody
/// took for a [`window`](Self::window) flows back into the reserve. So retries never exceed the
/// reserve and the share of all requests, over any time: when a provider is down for an hour, 10 %
/// mean at most 1.1 requests sent for each one asked. A retry that is cancelled before it is sent
/// is paid back.
///
/// ```
/// use tower_quota::{BackoffRetryLayer, RetryBudget};
///
/// let budget = RetryBudget::percent(20).reserve(50);
/// // One budget for two layers.
/// let chat = BackoffRetryLayer::new().budget(budget.clone());
/// let embeddings = BackoffRetryLayer::new().budget(budget);
/// ```
///
/// | setting | default |
/// |---|---|
/// | share | 10 % |
/// | reserve | 10 retries |
/// | window | 10 s |
/// | max | 1,000 retries saved up in the window |
/// | throttle cost | 100 %: as any retry |
/// | refund of successes | no |
///
/// Cheap to clone; all clones are one budget, and a setting that is changed later is changed for
/// all of them, and the budget starts anew. Any [`tower::retry::budget::Budget`] in an [`Arc`] is
/// one, too; those can't be paid back.
#[derive(Clone)]
#[must_use]
pub struct RetryBudget(Kind);

#[derive(Clone)]
enum Kind {
    Own(Arc<Own>),
    Tower(Arc<dyn Budget + Send + Sync>),
}

struct Own {
    book: Mutex<(Settings, Account)>,
    // Instants are counted from the first one that was asked for.
    origin: OnceLock<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    gain: u32,
    price: u32,
    reserve: u32,
    max: u32,
    window: Duration,
    // What a retry of a rate-limited request costs, in hundredths of another.
    throttled: u32,
    refund: bool,
}

impl Settings {
    /// A retry in parts: every ratio and every hundredth of it is whole.
    fn retry(&self) -> u64 {
        u64::from(self.price) * 100
    }

    fn cost(&self, throttled: bool) -> u64 {
        u64::from(self.price)
            * if throttled {
                u64::from(self.throttled)
            } else {
                100
            }
    }

    fn account(&self) -> Account {
        let retries = |n: u32| self.retry().saturating_mul(u64::from(n));
        let gain = u64::from(self.gain) * 100;
        Account::new(gain, retries(self.reserve), retries(self.max), self.window)
    }
}

impl RetryBudget {
    /// A retry for every `requests / retries` requests: exact for any ratio.
    ///
    /// # Panics
    /// If `requests` is 0.
    #[track_caller]
    pub fn ratio(retries: u32, requests: u32) -> Self {
        assert!(requests > 0, "ratio: a share of 0 requests");
        let settings = Settings {
            gain: retries,
            price: requests,
            reserve: 10,
            max: 1_000,
            window: Duration::from_secs(10),
            throttled: 100,
            refund: false,
        };
        Self(Kind::Own(Arc::new(Own {
            book: Mutex::new((settings, settings.account())),
            origin: OnceLock::new(),
        })))
    }

    /// So many retries for every 100 requests.
    pub fn percent(percent: u32) -> Self {
        Self::ratio(percent, 100)
    }

    /// So many retries to begin with, and never more put by.
    pub fn reserve(self, retries: u32) -> Self {
        self.configure(|s| s.reserve = retries)
    }

    /// How long a deposit lasts until it flows into the reserve.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn window(self, window: Duration) -> Self {
        assert!(!window.is_zero(), "window: it can't be zero");
        self.configure(|s| s.window = window)
    }

    /// So many retries can be saved up in a window, besides the reserve.
    pub fn max(self, retries: u32) -> Self {
        self.configure(|s| s.max = retries)
    }

    /// What a retry costs after a rate limit (429), in per cent of another. The provider said when
    /// to come back, so it may be cheaper.
    pub fn throttle_cost(self, percent: u32) -> Self {
        self.configure(|s| s.throttled = percent)
    }

    /// A retry that succeeds pays back what it took, so that only those that fail use the budget
    /// up.
    pub fn refund_success(self) -> Self {
        self.configure(|s| s.refund = true)
    }

    /// Whole retries that could be paid for now; `None` for a budget of tower's, which doesn't
    /// say.
    pub fn balance(&self) -> Option<u64> {
        match &self.0 {
            Kind::Own(own) => Some(own.with(|s, account, now| account.balance(now) / s.retry())),
            Kind::Tower(_) => None,
        }
    }

    fn configure(self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Kind::Own(own) = &self.0 {
            let mut book = own.lock();
            change(&mut book.0);
            book.1 = book.0.account();
        }
        self
    }

    pub(super) fn deposit(&self) {
        match &self.0 {
            Kind::Own(own) => own.with(|_, account, now| account.deposit(now)),
            Kind::Tower(budget) => budget.deposit(),
        }
    }

    /// Pays for a retry, if there is enough.
    pub(super) fn withdraw(&self, throttled: bool) -> Option<Paid> {
        let cost = match &self.0 {
            Kind::Own(own) => own.with(|settings, account, now| {
                let cost = settings.cost(throttled);
                account.withdraw(cost, now).then_some(cost)
            }),
            Kind::Tower(budget) => budget.withdraw().then_some(0),
        };
        cost.map(|cost| Paid {
            budget: self.clone(),
            cost,
            sent: false,
        })
    }
}

impl Own {
    fn with<T>(&self, act: impl FnOnce(&Settings, &mut Account, Time) -> T) -> T {
        let instant = Instant::now();
        let origin = *self.origin.get_or_init(|| instant);
        let now = Time::from_nanos(nanos(instant.saturating_duration_since(origin)));
        let (settings, account) = &mut *self.lock();
        act(settings, account, now)
    }

    fn lock(&self) -> MutexGuard<'_, (Settings, Account)> {
        // Nothing that can panic runs under this lock.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RetryBudget {
    /// 10 % of the requests and a reserve of 10.
    fn default() -> Self {
        Self::percent(10)
    }
}

impl<B: Budget + Send + Sync + 'static> From<Arc<B>> for RetryBudget {
    fn from(budget: Arc<B>) -> Self {
        Self(Kind::Tower(budget))
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Own(own) => f.debug_tuple("RetryBudget").field(&own.lock().0).finish(),
            Kind::Tower(_) => f.write_str("RetryBudget(tower)"),
        }
    }
}

/// A retry that is paid for. Dropped before it is sent, it is paid back.
#[derive(Debug)]
pub(super) struct Paid {
    budget: RetryBudget,
    cost: u64,
    sent: bool,
}

impl Paid {
    pub(super) const fn sent(&mut self) {
        self.sent = true;
    }

    pub(super) fn succeeded(self) {
        if let Kind::Own(own) = &self.budget.0 {
            own.with(|settings, account, now| {
                if settings.refund {
                    account.refund(self.cost, now);
                }
            });
        }
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if let Kind::Own(own) = &self.budget.0
            && !self.sent
        {
            own.with(|_, account, now| account.refund(self.cost, now));
        }
    }
}
