use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower::retry::budget::Budget;

use super::cause::Cause;
use crate::{
    clock::Moment,
    core::retry_budget::{active::Active, throttle::Throttle},
    lock::lock,
};

mod calls;
mod of_tower;
mod share;
mod stock;
mod withdrawal;

use share::Share;
use stock::Stock;
pub use withdrawal::{Ongoing, Withdrawal};

/// How many retries there may be.
///
/// By default every request deposits its share, with its first outcome or when it is given up; every retry takes a whole one,
/// before it waits. What nobody took for a [`window`](Self::window) flows back into the reserve. So retries never exceed the
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
/// | [`per_second`](Self::per_second) | none flow in without requests |
/// | window | 10 s |
/// | max | 1,000 retries saved up in the window |
/// | [`cost`](Self::cost) | 100 %, whatever the cause |
/// | refund of successes | no |
///
/// # Other models
///
/// | model | a retry | a success | balance |
/// |---|---|---|---|
/// | [`percent`](Self::percent), [`ratio`](Self::ratio) | takes its cost | pays back where [`refund_success`](Self::refund_success) says so | whole retries |
/// | [`quota`](Self::quota), as in the AWS SDKs | takes its cost: 14 units, 5 after a rate limit | brings back the last cost, or 1 unit at the first try | units |
/// | [`throttle`](Self::throttle), as in gRPC | only while more than half of the tokens are there; each failure takes one | earns part of a token | tokens |
/// | [`of_active`](Self::of_active), as in Envoy | holds a place until its outcome | | places left |
///
/// Any [`tower::retry::budget::Budget`] in an [`Arc`] is one, too; those can't be paid back.
///
/// # Sharing
///
/// Cheap to clone; all clones are one budget, and a setting that is changed later is changed for
/// all of them, and the budget starts anew.
///
/// # In other loops
///
/// What [`BackoffRetryLayer`](super::BackoffRetryLayer) does is open to anybody:
///
/// ```
/// use tower_quota::{RetryBudget, backoff_retry::Cause};
///
/// let budget = RetryBudget::percent(10);
/// let _ongoing = budget.begin(); // a request
/// // It failed, and may be tried again:
/// if let Some(mut paid) = budget.withdraw(Cause::TimedOut) {
///     // Wait; if the retry is given up here, the drop of `paid` pays back.
///     paid.sent();
///     // And if it succeeds:
///     paid.succeeded();
/// }
/// ```
///
/// It is a [`tower::retry::budget::Budget`] as well.
#[derive(Clone)]
#[must_use]
pub struct RetryBudget(Kind);

#[derive(Clone)]
enum Kind {
    Share(Arc<Share>),
    Quota(Arc<Stock>),
    Throttle(Arc<Mutex<Throttle>>),
    Active(Arc<Mutex<Active>>),
    Tower(Arc<dyn Budget + Send + Sync>),
}

impl RetryBudget {
    /// A retry for every `requests / retries` requests: exact for any ratio.
    ///
    /// # Panics
    /// If `requests` is 0.
    #[track_caller]
    pub fn ratio(retries: u32, requests: u32) -> Self {
        assert!(
            requests > 0,
            "ratio: {retries} retries for 0 requests are no share"
        );
        Self(Kind::Share(Arc::new(Share::new(retries, requests))))
    }

    /// So many retries for every 100 requests.
    pub fn percent(percent: u32) -> Self {
        Self::ratio(percent, 100)
    }

    /// A stock of `capacity` units: a retry takes 14, after a rate limit 5; see [`cost`](Self::cost).
    /// One that succeeds brings back what it took itself, not what those before it took; a request
    /// that succeeds at once brings back 1, so that a stock that was used up comes back with ordinary
    /// traffic.
    ///
    /// # Panics
    /// If `capacity` is 0.
    #[track_caller]
    pub fn quota(capacity: u32) -> Self {
        assert!(capacity > 0, "quota: 0 units would never pay for a retry");
        Self(Kind::Quota(Arc::new(Stock::new(capacity))))
    }

    /// `max` tokens, of which each failed try takes one and each success earns `ratio`, in
    /// thousandths. Retries are sent only while more than half of the tokens are there. What failed
    /// stays counted, also of a retry that is cancelled.
    ///
    /// # Panics
    /// If `max` is 0, or `ratio` isn't between 0.001 and `max`.
    #[track_caller]
    pub fn throttle(max: u32, ratio: f64) -> Self {
        assert!(max > 0, "throttle: 0 tokens would never allow a retry");
        assert!(
            (0.001..=f64::from(max)).contains(&ratio),
            "throttle: a ratio of {ratio} isn't between 0.001 and {max}"
        );
        let throttle = Throttle::new(max, (ratio * 1_000.0).round() as u64);
        Self(Kind::Throttle(Arc::new(Mutex::new(throttle))))
    }

    /// As many retries at a time as `percent` of the requests under way, and at least `floor`. Those
    /// that wait for their turn count as well.
    ///
    /// # Panics
    /// If both are 0.
    #[track_caller]
    pub fn of_active(percent: u32, floor: u32) -> Self {
        assert!(
            percent > 0 || floor > 0,
            "of_active: 0 % and at least 0 would never allow a retry"
        );
        Self(Kind::Active(Arc::new(Mutex::new(Active::new(
            percent, floor,
        )))))
    }

    /// So many retries to begin with, and never more put by.
    ///
    /// # Panics
    /// If the budget isn't a share of the requests.
    #[track_caller]
    pub fn reserve(self, retries: u32) -> Self {
        self.share("reserve", &retries).set(|s| s.reserve = retries);
        self
    }

    /// So many retries flow into the reserve each second, with or without requests; of a
    /// [`quota`](Self::quota), units. Default: 0. With more, an hour without any answer costs 3,600
    /// times as much.
    ///
    /// # Panics
    /// If the budget is neither a share of the requests nor a quota.
    #[track_caller]
    pub fn per_second(self, retries: u32) -> Self {
        match &self.0 {
            Kind::Quota(stock) => stock.set(|s| s.per_second = retries),
            _ => self
                .share("per_second", &retries)
                .set(|s| s.per_second = retries),
        }
        self
    }

    /// What a request that succeeds at its first try brings back to a [`quota`](Self::quota), in
    /// thousandths of a unit. Default: 1 unit. With 0, and nothing [by the
    /// second](Self::per_second), a stock that is used up never comes back.
    ///
    /// # Panics
    /// If the budget isn't a quota, or the reward is negative or larger than 1,000,000.
    #[track_caller]
    pub fn reward(self, units: f64) -> Self {
        assert!(
            (0.0..=1e6).contains(&units),
            "reward: {units} isn't between 0 and 1000000"
        );
        match &self.0 {
            Kind::Quota(stock) => stock.set(|s| s.reward = (units * 1_000.0).round() as u64),
            _ => self.has_no("reward", &units, "`RetryBudget::quota`"),
        }
        self
    }

    /// How long a deposit lasts until it flows into the reserve.
    ///
    /// # Panics
    /// If it is zero, or the budget isn't a share of the requests.
    #[track_caller]
    pub fn window(self, window: Duration) -> Self {
        assert!(!window.is_zero(), "window: {window:?} is no time");
        self.share("window", &window).set(|s| s.window = window);
        self
    }

    /// So many retries can be saved up in a window, besides the reserve.
    ///
    /// # Panics
    /// If it is 0, or the budget isn't a share of the requests.
    #[track_caller]
    pub fn max(self, retries: u32) -> Self {
        assert!(retries > 0, "max: 0 retries would lose every deposit");
        self.share("max", &retries).set(|s| s.max = retries);
        self
    }

    /// What a retry costs after a rate limit (429), in per cent of another. The provider said when
    /// to come back, so it may be cheaper.
    ///
    /// # Panics
    /// If the budget isn't a share of the requests.
    #[track_caller]
    pub fn throttle_cost(self, percent: u32) -> Self {
        self.share("throttle_cost", &percent)
            .set(|s| s.costs = s.costs.with(Cause::RateLimited, percent));
        self
    }

    /// What a retry costs after `cause`: in units of a [`quota`](Self::quota), else in per cent of a
    /// retry.
    ///
    /// # Panics
    /// If the budget has no such costs.
    #[track_caller]
    pub fn cost(self, cause: Cause, cost: u32) -> Self {
        match &self.0 {
            Kind::Quota(stock) => stock.set(|s| s.costs = s.costs.with(cause, cost)),
            _ => (self.share("cost", &cost)).set(|s| s.costs = s.costs.with(cause, cost)),
        }
        self
    }

    /// A retry that succeeds pays back what it took, so that only those that fail use the budget
    /// up.
    ///
    /// # Panics
    /// If the budget isn't a share of the requests.
    #[track_caller]
    pub fn refund_success(self) -> Self {
        self.share("refund_success", &true).set(|s| s.refund = true);
        self
    }

    /// Changes the share of a budget that is a share of the requests under way; what is under way
    /// stays counted.
    ///
    /// # Panics
    /// If the budget is another.
    #[track_caller]
    pub fn percent_of_active(self, percent: u32) -> Self {
        match &self.0 {
            Kind::Active(active) => lock(active).percent = percent,
            _ => self.has_no("percent_of_active", &percent, "`RetryBudget::of_active`"),
        }
        self
    }

    /// What is there to pay with, as the [table](Self#other-models) says, rounded down; `None` for a
    /// budget of tower's, which doesn't say.
    pub fn balance(&self) -> Option<u64> {
        self.balance_thousandths().map(|parts| parts / 1_000)
    }

    /// The same in thousandths, rounded down: 8,500 for eight tokens and a half.
    pub fn balance_thousandths(&self) -> Option<u64> {
        let whole = |units: u64| units.saturating_mul(1_000);
        match &self.0 {
            Kind::Share(share) => Some(share.balance_thousandths()),
            Kind::Quota(stock) => Some(stock.balance_thousandths()),
            Kind::Throttle(throttle) => Some(lock(throttle).tokens()),
            Kind::Active(active) => Some(whole(lock(active).room())),
            Kind::Tower(_) => None,
        }
    }

    /// A request begins: its share is deposited. For one that is [of the requests under
    /// way](Self::of_active), use [`begin`](Self::begin), which tells the end as well.
    pub fn deposit(&self) {
        match &self.0 {
            Kind::Share(share) => share.deposit(Moment::now()),
            Kind::Tower(budget) => budget.deposit(),
            Kind::Quota(_) | Kind::Throttle(_) | Kind::Active(_) => {}
        }
    }

    /// A request begins, and is under way until the guard is dropped. Deposits as well.
    pub fn begin(&self) -> Ongoing {
        self.deposit();
        match &self.0 {
            Kind::Active(active) => Ongoing::new(Arc::clone(active)),
            _ => Ongoing::default(),
        }
    }

    /// A try failed and another is wanted: pays for it, if there is enough. To be asked before the
    /// wait, so that those who wait count.
    pub fn withdraw(&self, cause: Cause) -> Option<Withdrawal> {
        let cost = match &self.0 {
            Kind::Share(share) => share.withdraw(cause),
            Kind::Quota(stock) => stock.withdraw(cause),
            Kind::Throttle(throttle) => lock(throttle).fail().then_some(0),
            Kind::Active(active) => lock(active).retry_begins().then_some(0),
            Kind::Tower(budget) => budget.withdraw().then_some(0),
        };
        cost.map(|cost| Withdrawal::new(self.clone(), cost))
    }

    /// A request succeeded at its first try. A retry that succeeds says so by
    /// [`Withdrawal::succeeded`].
    #[inline]
    pub fn succeeded(&self) {
        if let Kind::Quota(_) | Kind::Throttle(_) = self.0 {
            self.earn();
        }
    }

    /// A try failed, and no other is wanted.
    pub fn failed(&self) {
        if let Kind::Throttle(throttle) = &self.0 {
            lock(throttle).fail();
        }
    }

    #[track_caller]
    fn share(&self, setting: &str, value: &dyn fmt::Debug) -> &Share {
        match &self.0 {
            Kind::Share(share) => share,
            _ => self.has_no(setting, value, "`RetryBudget::ratio` and `percent`"),
        }
    }

    #[track_caller]
    fn has_no(&self, setting: &str, value: &dyn fmt::Debug, others: &str) -> ! {
        let made = match &self.0 {
            Kind::Share(_) => "`RetryBudget::ratio` or `percent`",
            Kind::Quota(_) => "`RetryBudget::quota`",
            Kind::Throttle(_) => "`RetryBudget::throttle`",
            Kind::Active(_) => "`RetryBudget::of_active`",
            Kind::Tower(_) => "a budget of another kind",
        };
        panic!("{setting}: {value:?} for {made}, which has no such setting; {others} have")
    }
}

impl Default for RetryBudget {
    /// 10 % of the requests and a reserve of 10.
    fn default() -> Self {
        Self::percent(10)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Share(share) => f
                .debug_tuple("RetryBudget")
                .field(&share.settings())
                .finish(),
            Kind::Quota(stock) => f
                .debug_tuple("RetryBudget")
                .field(&stock.settings())
                .finish(),
            Kind::Throttle(tokens) => f.debug_tuple("RetryBudget").field(&*lock(tokens)).finish(),
            Kind::Active(active) => f.debug_tuple("RetryBudget").field(&*lock(active)).finish(),
            Kind::Tower(_) => f.write_str("RetryBudget(tower)"),
        }
    }
}
