//! What a fault does to those who use a store, whatever they do meanwhile: in real time, so bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_quota::{
    Limit,
    quota::shared::{OnStoreDown, RedisStore},
};

use crate::fleet::{Fleet, bound, seconds, share};

pub const WINDOW: Duration = Duration::from_secs(3);
pub const LIMIT: usize = 200;
/// Within so long of a fault's end something is granted again.
const RECOVERED: Duration = Duration::from_millis(500);
/// So long somebody may wait where the store is away: its patience, and what it takes to notice.
pub const PATIENCE: Duration = Duration::from_millis(150);
/// So long where it has lost its state: it learns for 250 ms.
pub const LEARNING: Duration = Duration::from_millis(400);

pub fn limit() -> Limit {
    Limit::requests(LIMIT as u64, WINDOW)
}

/// How long the machine let it all stand still, at the most.
struct StoodStill(Arc<AtomicU64>, tokio::task::JoinHandle<()>);

impl StoodStill {
    fn watch() -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let to = Arc::clone(&most);
        let watches = async move {
            loop {
                let due = Instant::now() + Duration::from_millis(5);
                tokio::time::sleep_until(due.into()).await;
                to.fetch_max(due.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
        };
        Self(most, tokio::spawn(watches))
    }

    fn so_long(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Drop for StoodStill {
    fn drop(&mut self) {
        self.1.abort();
    }
}

/// With slack, where the machine is shared.
fn within(bound: Duration) -> Duration {
    let slack = if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
        Duration::from_millis(500)
    } else {
        Duration::ZERO
    };
    bound + slack
}

/// Three pools in one store, each with clients of its own.
pub struct Trial {
    name: &'static str,
    // Use all of a limit, and more, whatever happens.
    full: Fleet,
    // Have enough, and wait for the store alone.
    patient: Fleet,
    // Have enough, and go on without it.
    hasty: Fleet,
    began: Instant,
    stood_still: StoodStill,
}

impl Trial {
    /// Begins, and lets a second pass.
    pub async fn begin(name: &'static str, store: impl Fn() -> RedisStore) -> Self {
        let plenty = Limit::requests(200_000, WINDOW);
        let mut full = Fleet::new(4, &limit(), |_| store(), |quota| share(quota).pool("full"));
        let waits = OnStoreDown::Wait {
            max: Duration::from_secs(10),
        };
        let mut patient = Fleet::new(
            2,
            &plenty,
            |_| store(),
            |quota| quota.on_store_down(waits).pool("patient"),
        );
        let mut hasty = Fleet::new(2, &plenty, |_| store(), |quota| share(quota).pool("hasty"));
        full.send(8, Duration::from_millis(20));
        patient.send(2, Duration::from_millis(10));
        hasty.send(2, Duration::from_millis(20));
        seconds(1.0).await;
        Self {
            name,
            full,
            patient,
            hasty,
            began: Instant::now(),
            stood_still: StoodStill::watch(),
        }
    }

    /// The fault is over since then: the store grants again.
    pub async fn recovers(&self, since: Instant) {
        let watched = Duration::from_millis(700);
        tokio::time::sleep(watched).await;
        // The longest that nothing was granted: what had been granted before may leave after.
        let (mut last, mut took) = (since, Duration::ZERO);
        let until = [since + watched];
        let granted = self.patient.log.times().into_iter();
        for at in granted.filter(|at| *at > since).chain(until) {
            took = took.max(at.saturating_duration_since(last));
            last = at.max(last);
        }
        println!("{}: granted again {took:?} after it was over", self.name);
        let bound = within(RECOVERED) + self.stood_still.so_long();
        assert!(took < bound, "{}: {took:?} of {bound:?}", self.name);
    }

    /// Nobody exceeds the limit, nor waits longer than that for the store.
    pub async fn ends(self, longest: Duration) {
        // What was sent at first counts no more.
        seconds(3.5).await;
        let (most, all) = (self.full.log.most_in(WINDOW), self.full.log.times().len());
        let waited = self
            .hasty
            .log
            .longest_wait_between(self.began, Instant::now());
        let stood_still = self.stood_still.so_long();
        println!(
            "{}: {most} of {LIMIT} in a window at most, {all} sent; nobody waited longer than {waited:?} for the store, \
             and all stood still for up to {stood_still:?}",
            self.name
        );
        assert!(most <= bound(LIMIT), "{}: {most}", self.name);
        assert!(all >= LIMIT * 3 / 2, "{}: {all}", self.name);
        let bound = within(longest) + stood_still;
        assert!(waited < bound, "{}: {waited:?} of {bound:?}", self.name);
    }
}
